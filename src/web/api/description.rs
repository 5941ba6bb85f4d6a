//! `GET /openapi.json`: the API, described. What a call takes and answers stands beside its handler,
//! in the shapes that it reads and writes and the words of [`super::openapi`]; this puts it together
//! and says what holds for all of it.

use std::sync::LazyLock;

use axum::Json;
use axum::extract::State;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, Server};
use utoipa::{Modify, OpenApi};

use crate::web::AppState;
use crate::web::api::openapi::{OPERATIONS, PUBLISHING};
use crate::web::api::{health, invalidations, metrics, publishes};
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
    paths(
        publishes::create,
        publishes::show,
        invalidations::list,
        health::live,
        health::ready,
        metrics::show,
        describe,
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
    ),
    modifiers(&Schemes)
)]
struct Described;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut Document) {
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
        let schemes = &mut document.components.get_or_insert_default().security_schemes;
        schemes.extend(
            [
                ("publish_token", bearer("A publish token of the site.")),
                ("metrics_token", bearer("The token of `METRICS_TOKEN`.")),
                (
                    "webhook_id",
                    header(
                        "webhook-id",
                        "Standard Webhooks: an identifier of the call, the same in each repeat of it. 1 to 255 visible \
                         ASCII characters without a full stop.",
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
                        "Standard Webhooks: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, keyed with the \
                         bytes of the site's signing secret, the base64 behind `whsec_`. Several, separated by spaces, \
                         while a secret is being replaced.",
                    ),
                ),
            ]
            .map(|(name, scheme)| (name.to_owned(), scheme.into())),
        );
    }
}

/// The description, for a service that is reached at the address of `PUBLIC_URL`.
pub(crate) fn document(state: &AppState) -> Document {
    static DOCUMENT: LazyLock<Document> = LazyLock::new(Described::openapi);
    let mut document = DOCUMENT.clone();
    document.servers = Some(vec![Server::new(state.public.to_string())]);
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
pub(crate) async fn describe(State(state): State<AppState>) -> Json<Document> {
    Json(document(&state))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::web::{Access, routes};

    /// Pages, what they load, and the sign-in from SkyCMS; and CloudFront's own API, which AWS
    /// describes.
    fn is_described_elsewhere(path: &str, access: Access) -> bool {
        use Access::{Admin, Editor, KeyPair, SkyCms, Stranger};
        matches!(access, Admin | Editor | KeyPair | SkyCms | Stranger)
            || path.starts_with("/static/")
            || path == "/docs"
    }

    #[test]
    fn every_route_for_programs_is_described_and_nothing_else() {
        let routes: BTreeSet<String> = routes()
            .iter()
            .filter(|route| !is_described_elsewhere(&route.path, route.access))
            .map(|route| format!("{} {}", route.method, route.path))
            .collect();
        let document = serde_json::to_value(Described::openapi()).expect("a document");
        let described: BTreeSet<String> = document["paths"]
            .as_object()
            .expect("paths")
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().expect("operations").keys();
                methods.map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect();
        assert_eq!(described, routes);
    }

    #[test]
    fn every_operation_has_a_summary_an_example_and_a_group() {
        let document = serde_json::to_value(Described::openapi()).expect("a document");
        assert_eq!(document["openapi"], "3.1.0");
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                let name = format!("{method} {path}");
                assert!(operation["summary"].is_string(), "{name}: {operation}");
                assert!(operation["tags"][0].is_string(), "{name}");
                for (status, answer) in operation["responses"].as_object().expect("answers") {
                    assert!(answer["description"].is_string(), "{name}: {status}");
                    let examples = answer["content"]
                        .as_object()
                        .into_iter()
                        .flat_map(|content| content.values())
                        .any(|media| media["example"].is_object() || media["examples"].is_object());
                    let is_json = !path.ends_with("/metrics") && !path.ends_with(".json");
                    assert!(examples || status == "200" && !is_json, "{name}: {status}");
                }
            }
        }
    }
}
