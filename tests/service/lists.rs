//! `GET …/invalidations`.

use serde_json::Value;
use skycms_cdn::domain::PublishState;
use skycms_cdn::store::{Page, PublishFilter, PublishSummary};
use uuid::Uuid;

use crate::support::{Api, Stepped};

fn paths(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|i| i["items"][0].as_str().unwrap()).collect()
}

#[tokio::test]
async fn invalidations_are_listed_newest_first_page_by_page() {
    let service = Stepped::start().await;
    let empty = service.api.invalidations("").await.json();
    assert_eq!(empty, serde_json::json!({ "items": [], "next": null }));
    for n in 1..=5 {
        service.publish_and_run(&format!("/{n}")).await;
    }
    let all = service.api.invalidations("").await.json();
    assert_eq!(paths(&all), ["/5", "/4", "/3", "/2", "/1"]);
    assert_eq!(all["next"], Value::Null);

    let mut seen = Vec::new();
    let mut query = "?limit=2".to_owned();
    for expected in [&["/5", "/4"][..], &["/3", "/2"], &["/1"]] {
        let page = service.api.invalidations(&query).await.json();
        assert_eq!(paths(&page), expected);
        seen.push(page["next"].clone());
        query = format!(
            "?limit=2&before={}",
            page["next"].as_str().unwrap_or_default()
        );
    }
    assert!(seen[0].is_string() && seen[1].is_string() && seen[2].is_null());
    let whole = service.api.invalidations("?limit=5").await.json();
    assert_eq!(
        whole["next"],
        Value::Null,
        "nothing is behind a full last page"
    );
}

#[tokio::test]
async fn invalidations_are_listed_by_status_and_by_site() {
    let service = Stepped::start().await;
    let other = service.add_other_site().await;
    let done = service.api.publish_path("/done").await;
    service.run_until_ended(&done).await;
    service.publish_and_run("/under-way").await;
    other.publish_path("/theirs").await;
    service.run().await;
    for (query, expected) in [
        ("?status=Completed", &["/done"][..]),
        ("?status=InProgress", &["/under-way"]),
        ("?status=Queued", &[]),
        ("?status=Failed", &[]),
        ("?status=Unconfirmed", &[]),
        ("?status=Completed&limit=1", &["/done"]),
    ] {
        let page = service.api.invalidations(query).await.json();
        assert_eq!(paths(&page), expected, "{query}");
    }
    assert_eq!(paths(&other.invalidations("").await.json()), ["/theirs"]);
}

#[tokio::test]
async fn bad_values_are_reported() {
    let service = Stepped::start().await;
    for (query, words) in [
        (
            "?status=completed",
            "Queued, InProgress, Completed, Unconfirmed, Failed",
        ),
        ("?status=", "`status` is one of"),
        ("?limit=0", "1 to 500"),
        ("?limit=501", "1 to 500"),
        ("?limit=-1", "1 to 500"),
        ("?limit=many", "1 to 500"),
        ("?before=yesterday", "`next`"),
    ] {
        let answer = service.api.invalidations(query).await;
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(words), "{query}: {detail}");
    }
    let twice = service.api.invalidations("?limit=1&limit=2").await;
    assert_eq!(twice.status, 400);
    assert_eq!(
        twice.header("content-type"),
        Some("application/problem+json")
    );
}

/// Publishes 1 to 120,600 of a path `/hay`, but for number 1, `/needle`, and number 120,600,
/// `/nail`.
async fn much_hay() -> Stepped {
    let service = Stepped::start().await;
    let hay = service.database.change(
        "INSERT INTO publish (site_id, id, received_at, items, state, planned, ended_at)
         SELECT id, lpad(to_hex(n), 32, '0')::uuid, now(),
                ARRAY[CASE n WHEN 1 THEN '/needle' WHEN 120600 THEN '/nail' ELSE '/hay' END],
                CASE n WHEN 2 THEN 'unconfirmed' WHEN 3 THEN 'failed' ELSE 'completed' END, true, now()
         FROM site, generate_series(1, 120600) n",
    );
    hay.await;
    service
}

