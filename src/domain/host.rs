//! Publisher hosts: whose absolute URLs a site accepts.

use std::str::FromStr;

use url::Url;

use super::Refused;
use super::pasted::trim_pasted;
use super::path::excerpt;
use super::text::text;

/// The longest host name, in bytes, as in DNS.
const MAX_BYTES: usize = 253;

/// A host name that publishers use in URLs: lower-cased, in its ASCII form, without port.
///
/// Ports are left out on purpose: they make no difference to CloudFront's cache, and an editor's
/// preview often has one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PublisherHost(String);

text!(PublisherHost);

impl PublisherHost {
    /// Stands where no stored host can be read. No site has this name: RFC 2606 reserves
    /// `.invalid`.
    pub fn unreadable() -> Self {
        Self("unreadable.invalid".to_owned())
    }
}

impl FromStr for PublisherHost {
    type Err = Refused;

    /// Reads a host name, or the host of a pasted URL.
    fn from_str(given: &str) -> Result<Self, Refused> {
        let given = trim_pasted(given);
        let after_scheme = given.split_once("://").map_or(given, |(_, rest)| rest);
        let (authority, _path) = split_authority(after_scheme);
        // A backslash would end the authority for the parser, but has not ended it here; and it
        // takes an asterisk for a letter.
        let url = Some(authority)
            .filter(|authority| !authority.is_empty() && !authority.contains(['\\', '*']))
            .and_then(|authority| Url::parse(&format!("https://{authority}/")).ok());
        url.as_ref()
            .and_then(Url::host_str)
            .map(|host| Self(host.strip_suffix('.').unwrap_or(host).to_owned()))
            .filter(|host| (1..=MAX_BYTES).contains(&host.0.len()))
            .ok_or_else(|| {
                let given = excerpt(given);
                Refused::new(format!(
                    "{given} is not a host name: write it as in www.example.com"
                ))
            })
    }
}

/// The authority of a URL and the path, query and fragment after it.
pub(super) fn split_authority(after_scheme: &str) -> (&str, &str) {
    after_scheme.split_at(
        after_scheme
            .find(['/', '?', '#'])
            .unwrap_or(after_scheme.len()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_hosts_that_cannot_be_read_is_one() {
        let stands_for = PublisherHost::unreadable();
        let read: PublisherHost = stands_for.as_str().parse().expect("a host");
        assert_eq!(read, stands_for);
    }

    #[test]
    fn a_name_is_no_longer_than_in_dns() {
        let host = |length| "a.".repeat(length / 2) + &"a".repeat(length % 2);
        assert!(host(MAX_BYTES).parse::<PublisherHost>().is_ok());
        assert!(host(MAX_BYTES + 2).parse::<PublisherHost>().is_err());
    }
}
