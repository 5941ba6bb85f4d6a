//! Which passwords may be chosen: 12 to 256 characters of any kind, except those that would be
//! among the first to be guessed.

use secrecy::{ExposeSecret as _, SecretString};
use zxcvbn::{Score, zxcvbn};

use super::Refused;

const MIN_PASSWORD_LENGTH: usize = 12;
pub const MAX_PASSWORD_LENGTH: usize = 256;
/// What anyone would try at this service first.
const OURS: [&str; 6] = [
    "skycms",
    "skycms-cdn",
    "cloudfront",
    "admin",
    "skycms password",
    "correct horse battery staple",
];

/// A password that may be chosen.
#[derive(Clone, Debug)]
pub struct NewPassword(SecretString);

impl NewPassword {
    pub fn parse(text: &SecretString) -> Result<Self, Refused> {
        let password = text.expose_secret();
        match password.chars().count() {
            ..MIN_PASSWORD_LENGTH => Err(Refused::new("must have 12 characters or more")),
            MIN_PASSWORD_LENGTH..=MAX_PASSWORD_LENGTH if is_common(password) => Err(Refused::new(
                "is too easy to guess; a few words that belong together only for you are good",
            )),
            MIN_PASSWORD_LENGTH..=MAX_PASSWORD_LENGTH => Ok(Self(text.clone())),
            _ => Err(Refused::new("must have 256 characters or fewer")),
        }
    }

    pub const fn secret(&self) -> &SecretString {
        &self.0
    }
}

/// Fewer than a hundred million guesses, from which on zxcvbn calls a password safe against online
/// attacks.
fn is_common(password: &str) -> bool {
    zxcvbn(password, &OURS).score() < Score::Three
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::table::assert_says;

    /// What is said about a password; nothing about one that may be chosen.
    fn said(text: &str) -> String {
        let read = NewPassword::parse(&SecretString::from(text));
        read.err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    }

    #[test]
    fn counts_characters_not_bytes() {
        assert_says(&said("kurz, 11 ch"), "12 characters or more");
        assert_eq!(said("änderung ü ö"), "");
        assert_says(&said(&"xkü ".repeat(64)), "too easy to guess");
        assert_says(&said(&"ab".repeat(129)), "256 characters or fewer");
        let long: String = ('a'..='z')
            .chain('!'..='~')
            .cycle()
            .step_by(7)
            .take(256)
            .collect();
        assert_eq!(said(&long), "");
    }

    #[test]
    fn refuses_what_is_guessed_first() {
        for common in [
            "password1234",
            "P4$$w0rd2026!",
            "AdminAdmin123",
            "skycms-cdn-2026",
            "cloudfront123",
            "1qaz2wsx3edc",
            "abcdefghijkl",
            "aaaaaaaaaaaa",
            "iloveyou1234",
            "correct horse battery staple",
        ] {
            assert_says(&said(common), "too easy to guess");
        }
    }

    #[test]
    fn takes_passphrases_and_random_ones() {
        for good in [
            "k3y-Wd!qPz0vLm",
            "sandbox demo password",
            "grüne Tomaten am Fluss",
            "summer rain on tin roofs",
        ] {
            assert_eq!(said(good), "", "{good}");
        }
    }
}
