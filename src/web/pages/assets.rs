//! The style sheet, the script and the icons, compiled in: there is no path to escape from.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use crate::web::http::fixed::Fixed;
use crate::web::pages::views;

/// Pages ask for `…?v=VERSION`, so a copy may be kept forever.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

static STYLE: LazyLock<Fixed> =
    LazyLock::new(|| Fixed::new("text/css; charset=utf-8", views::STYLE.as_bytes()));
static SCRIPT: LazyLock<Fixed> =
    LazyLock::new(|| Fixed::new("text/javascript; charset=utf-8", views::SCRIPT.as_bytes()));
static ICON: LazyLock<Fixed> = LazyLock::new(|| Fixed::new("image/svg+xml", views::ICON));
static ICON_ALERT: LazyLock<Fixed> =
    LazyLock::new(|| Fixed::new("image/svg+xml", views::ICON_ALERT));

fn asset(asset: &Fixed, headers: &HeaderMap) -> Response {
    let mut response = asset.answer(headers);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, FOREVER);
    response
}

/// `GET /static/style.css`.
pub(crate) async fn style(headers: HeaderMap) -> Response {
    asset(&STYLE, &headers)
}

/// `GET /static/app.js`.
pub(crate) async fn script(headers: HeaderMap) -> Response {
    asset(&SCRIPT, &headers)
}

/// `GET /static/icon.svg`.
pub(crate) async fn icon(headers: HeaderMap) -> Response {
    asset(&ICON, &headers)
}

/// `GET /static/icon-alert.svg`.
pub(crate) async fn icon_alert(headers: HeaderMap) -> Response {
    asset(&ICON_ALERT, &headers)
}
