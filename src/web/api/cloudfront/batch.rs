//! The body of a `CreateInvalidation`: read within limits, and turned into a publish.

use aws_lc_rs::digest::{Context, SHA256};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde::Deserialize;

use super::answers::NAMESPACE;
use super::fault::Fault;
use crate::domain::PublishRequest;

/// The deepest element, `Path`, is the fourth.
const DEEPEST: usize = 8;
/// Far more than any sender's, and short enough for an index.
const LONGEST_REFERENCE: usize = 255;

/// Paths to invalidate, and the sender's name for the request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) paths: Vec<String>,
    pub(super) caller_reference: String,
}

/// The only root element that may be sent.
#[derive(Deserialize)]
enum Document {
    InvalidationBatch(InvalidationBatch),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct InvalidationBatch {
    /// SkyCMS sends none.
    #[serde(rename = "@xmlns", default)]
    xmlns: Option<String>,
    paths: Paths,
    caller_reference: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Paths {
    quantity: usize,
    #[serde(default)]
    items: Items,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Items {
    #[serde(default)]
    path: Vec<String>,
}

impl Batch {
    pub(super) fn read(body: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(body)
            .map_err(|error| malformed(&error))?
            .trim_start_matches('\u{feff}')
            .trim();
        if text.is_empty() {
            return Err(Fault::bad_request(
                "MissingBody",
                "This operation requires a body: an InvalidationBatch",
            ));
        }
        must_be_plain(text)?;
        let Document::InvalidationBatch(batch) =
            quick_xml::de::from_str(text).map_err(|error| malformed(&error))?;
        if let Some(other) = batch.xmlns.filter(|xmlns| !is_namespace(xmlns)) {
            return Err(malformed(&format!(
                "the namespace {other:?} is not {NAMESPACE}"
            )));
        }
        let paths = batch.paths.items.path;
        if batch.paths.quantity != paths.len() {
            return Err(Fault::bad_request(
                "InconsistentQuantities",
                format!(
                    "Quantity is {}, but Items holds {} paths",
                    batch.paths.quantity,
                    paths.len()
                ),
            ));
        }
        if paths.is_empty() {
            return Err(Fault::invalid("The batch names no path"));
        }
        let caller_reference = batch.caller_reference;
        if !(1..=LONGEST_REFERENCE).contains(&caller_reference.len())
            || caller_reference.contains(char::is_control)
        {
            return Err(Fault::invalid(format!(
                "CallerReference must have 1 to {LONGEST_REFERENCE} bytes, none of them a control character"
            )));
        }
        Ok(Self {
            paths,
            caller_reference,
        })
    }

    /// What tells this batch from another with the same caller reference.
    pub(super) fn hash(&self, everything_is_home: bool) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        context.update(&[everything_is_home.into()]);
        for path in &self.paths {
            context.update(path.as_bytes());
            context.update(b"\0");
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }

    /// As the hook would be asked for it. With `everything_is_home`, `/*` is the home page: that is
    /// what SkyCMS means by it, whose driver makes `/*` of each publish of the home page.
    pub(super) fn request(&self, everything_is_home: bool) -> PublishRequest {
        let mut request = PublishRequest::default();
        for path in self.paths.iter().map(|path| path.trim()) {
            if let Some(tag) = path.strip_prefix('#') {
                request.tags.push(tag.to_owned());
            } else if everything_is_home && matches!(path, "/*" | "*") {
                request.paths.push("/".to_owned());
            } else {
                request.paths.push(path.to_owned());
            }
        }
        request
    }
}

/// Each version of the API has a namespace of its own, and the same batch.
fn is_namespace(text: &str) -> bool {
    text.strip_prefix("http://cloudfront.amazonaws.com/doc/")
        .and_then(|rest| rest.strip_suffix('/'))
        .is_some_and(super::version::is_version)
}

/// No DTD, no entities of its own, and not deep: checked before anything is made of it.
fn must_be_plain(text: &str) -> Result<(), Fault> {
    let mut reader = Reader::from_str(text);
    let (mut depth, mut is_over) = (0_usize, false);
    loop {
        match reader.read_event().map_err(|error| malformed(&error))? {
            Event::Start(_)
            | Event::Empty(_)
            | Event::Text(_)
            | Event::CData(_)
            | Event::GeneralRef(_)
                if is_over =>
            {
                return Err(malformed(&"it goes on after its root element"));
            }
            Event::Start(_) if depth == DEEPEST => {
                return Err(malformed(&"its elements are nested too deeply"));
            }
            Event::Start(_) => depth += 1,
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                is_over = depth == 0;
            }
            Event::DocType(_) => return Err(malformed(&"it has a document type")),
            Event::GeneralRef(reference) => {
                let name: &str = &reference;
                let known = ["amp", "lt", "gt", "quot", "apos"].contains(&name);
                if !known && !reference.is_char_ref() {
                    return Err(malformed(&"it refers to an entity of its own"));
                }
            }
            Event::Eof if depth > 0 => return Err(malformed(&"it ends too early")),
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

fn malformed(error: &dyn std::fmt::Display) -> Fault {
    Fault::bad_request(
        "MalformedInput",
        format!("The body is not the XML of an InvalidationBatch: {error}"),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SKYCMS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<InvalidationBatch><Paths><Quantity>2</Quantity><Items><Path>https://www.example.com/a?x=1&amp;y=2</Path><Path>/*</Path></Items></Paths><CallerReference>SkyCMS-20261125-1</CallerReference></InvalidationBatch>"#;

    fn code(body: &str) -> &'static str {
        Batch::read(body.as_bytes()).unwrap_err().code()
    }

    #[test]
    fn a_batch_of_skycms_or_of_an_sdk_is_read() {
        let batch = Batch::read(SKYCMS.as_bytes()).unwrap();
        assert_eq!(batch.paths, ["https://www.example.com/a?x=1&y=2", "/*"]);
        assert_eq!(batch.caller_reference, "SkyCMS-20261125-1");
        let batch = Batch::read(
            br#"<InvalidationBatch xmlns="http://cloudfront.amazonaws.com/doc/2018-11-05/"><Paths><Quantity>1</Quantity>
                <Items><Path>/caf&#233;</Path></Items></Paths><CallerReference>r</CallerReference></InvalidationBatch>"#,
        )
        .unwrap();
        assert_eq!(batch.paths, ["/café"]);
    }

    #[test]
    fn everything_is_the_home_page_where_the_key_pair_says_so() {
        let batch = Batch::read(SKYCMS.as_bytes()).unwrap();
        assert_eq!(batch.request(false).paths[1], "/*");
        assert_eq!(batch.request(true).paths[1], "/");
    }

    #[test]
    fn a_tag_is_told_from_a_path() {
        let batch = Batch {
            paths: vec!["#article:42".into(), "/about".into()],
            caller_reference: "r".into(),
        };
        let request = batch.request(false);
        assert_eq!(
            (&request.paths[..], &request.tags[..]),
            (&["/about".to_owned()][..], &["article:42".to_owned()][..])
        );
    }

    #[test]
    fn what_is_not_a_batch_is_refused_by_its_code() {
        let batch = |paths: &str, reference: &str| {
            format!(
                "<InvalidationBatch><Paths>{paths}</Paths><CallerReference>{reference}</CallerReference></InvalidationBatch>"
            )
        };
        let one = "<Quantity>1</Quantity><Items><Path>/a</Path></Items>";
        for (body, expected) in [
            (" ".to_owned(), "MissingBody"),
            ("{}".to_owned(), "MalformedInput"),
            ("<InvalidationBatch><Paths>".to_owned(), "MalformedInput"),
            ("<DistributionConfig/>".to_owned(), "MalformedInput"),
            (
                batch("<Quantity>2</Quantity><Items><Path>/a</Path></Items>", "r"),
                "InconsistentQuantities",
            ),
            (batch("<Quantity>0</Quantity>", "r"), "InvalidArgument"),
            (batch(one, ""), "InvalidArgument"),
            (batch(one, &"r".repeat(256)), "InvalidArgument"),
            (batch(one, "&#1;"), "InvalidArgument"),
            (batch(one, "&lol;"), "MalformedInput"),
            (
                format!("<!DOCTYPE x [<!ENTITY lol 'lol'>]>{}", batch(one, "&lol;")),
                "MalformedInput",
            ),
            ("<a>".repeat(100_000), "MalformedInput"),
            (batch(one, "r").repeat(2), "MalformedInput"),
            (batch(one, "r") + "<!-- end -->junk", "MalformedInput"),
            (
                SKYCMS.replace("<InvalidationBatch>", "<InvalidationBatch xmlns='urn:x'>"),
                "MalformedInput",
            ),
        ] {
            assert_eq!(code(&body), expected, "{}", &body[..body.len().min(200)]);
        }
    }
}
