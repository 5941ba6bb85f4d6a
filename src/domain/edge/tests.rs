use time::macros::datetime;

use super::*;
use crate::domain::table::{answer, assert_says, items, rows};

const RECEIVED: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);
const NOW: OffsetDateTime = datetime!(2026-11-23 12:00:20 UTC);

fn publish(stored: &[&str]) -> CheckedPublish {
    CheckedPublish {
        address: PublicAddress::parse("https://www.example.com", false).expect("an address"),
        items: items(stored),
        received_at: RECEIVED,
        accepted_at: RECEIVED + Duration::SECOND,
    }
}

fn check(headers: &str) -> EdgeCheck {
    publish(&["/about"]).judge("/about", Ok(&answer(200, headers)), NOW)
}

/// A miss with an `Age` comes from a regional cache, or one at the origin.
#[test]
fn a_copy_is_fresh_when_it_left_the_origin_after_the_purge_was_accepted() {
    for [state, headers] in rows(
        "fresh | x-cache: Miss from cloudfront
         fresh | x-cache: Hit from cloudfront; age: 19
         stale | x-cache: Hit from cloudfront; age: 20
         stale | x-cache: Hit from cloudfront; age: 86400
         stale | x-cache: Miss from cloudfront; age: 300
         fresh | x-cache: Hit from cloudfront; date: Mon, 23 Nov 2026 12:00:10 GMT
         stale | x-cache: Hit from cloudfront; date: Mon, 23 Nov 2026 11:00:00 GMT
         fresh | x-cache: Hit from cloudfront; date: Fri, 31 Dec 9999 23:59:59 GMT
         fresh | via: 1.1 abc.cloudfront.net (CloudFront)
         stale | x-amz-cf-pop: FRA56-P1; age: 999999999999999999
         not_cloudfront | server: nginx
         not_cloudfront | x-cache: HIT; via: 1.1 varnish",
    ) {
        assert_eq!(check(headers).state.into_str(), state, "{headers}");
    }
}

#[test]
fn what_is_well_needs_no_words() {
    let check = check(
        "x-cache: Miss from cloudfront; x-amz-cf-pop: FRA56-P1; cache-control: max-age=0, s-maxage=600",
    );
    assert_eq!(check.detail, None);
    assert_eq!(check.url, "https://www.example.com/about");
    assert_eq!(check.pop.as_deref(), Some("FRA56-P1"));
}

/// As .NET writes `DateTime.MaxValue`.
#[test]
fn the_end_of_all_time_is_no_date() {
    for date in [
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Fri, 31 Dec 9999 23:59:59 -1200",
    ] {
        let headers = format!("x-cache: Miss from cloudfront; last-modified: {date}");
        assert_eq!(check(&headers).detail, None, "{date}");
    }
}

#[test]
fn each_cause_has_its_words() {
    for [items, status, headers, words] in rows(
        "/about | 200 | x-cache: Hit from cloudfront; age: 86400; x-amz-cf-pop: FRA56-P1 | The copy at edge location FRA56-P1 is 24 hours old. CloudFront said
         /about #t | 200 | x-cache: Hit from cloudfront; age: 90 | names no cache tag header
         /about | 200 | x-cache: Miss from cloudfront; age: 90 | a cache between CloudFront and the origin
         /about | 301 | x-cache: Miss from cloudfront; location: /about/ | differ by a slash
         /about /about/ | 301 | x-cache: Miss from cloudfront; location: https://www.example.com/about/ | was purged too
         /about | 302 | x-cache: Miss from cloudfront; location: /team | was not purged
         /about | 302 | x-cache: Miss from cloudfront; location: https://example.com/about | check the public address
         /about | 302 | x-cache: Miss from cloudfront; location: //example.com/about | check the public address
         /about | 302 | x-cache: Miss from cloudfront; location: //www.example.com/about/ | differ by a slash
         /about / | 302 | x-cache: Miss from cloudfront; location: https://www.example.com | was purged too
         /about | 404 | x-cache: Miss from cloudfront | status 404
         /about | 200 | x-cache: Miss from cloudfront; last-modified: Sun, 22 Nov 2026 08:00:00 GMT | last changed on 22 November 2026 at 08:00 UTC
         /about | 200 | x-cache: Miss from cloudfront; last-modified: Sun, 22 Nov 2026 08:00:00 +0200 | on 22 November 2026 at 06:00 UTC
         /about | 200 | x-cache: Miss from cloudfront; cache-control: public, max-age=3600 | up to 60 minutes
         /about | 200 | | none of CloudFront's headers
         /about | 301 | location: https://example.com/about | redirects to https://example.com/about",
    ) {
        let items: Vec<&str> = items.split(' ').collect();
        let answer = answer(status.parse().expect("a status"), headers);
        let check = publish(&items).judge("/about", Ok(&answer), NOW);
        assert_says(&check.detail.expect("words"), words);
    }
}

#[test]
fn a_long_header_is_compared_whole_and_told_in_brief() {
    let page = format!("/{}", "a".repeat(300));
    let headers = format!(
        "via: {}1.1 abc.cloudfront.net (CloudFront); location: {page}/",
        "1.1 cache, ".repeat(30)
    );
    let check = publish(&[page.as_str()]).judge(&page, Ok(&answer(301, &headers)), NOW);
    assert_eq!(check.state, EdgeState::Fresh);
    let detail = check.detail.expect("words");
    assert!(detail.contains("differ by a slash"), "{detail}");
    assert!(!detail.contains(&page), "{detail}");
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
    let read = |typed: &str| PublicAddress::parse(&format!(" {typed} "), false);
    for [typed, address] in rows(
        "www.example.com | https://www.example.com
         https://www.example.com:8443/ | https://www.example.com:8443",
    ) {
        assert_eq!(read(typed).expect(typed).to_string(), address);
    }
    for [typed, words] in rows(
        "https://www.example.com/news | only https://www.example.com is needed
         https://me:secret@www.example.com | only https://www.example.com is needed
         http://www.example.com | Begin with https://
         ftp://www.example.com | Enter the address
         no address | Enter the address",
    ) {
        assert_says(&read(typed).expect_err(typed).to_string(), words);
    }
    assert!(PublicAddress::parse("http://127.0.0.1:8080", true).is_ok());
}
