//! Which secrets for programs, which nobody has to remember, would be found by trying.

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
/// Secrets that documentation shows, and that were copied from there: of jwt.io, of AWS, of Standard
/// Webhooks.
const PUBLISHED: [&str; 5] = [
    "a-string-secret-at-least-256-bits-long",
    "your-256-bit-secret",
    "secretkey-secretkey-secretkey-secretkey",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
];
/// Guesses that somebody who has a signed token, and checks each guess at home, makes in an hour,
/// as a power of ten.
const GUESSES_OF_AN_HOUR: f64 = 14.0;

/// Whether a text would be found in an hour.
pub fn is_soon_guessed(secret: &str) -> bool {
    let known = [OURS.as_slice(), &PUBLISHED].concat();
    zxcvbn(secret, &known).guesses_log10() < GUESSES_OF_AN_HOUR
}

/// Whether bytes are none that a random generator gives: few different ones, in equal steps, or a
/// text. Of 32 random ones about 30 differ, and so do the steps between them.
pub fn is_patterned(bytes: &[u8]) -> bool {
    let steps = bytes.windows(2).filter_map(|pair| match pair {
        [before, after] => Some(after.wrapping_sub(*before)),
        _ => None,
    });
    let few = bytes.len() / 2;
    let is_text = bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
    let differ: BTreeSet<u8> = bytes.iter().copied().collect();
    let steps: BTreeSet<u8> = steps.collect();
    differ.len() < few || steps.len() < few || is_text
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
        assert!(is_soon_guessed("changeme-changeme-changeme-changeme"));
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
        for made in [
            Vec::from_iter(0..32),
            (0..32).rev().collect(),
            (0..32).map(|n| n * 7).collect(),
            vec![7; 32],
            [1, 2, 3, 4].repeat(8),
            b"correct horse battery staple 123".to_vec(),
        ] {
            assert!(is_patterned(&made), "{made:?}");
        }
    }
}
