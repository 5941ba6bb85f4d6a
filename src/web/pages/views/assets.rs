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
    let mut text = code(source, "/*").join(" ");
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

/// Our script has no string that spans several lines.
fn minified_script(source: &str) -> String {
    code(source, "//").join("\n")
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
            minified_script("// Why\nfoo();\n\n  const a = \"//\";\n"),
            "foo();\nconst a = \"//\";"
        );
        // No comment is left, and no string spans several lines.
        assert!(!STYLE.contains("/*") && !STYLE.contains("*/") && !SCRIPT.contains(" // "));
        assert!(
            !SCRIPT_SOURCE
                .lines()
                .any(|line| line.matches('`').count() % 2 == 1)
        );
    }
}
