//! `GET /openapi.json`: the API, described. What a call takes and answers is described beside its
//! handler, by the shapes that it reads and writes and the words of [`super::openapi`]. This puts
//! it together, and says what all calls have in common.

use std::sync::Arc;

use axum::Extension;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use utoipa::OpenApi;
use utoipa::openapi::path::Paths;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, RefOr, Server};

use crate::config::PublicUrl;
use crate::web::api::openapi::{OPERATIONS, PUBLISHING};
use crate::web::http::description::Description;
use crate::web::http::problem::Problem;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "SkyCMS CDN",
        description = "Tells Amazon CloudFront what to fetch again after a publish, and reports how far that has come.\n\n\
            A call carries a publish token of its site, or a Standard Webhooks signature; administrators make both \
            under Settings → CDN. Times are RFC 3339 in UTC. Errors are RFC 9457 problems: `type` tells programs what it \
            is, `detail` tells people how to fix it. Members may be added to any answer; ignore those you do not know."
    ),
    // Only answers that are made of problems refer to it.
    components(schemas(Problem)),
    tags(
        (name = PUBLISHING, description = "For those who publish."),
        (name = OPERATIONS, description = "For those who run the service."),
    ),
    security(
        ("publish_token" = []),
        ("webhook_id" = [], "webhook_timestamp" = [], "webhook_signature" = []),
    )
)]
struct Frame;

/// How a call proves who makes it.
fn schemes() -> [(&'static str, SecurityScheme); 5] {
    let bearer = |description: &str| {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        SecurityScheme::Http(scheme.description(Some(description)).build())
    };
    let header = |name: &str, description: &str| {
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
            name,
            description,
        )))
    };
    [
        ("publish_token", bearer("A publish token of the site.")),
        ("metrics_token", bearer("The token of `METRICS_TOKEN`.")),
        (
            "webhook_id",
            header(
                "webhook-id",
                "Standard Webhooks: an identifier of the call, the same in each repeat of it. 1 to 255 visible ASCII \
                 characters without a full stop.",
            ),
        ),
        (
            "webhook_timestamp",
            header(
                "webhook-timestamp",
                "Standard Webhooks: when this try is sent, in seconds since 1970; at most five minutes off.",
            ),
        ),
        (
            "webhook_signature",
            header(
                "webhook-signature",
                "Standard Webhooks: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, keyed with the bytes \
                 of the site's signing secret, the base64 behind `whsec_`. Several, separated by spaces, while a secret \
                 is being replaced.",
            ),
        ),
    ]
}

/// What [`utoipa_axum::routes!`] says about one route.
pub(crate) struct Operation {
    pub(crate) schemas: Vec<(String, RefOr<Schema>)>,
    pub(crate) paths: Paths,
}

impl Operation {
    pub(crate) fn address(&self) -> (Method, String) {
        let (path, item) = self
            .paths
            .paths
            .iter()
            .next()
            .expect("`routes!` describes a handler");
        let method = if item.post.is_some() {
            Method::POST
        } else {
            Method::GET
        };
        (method, path.clone())
    }
}

/// The description, for a service that is reached at `public`.
pub(crate) fn document(
    operations: impl IntoIterator<Item = Operation>,
    public: &PublicUrl,
) -> Document {
    let mut document = Frame::openapi();
    document.servers = Some(vec![Server::new(public.to_string())]);
    let components = document.components.get_or_insert_default();
    components.add_security_schemes_from_iter(schemes());
    for operation in operations {
        components.schemas.extend(operation.schemas);
        document.paths.merge(operation.paths);
    }
    document
}

/// This description
///
/// For client generators and API tools; `/docs` shows it to people.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = OPERATIONS,
    responses((status = 200, description = "OpenAPI 3.1.", body = Object, content_type = "application/json")),
    security(())
)]
pub(crate) async fn describe(
    Extension(description): Extension<Arc<Description>>,
    asked: HeaderMap,
) -> Response {
    description.written.answer(&asked)
}
