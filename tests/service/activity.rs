//! The list of publishes by days, who or what published, and the same as a table.

use axum::body::Body;
use http::Method;
use serde_json::json;
use time::Duration;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::pages::{admin, sent, service};
use crate::support::{Browser, form, send};

/// The first column of paths that the table has, newest first.
async fn paths(browser: &mut Browser, query: &str) -> Vec<String> {
    let table = browser.get(&format!("/activity.csv{query}")).await.body;
    let rows = table.lines().skip(1);
    rows.map(|row| row.split("\",\"").nth(5).unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn days_begin_and_end_where_the_reader_is() {
    // It is noon of 23 November.
    let service = service(&[]).await;
    for (path, hours) in [("/noon", 0), ("/evening", 8), ("/morning", 12)] {
        service.advance(Duration::hours(hours));
        service.api.publish_path(path).await;
    }
    let mut admin = admin(&service).await;
    let mut admin_of = async |query: &str| paths(&mut admin, query).await;
    assert_eq!(admin_of("").await, ["/morning", "/evening", "/noon"]);
    assert_eq!(admin_of("?from=2026-11-24").await, ["/morning"]);
    assert_eq!(admin_of("?to=2026-11-23").await, ["/evening", "/noon"]);
    assert_eq!(
        admin_of("?from=2026-11-23&to=2026-11-23").await,
        ["/evening", "/noon"]
    );
    // In India it is past midnight when it is evening in UTC.
    assert_eq!(
        admin_of("?from=2026-11-24&to=2026-11-24&ahead=330").await,
        ["/morning", "/evening"]
    );
    // Where clocks change in between, the days begin and end by different times.
    assert_eq!(
        admin_of("?from=2026-11-23&to=2026-11-23&ahead=0,-540").await,
        ["/morning", "/evening", "/noon"]
    );
    assert_eq!(
        admin_of("?from=2026-11-23&to=2026-11-23&ahead=-840,0").await,
        ["/evening"]
    );
    assert_eq!(admin_of("?to=2026-11-22").await, [""; 0]);
    assert_eq!(admin_of("?from=soon&ahead=99999").await.len(), 3);
    assert_eq!(
        admin_of("?from=2026-11-23&to=2026-11-23&path=%2Fnoon").await,
        ["/noon"]
    );
}

#[tokio::test]
async fn a_page_was_last_published_by_whichever_wildcard_purged_it() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let (store, site) = (&service.state.store, service.site());
    let long = format!("/{}", "long".repeat(900));
    let begins_like_it = format!("{}*", &long[..2_000]);
    for (published, asked) in [
        ("/blog/post", "/blog/post"),
        ("/blog/*", "/blog/post"),
        ("/blog/po*", "/blog/post"),
        ("/blog/post*", "/blog/post"),
        (begins_like_it.as_str(), long.as_str()),
    ] {
        let id = service.api.publish_path(published).await;
        for other in ["/blog/other-page*", "/blog/postage", "/blo"] {
            service.api.publish_path(other).await;
        }
        let query = form(&[("page", asked)]);
        let page = admin.get(&format!("/activity?{query}")).await.body;
        let (_, live) = page.split_once("id=\"live\"").unwrap();
        let (live, _) = live.split_once("</section>").unwrap();
        assert!(live.contains(&id), "{published}: {live}");
        let (asked, now) = ([asked.to_owned()], service.state.clock.now());
        let found = store.last_publish_of(site, &asked, now).await.unwrap();
        assert_eq!(found.unwrap().id.to_string(), id, "{published}");
        service.advance(Duration::SECOND);
    }
}

/// The page was open, or a bookmark, until its publishes were pruned.
#[tokio::test]
async fn a_page_of_what_is_no_longer_kept_leads_to_the_newest() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let oldest = service.api.publish_path("/about").await;
    let page = admin.get(&format!("/activity?before={oldest}")).await;
    assert_eq!((page.status, page.location()), (303, "/activity"));
    // A search says that it found nothing.
    let search = format!("/activity?before={oldest}&path=%2Fother");
    let page = admin.get(&search).await;
    assert!(page.body.contains("Nothing matches"), "{}", page.body);
    let page = admin.get(&format!("/audit?before={}", Uuid::nil())).await;
    assert_eq!((page.status, page.location()), (303, "/audit"));
    let search = format!("/audit?before={}&search=nobody", Uuid::nil());
    let page = admin.get(&search).await;
    assert!(page.body.contains("Nothing matches"), "{}", page.body);
}

#[tokio::test]
async fn pages_of_days_lead_to_their_neighbours() {
    let service = service(&[]).await;
    for number in 0..40 {
        service.api.publish_path(&format!("/old-{number}")).await;
        // No burst, which would be one row.
        service.advance(Duration::seconds(11));
    }
    service.advance(Duration::hours(13));
    service.api.publish_path("/of-the-next-day").await;
    let mut admin = admin(&service).await;
    let page = admin.get("/activity?from=2026-11-23&to=2026-11-23").await;
    let page = page.body;
    assert!(page.contains("/old-39") && !page.contains("/of-the-next-day"));
    assert!(!page.contains("rel=\"prev\""), "{page}");
    let (_, older) = page.split_once("/activity?before=").unwrap();
    let older = older.split('"').next().unwrap().replace("&amp;", "&");
    assert!(older.contains("from=2026-11-23"), "{older}");
    let page = admin.get(&format!("/activity?before={older}")).await.body;
    assert!(page.contains("/old-0"), "{page}");
    let (_, newer) = page.split_once("/activity?after=").unwrap();
    let newer = newer.split('"').next().unwrap().replace("&amp;", "&");
    let page = admin.get(&format!("/activity?after={newer}")).await.body;
    assert!(page.contains("/old-39") && !page.contains("/of-the-next-day"));
}

