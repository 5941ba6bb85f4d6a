//! Who or what published.

use std::fmt;
use std::sync::Arc;

/// What a publish came with: a proof by its name, or a person. It is copied several times on a
/// publish's way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Publisher {
    Token(Arc<str>),
    /// A Standard Webhooks signature; signing secrets have no names.
    Signature,
    KeyPair(Arc<str>),
    /// Somebody who signed in with a password here.
    User(Arc<str>),
    /// Somebody whom SkyCMS signed in.
    SkyCmsUser(Arc<str>),
}

impl Publisher {
    /// Reads what [`fmt::Display`] wrote.
    pub fn parse(stored: &str) -> Option<Self> {
        let (kind, name) = stored.split_once(' ').unwrap_or((stored, ""));
        let name = name.into();
        Some(match kind {
            "token" => Self::Token(name),
            "signature" => Self::Signature,
            "key-pair" => Self::KeyPair(name),
            "user" => Self::User(name),
            "skycms-user" => Self::SkyCmsUser(name),
            _ => return None,
        })
    }
}

impl fmt::Display for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(name) => write!(f, "token {name}"),
            Self::Signature => f.write_str("signature"),
            Self::KeyPair(name) => write!(f, "key-pair {name}"),
            Self::User(name) => write!(f, "user {name}"),
            Self::SkyCmsUser(name) => write!(f, "skycms-user {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_was_written() {
        for publisher in [
            Publisher::Token("GitHub Actions".into()),
            Publisher::Signature,
            Publisher::KeyPair("".into()),
            Publisher::User("admin".into()),
            Publisher::SkyCmsUser("jane doe@example.com".into()),
        ] {
            let stored = publisher.to_string();
            assert_eq!(Publisher::parse(&stored), Some(publisher), "{stored}");
        }
        assert_eq!(Publisher::parse("carrier pigeon"), None);
    }
}
