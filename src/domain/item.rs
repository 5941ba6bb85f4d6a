//! An item: one entry of `Paths.Items` in CloudFront's `InvalidationBatch`.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use super::{CacheTag, InvalidationPath, Refused};

/// A path or a cache tag, always in the one spelling that CloudFront is sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum Item {
    /// A path, perhaps with a wildcard at its end.
    Path(InvalidationPath),
    Tag(CacheTag),
}

impl Item {
    /// Reads an item back from where it was stored.
    ///
    /// # Errors
    /// When CloudFront would not take the string as it stands.
    pub fn from_canonical(stored: &str) -> Result<Self, Refused> {
        let item = if stored.starts_with('#') {
            CacheTag::parse(stored).ok().map(Self::Tag)
        } else {
            InvalidationPath::from_canonical(stored).map(Self::Path)
        };
        item.filter(|item| item.as_str() == stored)
            .ok_or_else(|| Refused::new(format!("{stored:?} is not an item that CloudFront takes")))
    }

    /// `/*`: everything that the distribution has cached.
    pub fn everything() -> Self {
        Self::Path(InvalidationPath::wildcard("/"))
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Path(path) => path.as_str(),
            Self::Tag(tag) => tag.as_str(),
        }
    }

    /// What a wildcard path begins with, without its `*`; `None` for all other items.
    pub fn wildcard_prefix(&self) -> Option<&str> {
        // No tag holds a `*`.
        self.as_str().strip_suffix('*')
    }

    /// Whether the item counts against the quota of wildcards. Everything else, tags too, counts as
    /// a file.
    pub fn is_wildcard(&self) -> bool {
        self.wildcard_prefix().is_some()
    }

    /// Whether the page at a path is purged by one of `items`.
    pub(super) fn any_covers(items: &[Self], path: &str) -> bool {
        Self::from_canonical(path).is_ok_and(|path| items.iter().any(|item| item.covers(&path)))
    }

    /// Whether this item purges everything that `other` purges.
    ///
    /// `/blog/*` covers `/blog/` and `/blog/x?y`, but not `/blog`. `/*` covers tags too: what
    /// carries a tag was cached under some path. Otherwise a tag is covered only by itself.
    pub fn covers(&self, other: &Self) -> bool {
        match (self.wildcard_prefix(), other) {
            (Some("/"), _) => true,
            (Some(prefix), Self::Path(path)) => path.as_str().starts_with(prefix),
            _ => self == other,
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Item {
    type Error = Refused;

    fn try_from(stored: String) -> Result<Self, Refused> {
        Self::from_canonical(&stored)
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
