//! What CloudFront accepts in a batch.

use std::collections::HashSet;

use crate::error::ApiError;
use crate::settings::InnerWildcard;
use crate::xml::InvalidationBatch;

const MAX_PATH: usize = 4_000;
const MAX_TAG: usize = 256;
const MAX_REFERENCE: usize = 2_048;

/// The rules that differ between distributions and configurations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) paths_per_request: usize,
    pub(crate) cache_tags: bool,
    pub(crate) inner_wildcard: InnerWildcard,
}

/// # Errors
/// `InconsistentQuantities`, `BatchTooLarge` or `InvalidArgument`, in that order.
pub(crate) fn check(batch: &InvalidationBatch, rules: Rules) -> Result<(), ApiError> {
    let items = &batch.paths.items.path;
    if batch.paths.quantity != items.len() {
        return Err(ApiError::new(
            "InconsistentQuantities",
            "The value of Quantity and the size of Items don't match.",
        ));
    }
    if items.len() > rules.paths_per_request {
        return Err(ApiError::new(
            "BatchTooLarge",
            "Invalidation batch specified is too large.",
        ));
    }
    if batch.caller_reference.is_empty() || batch.caller_reference.len() > MAX_REFERENCE {
        return Err(ApiError::new(
            "InvalidArgument",
            "Your request contains an invalid caller reference.",
        ));
    }
    let mut seen = HashSet::new();
    let all_fit = items
        .iter()
        .all(|item| acceptable(item, rules) && seen.insert(spelling(item)));
    if items.is_empty() || !all_fit {
        return Err(ApiError::invalid_paths());
    }
    Ok(())
}

/// A wildcard has a budget of its own. Tags and every other path share the other one.
pub(crate) fn is_wildcard(item: &str) -> bool {
    item.ends_with('*') && !is_tag(item)
}

fn is_tag(item: &str) -> bool {
    item.starts_with('#')
}

/// Tags are compared without regard to case, paths with it.
fn spelling(item: &str) -> String {
    if is_tag(item) {
        item.to_ascii_lowercase()
    } else {
        item.to_owned()
    }
}

fn acceptable(item: &str, rules: Rules) -> bool {
    match item.strip_prefix('#') {
        Some(tag) => rules.cache_tags && acceptable_tag(tag),
        None => acceptable_path(item, rules.inner_wildcard),
    }
}

fn acceptable_tag(tag: &str) -> bool {
    (1..=MAX_TAG).contains(&tag.len())
        && tag
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b',' | b'*'))
}

fn acceptable_path(path: &str, inner_wildcard: InnerWildcard) -> bool {
    let inner = path.strip_suffix('*').unwrap_or(path);
    path.starts_with('/')
        && path.len() <= MAX_PATH
        && path.bytes().all(is_url_byte)
        && (inner_wildcard == InnerWildcard::Literal || !inner.contains('*'))
        && path.split('%').skip(1).all(starts_with_two_hex_digits)
}

/// RFC 1738, section 2.2, without `%`, which is checked separately.
fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(
            byte,
            b'<' | b'>'
                | b'"'
                | b'#'
                | b'{'
                | b'}'
                | b'|'
                | b'\\'
                | b'^'
                | b'~'
                | b'['
                | b']'
                | b'`'
        )
}

fn starts_with_two_hex_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 2 && bytes[..2].iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const RULES: Rules = Rules {
        paths_per_request: 3,
        cache_tags: true,
        inner_wildcard: InnerWildcard::Literal,
    };

    fn outcome(paths: &[&str], rules: Rules) -> Result<(), String> {
        let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
        check(&InvalidationBatch::new("r", &paths), rules).map_err(|error| error.code.into_owned())
    }

    #[test]
    fn accepts_what_cloudfront_accepts() {
        for path in [
            "/",
            "/*",
            "/a*b",
            "/a?x=1&y=2",
            "/%7Euser",
            "/a//b",
            "/a(b)!$'",
            "#article:42",
            "#x|~",
        ] {
            assert_eq!(outcome(&[path], RULES), Ok(()), "{path}");
        }
        assert_eq!(outcome(&["/a", "/A", "/a/"], RULES), Ok(()));
    }

    #[test]
    fn refuses_what_cloudfront_refuses() {
        let long = format!("/{}", "a".repeat(4_000));
        for path in [
            "",
            "a",
            "*",
            "https://x/",
            "/é",
            "/a b",
            "/a~b",
            "/a\"",
            "/a#b",
            "/%",
            "/%4",
            "/%zz",
            "#",
            "#a b",
            "#a,b",
            "#a*",
            "#é",
            &long,
        ] {
            assert_eq!(
                outcome(&[path], RULES),
                Err("InvalidArgument".into()),
                "{path}"
            );
        }
        assert_eq!(outcome(&[], RULES), Err("InvalidArgument".into()));
        assert_eq!(outcome(&["/a", "/a"], RULES), Err("InvalidArgument".into()));
        assert_eq!(outcome(&["#A", "#a"], RULES), Err("InvalidArgument".into()));
        assert_eq!(
            outcome(&["/a", "/b", "/c", "/d"], RULES),
            Err("BatchTooLarge".into())
        );
    }

    #[test]
    fn follows_the_switches() {
        let rules = Rules {
            cache_tags: false,
            inner_wildcard: InnerWildcard::InvalidArgument,
            ..RULES
        };
        assert_eq!(outcome(&["#a"], rules), Err("InvalidArgument".into()));
        assert_eq!(outcome(&["/a*b"], rules), Err("InvalidArgument".into()));
        assert_eq!(outcome(&["/a**"], rules), Err("InvalidArgument".into()));
        assert_eq!(outcome(&["/a*"], rules), Ok(()));
    }

    #[test]
    fn a_quantity_that_lies_is_told_first() {
        let mut batch = InvalidationBatch::new("r", &["nonsense".to_owned()]);
        batch.paths.quantity = 2;
        assert_eq!(
            check(&batch, RULES).unwrap_err().code,
            "InconsistentQuantities"
        );
    }
}
