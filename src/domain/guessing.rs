//! Which secrets of programs would be found by guessing. Nobody has to remember these, so they can
//! be random.

use std::collections::BTreeSet;

use zxcvbn::zxcvbn;

/// What anyone would try at this service first.
const OURS: [&str; 7] = [
    "skycms",
    "skycdn",
    "skycms-cdn",
    "publish",
    "metrics",
    "token",
    "secret",
];
/// Secrets that are copied from documentation (of jwt.io, AWS, Standard Webhooks and Supabase), and
/// one that everybody knows.
const PUBLISHED: [&str; 9] = [
    "a-string-secret-at-least-256-bits-long",
    "your-256-bit-secret",
    "your-super-secret-jwt-token-with-at-least-32-characters-long",
    "secretkey-secretkey-secretkey-secretkey",
    "replace-me-with-a-long-random-string",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY",
    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "correct horse battery staple",
];
/// How many guesses somebody with a signed token makes in an hour, checking them offline, as a
/// power of ten.
const GUESSES_OF_AN_HOUR: f64 = 14.0;

/// Whether a text would be found in an hour.
pub fn is_soon_guessed(secret: &str) -> bool {
    let secret = secret.trim().trim_start_matches("whsec_");
    let known = [OURS.as_slice(), &PUBLISHED].concat();
    let is_in_pattern = hex(secret).is_some_and(|bytes| bytes.len() >= 8 && is_patterned(&bytes));
    is_in_pattern || zxcvbn(secret, &known).guesses_log10() < GUESSES_OF_AN_HOUR
}

/// Whether no random generator would make these bytes: few of them differ, they are in equal steps,
/// or they are a text that is soon guessed. Of 32 random ones about 30 differ, and so do the steps
/// between them.
pub fn is_patterned(bytes: &[u8]) -> bool {
    let few = bytes.len() / 2;
    let differ: BTreeSet<u8> = bytes.iter().copied().collect();
    let step = |pair: &[u8]| pair[1].wrapping_sub(pair[0]);
    let steps: BTreeSet<u8> = bytes.windows(2).map(step).collect();
    let text = std::str::from_utf8(bytes).ok().map(str::trim);
    // Hexadecimal digits may be random although few of them differ.
    let is_hex = text.is_some_and(|text| hex(text).is_some());
    let is_regular = !is_hex && (differ.len() < few || steps.len() < few);
    is_regular || text.is_some_and(is_soon_guessed)
}

/// What pairs of hexadecimal digits stand for, if the text is made of them.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).ok();
    digits?.chunks_exact(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_documentation_or_made_by_hand_is_guessed() {
        for known in PUBLISHED {
            assert!(is_soon_guessed(known), "{known}");
            assert!(is_soon_guessed(&known.to_uppercase()), "{known}");
        }
        for guessed in [
            "changeme-changeme-changeme-changeme",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "00112233445566778899aabbccddeeff",
            "correct horse battery staple 12\n",
        ] {
            assert!(is_soon_guessed(guessed), "{guessed}");
        }
        assert!(!is_soon_guessed("5b3f0c8de1a94c62b7d80f16"));
    }

    #[test]
    fn random_bytes_have_no_pattern() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2_000 {
            for length in [24, 32, 64] {
                let bytes: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
                assert!(!is_patterned(&bytes), "{bytes:?}");
            }
        }
        assert!(!is_patterned(b"5b3f0c8de1a94c62b7d80f165b3f0c8d"));
        for made in [
            Vec::from_iter(0..32),
            (0..32).rev().collect(),
            (0..32).map(|n| n * 7).collect(),
            vec![7; 32],
            [1, 2, 3, 4].repeat(8),
            b"correct horse battery staple 123".to_vec(),
            b"correct horse battery staple 12\n".to_vec(),
            b"00112233445566778899aabbccddeeff".to_vec(),
        ] {
            assert!(is_patterned(&made), "{made:?}");
        }
    }
}
