//! Texts that never change, written and compressed once. When they were written for each request,
//! 18,000 requests for the description of the API on 300 connections kept a publish waiting for
//! more than 10 s; now it is 75 ms (debug build). They contain no secret, which the length of a
//! compressed text could give away.

use std::io::Write as _;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;

#[derive(Clone, Debug)]
pub(crate) struct Fixed {
    content_type: HeaderValue,
    plain: Bytes,
    gzip: Bytes,
}

impl Fixed {
    pub(crate) fn new(content_type: &'static str, text: impl Into<Bytes>) -> Self {
        let plain = text.into();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        // Writing to memory does not fail.
        let gzip = gzip.write_all(&plain).and_then(|()| gzip.finish());
        Self {
            content_type: HeaderValue::from_static(content_type),
            gzip: gzip.unwrap_or_default().into(),
            plain,
        }
    }

    /// An answer for whoever sent these headers.
    pub(crate) fn answer(&self, asked: &HeaderMap) -> Response {
        let is_compressed = !self.gzip.is_empty() && takes_gzip(asked);
        let text = if is_compressed {
            &self.gzip
        } else {
            &self.plain
        };
        let mut response = Response::new(Body::from(text.clone()));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, self.content_type.clone());
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if is_compressed {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

/// Whether `Accept-Encoding` names gzip, and not with a weight of zero.
fn takes_gzip(asked: &HeaderMap) -> bool {
    let values = asked.get_all(header::ACCEPT_ENCODING).iter();
    let mut codings = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    codings.any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight
            .split_once('=')
            .map_or("", |(_, weight)| weight.trim());
        name.trim().eq_ignore_ascii_case("gzip") && weight.parse() != Ok(0.0)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn what_is_compressed_says_the_same() {
        let text = "the same again, ".repeat(1_000);
        let fixed = Fixed::new("text/plain", text.clone());
        assert!(fixed.gzip.len() < text.len() / 10);
        let mut plain = String::new();
        let read = GzDecoder::new(&*fixed.gzip).read_to_string(&mut plain);
        assert!(read.is_ok() && plain == text);
    }

    #[test]
    fn gzip_is_for_who_takes_it() {
        for (accepts, takes) in [
            ("gzip", true),
            ("br, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000, br", false),
            ("gzip;Q=0", false),
            ("br", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(
                header::ACCEPT_ENCODING,
                HeaderValue::from_static(accepts),
            )]);
            assert_eq!(takes_gzip(&headers), takes, "{accepts}");
        }
    }
}
