//! What CloudFront answers, in XML.

use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::domain::PublishState;
use crate::domain::edge::PublicAddress;
use crate::store::Site;

pub(super) const NAMESPACE: &str = "http://cloudfront.amazonaws.com/doc/2020-05-31/";
const DECLARATION: &str = "<?xml version=\"1.0\"?>\n";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Invalidation {
    #[serde(rename = "@xmlns")]
    xmlns: &'static str,
    id: String,
    status: &'static str,
    create_time: String,
    invalidation_batch: InvalidationBatch,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InvalidationBatch {
    paths: Paths,
    caller_reference: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Paths {
    quantity: usize,
    items: Items,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Items {
    path: Vec<String>,
}

impl Invalidation {
    pub(super) fn new(
        id: Uuid,
        state: PublishState,
        created_at: OffsetDateTime,
        caller_reference: String,
        path: Vec<String>,
    ) -> Self {
        Self {
            xmlns: NAMESPACE,
            id: id.to_string(),
            status: status(state),
            create_time: timestamp(created_at),
            invalidation_batch: InvalidationBatch {
                paths: Paths {
                    quantity: path.len(),
                    items: Items { path },
                },
                caller_reference,
            },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InvalidationList {
    #[serde(rename = "@xmlns")]
    pub(super) xmlns: &'static str,
    pub(super) marker: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_marker: Option<String>,
    pub(super) max_items: u16,
    pub(super) is_truncated: bool,
    pub(super) quantity: usize,
    pub(super) items: Summaries,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Summaries {
    pub(super) invalidation_summary: Vec<InvalidationSummary>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InvalidationSummary {
    id: String,
    create_time: String,
    status: &'static str,
}

impl InvalidationSummary {
    pub(super) fn new(id: Uuid, state: PublishState, created_at: OffsetDateTime) -> Self {
        Self {
            id: id.to_string(),
            create_time: timestamp(created_at),
            status: status(state),
        }
    }
}

/// What is known here about a distribution: CloudFront's own answer has much more.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Distribution {
    #[serde(rename = "@xmlns")]
    xmlns: &'static str,
    id: String,
    /// Where readers find the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    domain_name: Option<String>,
    distribution_config: DistributionConfig,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DistributionConfig {
    origins: Origins,
    comment: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Origins {
    quantity: usize,
    items: OriginItems,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OriginItems {
    origin: [Origin; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Origin {
    origin_path: String,
}

impl Distribution {
    pub(super) fn of(site: &Site, id: String) -> Self {
        let rules = &site.publishing;
        let host = rules.public_address.as_ref().and_then(PublicAddress::host);
        let origin = Origin {
            origin_path: rules.origin_path.to_string(),
        };
        Self {
            xmlns: NAMESPACE,
            id,
            domain_name: host.map(|host| host.to_string()),
            distribution_config: DistributionConfig {
                origins: Origins {
                    quantity: 1,
                    items: OriginItems { origin: [origin] },
                },
                comment: "skycms-cdn knows only the distribution's id, and the domain and the origin path that its \
                          settings name",
            },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ErrorResponse<'a> {
    #[serde(rename = "@xmlns")]
    pub(super) xmlns: &'static str,
    pub(super) error: ErrorElement<'a>,
    pub(super) request_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ErrorElement<'a> {
    pub(super) r#type: &'static str,
    pub(super) code: &'a str,
    pub(super) message: &'a str,
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
    let milliseconds = at.nanosecond() / 1_000_000 * 1_000_000;
    at.replace_nanosecond(milliseconds)
        .unwrap_or(at)
        .format(&Rfc3339)
        .unwrap_or_default()
}

/// A whole document.
pub(super) fn document<T: Serialize>(value: &T) -> Result<Response, quick_xml::SeError> {
    let body = quick_xml::se::to_string(value)?;
    let content_type = [(header::CONTENT_TYPE, "text/xml")];
    Ok((content_type, format!("{DECLARATION}{body}")).into_response())
}
