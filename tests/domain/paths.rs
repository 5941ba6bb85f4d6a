//! From what publishers send to what CloudFront is sent.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use skycms_cdn::domain::intake::MAX_ITEMS;
use skycms_cdn::domain::{
    Canonical, Item, ItemError, KnownPaths, Partition, PublishRequest, Publishing, canonicalize,
    hints,
};

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Vector {
    Heading {
        rule: String,
    },
    #[serde(rename_all = "snake_case")]
    Case(Box<Case>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Case {
    paths: Vec<String>,
    tags: Vec<String>,
    everything: bool,
    publisher_hosts: Vec<String>,
    related: Vec<String>,
    directory_variants: bool,
    /// None: `aws`.
    partition: Option<String>,
    items: Vec<String>,
    widened: BTreeMap<String, String>,
    errors: BTreeMap<String, String>,
}

#[test]
fn vectors() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../vectors/paths.json")).unwrap();
    let mut current = String::new();
    for vector in vectors {
        match vector {
            Vector::Heading { rule } => current = rule,
            Vector::Case(case) => check(&current, &case),
        }
    }
}

fn check(rule: &str, case: &Case) {
    let request = PublishRequest {
        paths: case.paths.clone(),
        tags: case.tags.clone(),
        everything: case.everything,
    };
    let rules = Publishing {
        hosts: case
            .publisher_hosts
            .iter()
            .map(|host| host.parse().unwrap())
            .collect(),
        related: case
            .related
            .iter()
            .map(|rule| rule.parse().unwrap())
            .collect(),
        directory_variants: case.directory_variants,
        ..Publishing::default()
    };
    let partition = case.partition.as_deref().unwrap_or("aws");
    match canonicalize(&request, &rules, partition.parse().unwrap()) {
        Ok(canonical) => {
            assert!(
                case.errors.is_empty(),
                "{rule}: accepted {case:?} as {canonical:?}"
            );
            assert_eq!(strings(&canonical), case.items, "{rule}: {case:?}");
            let widened: BTreeMap<_, _> = canonical
                .widened
                .iter()
                .map(|w| (w.from.clone(), w.to.to_string()))
                .collect();
            assert_eq!(widened, case.widened, "{rule}: {case:?}");
        }
        Err(errors) => {
            let pointers: Vec<_> = errors.iter().map(|error| &error.pointer).collect();
            assert!(
                case.errors.keys().eq(pointers),
                "{rule}: {case:?} gave {errors:?}"
            );
            for error in &errors {
                let words = &case.errors[&error.pointer];
                assert!(
                    error.detail.contains(words),
                    "{rule}: no {words:?} in {:?}",
                    error.detail
                );
            }
        }
    }
}

fn strings(canonical: &Canonical) -> Vec<String> {
    canonical.items.iter().map(ToString::to_string).collect()
}

fn paths<S: Into<String>>(paths: impl IntoIterator<Item = S>) -> PublishRequest {
    PublishRequest {
        paths: paths.into_iter().map(Into::into).collect(),
        ..PublishRequest::default()
    }
}

fn canonical(request: &PublishRequest) -> Result<Canonical, Vec<ItemError>> {
    canonicalize(request, &Publishing::default(), Partition::Aws)
}

fn one(path: &str) -> Result<Vec<String>, String> {
    canonical(&paths([path]))
        .map(|canonical| strings(&canonical))
        .map_err(|errors| errors[0].detail.clone())
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum RealPath {
    Heading { why: String },
    Case { given: String, sent: Vec<String> },
}

#[test]
fn two_hundred_real_paths() {
    let vectors: Vec<RealPath> =
        serde_json::from_str(include_str!("../vectors/real_paths.json")).unwrap();
    let (mut current, mut cases) = (String::new(), 0);
    for vector in vectors {
        match vector {
            RealPath::Heading { why } => current = why,
            RealPath::Case { given, sent } => {
                assert_eq!(one(&given), Ok(sent), "{current}: {given:?}");
                cases += 1;
            }
        }
    }
    assert!(cases >= 200, "{cases}");
}

#[test]
fn hints_say_what_may_have_been_meant() {
    let known = KnownPaths::new(["/blog/post-1".to_owned(), "/shop/".to_owned()]);
    let hinted = |given: &[&str]| {
        let asked = canonical(&paths(given.iter().copied())).unwrap();
        hints(&asked, &known)
            .into_iter()
            .map(|hint| (hint.given, hint.detail))
            .collect::<Vec<_>>()
    };
    for (given, words) in [
        ("/blog/*", "but not /blog itself"),
        ("/blog", "publish that, or /blog/* for all below it"),
        ("/shop", "/shop and /shop/ are two objects"),
        ("/about#team", "leave it out"),
        ("www.example.com/news", "begin with https://"),
        ("//www.example.com/news", "begin with https://"),
    ] {
        let hints = hinted(&[given]);
        assert_eq!(hints.len(), 1, "{given}: {hints:?}");
        assert_eq!(hints[0].0, given);
        assert!(hints[0].1.contains(words), "{given}: {}", hints[0].1);
    }
    for meant in [
        &["/about"][..],
        &["/blog/"],
        &["/blog/*", "/blog"],
        &["/blog", "/blog/"],
        &["/*"],
        &["/blo*"],
        &["css/style.css"],
        &["/v1.2/notes"],
        &["https://www.example.com/about#team"],
        &["/blog?page=2"],
    ] {
        assert_eq!(hinted(meant), [], "{meant:?}");
    }
}

#[test]
fn null_in_the_body_is_as_absent() {
    let body = r#"{"paths": ["/a"], "tags": null, "everything": null}"#;
    assert_eq!(
        serde_json::from_str::<PublishRequest>(body).unwrap(),
        paths(["/a"])
    );
}

#[test]
fn length_is_counted_after_encoding() {
    assert_eq!(one(&"a".repeat(3_999)).unwrap()[0].len(), 4_000);
    let plain = one(&"a".repeat(4_000)).unwrap_err();
    assert!(plain.contains("4001 characters once encoded"), "{plain}");
    let encoded = one(&"é".repeat(667)).unwrap_err();
    assert!(encoded.contains("4003 characters"), "{encoded}");
    let tag = |length| PublishRequest {
        tags: vec!["t".repeat(length)],
        ..PublishRequest::default()
    };
    assert!(canonical(&tag(256)).is_ok());
    assert!(
        canonical(&tag(257)).unwrap_err()[0]
            .detail
            .contains("257 characters")
    );
}

#[test]
fn one_publish_may_have_ten_thousand_items() {
    let beginning = |first: &str| {
        let others = (1..MAX_ITEMS).map(|n| format!("/{n}"));
        paths([first.to_owned()].into_iter().chain(others))
    };
    assert!(canonical(&beginning("/a")).is_ok());
    let mut one_more = beginning("/a");
    one_more.paths.push("/b".to_owned());
    // The home page is two items.
    for too_many in [one_more, beginning("/")] {
        let errors = canonical(&too_many).unwrap_err();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].pointer, "");
        let words = "10001 items are more than one publish may have (10000)";
        assert!(errors[0].detail.contains(words), "{errors:?}");
    }
}

