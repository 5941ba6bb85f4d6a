//! Which passwords may be chosen: 12 to 256 characters of any kind, except those that would be
//! among the first to be guessed.

use secrecy::{ExposeSecret as _, SecretString};
use zxcvbn::{Score, zxcvbn};

const SHORTEST: usize = 12;
pub const LONGEST: usize = 256;
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("must have 12 characters or more")]
    TooShort,
    #[error("must have 256 characters or fewer")]
    TooLong,
    #[error("is too easy to guess; a few words that belong together only for you are good")]
    Common,
}

impl NewPassword {
    pub fn parse(text: &SecretString) -> Result<Self, PasswordError> {
        let password = text.expose_secret();
        match password.chars().count() {
            ..SHORTEST => Err(PasswordError::TooShort),
            SHORTEST..=LONGEST if is_common(password) => Err(PasswordError::Common),
            SHORTEST..=LONGEST => Ok(Self(text.clone())),
            _ => Err(PasswordError::TooLong),
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

    fn parse(text: &str) -> Result<(), PasswordError> {
        NewPassword::parse(&SecretString::from(text)).map(|_| ())
    }

    #[test]
    fn counts_characters_not_bytes() {
        assert_eq!(parse("kurz, 11 ch"), Err(PasswordError::TooShort));
        assert_eq!(parse("änderung ü ö"), Ok(()));
        assert_eq!(parse(&"xkü ".repeat(64)), Err(PasswordError::Common));
        assert_eq!(parse(&"ab".repeat(129)), Err(PasswordError::TooLong));
        let long: String = ('a'..='z')
            .chain('!'..='~')
            .cycle()
            .step_by(7)
            .take(256)
            .collect();
        assert_eq!(parse(&long), Ok(()));
    }

    #[test]
    fn refuses_what_is_guessed_first() {
        for common in [
            "password1234",
            "Password123!",
            "P4$$w0rd2026!",
            "adminadmin12",
            "AdminAdmin123",
            "skycms-cdn-2026",
            "SkyCMS Password",
            "cloudfront123",
            "letmeinletmein",
            "welcome12345",
            "qwertyuiop123",
            "1qaz2wsx3edc",
            "123456789012",
            "abcdefghijkl",
            "aaaaaaaaaaaa",
            "abc123abc123",
            "iloveyou1234",
            "trustno1trustno1",
            "changeme1234",
            "qwertyqwerty",
            "1234567890qwerty",
            "correct horse battery staple",
        ] {
            assert_eq!(parse(common), Err(PasswordError::Common), "{common}");
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
            assert_eq!(parse(good), Ok(()), "{good}");
        }
    }
}
