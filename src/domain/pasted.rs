//! What copying from a console, a mail or a terminal adds to a value.

use secrecy::zeroize::Zeroizing;

/// The text without characters nobody can see: zero-width, direction marks, soft hyphens, byte
/// order marks.
///
/// The copy is wiped when dropped, since the text may be a secret.
pub(super) fn visible(text: &str) -> Zeroizing<String> {
    let mut visible = Zeroizing::new(String::with_capacity(text.len()));
    visible.extend(text.chars().filter(|c| !is_invisible(*c)));
    visible
}

/// The text without the white space, quotes and punctuation around it.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| {
        c.is_whitespace()
            || matches!(
                c,
                '"' | '\'' | '`' | '.' | ',' | ';' | '“' | '”' | '„' | '‘' | '’' | '«' | '»'
            )
    })
}

/// The text without white space and invisible characters at its ends. Those inside are part of it:
/// a zero-width joiner, for one, changes how some scripts are read.
pub fn trim_pasted(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
}

/// Whether part of the text might be a secret access key, or most of one.
pub(super) fn may_hold_secret(text: &str) -> bool {
    visible(text)
        .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=')))
        .any(|word| {
            let capitals = word.bytes().any(|b| b.is_ascii_uppercase());
            let small = word.bytes().any(|b| b.is_ascii_lowercase());
            small && (word.len() == 40 || capitals && word.len() >= 30)
        })
}