#[test]
fn body_has_this_shape_and_no_other() {
    let read = serde_json::from_str::<PublishRequest>;
    assert_eq!(read("{}").unwrap(), PublishRequest::default());
    assert_eq!(read(r#"{"paths": ["/a"]}"#).unwrap(), paths(["/a"]));
    for bad in [
        r#"{"path": ["/a"]}"#,
        r#"{"paths": "/a"}"#,
        r#"{"everything": "yes"}"#,
        "[]",
        r#"{"paths": [1]}"#,
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
}

#[test]
fn stored_items_must_be_what_cloudfront_takes() {
    for good in [
        "/",
        "/a%20b",
        "/blog/*",
        "/*",
        "#article:42",
        "//a",
        "/a%2Ab",
    ] {
        assert_eq!(Item::from_canonical(good).unwrap().as_str(), good);
    }
    let long = format!("/{}", "a".repeat(4_000));
    for bad in [
        "", "a", "/a b", "/é", "/a*b", "/a~", "/100%", "#A", "#", "#a*", "/a#b", "/\n", " /a",
        &long,
    ] {
        assert!(Item::from_canonical(bad).is_err(), "{bad}");
        assert!(serde_json::from_value::<Item>(bad.into()).is_err(), "{bad}");
    }
}

#[test]
fn coverage_of_one_item_by_another() {
    let covers = |a: &str, b: &str| {
        Item::from_canonical(a)
            .unwrap()
            .covers(&Item::from_canonical(b).unwrap())
    };
    for (wide, narrow) in [
        ("/*", "/"),
        ("/*", "/a?x"),
        ("/*", "/a/*"),
        ("/*", "/*"),
        ("/*", "#tag"),
        ("/blog/*", "/blog/x"),
        ("/blog/*", "/blog/"),
        ("/blog/*", "/blog/x/*"),
        ("/f/a*", "/f/ab"),
        ("/a", "/a"),
        ("#a", "#a"),
    ] {
        assert!(covers(wide, narrow), "{wide} covers {narrow}");
    }
    for (wide, narrow) in [
        ("/blog/*", "/blog"),
        ("/blog/*", "/blog*"),
        ("/blog/*", "/Blog/x"),
        ("/a", "/a/"),
        ("/a", "/*"),
        ("#a", "#ab"),
        ("#a", "/a"),
        ("/a/*", "#a"),
    ] {
        assert!(!covers(wide, narrow), "{wide} does not cover {narrow}");
    }
}

/// CloudFront's rules for one entry of `Paths.Items`, written a second time and without the code
/// under test.
fn cloudfront_accepts(item: &str) -> Result<(), String> {
    let bytes = item.as_bytes();
    if let Some(tag) = item.strip_prefix('#') {
        let visible = tag
            .bytes()
            .all(|b| (33..=126).contains(&b) && b != b',' && b != b'*' && !b.is_ascii_uppercase());
        return if visible && (1..=256).contains(&tag.len()) {
            Ok(())
        } else {
            Err("bad tag".into())
        };
    }
    if bytes.first() != Some(&b'/') || bytes.len() > 4_000 {
        return Err("no leading slash, or too long".into());
    }
    for (i, b) in bytes.iter().enumerate() {
        let fine = match b {
            b'%' => bytes.get(i + 1..i + 3).is_some_and(|hex| {
                hex.iter()
                    .all(|digit| digit.is_ascii_digit() || (b'A'..=b'F').contains(digit))
                    && hex != b"7E"
            }),
            b'*' => i + 1 == bytes.len(),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => true,
            _ => b"-._!$&'()+,;=:@/?".contains(b),
        };
        if !fine {
            return Err(format!("byte {b} at {i}"));
        }
    }
    Ok(())
}

/// Strings made of what is hard about paths, and of anything at all.
fn path_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "/",
            "//",
            ".",
            "..",
            "/../",
            "/./",
            "%",
            "%2",
            "%2e",
            "%2E%2e",
            "%7e",
            "~",
            "*",
            "%2a",
            "?",
            "#",
            " ",
            "\t",
            "\0",
            "\\",
            "[",
            "|",
            "é",
            "日",
            "%C3%A9",
            "%c3",
            "https://",
            "http:",
            "www.example.com",
            ":80",
            "@",
            "root",
            "blog",
            "A",
            "a=b",
            "&",
            "+",
            "%25",
            "%61",
            "\u{85}",
            "\u{feff}",
            "`",
            "index.html",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ];
    prop_oneof![
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()),
        any::<String>()
    ]
}

