use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::LazyLock;

const STYLE_SOURCE: &str = include_str!("../../../../static/style.css");
const SCRIPT_SOURCE: &str = include_str!("../../../../static/app.js");

/// The style sheet, served at `{base}/static/style.css`, without its comments and white space.
pub static STYLE: LazyLock<String> = LazyLock::new(|| minified_style(STYLE_SOURCE));
/// The script, served at `{base}/static/app.js`, without its comments and indentation.
pub static SCRIPT: LazyLock<String> = LazyLock::new(|| minified_script(SCRIPT_SOURCE));
/// The browser tab's icon, served at `{base}/static/icon.svg`.
pub const ICON: &str = include_str!("../../../../static/icon.svg");
/// The icon with a red dot, served at `{base}/static/icon-alert.svg`: something has failed.
pub const ICON_ALERT: &str = include_str!("../../../../static/icon-alert.svg");

/// Changes whenever an asset does: pages ask for `…?v=VERSION`, so that assets may be cached
/// forever.
pub(super) static VERSION: LazyLock<u64> = LazyLock::new(|| {
    let hasher = BuildHasherDefault::<DefaultHasher>::new();
    hasher.hash_one((STYLE_SOURCE, SCRIPT_SOURCE, ICON, ICON_ALERT))
});

/// Our style sheet has no strings in which white space could matter.
fn minified_style(source: &str) -> String {
    let mut rest = source;
    let mut text = String::with_capacity(source.len());
    while let Some((before, comment)) = rest.split_once("/*") {
        text.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (long, short) in [
        (": ", ":"),
        ("; ", ";"),
        (", ", ","),
        (" > ", ">"),
        (" {", "{"),
        ("{ ", "{"),
        ("} ", "}"),
        (";}", "}"),
    ] {
        text = text.replace(long, short);
    }
    text
}

/// Our script has comments on lines of their own or after a statement, and no string that spans
/// several lines.
fn minified_script(source: &str) -> String {
    source
        .lines()
        .map(|line| {
            line.split_once("; // ")
                .map_or(line, |(code, _)| code)
                .trim()
        })
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
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
            minified_script("// Why\nfoo();\n\n  const a = \"//\"; // here\n"),
            "foo();\nconst a = \"//\""
        );
        // No string spans several lines.
        assert!(
            !SCRIPT_SOURCE
                .lines()
                .any(|line| line.matches('`').count() % 2 == 1)
        );
    }
}
