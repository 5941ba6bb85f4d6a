//! Every route × every kind of caller, against the table in docs/SECURITY.md.

use std::fs;
use std::path::PathBuf;

use axum::body::Body;
use http::{Method, Request};
use skycms_cdn::domain::session::Role;
use skycms_cdn::web::{Access, Route, routes};

use crate::support::{Answer, Service, TOKEN};

const DOCUMENT: &str = include_str!("../../docs/SECURITY.md");
const CALLERS: [&str; 5] = ["nobody", "wrong token", "hook token", "editor", "admin"];

#[tokio::test]
async fn every_route_answers_as_documented() {
    let service = Service::start().await;
    let mut table = format!(
        "| route | {} |\n| --- |{}\n",
        CALLERS.join(" | "),
        " --- |".repeat(5)
    );
    for route in routes() {
        let mut cells = Vec::new();
        for caller in CALLERS {
            let answer = call(&service, &route, caller).await;
            check(&route, caller, &answer);
            cells.push(match answer.location() {
                "" => answer.status.to_string(),
                location if location.starts_with("/sign-in") => "sign-in".to_owned(),
                _ => answer.status.to_string(),
            });
        }
        table += &format!(
            "| `{} {}` | {} |\n",
            route.method,
            route.path,
            cells.join(" | ")
        );
    }
    assert!(
        DOCUMENT.contains(&table),
        "docs/SECURITY.md does not have this table:\n\n{table}"
    );
}

/// What the last column of a table names, between backticks, is a test.
#[test]
fn every_test_that_the_document_names_is_there() {
    let mut sources = String::new();
    let mut folders: Vec<PathBuf> = ["src", "tests", "crates"].map(PathBuf::from).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources += &fs::read_to_string(path).unwrap();
            }
        }
    }
    let tables = DOCUMENT.split("\n\n");
    let named = tables
        .filter(|table| table.contains("| shown by |\n"))
        .flat_map(str::lines)
        .filter_map(|row| row.rsplit('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let mut count = 0;
    for name in named {
        assert!(sources.contains(&format!("fn {name}(")), "no test {name}");
        count += 1;
    }
    assert!(count > 30, "{count}");
}

/// What the rule says must not happen, whatever the document says.
fn check(route: &Route, caller: &str, answer: &Answer) {
    let let_in = match route.access {
        Access::Anyone | Access::Stranger | Access::SkyCms => return,
        // Whatever the caller, it comes from elsewhere and without METRICS_TOKEN.
        Access::Metrics => false,
        Access::Hook => caller == "hook token",
        // None of them has a key pair.
        Access::KeyPair => false,
        Access::Editor => caller == "editor" || caller == "admin",
        Access::Admin => caller == "admin",
    };
    let turned_away = match (answer.status, route.access) {
        (401, _) => true,
        (403, Access::Admin) => caller == "editor",
        (403, Access::Metrics) => true,
        (400 | 403, Access::KeyPair) => true,
        (303, _) => {
            answer.location().starts_with("/sign-in?next=") || answer.location() == "/sign-in"
        }
        _ => false,
    };
    let signs_out = route.path.starts_with("/sign-out");
    assert!(
        let_in != turned_away || signs_out,
        "{} {} as {caller}: {answer:?}",
        route.method,
        route.path
    );
}

async fn call(service: &Service, route: &Route, caller: &str) -> Answer {
    let path = route
        .path
        .replace("{site}", "default")
        .replace("{name}", "default")
        .replace("{date}", "2020-05-31")
        .replace("{invalidation}", "00000000-0000-0000-0000-000000000000")
        .replace("{publish}", "00000000-0000-0000-0000-000000000000")
        .replace("{id}", "00000000-0000-0000-0000-000000000000");
    let token = match caller {
        "wrong token" => Some("skycdn_not_a_token_at_all"),
        "hook token" => Some(TOKEN),
        _ => None,
    };
    if route.path.ends_with("/events") && matches!(caller, "editor" | "admin") {
        return events(service, &path, caller).await;
    }
    let is_api = route.access == Access::Hook;
    let mut headers = vec![("sec-fetch-site", "same-origin")];
    let bearer;
    if let Some(token) = token {
        bearer = format!("Bearer {token}");
        headers.push(("authorization", &bearer));
    }
    let body = if is_api && route.method == Method::POST {
        headers.push(("content-type", "application/json"));
        r#"{"paths": ["/about"]}"#
    } else {
        ""
    };
    let mut browser = match caller {
        "editor" => service.signed_in(Role::Editor).await,
        "admin" => service.signed_in(Role::Admin).await,
        _ => service.browser(),
    };
    browser
        .request(route.method.clone(), &path, &headers, body.to_owned())
        .await
}

/// The stream of events never ends: its head is enough.
async fn events(service: &Service, path: &str, caller: &str) -> Answer {
    let role = if caller == "admin" {
        Role::Admin
    } else {
        Role::Editor
    };
    let answer = service.signed_in(role).await.stream(path).await;
    Answer {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        body: String::new(),
    }
}

#[tokio::test]
async fn the_rules_hold_below_a_prefix_and_for_other_methods() {
    let service = Service::start_with(&[("PUBLIC_URL", "https://editor.example.com/cdn")]).await;
    let mut nobody = service.browser();
    for path in ["/cdn/settings/cdn", "/settings/cdn"] {
        let answer = nobody.get(path).await;
        assert_eq!(answer.status, 303, "{path}");
        assert_eq!(
            answer.location(),
            "/cdn/sign-in?next=%2Fsettings%2Fcdn",
            "{path}"
        );
    }
    let head = nobody.request(Method::HEAD, "/settings/cdn", &[], "").await;
    assert_eq!(head.status, 303);
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let answer = nobody
            .request(method.clone(), "/settings/cdn", &[], "")
            .await;
        assert_eq!(answer.status, 405, "{method}");
    }
}

