//! The style sheet, the script and the icons, compiled in: there is no path to escape from. They
//! are served as they are written: compressed they are 12 KB, of which a minifier would save two.

use std::future::{Ready, ready};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::LazyLock;

use axum::extract::RawQuery;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use crate::web::http::fixed::Fixed;

const STYLE_SOURCE: &str = include_str!("../../../static/style.css");
const SCRIPT_SOURCE: &str = include_str!("../../../static/app.js");
const ICON_SOURCE: &str = include_str!("../../../static/icon.svg");
const ICON_ALERT_SOURCE: &str = include_str!("../../../static/icon-alert.svg");

/// Changes whenever an asset does: pages ask for `…?v=VERSION`.
pub(super) static VERSION: LazyLock<u64> = LazyLock::new(|| {
    let all = [STYLE_SOURCE, SCRIPT_SOURCE, ICON_SOURCE, ICON_ALERT_SOURCE];
    BuildHasherDefault::<DefaultHasher>::new().hash_one(all)
});

/// A copy of the version that was asked for may be kept forever. Not under another version, for
/// which a page of another replica asks during a roll-out: it would keep this one in its place.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

pub(crate) type Asset = LazyLock<Fixed>;

pub(crate) static STYLE_SHEET: Asset =
    Asset::new(|| Fixed::new("text/css; charset=utf-8", STYLE_SOURCE));
pub(crate) static APP: Asset =
    Asset::new(|| Fixed::new("text/javascript; charset=utf-8", SCRIPT_SOURCE));
pub(crate) static ICON: Asset = Asset::new(|| Fixed::new("image/svg+xml", ICON_SOURCE));
/// The icon with a red dot: something has failed.
pub(crate) static ICON_ALERT: Asset = Asset::new(|| Fixed::new("image/svg+xml", ICON_ALERT_SOURCE));

/// The handler of `GET /static/…`.
pub(crate) fn serve(
    asset: &'static Asset,
) -> impl Fn(RawQuery, HeaderMap) -> Ready<Response> + Clone {
    move |RawQuery(query): RawQuery, headers: HeaderMap| {
        let mut response = asset.answer(&headers);
        let version = query.as_ref().and_then(|query| query.strip_prefix("v="));
        if version.is_some_and(|version| version.parse() == Ok(*VERSION)) {
            let headers = response.headers_mut();
            headers.insert(header::CACHE_CONTROL, FOREVER);
        }
        ready(response)
    }
}
