//! The likely cause of what was found at the edge, and what to do.

use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use super::answer::in_brief;
use super::{CheckedPublish, EdgeAnswer, PublicAddress};
use crate::domain::{Advice, Item, NoAnswer};

/// How long browsers have to keep a copy for it to be worth mentioning, in seconds.
const KEPT_BY_BROWSERS: u64 = 60;
/// A page that was last changed this long before its publish was not changed for it: pages are
/// written shortly before they are published.
const LONG_BEFORE: Duration = Duration::minutes(10);

/// Nothing is wrong with the copy, but readers may still see an old page.
pub(super) fn fresh(publish: &CheckedPublish, path: &str, answer: &EdgeAnswer) -> Option<String> {
    if answer.is_redirect() {
        return Some(redirect(publish, path, answer));
    }
    if answer.http_status >= 400 {
        return Some(format!(
            "The origin answers with status {}, and that is what readers get. Look at the page, and at the origin's \
             log.",
            answer.http_status
        ));
    }
    if let Some(modified) = answer
        .last_modified
        .filter(|at| *at + LONG_BEFORE < publish.received_at)
    {
        return Some(format!(
            "The origin says that the page was last changed on {}, before it was published. If readers should see a \
             change, the origin itself still has the old page: check whether SkyCMS has written it there.",
            day_and_time(modified)
        ));
    }
    answer
        .max_age
        .filter(|seconds| *seconds >= KEPT_BY_BROWSERS)
        .map(|seconds| {
            format!(
                "Browsers that have the page keep showing their own copy for up to {} (Cache-Control: max-age={seconds}), \
                 which no purge reaches. Send max-age=0 with a longer s-maxage to let only CloudFront keep it.",
                span(seconds)
            )
        })
}

pub(super) fn stale(publish: &CheckedPublish, path: &str, answer: &EdgeAnswer) -> String {
    let at = match &answer.pop {
        Some(pop) => format!(" at edge location {pop}"),
        None => String::new(),
    };
    let age = match answer.age {
        Some(age) => format!("{} old", span(age)),
        None => "older than the purge".to_owned(),
    };
    let cause = if answer.is_redirect() {
        redirect(publish, path, answer)
    } else if !answer.is_hit() {
        "CloudFront has just fetched it, so the older copy comes from a cache between CloudFront and the origin, such as \
         another distribution: purge that one too, or keep it from caching pages."
            .to_owned()
    } else if publish
        .items
        .iter()
        .any(|item| matches!(item, Item::Tag(_)))
    {
        format!(
            "Tags were purged too, which removes nothing where the distribution names no cache tag header. But this page \
             was purged by its path, so {} is more likely served by another distribution than the one in the \
             settings. Compare the distribution's alternate domain names.",
            publish.address
        )
    } else {
        format!(
            "CloudFront said that the purge is completed, so {} is most likely served by another distribution than \
             the one in the settings. Compare the distribution's alternate domain names with the host name.",
            publish.address
        )
    };
    format!("The copy{at} is {age}. {cause}")
}

fn redirect(publish: &CheckedPublish, path: &str, answer: &EdgeAnswer) -> String {
    let Some(location) = &answer.location else {
        return format!(
            "Readers are redirected (status {}), and the answer does not say where to.",
            answer.http_status
        );
    };
    let advice = match on_site(&publish.address, location) {
        None => "The page itself is elsewhere: check the public address in the settings.",
        Some(target) if Item::any_covers(&publish.items, target) => "That page was purged too.",
        Some(target) if target.trim_end_matches('/') == path.trim_end_matches('/') => {
            "The two differ by a slash, are two objects to CloudFront, and only the one that redirects was purged: publish the \
             other, or let “A page is also its directory” purge both."
        }
        Some(_) => "That page was not purged: publish its address instead.",
    };
    format!(
        "Readers are redirected to {} (status {}). {advice}",
        in_brief(location),
        answer.http_status
    )
}

/// The path that a redirect leads to; `None` if it leads to another host. `//example.com/about` has
/// a host too.
fn on_site<'a>(address: &PublicAddress, location: &'a str) -> Option<&'a str> {
    let address = address.to_string();
    let without_scheme = address.trim_start_matches(|c: char| c != '/');
    let prefixes = [address.as_str(), without_scheme];
    let path = match prefixes.iter().find_map(|own| location.strip_prefix(own)) {
        Some("") => "/",
        Some(path) => path,
        None if location.starts_with("//") => return None,
        None => location,
    };
    path.starts_with('/').then_some(path)
}

/// Whether readers are served through CloudFront, judged by the answer for the site's home page:
/// how, and what else to look at; or why not.
pub fn serving(
    address: &PublicAddress,
    answer: Result<&EdgeAnswer, &NoAnswer>,
) -> Result<(String, Option<String>), Advice> {
    let answer = answer.map_err(|trouble| unreachable(address, trouble))?;
    if !answer.is_from_cloudfront() {
        return Err(not_cloudfront(address, answer));
    }
    let from = match &answer.pop {
        Some(pop) => format!(" (edge location {pop})"),
        None => String::new(),
    };
    let cause = format!(
        "{address} is served through CloudFront{from}. The next publish will show whether it is this \
         distribution."
    );
    let leads_to = answer.location.as_ref().filter(|_| answer.is_redirect());
    let elsewhere = leads_to.filter(|location| on_site(address, location).is_none());
    let remark = match elsewhere {
        Some(location) => Some(format!(
            "It redirects to {}: if readers use that address, enter it as the public address.",
            in_brief(location)
        )),
        None => (answer.http_status >= 400).then(|| {
            format!(
                "Its home page is answered with status {}: look at the origin, and at its log.",
                answer.http_status
            )
        }),
    };
    Ok((cause, remark))
}

pub(super) fn not_cloudfront(address: &PublicAddress, answer: &EdgeAnswer) -> Advice {
    if answer.is_redirect()
        && let Some(location) = &answer.location
    {
        return Advice {
            cause: format!(
                "{address} redirects to {}, and not through CloudFront.",
                in_brief(location)
            ),
            fix: "If readers use that address, enter it as the public address.".to_owned(),
        };
    }
    Advice {
        cause: format!(
            "The answer carries none of CloudFront's headers, so {address} is not served through CloudFront, or a proxy in \
             front of it removes them."
        ),
        fix: "Point the host name's DNS record at the distribution.".to_owned(),
    }
}

pub(super) fn unreachable(address: &PublicAddress, trouble: &NoAnswer) -> Advice {
    let fix = match trouble {
        NoAnswer::NoAddress => {
            "Check the public address in the settings, and the host name's DNS record."
        }
        NoAnswer::PrivateAddress => {
            "Enter the address that readers use. Whoever runs this service can allow private addresses with \
             ALLOW_PRIVATE_TARGETS=true."
        }
        NoAnswer::NotHttps => {
            "Enter the address with https://. Whoever runs this service can allow http:// with \
             ALLOW_PRIVATE_TARGETS=true."
        }
        NoAnswer::NoConnection(_) | NoAnswer::Broken(_) | NoAnswer::TooSlow(_) => {
            "Open the page in a browser. If it works there, check whether this machine can reach the internet."
        }
    };
    Advice {
        cause: format!("{address} could not be fetched from here: {trouble}."),
        fix: fix.to_owned(),
    }
}

fn day_and_time(at: OffsetDateTime) -> String {
    at.format(format_description!(
        "[day padding:none] [month repr:long] [year] at [hour]:[minute] UTC"
    ))
    .unwrap_or_default()
}

fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}
