//! Who may frame a page.

use axum::http::{HeaderValue, header};
use axum::response::Response;

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
pub(crate) const NOT_FRAMED: HeaderValue = HeaderValue::from_static(policy!("'none'"));
pub(crate) const DENY: HeaderValue = HeaderValue::from_static("DENY");

/// The policy of pages that these origins may frame.
pub(crate) fn framed_by(origins: &str) -> String {
    format!("{} {origins}", policy!("'self'"))
}

/// For pages that take passwords: nobody frames them, not even SkyCMS.
pub(crate) async fn never_framed(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, NOT_FRAMED);
    headers.insert(header::X_FRAME_OPTIONS, DENY);
    response
}
