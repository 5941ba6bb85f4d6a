//! Which passwords may be chosen: 12 to 256 characters, no composition rules, and none that are
//! guessed first.
//!
//! Lists of leaked passwords are mostly a common word or two, written with digits, punctuation or
//! look-alikes, repeated, or walked over the keyboard. So instead of a long list of whole passwords
//! this keeps a short one of such words (`common_words.txt`, our own) and recognises what is made
//! of them.

use std::collections::HashSet;

use secrecy::{ExposeSecret as _, SecretString};

const SHORTEST: usize = 12;
/// The longest password in characters.
pub const LONGEST: usize = 256;
/// A password of so many different common words is a passphrase.
const PASSPHRASE: usize = 3;
/// What fingers walk over.
const WALKS: [&str; 10] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "qwertyuiop[]asdfghjkl;'zxcvbnm,./",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
    "zaq12wsxcde34rfvbgt56yhnmju78ik,",
    "!@#$%^&*()_+",
];
static COMMON_WORDS: &str = include_str!("common_words.txt");

/// A password that may be chosen.
#[derive(Clone, Debug)]
pub struct NewPassword(SecretString);

/// Why a password may not be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer than 12 characters.
    #[error("must have 12 characters or more")]
    TooShort,
    /// More than 256 characters.
    #[error("must have 256 characters or fewer")]
    TooLong,
    /// One of those that are guessed first.
    #[error(
        "is too easy to guess; a few words in a row that belong together only for you are good"
    )]
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

    /// The password, to be hashed.
    pub const fn secret(&self) -> &SecretString {
        &self.0
    }
}

fn is_common(password: &str) -> bool {
    let lower = password.to_lowercase();
    is_repetitive(&lower) || is_walk(&lower) || is_common_words(&lower)
}

/// `aaaaaaaaaaaa`, `abcabcabcabc`, `hunterhunter`.
fn is_repetitive(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    (1..=chars.len() / 2).any(|period| {
        (period <= 4 || chars.len().is_multiple_of(period))
            && chars.iter().skip(period).eq(&chars[..chars.len() - period])
            && (period <= 4 || is_common_words(&chars[..period].iter().collect::<String>()))
    })
}

/// Nothing but pieces of four characters or more of [`WALKS`], forwards or backwards.
fn is_walk(text: &str) -> bool {
    const PIECE: usize = 4;
    let chars: Vec<char> = text.chars().collect();
    let walks = |piece: &str| {
        let backwards: String = piece.chars().rev().collect();
        WALKS
            .iter()
            .any(|walk| walk.contains(piece) || walk.contains(&backwards))
    };
    let mut start = 0;
    while start < chars.len() {
        let longest = (start + PIECE..=chars.len())
            .rev()
            .find(|end| walks(&chars[start..*end].iter().collect::<String>()));
        match longest {
            Some(end) => start = end,
            // A character or two at the end make it no better.
            None => return start >= PIECE && chars.len() - start < PIECE,
        }
    }
    true
}

/// At most two different common words, whatever digits and punctuation stand around them.
fn is_common_words(text: &str) -> bool {
    let words: HashSet<&str> = COMMON_WORDS.split_whitespace().collect();
    [plain_letters(text), look_alikes(text)]
        .iter()
        .any(|letters| {
            !letters.is_empty() && fewest_words(letters, &words).is_some_and(|n| n < PASSPHRASE)
        })
}

fn plain_letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphabetic()).collect()
}

/// `P4$$w0rd` as it is meant, without the digits at its ends.
fn look_alikes(text: &str) -> String {
    text.trim_end_matches(|c: char| !c.is_alphabetic() && !matches!(c, '$' | '@'))
        .chars()
        .filter_map(|c| match c {
            '0' => Some('o'),
            '1' | '!' | '|' => Some('i'),
            '3' => Some('e'),
            '4' | '@' => Some('a'),
            '5' | '$' => Some('s'),
            '7' => Some('t'),
            c if c.is_alphabetic() => Some(c),
            _ => None,
        })
        .collect()
}

/// How few different words `letters` can be read as, if it is nothing but such words.
fn fewest_words(letters: &str, words: &HashSet<&str>) -> Option<usize> {
    // For each reachable position, the smallest set of words that leads there.
    let mut best: Vec<Option<HashSet<&str>>> = vec![None; letters.len() + 1];
    best[0] = Some(HashSet::new());
    for start in 0..letters.len() {
        let Some(used) = best[start].clone() else {
            continue;
        };
        for word in words {
            if !letters[start..].starts_with(word) {
                continue;
            }
            let mut with = used.clone();
            with.insert(*word);
            let end = &mut best[start + word.len()];
            if end.as_ref().is_none_or(|known| with.len() < known.len()) {
                *end = Some(with);
            }
        }
    }
    best.pop().flatten().map(|used| used.len())
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
