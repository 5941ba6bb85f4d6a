//! The style sheet, the script and the icons, compiled in: there is no path to escape from.

use std::sync::LazyLock;

use axum::extract::RawQuery;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use crate::web::http::fixed::Fixed;
use crate::web::pages::views;

/// Pages ask for `…?v=VERSION`, so a copy may be kept forever. Not under another version, for which
/// a page of another replica asks during a roll-out: it would keep this one in its place.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

static STYLE: LazyLock<Fixed> =
    LazyLock::new(|| Fixed::new("text/css; charset=utf-8", views::STYLE.as_bytes()));
static SCRIPT: LazyLock<Fixed> =
    LazyLock::new(|| Fixed::new("text/javascript; charset=utf-8", views::SCRIPT.as_bytes()));
static ICON: LazyLock<Fixed> = LazyLock::new(|| Fixed::new("image/svg+xml", views::ICON));
static ICON_ALERT: LazyLock<Fixed> =
    LazyLock::new(|| Fixed::new("image/svg+xml", views::ICON_ALERT));

fn asset(asset: &Fixed, RawQuery(query): &RawQuery, headers: &HeaderMap) -> Response {
    let mut response = asset.answer(headers);
    let version = query.as_ref().and_then(|query| query.strip_prefix("v="));
    if version.is_some_and(|version| version.parse() == Ok(views::Layout::version())) {
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, FOREVER);
    }
    response
}

/// `GET /static/style.css`.
pub(crate) async fn style(query: RawQuery, headers: HeaderMap) -> Response {
    asset(&STYLE, &query, &headers)
}

/// `GET /static/app.js`.
pub(crate) async fn script(query: RawQuery, headers: HeaderMap) -> Response {
    asset(&SCRIPT, &query, &headers)
}

/// `GET /static/icon.svg`.
pub(crate) async fn icon(query: RawQuery, headers: HeaderMap) -> Response {
    asset(&ICON, &query, &headers)
}

/// `GET /static/icon-alert.svg`.
pub(crate) async fn icon_alert(query: RawQuery, headers: HeaderMap) -> Response {
    asset(&ICON_ALERT, &query, &headers)
}
