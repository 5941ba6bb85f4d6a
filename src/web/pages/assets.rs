//! The style sheet, the script and the icons, compiled in: there is no path to escape from.

use std::future::{Ready, ready};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::LazyLock;

use axum::extract::RawQuery;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use crate::web::http::fixed::Fixed;

const STYLE_SOURCE: &str = include_str!("../../../static/style.css");
const SCRIPT_SOURCE: &str = include_str!("../../../static/app.js");
const ICON_SOURCE: &str = include_str!("../../../static/icon.svg");
const ICON_ALERT_SOURCE: &str = include_str!("../../../static/icon-alert.svg");

/// The style sheet without its comments and white space.
pub static STYLE: LazyLock<String> = LazyLock::new(|| minified_style(STYLE_SOURCE));
/// The script without its comments and indentation.
pub static SCRIPT: LazyLock<String> = LazyLock::new(|| minified_script(SCRIPT_SOURCE));

/// Changes whenever an asset does: pages ask for `…?v=VERSION`.
pub(super) static VERSION: LazyLock<u64> = LazyLock::new(|| {
    let hasher = BuildHasherDefault::<DefaultHasher>::new();
    hasher.hash_one((&*STYLE, &*SCRIPT, ICON_SOURCE, ICON_ALERT_SOURCE))
});

/// A copy of the version that was asked for may be kept forever. Not under another version, for
/// which a page of another replica asks during a roll-out: it would keep this one in its place.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

pub(crate) type Asset = LazyLock<Fixed>;

pub(crate) static STYLE_SHEET: Asset =
    Asset::new(|| Fixed::new("text/css; charset=utf-8", STYLE.as_bytes()));
pub(crate) static APP: Asset =
    Asset::new(|| Fixed::new("text/javascript; charset=utf-8", SCRIPT.as_bytes()));
pub(crate) static ICON: Asset = Asset::new(|| Fixed::new("image/svg+xml", ICON_SOURCE));
/// The icon with a red dot: something has failed.
pub(crate) static ICON_ALERT: Asset = Asset::new(|| Fixed::new("image/svg+xml", ICON_ALERT_SOURCE));

/// The handler of `GET /static/…`.
pub(crate) fn serve(
    asset: &'static Asset,
) -> impl Fn(RawQuery, HeaderMap) -> Ready<Response> + Clone {
    move |RawQuery(query): RawQuery, headers: HeaderMap| {
        let mut response = asset.answer(&headers);
        let version = query.as_ref().and_then(|query| query.strip_prefix("v="));
        if version.is_some_and(|version| version.parse() == Ok(*VERSION)) {
            let headers = response.headers_mut();
            headers.insert(header::CACHE_CONTROL, FOREVER);
        }
        ready(response)
    }
}

/// The page of a site's activity, its style sheet and its script stay below 60,000 bytes before
/// compression, which a test keeps. Crates that shorten them bring a parser of JavaScript along.
///
/// Our style sheet has no strings in which white space could matter.
fn minified_style(source: &str) -> String {
    let short = [
        (": ", ":"),
        ("; ", ";"),
        (", ", ","),
        (" > ", ">"),
        (" {", "{"),
        ("{ ", "{"),
        ("} ", "}"),
        (";}", "}"),
    ];
    shortened(code(source, "/*").join(" "), &short)
}

/// What is shortened in the script, in this order.
const SHORT: &[(&str, &str)] = &[
    (" = ", "="),
    (" === ", "==="),
    (" !== ", "!=="),
    (" => ", "=>"),
    (" && ", "&&"),
    (" || ", "||"),
    (") {", "){"),
    ("if (", "if("),
    ("for (", "for("),
    ("{ ", "{"),
    (" }", "}"),
    ("{\n", "{"),
    (";\n", ";"),
    (";}", "}"),
];

/// Our script has no string that spans several lines, and none with code in it.
fn minified_script(source: &str) -> String {
    shortened(code(source, "//").join("\n"), SHORT)
}

fn shortened(text: String, short: &[(&str, &str)]) -> String {
    short
        .iter()
        .fold(text, |text, (long, short)| text.replace(long, short))
}

/// The lines without their indentation, and without comments: ours have lines of their own.
fn code<'a>(source: &'a str, comment: &str) -> Vec<&'a str> {
    let lines = source.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with(comment))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minifying_keeps_the_meaning() {
        assert_eq!(
            minified_style(
                "/* Why */\na:hover > b, c {\n  margin: 0 auto;\n  width: calc(1rem - 1px);\n}\n"
            ),
            "a:hover>b,c{margin:0 auto;width:calc(1rem - 1px)}"
        );
        assert_eq!(
            minified_script("// Why\nfoo();\n\n  if (a === b) {\n    c = \"a, b\";\n  }\n"),
            "foo();if(a===b){c=\"a, b\"}"
        );
        // No comment is left, and no string spans several lines.
        assert!(!STYLE.contains("/*") && !STYLE.contains("*/") && !SCRIPT.contains(" // "));
        assert!(
            !SCRIPT_SOURCE
                .lines()
                .any(|line| line.matches('`').count() % 2 == 1)
        );
        // Nor does one hold what is shortened.
        let lines = code(SCRIPT_SOURCE, "//").into_iter();
        let strings = lines.flat_map(|line| line.split(['"', '`']).skip(1).step_by(2));
        for string in strings {
            assert_eq!(shortened(string.to_owned(), SHORT), string);
        }
    }
}
