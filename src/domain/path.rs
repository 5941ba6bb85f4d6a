//! Invalidation paths: from a path as people write it to the one spelling that CloudFront matches.
//!
//! CloudFront compares an invalidation path with the URLs that viewers asked for, and silently
//! accepts a path that can match none of them. So the spelling matters:
//!
//! - non-ASCII and RFC 1738 unsafe characters are percent-encoded as UTF-8 with upper-case hex, and
//!   nothing else is;
//! - what is already encoded stays encoded once, in upper-case hex (RFC 3986, 6.2.2.1). An escape
//!   of an *unreserved* character (letter, digit, `-` `.` `_` `~`) is undone (6.2.2.2): CloudFront
//!   never matches an over-encoded path. Therefore `%2e%2e` is a dot segment and `%7E` is `~`;
//! - `%2A` stays: it is a literal asterisk, never a wildcard. At the end of a path, where a
//!   wildcard was surely meant, it is refused;
//! - dot segments are removed as in RFC 3986, 5.2.4; from the path, not from the query;
//! - `~` cannot be matched at all, so the path is cut before it and ends in a wildcard;
//! - `#` is part of a path and encoded like any unsafe character: only an absolute URL has a
//!   fragment;
//! - a backslash is refused: browsers send `/` in its place, so no viewer asks for such a path;
//! - letter case, doubled slashes and an empty query are kept: to CloudFront they are different
//!   objects.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_encode_byte, utf8_percent_encode};

use super::Refused;
use super::pasted::trim_pasted;
use super::text::text;

/// The most characters a path may have once encoded. CloudFront's rule.
pub const MAX_PATH_CHARACTERS: usize = 4_000;

/// The unsafe characters of RFC 1738, 2.2, except `%` and `~`, which are handled separately.
const UNSAFE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'#')
    .add(b'{')
    .add(b'}')
    .add(b'|')
    .add(b'\\')
    .add(b'^')
    .add(b'[')
    .add(b']')
    .add(b'`');

/// A path that CloudFront accepts: it begins with `/`, is encoded, and has `*` at most as its last
/// character.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvalidationPath(String);

text!(InvalidationPath);

/// A path that was read, and whether it purges more than was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub path: InvalidationPath,
    /// The path was cut before a `~` and ends in a wildcard now.
    pub widened: bool,
}

impl InvalidationPath {
    /// Reads a path as people write it, with or without its leading slash. Absolute URLs are for
    /// [`super::intake`].
    pub fn parse(given: &str) -> Result<Reading, Refused> {
        let given = trim_pasted(given);
        if given.is_empty() {
            return Err(Refused::new(
                "the path is empty: leave it out, or write / for the home page",
            ));
        }
        if given.starts_with('#') {
            let given = excerpt(given);
            return Err(Refused::new(format!(
                "{given} begins with #, as cache tags do: send it under \"tags\", or write a path, for example /about"
            )));
        }
        if let Some(c) = given.chars().find(|c| c.is_control()) {
            let c = c.escape_default();
            return Err(Refused::new(format!(
                "the path holds the control character {c}: remove it"
            )));
        }
        if path_part(given).contains('\\') {
            let with_slashes = excerpt(&given.replace('\\', "/"));
            return Err(Refused::new(format!(
                "the path holds a backslash, and addresses have none: write {with_slashes}, or %5C if the backslash is part of a name"
            )));
        }
        let mut path = encode(given);
        if !path.starts_with('/') {
            path.insert(0, '/');
        }
        let mut path = remove_dot_segments(&path);
        if !wildcard_only_at_end(&path) {
            return Err(Refused::new(
                "* is a wildcard and may only be the last character, as in /blog/*: cut the path after the first *",
            ));
        }
        if let Some(start) = path_part(&path).strip_suffix("%2A") {
            let start = excerpt(start);
            return Err(Refused::new(format!(
                "%2A is an asterisk that is part of a name, not a wildcard: write {start}* to purge all that begins with {start}"
            )));
        }
        let tilde = path.find('~');
        if let Some(at) = tilde {
            path.truncate(at);
            path.push('*');
        }
        let length = path.len();
        if length > MAX_PATH_CHARACTERS {
            return Err(Refused::new(format!(
                "the path has {length} characters once encoded, and CloudFront takes at most {MAX_PATH_CHARACTERS}: \
                 shorten it, or end it early with a wildcard"
            )));
        }
        Ok(Reading {
            path: Self(path),
            widened: tilde.is_some(),
        })
    }

    /// Takes a stored path as it stands; `None` if CloudFront would refuse it.
    pub fn from_canonical(stored: &str) -> Option<Self> {
        let acceptable = stored.starts_with('/')
            && stored.len() <= MAX_PATH_CHARACTERS
            && wildcard_only_at_end(stored)
            && !stored.contains('~')
            && matches!(
                Cow::from(utf8_percent_encode(stored, UNSAFE)),
                Cow::Borrowed(_)
            )
            && stored
                .split('%')
                .skip(1)
                .all(|piece| escaped_byte(piece).is_some());
        acceptable.then(|| Self(stored.to_owned()))
    }

    /// The wildcard of all paths that begin with `prefix`, itself the beginning of a path.
    pub(super) fn wildcard(prefix: &str) -> Self {
        Self(format!("{prefix}*"))
    }
}

/// What comes before the query.
pub(super) fn path_part(path: &str) -> &str {
    path.split('?').next().unwrap_or(path)
}

/// The beginning of what was given, safe to repeat in a message.
pub(super) fn excerpt(given: &str) -> String {
    const CHARACTERS: usize = 80;
    let mut short: String = given
        .chars()
        .take(CHARACTERS)
        .flat_map(char::escape_debug)
        .collect();
    if given.chars().nth(CHARACTERS).is_some() {
        short.push('…');
    }
    short
}

fn wildcard_only_at_end(path: &str) -> bool {
    path.find('*').is_none_or(|at| at + 1 == path.len())
}

fn encode(given: &str) -> String {
    let mut encoded = String::with_capacity(given.len());
    for (i, piece) in given.split('%').enumerate() {
        let plain = match (i, escaped_byte(piece)) {
            (0, _) => piece,
            (_, Some(byte)) => {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    encoded.push(char::from(byte));
                } else {
                    encoded.push_str(percent_encode_byte(byte));
                }
                &piece[2..]
            }
            (_, None) => {
                encoded.push_str("%25");
                piece
            }
        };
        encoded.extend(utf8_percent_encode(plain, UNSAFE));
    }
    encoded
}

/// The byte that two hex digits at the beginning of `piece` stand for.
fn escaped_byte(piece: &str) -> Option<u8> {
    let digit = |i: usize| char::from(*piece.as_bytes().get(i)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

fn remove_dot_segments(path_and_query: &str) -> String {
    let (path, query) = path_and_query.split_at(path_part(path_and_query).len());
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let dots = matches!(segment, "." | "..");
        if segment == ".." {
            kept.pop();
        }
        if !dots {
            kept.push(segment);
        } else if segments.peek().is_none() {
            kept.push("");
        }
    }
    format!("/{}{query}", kept.join("/"))
}
