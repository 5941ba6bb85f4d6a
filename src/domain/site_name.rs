//! The name of a site, which stands in addresses.

use std::str::FromStr;

use serde::Deserialize;

use super::text::text;

/// The site of an installation that never asked for more.
pub const DEFAULT_SITE: &str = "default";

/// The longest name, as of a label in a host name.
const LONGEST: usize = 63;

/// Where the pages of the site of that name are, below `PUBLIC_URL`: those of `default` are where
/// those of the only site are.
pub fn pages_of(site: &str) -> String {
    if site == DEFAULT_SITE {
        String::new()
    } else {
        format!("/sites/{site}")
    }
}

/// A name that a site can have: lower-case letters, digits and hyphens, such as `shop-de`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct SiteName(String);

text!(SiteName);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends, such as shop-de"
)]
pub struct NotASiteName;

impl TryFrom<String> for SiteName {
    type Error = NotASiteName;

    fn try_from(text: String) -> Result<Self, NotASiteName> {
        text.parse()
    }
}

impl FromStr for SiteName {
    type Err = NotASiteName;

    fn from_str(text: &str) -> Result<Self, NotASiteName> {
        let text = text.trim();
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if text.starts_with(is_plain)
            && text.ends_with(is_plain)
            && text.chars().all(|c| is_plain(c) || c == '-')
            && text.len() <= LONGEST
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotASiteName)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_label() {
        for good in ["default", "a", "7", "shop-de", "a--b", &"x".repeat(63)] {
            assert_eq!(
                good.parse::<SiteName>().map(|n| n.to_string()),
                Ok(good.to_owned())
            );
        }
        for bad in [
            "",
            " ",
            "-a",
            "a-",
            "Shop",
            "a b",
            "a/b",
            "a.b",
            "ä",
            "a_b",
            &"x".repeat(64),
        ] {
            assert_eq!(bad.parse::<SiteName>(), Err(NotASiteName), "{bad}");
        }
    }
}