async fn publishes(service: &Stepped, filter: PublishFilter<'_>) -> Page<PublishSummary> {
    let (store, site) = (&service.state.store, service.site());
    let now = service.state.clock.now();
    store.publishes(site, filter, 25, now).await.unwrap()
}

#[tokio::test]
async fn a_search_looks_through_so_many_publishes_and_goes_on_when_asked() {
    let service = much_hay().await;
    let needle = PublishFilter {
        path: Some(("needle", "needle")),
        ..PublishFilter::default()
    };
    let (mut page, mut pages) = (publishes(&service, needle).await, 1);
    while page.items.is_empty() {
        let before = page.next.expect("there is more to search");
        page = publishes(
            &service,
            PublishFilter {
                before: Some(before),
                ..needle
            },
        )
        .await;
        pages += 1;
    }
    assert_eq!(pages, 3, "100, then six times 20,000, then the rest");
    assert_eq!(page.items[0].items, ["/needle"]);
    assert_eq!(page.next, None, "all was searched");

    let known = "INSERT INTO known_path (site_id, path, last_published)
                 SELECT id, '/hay', now() FROM site";
    service.database.change(known).await;
    let known = PublishFilter {
        path: Some(("needle", "/hay")),
        state: Some(PublishState::Failed),
        ..PublishFilter::default()
    };
    let page_of_known = publishes(&service, known).await;
    assert_eq!(
        page_of_known.items[0].items,
        ["/hay"],
        "it goes on by itself"
    );

    let nail = PublishFilter {
        path: Some(("nail", "nail")),
        ..PublishFilter::default()
    };
    let (mut after, mut pages) = (page.items[0].id, 0);
    let page = loop {
        let page = publishes(
            &service,
            PublishFilter {
                after: Some(after),
                ..nail
            },
        )
        .await;
        pages += 1;
        if !page.items.is_empty() {
            break page;
        }
        assert_eq!(page.next, page.previous, "it goes on either way");
        after = page.previous.expect("there is more to search");
    };
    assert_eq!(pages, 2, "six times 20,000 at once, upwards too");
    assert_eq!(page.items[0].items, ["/nail"]);
    assert_eq!(page.previous, None, "all was searched");

    let newest = PublishFilter {
        after: Some(page.items[0].id),
        ..nail
    };
    let page = publishes(&service, newest).await;
    assert_eq!(page.items[0].items, ["/nail"], "nothing is newer");
}

/// Publishes, each so many seconds after the one before: (how many, by whom, their state, the
/// seconds).
async fn published(service: &Stepped, rows: &[(i32, &str, &str, f64)]) {
    let mut connection = service.database.connect().await;
    let (mut first, mut begun) = (1, 0.0);
    for (count, by, state, seconds) in rows {
        sqlx::query(
            "INSERT INTO publish (site_id, id, received_at, items, published_by, state, planned, ended_at)
             SELECT id, lpad(to_hex(n), 32, '0')::uuid,
                    '2026-11-23T12:00Z'::timestamptz + make_interval(secs => $4 + (n - $1 + 1) * $5),
                    ARRAY['/page-' || n], $3, $6, true, now()
             FROM site, generate_series($1, $1 + $2 - 1) n",
        )
        .bind(first)
        .bind(count)
        .bind(by)
        .bind(begun)
        .bind(seconds)
        .bind(state)
        .execute(&mut connection)
        .await
        .unwrap();
        first += count;
        begun += f64::from(*count) * seconds;
    }
}

/// A page of the activity: how many publishes each row stands for.
async fn activity(
    service: &Stepped,
    filter: PublishFilter<'_>,
) -> (Page<PublishSummary>, Vec<u64>) {
    let (store, site) = (&service.state.store, service.site());
    let now = service.state.clock.now();
    let page = store.activity(site, filter, 4, now).await.unwrap();
    let rows = page.items.iter();
    let rows = rows.map(|row| row.burst.map_or(1, |burst| burst.publishes));
    let rows = rows.collect();
    (page, rows)
}

