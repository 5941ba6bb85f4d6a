use time::macros::datetime;

use super::*;

const RECEIVED: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);
const NOW: OffsetDateTime = datetime!(2026-11-23 12:00:20 UTC);

fn publish(items: &[&str]) -> CheckedPublish {
    CheckedPublish {
        address: PublicAddress::parse("https://www.example.com", false).expect("an address"),
        items: items
            .iter()
            .map(|item| Item::from_canonical(item).expect("an item"))
            .collect(),
        received_at: RECEIVED,
        accepted_at: RECEIVED + Duration::SECOND,
    }
}

fn answer(status: u16, headers: &[(&str, &'static str)]) -> EdgeAnswer {
    EdgeAnswer::read(status, |name| {
        headers
            .iter()
            .find_map(|(known, value)| (*known == name).then_some(*value))
    })
}

fn check(headers: &[(&str, &'static str)]) -> EdgeCheck {
    publish(&["/about"]).judge("/about", Ok(&answer(200, headers)), NOW)
}

const MISS: (&str, &str) = ("x-cache", "Miss from cloudfront");
const HIT: (&str, &str) = ("x-cache", "Hit from cloudfront");

#[test]
fn a_copy_is_fresh_when_it_left_the_origin_after_the_purge_was_accepted() {
    for (headers, state) in [
        (&[MISS][..], EdgeState::Fresh),
        (&[HIT, ("age", "19")], EdgeState::Fresh),
        (&[HIT, ("age", "20")], EdgeState::Stale),
        (&[HIT, ("age", "86400")], EdgeState::Stale),
        // From a regional cache, or one at the origin.
        (&[MISS, ("age", "300")], EdgeState::Stale),
        (
            &[HIT, ("date", "Mon, 23 Nov 2026 12:00:10 GMT")],
            EdgeState::Fresh,
        ),
        (
            &[HIT, ("date", "Mon, 23 Nov 2026 11:00:00 GMT")],
            EdgeState::Stale,
        ),
        (
            &[("via", "1.1 abc.cloudfront.net (CloudFront)")],
            EdgeState::Fresh,
        ),
        (
            &[("x-amz-cf-pop", "FRA56-P1"), ("age", "999999999999999999")],
            EdgeState::Stale,
        ),
        (&[("server", "nginx")], EdgeState::NotCloudfront),
        (
            &[("x-cache", "HIT"), ("via", "1.1 varnish")],
            EdgeState::NotCloudfront,
        ),
    ] {
        assert_eq!(check(headers).state, state, "{headers:?}");
    }
}

#[test]
fn what_is_well_needs_no_words() {
    let check = check(&[
        MISS,
        ("x-amz-cf-pop", "FRA56-P1"),
        ("cache-control", "max-age=0, s-maxage=600"),
    ]);
    assert_eq!(check.detail, None);
    assert_eq!(check.url, "https://www.example.com/about");
    assert_eq!(check.pop.as_deref(), Some("FRA56-P1"));
}

#[test]
fn each_cause_has_its_words() {
    let of = |items: &[&str], status, headers: &[(&str, &'static str)]| {
        let check = publish(items).judge("/about", Ok(&answer(status, headers)), NOW);
        check.detail.expect("words")
    };
    for (words, expected) in [
        (
            of(
                &["/about"],
                200,
                &[HIT, ("age", "86400"), ("x-amz-cf-pop", "FRA56-P1")],
            ),
            "The copy at edge location FRA56-P1 is 24 hours old. CloudFront said",
        ),
        (
            of(&["/about", "#t"], 200, &[HIT, ("age", "90")]),
            "names no cache tag header",
        ),
        (
            of(&["/about"], 200, &[MISS, ("age", "90")]),
            "a cache between CloudFront and the origin",
        ),
        (
            of(&["/about"], 301, &[MISS, ("location", "/about/")]),
            "differ by a slash",
        ),
        (
            of(
                &["/about", "/about/"],
                301,
                &[MISS, ("location", "https://www.example.com/about/")],
            ),
            "was purged too",
        ),
        (
            of(&["/about"], 302, &[MISS, ("location", "/team")]),
            "was not purged",
        ),
        (
            of(
                &["/about"],
                302,
                &[MISS, ("location", "https://example.com/about")],
            ),
            "check the public address",
        ),
        (of(&["/about"], 404, &[MISS]), "status 404"),
        (
            of(
                &["/about"],
                200,
                &[MISS, ("last-modified", "Sun, 22 Nov 2026 08:00:00 GMT")],
            ),
            "last changed on 22 November 2026 at 08:00 UTC",
        ),
        (
            of(
                &["/about"],
                200,
                &[MISS, ("cache-control", "public, max-age=3600")],
            ),
            "up to 60 minutes",
        ),
        (of(&["/about"], 200, &[]), "none of CloudFront's headers"),
        (
            of(
                &["/about"],
                301,
                &[("location", "https://example.com/about")],
            ),
            "redirects to https://example.com/about",
        ),
    ] {
        assert!(words.contains(expected), "{words}");
    }
}

#[test]
fn only_plain_paths_are_pages_and_not_too_many() {
    let mixed = publish(&["/a", "/b/*", "#tag", "/c?x=1"]);
    assert_eq!(mixed.pages().collect::<Vec<_>>(), ["/a", "/c?x=1"]);
    let many: Vec<String> = (0..30).map(|n| format!("/{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(publish(&many).pages().count(), MAX_PAGES);
}

#[test]
fn a_public_address_is_a_host() {
    use NotAPublicAddress as E;
    let more = E::MoreThanHost("https://www.example.com".into());
    for (typed, address) in [
        (" www.example.com ", Ok("https://www.example.com")),
        (
            "https://www.example.com:8443/",
            Ok("https://www.example.com:8443"),
        ),
        ("https://www.example.com/news", Err(&more)),
        ("https://me:secret@www.example.com", Err(&more)),
        ("http://www.example.com", Err(&E::NotHttps)),
        ("ftp://www.example.com", Err(&E::NotAnAddress)),
        ("no address", Err(&E::NotAnAddress)),
    ] {
        let read = PublicAddress::parse(typed, false).map(|address| address.to_string());
        assert_eq!(read.as_deref(), address, "{typed:?}");
    }
    assert!(PublicAddress::parse("http://127.0.0.1:8080", true).is_ok());
}
