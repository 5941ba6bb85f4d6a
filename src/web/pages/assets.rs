//! The style sheet, the script and the icons, compiled in: there is no path to escape from.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use crate::web::http::fixed::Fixed;
use crate::web::pages::views;

/// Pages ask for `…?v=VERSION`, so a copy may be kept for ever.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

static STYLE: LazyLock<Fixed> =
    LazyLock::new(|| Fixed::new("text/css; charset=utf-8", views::STYLE.as_bytes()));
static SCRIPT: LazyLock<Fixed> =
    LazyLock::new(|| Fixed::new("text/javascript; charset=utf-8", views::SCRIPT.as_bytes()));
static ICON: LazyLock<Fixed> = LazyLock::new(|| Fixed::new("image/svg+xml", views::ICON));
static ICON_ALERT: LazyLock<Fixed> =
    LazyLock::new(|| Fixed::new("image/svg+xml", views::ICON_ALERT));

fn asset(asset: &Fixed, asked: &HeaderMap) -> Response {
    let mut response = asset.answer(asked);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, FOR_EVER);
    response
}

/// `GET /static/style.css`.
pub(crate) async fn style(asked: HeaderMap) -> Response {
    asset(&STYLE, &asked)
}

/// `GET /static/app.js`.
pub(crate) async fn script(asked: HeaderMap) -> Response {
    asset(&SCRIPT, &asked)
}

/// `GET /static/icon.svg`.
pub(crate) async fn icon(asked: HeaderMap) -> Response {
    asset(&ICON, &asked)
}

/// `GET /static/icon-alert.svg`.
pub(crate) async fn icon_alert(asked: HeaderMap) -> Response {
    asset(&ICON_ALERT, &asked)
}
