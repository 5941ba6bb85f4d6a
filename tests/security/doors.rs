//! Small doors: texts that cannot be stored, names that only look like somebody's, proofs that are
//! refused, and proxies that are not believed.

use axum::body::Body;
use http::Request;
use serde_json::json;
use skycms_cdn::domain::session::Role;

use crate::embed::{claims, open};
use crate::support::{Answer, Api, LOG, Service, TOKEN, jwt};

async fn publish(service: &Service, key: &str) -> Answer {
    let body = r#"{"paths": ["/about"]}"#;
    let request = Api::new("").publishing(&[("idempotency-key", key)], body);
    service.send(request).await
}

fn id_of(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// PostgreSQL cannot store a NUL, wherever it comes in.
#[tokio::test]
async fn a_nul_is_a_mistake_and_not_an_outage() {
    let service = Service::start().await;
    let mut admin = service.signed_in(Role::Admin).await;
    for page in ["/audit?search=a%00b", "/activity?path=%2Fa%00b"] {
        assert_eq!(admin.get(page).await.status, 422, "{page}");
    }
    for form in ["/settings/cdn/tokens", "/settings/cdn/keys"] {
        for name in ["a\0b", " ", &"x".repeat(101)] {
            let answer = admin.post(form, &[("name", name)]).await;
            assert_eq!(answer.status, 422, "{form}");
            assert!(answer.body.contains("Give it a name of 1 to 100"), "{form}");
        }
    }
    let answer = admin
        .post("/sign-in", &[("username", "a\0b"), ("password", "c\0d")])
        .await;
    assert_eq!(answer.status, 401);
}

/// Publishers choose their keys, and may choose what this service would have.
#[tokio::test]
async fn no_publisher_takes_the_key_of_trying_again() {
    let service = Service::start().await;
    let failed = id_of(&publish(&service, "first").await);
    let taken = publish(&service, &format!("retry-of-{failed}")).await;
    assert_eq!(taken.status, 202);
    let ended = format!(
        "UPDATE publish SET state = 'failed', ended_at = received_at WHERE id = '{failed}'"
    );
    service.database.change(&ended).await;
    let mut admin = service.signed_in(Role::Admin).await;
    let again = format!("/activity/{failed}/retry");
    let first = admin.post(&again, &[]).await.location().to_owned();
    assert!(!first.ends_with(&id_of(&taken)), "{first}");
    assert_eq!(admin.get(&first).await.status, 200);
    assert_eq!(admin.post(&again, &[]).await.location(), first);
}

/// A name alone proves nothing: SkyCMS sends any.
#[tokio::test]
async fn the_audit_says_how_somebody_signed_in() {
    let service = Service::start().await;
    let mut claims = claims(&service, "Administrators");
    claims["sub"] = json!("admin");
    let mut sent = service.browser();
    open(&mut sent, &jwt(&claims)).await;
    sent.post("/settings/cdn/tokens", &[("name", "of SkyCMS")])
        .await;
    let mut owner = service.signed_in(Role::Admin).await;
    owner
        .post("/settings/cdn/tokens", &[("name", "of the owner")])
        .await;
    let page = owner.get("/audit?search=Created").await.body;
    let by = |name: &str| {
        let (before, _) = page.split_once(name).unwrap();
        let (_, row) = before.rsplit_once("<tr>").unwrap();
        (row.contains("by password"), row.contains("by SkyCMS"))
    };
    assert_eq!(by("of SkyCMS"), (false, true), "{page}");
    assert_eq!(by("of the owner"), (true, false), "{page}");
}

#[tokio::test]
async fn each_refused_proof_is_logged_once_and_counted() {
    let service = Service::start().await;
    let from = "198.51.100.77";
    let ask = async |path: &str, authorization: &str| {
        let request = Request::get(path)
            .header("authorization", authorization)
            .body(Body::empty())
            .unwrap();
        service.browser_at(from).send(request).await.status
    };
    let wrong = "Bearer skycdn_a_token_that_is_wrong";
    assert_eq!(ask("/api/sites/default/invalidations", wrong).await, 401);
    let other = format!("Bearer {TOKEN}");
    assert_eq!(ask("/api/sites/other/invalidations", &other).await, 404);
    let call = "/2020-05-31/distribution/E2SANDBOX0CDN1/invalidation";
    assert_eq!(ask(call, "AWS4-HMAC-SHA256 nonsense").await, 400);
    let link = "/set-up?token=a-link-that-is-wrong";
    assert_eq!(ask(link, "").await, 410);
    assert_eq!(ask("/embed?token=a.wrong.ticket", "").await, 401);

    let metrics = service.state.metrics.encode(None);
    let log = LOG.text();
    for proof in [
        "token",
        "foreign_token",
        "signature_headers",
        "set_up_link",
        "skycms_token",
    ] {
        let counted = format!("skycms_cdn_refused_proofs_total{{proof=\"{proof}\"}} 1\n");
        assert!(metrics.contains(&counted), "{proof}: {metrics}");
        let lines = log.lines().filter(|line| {
            line.contains(&format!("from={from}")) && line.contains(&format!("proof=\"{proof}\""))
        });
        assert_eq!(lines.count(), 1, "{proof}");
    }
    for secret in ["that_is_wrong", "that-is-wrong", "a.wrong.ticket"] {
        let told = log
            .lines()
            .any(|line| line.contains(from) && line.contains(secret));
        assert!(!told, "{secret} is in the log");
    }
}

#[tokio::test]
async fn an_address_with_a_slash_too_many_leads_to_its_page_and_nowhere_else() {
    for (public, prefix) in [
        ("https://cdn.example.com", ""),
        ("https://editor.example.com/cdn", "/cdn"),
    ] {
        let service = Service::start_with(&[("PUBLIC_URL", public)]).await;
        let mut stranger = service.browser();
        for page in [
            "/sign-in",
            "/docs",
            "/activity",
            "/settings/cdn",
            "/settings/cdn/hook",
            "/sites/shop/activity",
        ] {
            // A proxy may strip the prefix or leave it.
            for path in [format!("{page}/"), format!("{prefix}{page}/")] {
                let answer = stranger.get(&path).await;
                let page = format!("{prefix}{page}");
                assert_eq!((answer.status, answer.location()), (308, &*page), "{path}");
            }
        }
        let answer = stranger.get("/activity/?path=%2Fabout").await;
        let page = format!("{prefix}/activity?path=%2Fabout");
        assert_eq!((answer.status, answer.location()), (308, &*page));
        let mut admin = service.signed_in(Role::Admin).await;
        if !prefix.is_empty() {
            // A proxy may lead from the one to the other: neither leads back.
            for home in ["/cdn", "/cdn/"] {
                let asked = stranger.get(home).await;
                assert!(asked.location().starts_with("/cdn/sign-in"), "{home}");
                assert_eq!(admin.get(home).await.location(), "/cdn/activity");
                let refused = stranger.request(http::Method::POST, home, &[], "").await;
                assert_eq!(
                    (refused.status, &refused.json()["status"]),
                    (405, &json!(405))
                );
                let length = refused.body.len().to_string();
                let told = refused.header("content-length");
                assert!(told.is_none_or(|told| told == length), "{home}: {told:?}");
            }
        }
        for elsewhere in [
            "//example.com/",
            "//example.com/activity/",
            "/%5Cexample.com/",
            "/\\example.com/",
            "/no-such-page/",
            "/api/sites/default/invalidations/",
            "/\\example.com/distribution/E2SANDBOX0CDN1/",
        ] {
            for path in [elsewhere.to_owned(), format!("{prefix}{elsewhere}")] {
                let answer = admin.get(&path).await;
                assert_eq!((answer.status, answer.location()), (404, ""), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_believed_is_spoken_of() {
    const TOLD: &str = "A proxy is not trusted";
    let ask_with = async |service: &Service, proxy: &str, header: (&str, &str)| {
        let mut stranger = service.browser_at(proxy);
        stranger
            .request(http::Method::GET, "/sign-in", &[header], "")
            .await;
        let mut owner = service.signed_in(Role::Admin).await;
        let mut editor = service.signed_in(Role::Editor).await;
        assert!(!editor.get("/activity").await.body.contains(TOLD));
        owner.get("/activity").await.body
    };
    let ask = async |service: &Service, proxy: &str| {
        ask_with(service, proxy, ("x-forwarded-for", "203.0.113.5")).await
    };
    for header in [
        ("x-real-ip", "203.0.113.5"),
        ("forwarded", "for=203.0.113.5"),
    ] {
        let service = Service::start().await;
        let page = ask_with(&service, "10.97.0.7", header).await;
        assert!(page.contains(TOLD), "{header:?}: {page}");
    }
    let service = Service::start().await;
    let page = ask(&service, "10.99.0.7").await;
    assert!(page.contains(TOLD) && page.contains("10.99.0.7"), "{page}");
    let told = LOG.text();
    let lines = told.lines().filter(|line| line.contains("proxy=10.99.0.7"));
    assert_eq!(lines.count(), 1, "and once in the log");

    let trusting = Service::start_with(&[("TRUSTED_PROXIES", "10.99.0.0/24")]).await;
    for believed_or_a_strangers in ["10.99.0.7", "198.51.100.3"] {
        let page = ask(&trusting, believed_or_a_strangers).await;
        assert!(!page.contains(TOLD), "{believed_or_a_strangers}");
    }
    assert!(ask(&trusting, "10.98.0.7").await.contains(TOLD));
}
