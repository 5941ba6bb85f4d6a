//! Addresses of CloudFront's API: its version, a date, comes first.

/// Whether `path`, without the prefix of `PUBLIC_URL`, is one of CloudFront's.
pub(crate) fn is_call(path: &str) -> bool {
    let mut segments = path.split('/').skip(1);
    segments.next().is_some_and(is_version) && segments.next().is_some()
}

pub(super) fn is_version(segment: &str) -> bool {
    segment.len() == "2020-05-31".len()
        && segment.bytes().enumerate().all(|(i, byte)| match i {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}
