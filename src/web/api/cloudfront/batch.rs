//! The body of a `CreateInvalidation`: read within limits, and turned into a publish.

use aws_lc_rs::digest::{Context, SHA256};
use quick_xml::NsReader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{NamespaceResolver, ResolveResult};

use super::answers::NAMESPACE;
use super::fault::Fault;
use crate::domain::PublishRequest;

/// Far more than any sender's, and short enough for an index.
const MAX_REFERENCE_BYTES: usize = 255;

const QUANTITY: &str = "/InvalidationBatch/Paths/Quantity";
const PATH: &str = "/InvalidationBatch/Paths/Items/Path";
const CALLER_REFERENCE: &str = "/InvalidationBatch/CallerReference";
/// All elements that a batch has; what is not here is refused, so nothing can be nested deeply.
const ELEMENTS: [&str; 6] = [
    "/InvalidationBatch",
    "/InvalidationBatch/Paths",
    QUANTITY,
    "/InvalidationBatch/Paths/Items",
    PATH,
    CALLER_REFERENCE,
];

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
            quantity,
            paths,
            caller_reference,
        } = Elements::read(text)?;
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

#[derive(Default)]
struct Elements {
    quantity: usize,
    paths: Vec<String>,
    caller_reference: String,
}

impl Elements {
    /// Takes no document type, and so no entities of its own, and no element that is unknown or out
    /// of place.
    fn read(text: &str) -> Result<Self, Fault> {
        let mut reader = NsReader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let mut read = Self::default();
        // Where the reader is, the elements that it has seen, and the text since the last tag.
        let (mut place, mut seen, mut said) = (String::new(), Vec::new(), String::new());
        loop {
            let (namespace, event) = reader
                .read_resolved_event()
                .map_err(|error| malformed(&error))?;
            let is_ours = is_ours(&namespace);
            let is_between = !matches!(place.as_str(), QUANTITY | PATH | CALLER_REFERENCE);
            let ends_text = matches!(event, Event::Start(_) | Event::End(_) | Event::Eof);
            if ends_text && is_between && !said.trim().is_empty() {
                return Err(malformed(&"it has text between its elements"));
            }
            match event {
                Event::Start(element) => {
                    if !is_ours {
                        return Err(malformed(&format!("its namespace is not {NAMESPACE}")));
                    }
                    must_have_no_attributes(&element, reader.resolver())?;
                    place.push('/');
                    place.push_str(element.local_name().into_inner());
                    let Some(&known) = ELEMENTS.iter().find(|known| **known == place) else {
                        return Err(malformed(&format!("it has no element {place:.100}")));
                    };
                    if known != PATH && seen.contains(&known) {
                        return Err(malformed(&format!("it has {known} twice")));
                    }
                    seen.push(known);
                    said.clear();
                }
                Event::End(_) => {
                    let said = std::mem::take(&mut said);
                    match place.as_str() {
                        QUANTITY => {
                            let quantity = said.trim().parse();
                            read.quantity = quantity.map_err(|error| malformed(&error))?;
                        }
                        PATH => read.paths.push(said),
                        CALLER_REFERENCE => said.trim().clone_into(&mut read.caller_reference),
                        _ => {}
                    }
                    place.truncate(place.rfind('/').unwrap_or_default());
                }
                Event::Text(text) => said.push_str(&text.xml10_content()),
                Event::CData(text) => said.push_str(&text.xml10_content()),
                Event::GeneralRef(name) => match name.resolve_char_ref() {
                    Ok(Some(character)) => said.push(character),
                    Ok(None) => said.push_str(
                        resolve_predefined_entity(&name)
                            .ok_or_else(|| malformed(&"it refers to an entity of its own"))?,
                    ),
                    Err(error) => return Err(malformed(&error)),
                },
                Event::DocType(_) => return Err(malformed(&"it has a document type")),
                Event::Eof if !place.is_empty() => return Err(malformed(&"it ends too early")),
                Event::Eof => {
                    let needed = [QUANTITY, CALLER_REFERENCE];
                    return match needed.iter().find(|needed| !seen.contains(needed)) {
                        Some(missing) => Err(malformed(&format!("it lacks {missing}"))),
                        None => Ok(read),
                    };
                }
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::Empty(_) => {}
            }
        }
    }
}

/// SkyCMS's driver writes no namespace; each version of the API has one of its own, and the same
/// batch.
fn is_ours(namespace: &ResolveResult<'_>) -> bool {
    match namespace {
        ResolveResult::Unbound => true,
        ResolveResult::Bound(namespace) => namespace
            .into_inner()
            .strip_prefix("http://cloudfront.amazonaws.com/doc/")
            .and_then(|rest| rest.strip_suffix('/'))
            .is_some_and(super::is_version),
        ResolveResult::Unknown(_) => false,
    }
}

/// Except for declarations of namespaces, and attributes in namespaces other than CloudFront's:
/// they say nothing about a batch.
fn must_have_no_attributes(
    element: &BytesStart<'_>,
    namespaces: &NamespaceResolver,
) -> Result<(), Fault> {
    for attribute in element.attributes() {
        let name = attribute.map_err(|error| malformed(&error))?.key;
        let (namespace, _) = namespaces.resolve_attribute(name);
        let is_foreign = matches!(namespace, ResolveResult::Bound(_)) && !is_ours(&namespace);
        if !is_foreign && name.as_namespace_binding().is_none() {
            let name = name.into_inner();
            return Err(malformed(&format!("it has no attribute {name:.100}")));
        }
    }
    Ok(())
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
    fn namespaces_are_read_as_xml_has_them() {
        let prefixed = r#"<cf:InvalidationBatch xmlns:cf="http://cloudfront.amazonaws.com/doc/2020-05-31/"
            xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="x y" xml:lang="en">
            <cf:Paths><cf:Quantity> 1 </cf:Quantity><cf:Items><cf:Path><![CDATA[/a&b]]></cf:Path></cf:Items></cf:Paths>
            <cf:CallerReference>r</cf:CallerReference></cf:InvalidationBatch>"#;
        let batch = Batch::read(prefixed.as_bytes()).unwrap();
        assert_eq!(batch.paths, ["/a&b"]);
        for (from, to) in [
            ("2020-05-31", "latest"),
            ("xmlns:cf=", "xmlns:fc="),
            ("<cf:Path>", "<cf:Path a='b'>"),
            ("<cf:Path>", "<cf:Path cf:a='b'>"),
            ("<cf:Path>", "<cf:Path unbound:a='b'>"),
            ("<cf:Paths>", "<cf:Paths>text"),
            ("<cf:Quantity> 1 </cf:Quantity>", ""),
        ] {
            assert_eq!(code(&prefixed.replace(from, to)), "MalformedInput", "{to}");
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
