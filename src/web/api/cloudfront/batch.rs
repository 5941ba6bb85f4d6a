//! The body of a `CreateInvalidation`: read within limits, and turned into a publish.

use aws_lc_rs::digest::{Context, SHA256};
use quick_xml::de::Deserializer;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::answers::NAMESPACE;
use super::fault::Fault;
use crate::domain::PublishRequest;

/// Far more than any sender's, and short enough for an index.
const MAX_REFERENCE_BYTES: usize = 255;

/// Paths to invalidate, and the sender's name for the request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) paths: Vec<String>,
    pub(super) caller_reference: String,
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
        let Elements {
            paths: Paths { quantity, items },
            caller_reference,
            ..
        } = Elements::read(text)?;
        let (paths, caller_reference) = (items.path, caller_reference.trim().to_owned());
        let quantity = quantity.trim().parse::<usize>();
        let quantity = quantity.map_err(|error| malformed(&format!("Quantity: {error}")))?;
        if quantity != paths.len() {
            return Err(Fault::bad_request(
                "InconsistentQuantities",
                format!(
                    "Quantity is {quantity}, but Items holds {} paths",
                    paths.len()
                ),
            ));
        }
        if paths.is_empty() {
            return Err(Fault::invalid("The batch names no path"));
        }
        if !(1..=MAX_REFERENCE_BYTES).contains(&caller_reference.len())
            || caller_reference.contains(char::is_control)
        {
            return Err(Fault::invalid(format!(
                "CallerReference must have 1 to {MAX_REFERENCE_BYTES} bytes, none of them a control character"
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

    /// The same as a call of the hook. With `everything_is_home`, `/*` is the home page: SkyCMS's
    /// driver turns each publish of the home page into `/*`.
    pub(super) fn request(&self, everything_is_home: bool) -> PublishRequest {
        let mut request = PublishRequest::default();
        for path in self.paths.iter().map(|path| path.trim()) {
            if path.starts_with('#') {
                // With its `#`, of which intake takes one: a name may begin with another.
                request.tags.push(path.to_owned());
            } else if everything_is_home && matches!(path, "/*" | "*") {
                request.paths.push("/".to_owned());
            } else {
                request.paths.push(path.to_owned());
            }
        }
        request
    }
}

/// The only root that a document may have.
#[derive(Deserialize)]
enum Document {
    InvalidationBatch(Elements),
}

/// What is not here is refused, so nothing can be nested deeply.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Elements {
    #[serde(rename = "@xmlns")]
    namespace: Option<String>,
    // Serializers write these, which say nothing about a batch.
    #[serde(rename = "@xmlns:xsi")]
    _xsi: Option<IgnoredAny>,
    #[serde(rename = "@xmlns:xsd")]
    _xsd: Option<IgnoredAny>,
    #[serde(rename = "@schemaLocation")]
    _schema: Option<IgnoredAny>,
    paths: Paths,
    caller_reference: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Paths {
    quantity: String,
    #[serde(default)]
    items: Items,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Items {
    #[serde(default)]
    path: Vec<String>,
}

impl Elements {
    /// Takes no document type, and so no entities of its own.
    fn read(text: &str) -> Result<Self, Fault> {
        if text.contains("<!DOCTYPE") {
            return Err(malformed(&"it has a document type"));
        }
        let mut document = Deserializer::from_str(text);
        let Document::InvalidationBatch(read) =
            Document::deserialize(&mut document).map_err(|error| malformed(&error))?;
        if !document.is_empty() {
            return Err(malformed(&"something follows its end"));
        }
        // SkyCMS's driver writes no namespace; each version of the API has one of its own, and the
        // same batch.
        let is_ours = read.namespace.as_ref().is_none_or(|namespace| {
            let version = namespace.strip_prefix("http://cloudfront.amazonaws.com/doc/");
            let version = version.and_then(|rest| rest.strip_suffix('/'));
            version.is_some_and(super::is_version)
        });
        match is_ours {
            true => Ok(read),
            false => Err(malformed(&format!("its namespace is not {NAMESPACE}"))),
        }
    }
}

fn malformed(error: &dyn std::fmt::Display) -> Fault {
    // It may name a tag as it was given, and is a line of the log.
    let error = error.to_string().replace(char::is_control, " ");
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
        Batch::read(body.as_bytes()).unwrap_err().code
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
    fn what_is_wrong_is_told_in_one_line() {
        let fault = Batch::read(b"<InvalidationBatch></a\n2026-11-28T09:00:00Z  INFO b>");
        let fault = fault.unwrap_err().to_string();
        assert!(!fault.contains(char::is_control), "{fault}");
    }

    #[test]
    fn what_serializers_add_says_nothing_and_anything_else_is_refused() {
        let added = r#"<InvalidationBatch xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
            xmlns:xsd="http://www.w3.org/2001/XMLSchema" xsi:schemaLocation="x y"
            xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/">
            <Paths><Quantity> 1 </Quantity><Items><Path><![CDATA[/a&b]]></Path></Items></Paths>
            <CallerReference> r </CallerReference></InvalidationBatch><!-- end -->"#;
        let batch = Batch::read(added.as_bytes()).unwrap();
        assert_eq!(batch.paths, ["/a&b"]);
        assert_eq!(batch.caller_reference, "r");
        for (from, to, named) in [
            ("2020-05-31", "latest", "namespace"),
            ("<Paths>", "<Paths a='b'>", "@a"),
            ("<Paths>", "<Paths>text", "text"),
            ("<Quantity> 1 </Quantity>", "", "Quantity"),
            ("<Quantity> 1", "<Quantity> x", "Quantity: invalid digit"),
            ("<Paths>", "<Pages/><Paths>", "Pages"),
            ("<Quantity>", "<Quantity>1</Quantity><Quantity>", "Quantity"),
        ] {
            let fault = Batch::read(added.replace(from, to).as_bytes()).unwrap_err();
            assert_eq!(fault.code, "MalformedInput", "{to}");
            assert!(fault.to_string().contains(named), "{fault}");
        }
    }

    #[test]
    fn a_tag_is_told_from_a_path() {
        let batch = Batch {
            paths: vec!["#article:42".into(), "/about".into(), "##b".into()],
            caller_reference: "r".into(),
        };
        let request = batch.request(false);
        assert_eq!(request.paths, ["/about"]);
        assert_eq!(request.tags, ["#article:42", "##b"]);
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
            ("<InvalidationBatch><Paths>".to_owned(), "MalformedInput"),
            ("<DistributionConfig/>".to_owned(), "MalformedInput"),
            (batch("<Quantity>0</Quantity>", "r"), "InvalidArgument"),
            (batch(one, &"r".repeat(256)), "InvalidArgument"),
            (batch(one, "&#1;"), "InvalidArgument"),
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
