//! What users see, pinned: each snapshot is a file below tests/snapshots, free of what differs from
//! run to run.

/// What differs from run to run, and what stands for it.
const FILTERS: [(&str, &str); 11] = [
    (
        r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "[uuid]",
    ),
    (r"\bI[A-Z0-9]{13}\b", "[invalidation]"),
    (r"skycdn_[A-Za-z0-9_-]+", "[token]"),
    (r"<code>…[A-Za-z0-9_-]{4}</code>", "<code>…[last]</code>"),
    (r"ends in [A-Za-z0-9_-]{4}\?", "ends in [last]?"),
    (r"whsec_[A-Za-z0-9+/=]+", "[secret]"),
    (r"127\.0\.0\.1:\d+", "[host]"),
    (r"\?v=\d+", "?v=[version]"),
    (r"(session|device)=[^;\s]+", "$1=[value]"),
    (r#"(etag: |version=")[^\n"]+"#, "$1[version]"),
    (r"[0-9a-f]{32,}", "[hash]"),
];

/// Compares with `tests/snapshots/{folder}/{name}.snap`.
#[track_caller]
pub(crate) fn assert_shown(folder: &str, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    let path = format!("{}/tests/snapshots/{folder}", env!("CARGO_MANIFEST_DIR"));
    settings.set_snapshot_path(path);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (pattern, replacement) in FILTERS {
        settings.add_filter(pattern, replacement);
    }
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// HTML with one element per line, whatever the lines of its template; what is preformatted stays.
/// The drawings of the icons, the same on every page, are left out.
pub(crate) fn readable(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    if let Some((before, after)) = html.split_once("<svg class=\"sprite\"") {
        text = in_lines(before);
        rest = after.split_once("</svg>").map_or(after, |(_, rest)| rest);
    }
    while let Some(start) = ["<pre", "<textarea"]
        .iter()
        .filter_map(|tag| rest.find(tag))
        .min()
    {
        let tag = if rest[start..].starts_with("<pre") {
            "</pre>"
        } else {
            "</textarea>"
        };
        let end = rest[start..]
            .find(tag)
            .map_or(rest.len(), |at| start + at + tag.len());
        text += &in_lines(&rest[..start]);
        text += &rest[start..end];
        rest = &rest[end..];
    }
    text + &in_lines(rest)
}

fn in_lines(html: &str) -> String {
    let words: Vec<&str> = html.split_whitespace().collect();
    let joined = words.join(" ").replace("> <", "><");
    joined.replace("><", ">\n<") + "\n"
}
