//! What people call the tokens and key pairs that they make.

use std::str::FromStr;

use super::Refused;
use super::text::text;

const MAX_CHARACTERS: usize = 100;

/// A name by which somebody will know later what it was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenName(String);

text!(GivenName);

impl FromStr for GivenName {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let text = text.trim();
        let is_name = (1..=MAX_CHARACTERS).contains(&text.chars().count());
        if !is_name || text.contains(char::is_control) {
            return Err(Refused::new(
                "must have 1 to 100 characters, none of them a control character",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_read_and_is_not_long() {
        let name = |text: &str| text.parse::<GivenName>().map(|name| name.0);
        assert_eq!(name(" Café “Wagtail” "), Ok("Café “Wagtail”".to_owned()));
        assert_eq!(name(&"é".repeat(100)), Ok("é".repeat(100)));
        for bad in ["", " \t", "a\0b", "a\nb", &"x".repeat(101)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }
}
