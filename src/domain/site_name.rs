//! The name of a site, which is part of addresses.

use std::str::FromStr;

use serde::Deserialize;

use super::Refused;
use super::text::text;

/// The site of an installation that never asked for more.
pub const DEFAULT_SITE: &str = "default";

/// The same as for a label of a host name.
const MAX_LENGTH: usize = 63;

/// Where a site's pages are, below `PUBLIC_URL`. Those of `default` are at the root, where they
/// were while it was the only site.
pub fn pages_of(site: &str) -> String {
    if site == DEFAULT_SITE {
        String::new()
    } else {
        format!("/sites/{site}")
    }
}

/// The name of the site that a page is about, by its address below `PUBLIC_URL`; `None` if the
/// address names no site.
pub fn in_address(path: &str) -> Option<&str> {
    path.strip_prefix("/sites/")?.split('/').next()
}

/// A name that a site can have: lower-case letters, digits and hyphens, such as `shop-de`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct SiteName(String);

text!(SiteName);

impl TryFrom<String> for SiteName {
    type Error = Refused;

    fn try_from(text: String) -> Result<Self, Refused> {
        text.parse()
    }
}

impl FromStr for SiteName {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let text = text.trim();
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if text.starts_with(is_plain)
            && text.ends_with(is_plain)
            && text.chars().all(|c| is_plain(c) || c == '-')
            && text.len() <= MAX_LENGTH
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(Refused::new(
                "must be 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends, such as shop-de",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_label() {
        for good in ["default", "a", "7", "shop-de", "a--b", &"x".repeat(63)] {
            let name = good.parse::<SiteName>().map(|name| name.0);
            assert_eq!(name.as_deref(), Ok(good));
        }
        for bad in ["", " ", "-a", "a-", "Shop", "a b", "a/b", "a.b", "ä", "a_b"] {
            assert!(bad.parse::<SiteName>().is_err(), "{bad}");
        }
        assert!("x".repeat(64).parse::<SiteName>().is_err());
    }

    #[test]
    fn an_address_names_the_site_that_it_leads_to() {
        assert_eq!(in_address(&pages_of("shop")), Some("shop"));
        assert_eq!(in_address("/sites/shop/purge"), Some("shop"));
        for other in ["/", "/purge", "/sites", "/activity/sites/shop"] {
            assert_eq!(in_address(other), None, "{other}");
        }
    }
}