#[tokio::test]
async fn a_burst_of_one_publisher_is_one_row() {
    let service = Stepped::start().await;
    published(
        &service,
        &[
            (1, "user ada", "completed", 1.0),
            (312, "token Deploy", "completed", 0.5),
            (1, "token Deploy", "failed", 1.0),
            (5, "token Deploy", "completed", 1.0),
            (6, "signature", "completed", 5.0),
            (6, "signature", "completed", 5.1),
            (2, "user ada", "completed", 1.0),
        ],
    )
    .await;
    let (mut filter, mut rows, mut newest) = (PublishFilter::default(), Vec::new(), Vec::new());
    let last = loop {
        let (page, found) = activity(&service, filter).await;
        rows.extend(found);
        newest.extend(page.items.iter().map(|publish| publish.id));
        match page.next {
            Some(before) => filter.before = Some(before),
            None => break page,
        }
    };
    let expected: &[u64] = &[1, 1, 1, 1, 1, 1, 1, 1, 6, 1, 1, 1, 1, 1, 1, 312, 1];
    assert_eq!(rows, expected);

    // Upwards the same.
    let (mut filter, mut upwards) = (PublishFilter::default(), Vec::new());
    filter.after = last.previous.map(|_| last.items[0].id);
    while let Some(after) = filter.after {
        let (page, _) = activity(
            &service,
            PublishFilter {
                after: Some(after),
                ..filter
            },
        )
        .await;
        upwards.splice(0..0, page.items.iter().map(|publish| publish.id));
        filter.after = page.previous;
    }
    assert_eq!(upwards, newest[..upwards.len()]);

    // The burst itself is listed one by one, and so is what is searched for.
    let (oldest, newest) = (Uuid::from_u128(2), Uuid::from_u128(313));
    let burst = PublishFilter {
        burst: Some((oldest, newest)),
        ..PublishFilter::default()
    };
    let (page, rows) = activity(&service, burst).await;
    assert_eq!((page.items[0].id, rows), (newest, vec![1; 4]));
    let searched = PublishFilter {
        path: Some(("page", "/page")),
        ..PublishFilter::default()
    };
    assert_eq!(activity(&service, searched).await.1, [1; 4]);
    let failed = PublishFilter {
        state: Some(PublishState::Failed),
        ..PublishFilter::default()
    };
    assert_eq!(activity(&service, failed).await.1, [1]);
}

#[tokio::test]
async fn a_burst_at_the_end_of_a_look_is_one_row_too() {
    let service = Stepped::start().await;
    published(
        &service,
        &[
            (6, "token Deploy", "completed", 1.0),
            (2, "user ada", "completed", 6.0),
            (6, "signature", "completed", 1.0),
        ],
    )
    .await;
    let (_, rows) = activity(&service, PublishFilter::default()).await;
    assert_eq!(rows, [6, 1, 1, 6]);
}

#[tokio::test]
async fn a_burst_is_followed_only_so_far() {
    let service = Stepped::start().await;
    published(&service, &[(12_000, "token Deploy", "completed", 0.01)]).await;
    let mut filter = PublishFilter::default();
    for expected in [5_001, 5_001, 1_998] {
        let (page, rows) = activity(&service, filter).await;
        assert_eq!(rows, [expected]);
        filter.before = page.next;
    }
    assert_eq!(filter.before, None);
}

