//! Cache tags: names that the origin gives to its answers, by which CloudFront can be asked to
//! forget them.

use super::Refused;
use super::pasted::trim_pasted;
use super::text::text;

/// The most characters a tag may have, without its `#`. CloudFront's rule.
pub const MAX_TAG_CHARACTERS: usize = 256;

/// A cache tag as CloudFront is sent it: `#` and then 1 to 256 characters of visible ASCII,
/// lower-cased, without comma and `*`. CloudFront compares tags without regard to case, so one
/// spelling stands for all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheTag(String);

text!(CacheTag);

impl CacheTag {
    /// Reads a tag as a publisher writes it: surrounding white space and one leading `#` are
    /// ignored.
    ///
    /// # Errors
    /// When CloudFront would not take it as a tag.
    pub fn parse(given: &str) -> Result<Self, Refused> {
        let name = trim_pasted(given);
        let name = name.strip_prefix('#').unwrap_or(name);
        if name.is_empty() {
            return Err(Refused::new(
                "the tag is empty: leave it out, or write its name, for example article:42",
            ));
        }
        if let Some(what) = name.chars().find_map(forbidden) {
            return Err(Refused::new(format!(
                "{what} is not allowed in a tag: use letters, digits and signs such as - _ : . without spaces"
            )));
        }
        let length = name.len();
        if length > MAX_TAG_CHARACTERS {
            return Err(Refused::new(format!(
                "the tag has {length} characters, and CloudFront takes at most {MAX_TAG_CHARACTERS}: use a shorter one"
            )));
        }
        Ok(Self(format!("#{}", name.to_ascii_lowercase())))
    }
}

fn forbidden(c: char) -> Option<&'static str> {
    match c {
        ',' => Some("a comma"),
        '*' => Some("a * (a tag is never a wildcard)"),
        _ if c.is_control() => Some("a control character"),
        _ if c.is_whitespace() => Some("white space"),
        _ if !c.is_ascii() => Some("a character outside ASCII"),
        _ => None,
    }
}
