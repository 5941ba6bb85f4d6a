//! What has to be known about a request once it has been answered.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, Uri, header};

use super::cloudfront;
use crate::web::http::authenticated::AuthenticatedSite;
use crate::web::http::client::ClientAddress;
use crate::web::state::AppState;

pub(crate) struct RequestInfo {
    pub(crate) client: ClientAddress,
    pub(crate) is_cloudfront: bool,
    pub(crate) is_api: bool,
    pub(crate) publishes: bool,
    /// The site that a call of an API is authenticated for.
    pub(crate) authenticated: AuthenticatedSite,
    /// The headers, if it asks for a page. A call of an API does not, even if it says that it takes
    /// HTML: Java's own HTTP client says so unless told otherwise.
    pub(crate) browser: Option<HeaderMap>,
    uri: Uri,
}

impl RequestInfo {
    pub(crate) fn of(request: &mut Request, state: &AppState) -> Self {
        let uri = request.uri().clone();
        let path = state.public.below(uri.path());
        let is_cloudfront = cloudfront::is_call(path);
        let is_api = is_cloudfront || path.starts_with("/api/");
        let authenticated = AuthenticatedSite::default();
        if is_api {
            request.extensions_mut().insert(authenticated.clone());
        }
        let headers = request.headers();
        Self {
            client: state.client(request.extensions(), headers),
            is_cloudfront,
            is_api,
            publishes: is_api && request.method() == Method::POST,
            authenticated,
            browser: (!is_api && asks_for_html(headers)).then(|| headers.clone()),
            uri,
        }
    }

    /// The path below the prefix of `PUBLIC_URL`.
    pub(crate) fn path(&self, state: &AppState) -> &str {
        state.public.below(self.uri.path())
    }
}

fn asks_for_html(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}
