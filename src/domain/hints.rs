//! Hints: what is sent as it was asked for, and may not be what was meant. Never a reason to
//! refuse.

use serde::Serialize;
use utoipa::ToSchema;

use super::intake::Origin;
use super::path::path_part;
use super::{Canonical, Item, KnownPaths};

/// What may have been meant instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Hint {
    /// What was asked for, as it was given.
    pub given: String,
    /// What it purges, and what else may have been meant.
    pub detail: String,
}

/// Looks for hints in what was asked for. `known` are the paths that the site published lately.
pub fn hints(asked: &Canonical, known: &KnownPaths) -> Vec<Hint> {
    asked
        .sources
        .iter()
        .filter(|source| source.origin == Origin::Asked)
        .filter_map(|source| {
            let Item::Path(path) = source.items.first()? else {
                return None;
            };
            let (given, path) = (&source.given, path.as_str());
            let detail = number_sign(given, path)
                .or_else(|| host(given, path))
                .or_else(|| wildcard(path, asked))
                .or_else(|| directory(path, asked, known))?;
            Some(Hint {
                given: given.clone(),
                detail,
            })
        })
        .collect()
}

/// `/about#team`, whose fragment never reaches CloudFront.
fn number_sign(given: &str, path: &str) -> Option<String> {
    (given.contains('#') && path.contains("%23")).then(|| {
        format!(
            "The # is read as part of the name, so {path} is purged. If it names a place in a page, \
             leave it out: CloudFront is never asked for it."
        )
    })
}

/// `www.example.com/news`, which is a URL only where the host is one of the site's.
fn host(given: &str, path: &str) -> Option<String> {
    let given = given.strip_prefix("//").unwrap_or(given);
    let (first, _) = given.split_once('/')?;
    let (_, top_level) = first.rsplit_once('.')?;
    let looks_like_host = top_level.len() >= 2
        && top_level.bytes().all(|b| b.is_ascii_alphabetic())
        && (path.starts_with(&format!("/{first}/")) || path.starts_with(&format!("//{first}/")));
    looks_like_host.then(|| {
        format!(
            "{first} is read as the beginning of the path. If it is the site's host name, begin with \
             https:// or add it to the publisher hosts."
        )
    })
}

/// `/blog/*`, which leaves `/blog` as it is and purges more than `/blog/`.
fn wildcard(path: &str, asked: &Canonical) -> Option<String> {
    let directory = path.strip_suffix("/*").filter(|path| !path.is_empty())?;
    let is_purged = Item::any_covers(&asked.items, directory);
    (!is_purged).then(|| {
        format!(
            "{path} purges all below {directory}/, but not {directory} itself. If only that page \
             changed, {directory}/ is enough."
        )
    })
}

/// `/blog`, where what the site publishes is below `/blog/`.
fn directory(path: &str, asked: &Canonical, known: &KnownPaths) -> Option<String> {
    let below = format!("{path}/");
    let is_page = !path.ends_with(['/', '*']) && path_part(path) == path;
    // To go through everything that was asked for takes longest.
    let is_missed = || known.beginning_with(&below) > 0 && !Item::any_covers(&asked.items, &below);
    (is_page && is_missed()).then(|| {
        format!(
            "The site has published pages below {below}. {path} and {below} are two objects to CloudFront: if \
             viewers ask for {below}, publish that, or {below}* for all below it."
        )
    })
}