fn segment() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9é \"{}|^\\[\\]!$&'()+,;=:@_-]{1,6}"
}

/// One path and another way to write it.
fn respelled() -> impl Strategy<Value = (String, String)> {
    let path = prop::collection::vec(segment(), 1..5)
        .prop_map(|segments| format!("/{}", segments.join("/")));
    (path, any::<u16>(), 0..6).prop_map(|(path, which, way)| {
        let chars = path.char_indices().collect::<Vec<_>>();
        let (at, c) = chars[usize::from(which) % chars.len()];
        let after = at + c.len_utf8();
        let escaped: String = c.to_string().bytes().map(|b| format!("%{b:02x}")).collect();
        let other = match way {
            0 => format!("https://user@www.example.com:8443{path}"),
            1 => format!("\u{feff}https://www.example.com{path}#fragment  "),
            2 => format!("/x/..{path}"),
            3 => format!("/%2E{path}"),
            4 => path.clone().split_off(1),
            _ if c.is_ascii_alphanumeric() || "-_".contains(c) || "é \"{}|^[]".contains(c) => {
                format!("{}{escaped}{}", &path[..at], &path[after..])
            }
            _ => path.replace("é", "%C3%A9"),
        };
        (path, other)
    })
}

proptest! {
    #[test]
    fn what_comes_out_is_acceptable_and_stays_as_it_is(
        given in prop::collection::vec(path_like(), 0..6),
        tags in prop::collection::vec("[#a-zA-Z:,* é0-9]{0,8}", 0..3),
        directory_variants: bool,
    ) {
        let rules = Publishing { directory_variants, ..Publishing::default() };
        // One by one, so that a bad path does not hide what becomes of the good ones.
        for path in &given {
            if let Ok(canonical) = canonicalize(&paths([path.as_str()]), &rules, Partition::Aws) {
                for item in strings(&canonical) {
                    prop_assert_eq!(cloudfront_accepts(&item), Ok(()), "{:?} gave {}", path, item);
                }
            }
        }
        let request = PublishRequest { paths: given, tags, everything: false };
        if let Ok(first) = canonicalize(&request, &rules, Partition::Aws) {
            let (tags, paths): (Vec<_>, Vec<_>) = strings(&first).into_iter().partition(|item| item.starts_with('#'));
            let again = PublishRequest { paths, tags, everything: false };
            let again = canonicalize(&again, &rules, Partition::Aws).unwrap();
            prop_assert_eq!(&first.items, &again.items);
            prop_assert!(again.widened.is_empty());
            for item in &first.items {
                prop_assert_eq!(cloudfront_accepts(item.as_str()), Ok(()));
                prop_assert_eq!(Item::from_canonical(item.as_str()), Ok(item.clone()));
            }
            for source in &first.sources {
                for asked in &source.items {
                    prop_assert!(first.items.iter().any(|item| item.covers(asked)), "{} got lost", asked);
                }
            }
        }
    }

    #[test]
    fn errors_name_each_bad_item_and_no_other(given in prop::collection::vec(path_like(), 1..6)) {
        let alone: Vec<_> = given
            .iter()
            .enumerate()
            .filter(|(_, path)| one(path).is_err())
            .map(|(i, _)| format!("/paths/{i}"))
            .collect();
        let together = canonical(&paths(given)).err().unwrap_or_default();
        prop_assert_eq!(together.into_iter().map(|error| error.pointer).collect::<Vec<_>>(), alone);
    }

    #[test]
    fn two_spellings_of_one_url_meet_in_one_item((path, other) in respelled()) {
        prop_assume!(!path.ends_with(' ') && !path.starts_with("/ ") && !path.contains(":/") && !path.contains(" /"));
        prop_assert_eq!(one(&path), one(&other), "{} and {}", path, other);
    }
}
