//! The style sheet, the script and the icons, compiled in: there is no path to escape from.

use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::web::pages::views;

/// Pages ask for `…?v=VERSION`, so a copy may be kept for ever.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

fn asset(kind: &'static str, text: &'static str) -> Response {
    (
        [
            (header::CONTENT_TYPE, kind),
            (header::CACHE_CONTROL, FOR_EVER),
        ],
        text,
    )
        .into_response()
}

/// `GET /static/style.css`.
pub(crate) async fn style() -> Response {
    asset("text/css; charset=utf-8", &views::STYLE)
}

/// `GET /static/app.js`.
pub(crate) async fn script() -> Response {
    asset("text/javascript; charset=utf-8", &views::SCRIPT)
}

/// `GET /static/icon.svg`.
pub(crate) async fn icon() -> Response {
    asset("image/svg+xml", views::ICON)
}

/// `GET /static/icon-alert.svg`.
pub(crate) async fn icon_alert() -> Response {
    asset("image/svg+xml", views::ICON_ALERT)
}