#[tokio::test]
async fn each_row_says_who_or_what_published() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    service.api.publish_path("/by-token").await;
    let form = |path| [("items", path), ("action", "purge")];
    admin.post("/purge", &form("/by-hand")).await;
    let mut editor = sent(&service, "Editors", &["default"]).await;
    editor.post("/purge", &form("/by-ada")).await;
    let page = editor.get("/activity").await.body;
    for words in [
        "token PUBLISH_TOKEN",
        "by admin",
        "by ada@example.com through SkyCMS",
    ] {
        assert!(page.contains(words), "no “{words}” in {page}");
    }
    let table = editor.get("/activity.csv").await;
    assert_eq!(
        table.header("content-type"),
        Some("text/csv; charset=utf-8")
    );
    let table = table.body;
    for words in [
        "\"token PUBLISH_TOKEN\"",
        "\"user admin\"",
        "\"skycms-user ada@example.com\"",
    ] {
        assert!(table.contains(words), "no {words} in {table}");
    }
}

/// It is read in pieces, each as the reader takes it.
#[tokio::test]
async fn a_table_has_all_rows_however_many() {
    let service = service(&[]).await;
    let publishes = (0..450).map(|n| {
        let service = &service;
        async move { service.api.publish_path(&format!("/row-{n}")).await }
    });
    futures_util::future::join_all(publishes).await;
    let mut admin = admin(&service).await;
    let table = admin.get("/activity.csv").await;
    assert_eq!(table.header("content-length"), None, "it is sent in pieces");
    let mut rows = paths(&mut admin, "").await;
    rows.sort_unstable();
    let mut expected: Vec<_> = (0..450).map(|n| format!("/row-{n}")).collect();
    expected.sort_unstable();
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn a_table_that_is_cut_says_so() {
    let service = service(&[]).await;
    let many = "INSERT INTO publish (site_id, id, received_at, items, state, planned, ended_at)
         SELECT id, lpad(to_hex(n), 32, '0')::uuid, now(), ARRAY['/hay'], 'completed', true, now()
         FROM site, generate_series(1, 20001) n";
    service.database.change(many).await;
    let mut admin = admin(&service).await;
    let table = admin.get("/activity.csv").await.body;
    let last = table.lines().last().unwrap();
    assert!(last.starts_with("\"incomplete: "), "{last}");
    assert_eq!(table.lines().count(), 20_002, "with the head");
}

/// To count it is costly, and the page is looked at again with each publish.
#[tokio::test]
async fn a_queue_that_is_never_empty_is_counted_every_ten_seconds() {
    let service = service(&[]).await;
    let many = "INSERT INTO publish (site_id, id, received_at, items, state, planned, ended_at)
         SELECT id, lpad(to_hex(n), 32, '0')::uuid, '2026-11-23T12:00Z'::timestamptz + n * interval '1 s', '{/hay}',
                'completed', true, '2026-11-23T12:00Z'::timestamptz + (n + 2) * interval '1 s'
         FROM site, generate_series(1, 20100) n";
    service.database.change(many).await;
    let mut admin = admin(&service).await;
    let mut done = async || {
        let page = admin.get("/activity").await.body;
        let (_, work) = page.split_once("id=\"work\"").unwrap();
        let (work, _) = work.split_once(" done <").unwrap();
        let (_, counts) = work.split_once("<p>").unwrap();
        counts.replace("<b>", "").replace("</b>", "")
    };
    assert_eq!(done().await, "20,000 of more than 20,000 publishes");
    service.api.publish_path("/a").await;
    assert_eq!(done().await, "19,999 of more than 20,000 publishes");
    service.api.publish_path("/b").await;
    assert_eq!(done().await, "19,999 of more than 20,000 publishes");
    service.advance(Duration::seconds(10));
    assert_eq!(done().await, "19,998 of more than 20,000 publishes");
    // The end of it is told at once.
    let end = "UPDATE publish SET state = 'completed', planned = true, ended_at = received_at + interval '1 day'
               WHERE ended_at IS NULL";
    service.database.change(end).await;
    assert_eq!(done().await, "20,000 of more than 20,000 publishes");
}

#[tokio::test]
async fn a_page_that_cannot_be_looked_up_now_spoils_no_list() {
    let service = service(&[]).await;
    let mut admin = admin(&service).await;
    let publish = service.api.publish(json!({ "paths": ["/about"] })).await;
    let publish = publish["id"].as_str().unwrap();
    let path = format!("/api/sites/default/publishes/{publish}");
    // How far a publish is that waits to be sent depends on the settings; the list does not.
    let lock = "LOCK TABLE cdn_settings IN ACCESS EXCLUSIVE MODE";
    let lock = service.database.hold(lock).await;
    let mut looks = JoinSet::new();
    for _ in 0..2 {
        let look = service.api.request(Method::GET, &path, &[], Body::empty());
        looks.spawn(send(look));
    }
    service.database.wait_for_locks(2).await;
    let page = admin.get("/activity?page=%2Fabout&path=%2Fother").await;
    assert_eq!(page.status, 200, "{}", page.body);
    page.assert_says("could not be looked up right now");
    lock.release().await;
    for look in looks.join_all().await {
        assert_eq!(look.status, 200, "{}", look.body);
    }
    let page = admin.get("/activity?page=%2Fabout").await;
    assert!(page.body.contains("It was last published"));
}
