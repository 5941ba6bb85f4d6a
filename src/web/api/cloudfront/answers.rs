//! What CloudFront answers, in XML.

use std::fmt::Display;

use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use quick_xml::escape::partial_escape;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::domain::PublishState;
use crate::domain::edge::PublicAddress;
use crate::store::{ListedPublish, Page, Site};

pub(super) const NAMESPACE: &str = "http://cloudfront.amazonaws.com/doc/2020-05-31/";

pub(super) fn invalidation(
    id: Uuid,
    state: PublishState,
    created_at: OffsetDateTime,
    caller_reference: &str,
    paths: &[String],
) -> Response {
    let items: Vec<String> = paths.iter().map(|path| text("Path", path)).collect();
    let paths = [text("Quantity", items.len()), element("Items", &items)];
    let batch = [
        element("Paths", &paths),
        text("CallerReference", caller_reference),
    ];
    document(
        "Invalidation",
        &[
            text("Id", id),
            text("Status", status(state)),
            text("CreateTime", timestamp(created_at)),
            element("InvalidationBatch", &batch),
        ],
    )
}

/// A page of at most `limit` publishes, which began after `marker`.
pub(super) fn list(page: &Page<ListedPublish>, marker: &str, limit: u16) -> Response {
    let summaries = page.items.iter().map(|publish| {
        let summary = [
            text("Id", publish.id),
            text("CreateTime", timestamp(publish.received_at)),
            text("Status", status(publish.state)),
        ];
        element("InvalidationSummary", &summary)
    });
    let summaries: Vec<String> = summaries.collect();
    let next = page.next.map(|id| text("NextMarker", id));
    document(
        "InvalidationList",
        &[
            text("Marker", marker),
            next.unwrap_or_default(),
            text("MaxItems", limit),
            text("IsTruncated", page.next.is_some()),
            text("Quantity", summaries.len()),
            element("Items", &summaries),
        ],
    )
}

/// What is known here about a distribution: CloudFront's own answer has much more.
pub(super) fn distribution(site: &Site, id: &str) -> Response {
    let rules = &site.publishing;
    let host = rules.public_address.as_ref().and_then(PublicAddress::host);
    let domain_name = host.map(|host| text("DomainName", host));
    let origin = element("Origin", &[text("OriginPath", &rules.origin_path)]);
    let origins = [text("Quantity", 1), element("Items", &[origin])];
    let comment = "skycms-cdn knows only the distribution's id, and the domain and the origin path that its settings name";
    let config = [element("Origins", &origins), text("Comment", comment)];
    document(
        "Distribution",
        &[
            text("Id", id),
            domain_name.unwrap_or_default(),
            element("DistributionConfig", &config),
        ],
    )
}

pub(super) fn error(kind: &str, code: &str, message: &str, request_id: &str) -> Response {
    let error = [
        text("Type", kind),
        text("Code", code),
        text("Message", message),
    ];
    document(
        "ErrorResponse",
        &[element("Error", &error), text("RequestId", request_id)],
    )
}

/// CloudFront's name for it, where it has one.
const fn status(state: PublishState) -> &'static str {
    match state {
        PublishState::Queued | PublishState::InProgress => "InProgress",
        PublishState::Completed => "Completed",
        PublishState::Failed => "Failed",
        PublishState::Unconfirmed => "Unconfirmed",
    }
}

fn timestamp(at: OffsetDateTime) -> String {
    at.truncate_to_millisecond()
        .format(&Rfc3339)
        .unwrap_or_default()
}

fn document(root: &str, children: &[String]) -> Response {
    let inner = children.concat();
    let body = format!("<?xml version=\"1.0\"?>\n<{root} xmlns=\"{NAMESPACE}\">{inner}</{root}>");
    ([(header::CONTENT_TYPE, "text/xml")], body).into_response()
}

fn element(name: &str, children: &[String]) -> String {
    match children.concat().as_str() {
        "" => format!("<{name}/>"),
        inner => format!("<{name}>{inner}</{name}>"),
    }
}

fn text(name: &str, value: impl Display) -> String {
    let value = value.to_string().replace(is_forbidden, "\u{fffd}");
    element(name, &[partial_escape(value).into_owned()])
}

/// Whether XML has no way to write it, not even as a reference: an error may repeat what a body
/// says, and SDKs could not read why it was refused.
const fn is_forbidden(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_holds_nothing_that_xml_cannot_write() {
        assert_eq!(
            text("Message", "a\tb\u{1b}c\u{ffff}<é"),
            "<Message>a\tb\u{fffd}c\u{fffd}&lt;é</Message>"
        );
    }
}
