//! The folder of its origin at which a distribution begins: CloudFront's “Origin path”.

use std::str::FromStr;

use super::Refused;
use super::text::text;

/// CloudFront's own limit.
const MAX_BYTES: usize = 255;

/// Empty, or like `/live`: a slash first, none at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OriginPath(String);

text!(OriginPath);

impl FromStr for OriginPath {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let folder = text.trim().trim_matches('/');
        if folder.is_empty() {
            return Ok(Self::default());
        }
        let is_stray = |c: char| !c.is_ascii_graphic() || matches!(c, '*' | '?' | '#' | '\\');
        if folder.contains(is_stray) || folder.contains("//") || folder.len() >= MAX_BYTES {
            return Err(Refused::new(
                "Enter the folder as CloudFront has it under “Origin path”, such as /live.",
            ));
        }
        Ok(Self(format!("/{folder}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_a_slash_first_and_none_at_the_end() {
        let read = |text: &str| text.parse::<OriginPath>().map(|path| path.to_string());
        for (typed, path) in [
            ("", ""),
            (" / ", ""),
            ("/live", "/live"),
            ("live/", "/live"),
            ("/sites/shop/", "/sites/shop"),
        ] {
            assert_eq!(read(typed).as_deref(), Ok(path), "{typed:?}");
        }
        for typed in ["/a b", "https://www.example.com", "/a/*", "/café", "/a?b"] {
            assert!(read(typed).is_err(), "{typed:?}");
        }
        assert!(read(&"a".repeat(255)).is_err());
    }
}
