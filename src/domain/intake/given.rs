//! One path as a publisher gave it: what belongs to a URL around it is removed, and what cannot
//! have been meant is refused.

use crate::domain::host::split_authority;
use crate::domain::pasted::trim_pasted;
use crate::domain::path::{Reading, excerpt};
use crate::domain::{InvalidationPath, PublisherHost, Refused};

/// How many of a site's hosts an error names.
const NAMED_HOSTS: usize = 3;

pub(super) fn read_path(given: &str, hosts: &[PublisherHost]) -> Result<Reading, Refused> {
    let given = trim_pasted(given);
    if let Some((first, second)) = several_in_one(given, hosts) {
        let (first, second) = (excerpt(first), excerpt(second));
        return Err(Refused::new(format!(
            "this is more than one thing in one string ({first} and {second}): send each as a string of its own, and write \
             %20 for a space that is part of a path"
        )));
    }
    let path = match split_scheme(given) {
        None if given.eq_ignore_ascii_case("root") => "/",
        None => match after_own_host(given, hosts) {
            Some(rest) => without_fragment(rest),
            None => given,
        },
        Some((scheme, rest)) => {
            if !is_web(scheme) {
                let scheme = excerpt(scheme);
                return Err(Refused::new(format!(
                    "{scheme}:// is not a scheme of pages: send the path alone, or a URL that begins with https:// or http://"
                )));
            }
            let (authority, path) = split_authority(rest);
            let Ok(host) = authority.parse::<PublisherHost>() else {
                let given = excerpt(given);
                return Err(Refused::new(format!(
                    "{given} is not a complete URL: send the path alone, or write it as in https://www.example.com/about"
                )));
            };
            if !hosts.is_empty() && !hosts.contains(&host) {
                let accepted = some_of(hosts);
                return Err(Refused::new(format!(
                    "the host {host} is not one of this site's publisher hosts ({accepted}): send the path alone, or add \
                     the host in Settings → CDN → Publishing rules"
                )));
            }
            without_fragment(path)
        }
    };
    InvalidationPath::parse(path)
}

/// The first hosts by name. All of them in the error of each path would be far more text than was
/// sent.
fn some_of(hosts: &[PublisherHost]) -> String {
    let named = hosts.iter().take(NAMED_HOSTS).map(PublisherHost::as_str);
    let more = (hosts.len() > NAMED_HOSTS).then_some("…");
    named.chain(more).collect::<Vec<_>>().join(", ")
}

/// What follows the host in a URL, as far as viewers ask CloudFront for it.
fn without_fragment(after_host: &str) -> &str {
    match after_host.split('#').next() {
        None | Some("") => "/",
        Some(path) => path,
    }
}

/// What follows a host of the site's in a URL without a scheme: `www.example.com/news` and
/// `//www.example.com/news`. With any other host, or none to compare with, it is a path.
fn after_own_host<'a>(given: &'a str, hosts: &[PublisherHost]) -> Option<&'a str> {
    let url = match given.strip_prefix("//") {
        Some(url) => url,
        None if given.starts_with('/') => return None,
        None => given,
    };
    // No host holds white space. What follows the first is not read: `several_in_one` asks this of
    // each word of a text, which may be long.
    let is_end = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#');
    let (authority, rest) = url.split_at(url.find(is_end).unwrap_or(url.len()));
    let path = rest.trim_start();
    if !path.is_empty() && !path.starts_with(['/', '?', '#']) {
        return None;
    }
    let host = authority.parse().ok()?;
    hosts.contains(&host).then_some(path)
}

/// Where a string holds two paths or tags: at white space, if what follows begins like a path, a
/// URL, a host of the site's or a tag. `/files/Report #3.pdf` is one path: what follows its space
/// does not look like a tag.
fn several_in_one<'a>(given: &'a str, hosts: &[PublisherHost]) -> Option<(&'a str, &'a str)> {
    let ends_word =
        |at: usize, c: char| c.is_whitespace() && !given[..at].ends_with(char::is_whitespace);
    given
        .char_indices()
        .filter(|(at, c)| ends_word(*at, *c))
        .map(|(at, _)| (&given[..at], given[at..].trim_start()))
        .find(|(_, second)| {
            second.starts_with('/')
                || after_own_host(second, hosts).is_some()
                || matches!(split_scheme(second), Some((_, rest)) if !rest.is_empty())
                || second.strip_prefix('#').is_some_and(looks_like_tag)
        })
        .map(|(first, second)| {
            let first = first.trim_end();
            let first = first.strip_suffix(" and").unwrap_or(first);
            (first.trim_end_matches([' ', ',', ';']), second)
        })
}

fn looks_like_tag(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_:".contains(c))
}

fn is_web(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// `scheme` and what follows `://`; `None` for what is a path. `Special:Pages` is a path, and so is
/// `//host/about`; `https:about` can only be a mistyped URL.
fn split_scheme(given: &str) -> Option<(&str, &str)> {
    let is_of_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let (scheme, rest) = given.split_at(given.find(|c: char| !is_of_scheme(c))?);
    let rest = rest.strip_prefix(':')?;
    match rest.strip_prefix("//") {
        Some(rest) if scheme.starts_with(|c: char| c.is_ascii_alphabetic()) => Some((scheme, rest)),
        None if is_web(scheme) => Some((scheme, "")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_few_hosts() {
        let hosts = (1..=9).map(|n| format!("{n}.example").parse().expect("a host"));
        let hosts: Vec<PublisherHost> = hosts.collect();
        assert_eq!(some_of(&hosts), "1.example, 2.example, 3.example, …");
        assert_eq!(some_of(&hosts[..3]), "1.example, 2.example, 3.example");
    }

    /// Were all that follows read again for each word, this would take hours.
    #[test]
    fn a_text_of_many_words_is_read_once() {
        let hosts: [PublisherHost; 1] = ["www.example.com".parse().expect("a host")];
        let words = "a ".repeat(1 << 19);
        let spaces = format!("a{}b", " ".repeat(1 << 20));
        for text in [words.trim(), spaces.as_str()] {
            assert!(several_in_one(text, &hosts).is_none());
        }
    }
}
