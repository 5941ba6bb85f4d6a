//! The request and answer bodies of API version 2020-05-31.

use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;

use crate::error::ApiError;
use crate::invalidations::Invalidation;

const NAMESPACE: &str = "http://cloudfront.amazonaws.com/doc/2020-05-31/";
const DECLARATION: &str = "<?xml version=\"1.0\"?>\n";

/// What a `CreateInvalidation` asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct InvalidationBatch {
    #[serde(rename = "@xmlns", skip_serializing)]
    xmlns: Option<String>,
    pub(crate) paths: Paths,
    pub(crate) caller_reference: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Paths {
    pub(crate) quantity: usize,
    #[serde(default)]
    pub(crate) items: Items,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct Items {
    #[serde(default)]
    pub(crate) path: Vec<String>,
}

/// `InvalidationBatch` is the only root element that may be sent.
#[derive(Deserialize)]
enum Document {
    InvalidationBatch(InvalidationBatch),
}

impl InvalidationBatch {
    /// # Errors
    /// `MissingBody`, `MalformedXML` for what is not XML and `MalformedInput` for XML of another
    /// shape.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        if body.trim_ascii().is_empty() {
            return Err(ApiError::new(
                "MissingBody",
                "This operation requires a body. Ensure that the body is present and the Content-Type header \
                 is set.",
            ));
        }
        let text = str::from_utf8(body).map_err(|error| malformed("MalformedXML", &error))?;
        let Document::InvalidationBatch(batch) =
            quick_xml::de::from_str(text).map_err(|error| match error {
                quick_xml::DeError::InvalidXml(_) | quick_xml::DeError::UnexpectedEof => {
                    malformed("MalformedXML", &error)
                }
                _ => malformed("MalformedInput", &error),
            })?;
        match batch.xmlns.as_deref() {
            None | Some(NAMESPACE) => Ok(batch),
            Some(other) => Err(malformed(
                "MalformedInput",
                &format!("unknown namespace {other}"),
            )),
        }
    }

    /// A batch as it is echoed back.
    pub(crate) fn new(caller_reference: &str, paths: &[String]) -> Self {
        Self {
            xmlns: None,
            paths: Paths {
                quantity: paths.len(),
                items: Items {
                    path: paths.to_vec(),
                },
            },
            caller_reference: caller_reference.to_owned(),
        }
    }
}

fn malformed(code: &'static str, error: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(
        code,
        format!("The XML document could not be parsed: {error}"),
    )
}

#[derive(Serialize)]
#[serde(rename = "Invalidation", rename_all = "PascalCase")]
struct InvalidationDocument<'a> {
    #[serde(rename = "@xmlns")]
    xmlns: &'static str,
    id: &'a str,
    status: &'a str,
    create_time: String,
    invalidation_batch: InvalidationBatch,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorResponse<'a> {
    #[serde(rename = "@xmlns")]
    xmlns: &'static str,
    error: ErrorElement<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorElement<'a> {
    r#type: &'static str,
    code: &'a str,
    message: &'a str,
}

/// The answer to both calls.
pub(crate) fn invalidation(invalidation: &Invalidation, status: &str) -> String {
    let Invalidation {
        id,
        caller_reference,
        paths,
        created_at,
        ..
    } = invalidation;
    document(&InvalidationDocument {
        xmlns: NAMESPACE,
        id,
        status,
        create_time: created_at.format(&Rfc3339).unwrap_or_default(),
        invalidation_batch: InvalidationBatch::new(caller_reference, paths),
    })
}

/// The error envelope.
pub(crate) fn error(error: &ApiError, request_id: &str) -> String {
    document(&ErrorResponse {
        xmlns: NAMESPACE,
        error: ErrorElement {
            r#type: if error.status < 500 {
                "Sender"
            } else {
                "Receiver"
            },
            code: &error.code,
            message: &error.message,
        },
        request_id,
    })
}

fn document(value: &impl Serialize) -> String {
    let body = quick_xml::se::to_string(value)
        .expect("these structs hold only strings and numbers, which always serialise");
    format!("{DECLARATION}{body}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn code(body: &str) -> String {
        InvalidationBatch::parse(body.as_bytes())
            .unwrap_err()
            .code
            .into_owned()
    }

    #[test]
    fn reads_what_the_api_model_describes() {
        let batch = InvalidationBatch::parse(
            br#"<?xml version="1.0" encoding="UTF-8"?>
            <InvalidationBatch xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/">
              <Paths><Quantity>2</Quantity><Items><Path>/a?x=1&amp;y=2</Path><Path>/b/*</Path></Items></Paths>
              <CallerReference>r1</CallerReference>
            </InvalidationBatch>"#,
        )
        .unwrap();
        assert_eq!(batch.paths.items.path, ["/a?x=1&y=2", "/b/*"]);
        assert_eq!(
            (batch.paths.quantity, batch.caller_reference.as_str()),
            (2, "r1")
        );
    }

    #[test]
    fn tells_broken_xml_from_another_document() {
        assert_eq!(code(" "), "MissingBody");
        assert_eq!(code("<InvalidationBatch><Paths>"), "MalformedXML");
        assert_eq!(code("{\"Paths\": []}"), "MalformedInput");
        assert_eq!(code("<DistributionConfig/>"), "MalformedInput");
        assert_eq!(
            code("<InvalidationBatch><CallerReference>r</CallerReference></InvalidationBatch>"),
            "MalformedInput"
        );
        assert_eq!(
            code(
                "<InvalidationBatch xmlns='urn:x'><Paths><Quantity>0</Quantity></Paths>\
                 <CallerReference>r</CallerReference></InvalidationBatch>"
            ),
            "MalformedInput"
        );
    }
}