#[tokio::test]
async fn unknown_addresses_tell_nothing() {
    let service = Service::start().await;
    for path in [
        "/static/../Cargo.toml",
        "/static/%2e%2e/Cargo.toml",
        "/static/..%2f..%2fetc/passwd",
        "/static/style.css/../../x",
        "//etc/passwd",
        "/settings",
        "/.env",
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = service.send(request).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            !answer.body.contains("/settings/cdn"),
            "{path}: no navigation for strangers"
        );
    }
    let request = Request::get("/api/sites/other/publishes/1")
        .body(Body::empty())
        .unwrap();
    let answer = service.send(request).await;
    assert_eq!(answer.status, 401, "no proof, no site");
}

#[tokio::test]
async fn every_answer_carries_the_headers() {
    let service = Service::start_with(&[
        ("PUBLIC_URL", "https://cdn.example.com"),
        (
            "EMBED_ORIGINS",
            "https://editor.example.com, https://preview.example.com:8443",
        ),
    ])
    .await;
    let mut browser = service.signed_in(Role::Admin).await;
    for (path, framed) in [
        ("/settings/cdn", true),
        ("/activity", true),
        ("/sign-in", false),
        ("/password", false),
        ("/password/second-step", false),
        ("/nowhere", true),
    ] {
        let answer = browser.get(path).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(!policy.contains("unsafe"), "{path}");
        assert!(policy.starts_with("default-src 'none'"), "{path}");
        let ancestors = if framed {
            "frame-ancestors 'self' https://editor.example.com https://preview.example.com:8443"
        } else {
            "frame-ancestors 'none'"
        };
        assert!(policy.ends_with(ancestors), "{path}: {policy}");
        assert_eq!(
            answer.header("x-frame-options"),
            (!framed).then_some("DENY"),
            "{path}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(
            answer.header("referrer-policy"),
            Some("same-origin"),
            "{path}"
        );
        assert_eq!(
            answer.header("strict-transport-security"),
            Some("max-age=63072000"),
            "{path}"
        );
    }
    let alone = Service::start().await;
    let answer = alone.browser().get("/sign-in").await;
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert_eq!(
        answer.header("strict-transport-security"),
        None,
        "not over plain HTTP"
    );
}
