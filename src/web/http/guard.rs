//! What every answer carries and every form must prove.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::web::AppState;
use crate::web::http::problem::Problem;
use crate::web::pages::{self, PageError};

/// Pages load nothing from elsewhere and nothing inline. Who may frame them follows.
macro_rules! policy {
    ($framed_by:literal) => {
        concat!(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; ",
            "form-action 'self'; base-uri 'none'; frame-ancestors ",
            $framed_by
        )
    };
}
const NOT_FRAMED: HeaderValue = HeaderValue::from_static(policy!("'none'"));
const FRAME_OPTIONS: HeaderName = HeaderName::from_static("x-frame-options");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// What answers carry, made once.
#[derive(Debug)]
pub(crate) struct Headers {
    policy: HeaderValue,
    framed: bool,
    https: bool,
}

impl Headers {
    pub(crate) fn of(state: &AppState) -> Self {
        let origins = &state.access.embed_origins;
        // Origins were parsed and written again as ASCII, so that this is always a header.
        let policy = (!origins.is_empty())
            .then(|| {
                HeaderValue::from_str(&format!("{} {}", policy!("'self'"), origins.join(" "))).ok()
            })
            .flatten();
        Self {
            framed: policy.is_some(),
            policy: policy.unwrap_or(NOT_FRAMED),
            https: state.public.is_https(),
        }
    }

    /// Security headers for every answer.
    pub(crate) fn add_to(&self, response: &mut Response) {
        let headers = response.headers_mut();
        if !self.framed {
            headers.insert(FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        }
        headers
            .entry(header::CONTENT_SECURITY_POLICY)
            .or_insert_with(|| self.policy.clone());
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
        headers
            .entry(header::REFERRER_POLICY)
            .or_insert(HeaderValue::from_static("same-origin"));
        headers
            .entry(header::CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        if self.https {
            headers.insert(
                header::STRICT_TRANSPORT_SECURITY,
                HeaderValue::from_static("max-age=63072000"),
            );
        }
    }
}

/// For pages that take passwords: nobody frames them, not even SkyCMS.
pub(crate) async fn never_framed(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, NOT_FRAMED);
    headers.insert(FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

/// Refuses forms that another site sent: a browser always tells where a POST comes from. `Origin: null`, which a
/// sandboxed frame sends, is another site.
pub(crate) async fn same_origin(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) || is_same_origin(&state, &request) {
        next.run(request).await
    } else {
        tracing::warn!(
            path = request.uri().path(),
            "a form from another site was refused"
        );
        let (parts, _) = request.into_parts();
        pages::or_problem(&state, &parts, PageError::CrossSite, Problem::CrossSite).await
    }
}

fn is_same_origin(state: &AppState, request: &Request) -> bool {
    let header = |name: &str| request.headers().get(name).map(HeaderValue::as_bytes);
    match (header("sec-fetch-site"), header("origin")) {
        (Some(site), _) => matches!(site, b"same-origin" | b"none"),
        // Browsers send no Sec-Fetch-Site to plain HTTP on another machine.
        (None, Some(origin)) => {
            origin == state.public.origin.as_bytes()
                || header("host").is_some_and(|host| {
                    origin.strip_prefix(b"http://") == Some(host)
                        || origin.strip_prefix(b"https://") == Some(host)
                })
        }
        // No browser: a program that has no cookies of a user to misuse.
        (None, None) => true,
    }
}