#[tokio::test]
async fn publishes_are_listed_by_state() {
    let service = much_hay().await;
    service.api.publish_path("/waits").await;
    for (state, items) in [
        (PublishState::Queued, &["/waits"][..]),
        (PublishState::InProgress, &[]),
        (PublishState::Unconfirmed, &["/hay"]),
        (PublishState::Failed, &["/hay"]),
    ] {
        let filter = PublishFilter {
            state: Some(state),
            ..PublishFilter::default()
        };
        let page = publishes(&service, filter).await;
        let listed: Vec<_> = page.items.iter().map(|p| p.items[0].as_str()).collect();
        assert_eq!(listed, items, "{state:?}");
        assert!(page.items.iter().all(|publish| publish.state == state));
        assert_eq!((page.next, page.previous), (None, None), "{state:?}");
    }
    let completed = PublishFilter {
        state: Some(PublishState::Completed),
        ..PublishFilter::default()
    };
    let page = publishes(&service, completed).await;
    assert_eq!(page.items.len(), 25);
    assert_eq!(page.items[0].items, ["/nail"]);
    let older = PublishFilter {
        before: page.next,
        ..completed
    };
    let page = publishes(&service, older).await;
    let newer = PublishFilter {
        after: page.previous,
        ..completed
    };
    let page = publishes(&service, newer).await;
    assert_eq!(page.items[0].items, ["/nail"]);
    assert_eq!(page.previous, None);
}

#[tokio::test]
async fn a_page_is_bounded_in_bytes() {
    let service = Stepped::start().await;
    for batch in 0..40 {
        let paths: Vec<String> = (0..10).map(|n| format!("/{batch}/{n:0>3900}")).collect();
        service
            .api
            .publish(serde_json::json!({ "paths": paths }))
            .await;
        service.run().await;
        service.pass(30).await;
    }
    let (mut query, mut pages, mut seen) = ("?limit=500".to_owned(), 0, 0);
    loop {
        let answer = service.api.invalidations(&query).await;
        assert!(answer.body.len() < 2 << 20, "{} bytes", answer.body.len());
        let page = answer.json();
        seen += page["items"].as_array().unwrap().len();
        pages += 1;
        match page["next"].as_str() {
            Some(next) => query = format!("?limit=500&before={next}"),
            None => break,
        }
    }
    assert_eq!((pages, seen), (2, 40));
}

/// A list says how many items there are and shows the first; all of them are read page by page.
#[tokio::test]
async fn what_an_invalidation_purges_is_read_page_by_page() {
    let service = Stepped::start().await;
    let other = service.add_other_site().await;
    let paths: Vec<String> = (0..2_500).map(|n| format!("/{n:04}")).collect();
    let body = serde_json::json!({ "paths": paths });
    let id = service.api.publish(body).await["id"].clone();
    service.run().await;
    let listed = service.api.invalidations("").await.json()["items"][0].clone();
    let publish = service.api.get_publish(id.as_str().unwrap()).await;
    for shown in [&listed, &publish["invalidations"][0]] {
        assert_eq!(shown["item_count"], 2_500);
        assert_eq!(shown["items"], serde_json::json!(paths[..10]));
    }
    assert_eq!(publish["items"].as_array().unwrap().len(), 2_500);

    let reference = listed["caller_reference"].as_str().unwrap();
    let ask = async |api: &Api, query: &str| {
        let items = format!("/{reference}/items{query}");
        api.invalidations(&items).await
    };
    let (mut query, mut read) = (String::new(), Vec::new());
    for expected in [1_000, 1_000, 500] {
        let page = ask(&service.api, &query).await.json();
        let items = page["items"].as_array().unwrap();
        assert_eq!(items.len(), expected);
        read.extend(items.iter().map(|item| item.as_str().unwrap().to_owned()));
        query = format!("?after={}", page["next"]);
    }
    assert_eq!(query, "?after=null");
    read.sort();
    assert_eq!(read, paths);

    assert_eq!(
        ask(&service.api, "?after=2147483647").await.json()["items"],
        serde_json::json!([])
    );
    assert_eq!(ask(&service.api, "?after=x").await.status, 400);
    assert_eq!(ask(&other, "").await.status, 404, "another site's");
    let unknown = service.api.invalidations("/a%00b/items").await;
    assert_eq!(unknown.status, 404, "PostgreSQL has no such text");
}
