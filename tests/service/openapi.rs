//! `/openapi.json`: its examples have the shape of what the service really answers, and what it
//! refuses is worded as described.

use http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Api, NO_SETTINGS, PRIVATE, Stepped, send};

/// The described service, and what its description says.
struct Described {
    service: Stepped,
    document: Value,
}

impl Described {
    async fn start() -> Self {
        let service = Stepped::start_with(PRIVATE).await;
        service.show_at_edge().await;
        let answer = service
            .api
            .get("/openapi.json", &[("authorization", "")])
            .await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let document = answer.json();
        assert_eq!(
            document["servers"][0]["url"],
            service.state.public.to_string()
        );
        Self { service, document }
    }

    /// The examples of an answer, by name; a lone one is named `""`.
    fn examples(&self, operation: &str, answer: &Answer) -> Vec<(String, Value)> {
        let (method, path) = operation.split_once(' ').unwrap();
        let described = &self.document["paths"][path][method.to_lowercase()];
        let media = answer.header("content-type").unwrap();
        let content = &described["responses"][answer.status.to_string()]["content"][media];
        assert!(
            content["schema"].is_object(),
            "{operation} {} {media} is not described: {}",
            answer.status,
            answer.body
        );
        let named = content["examples"].as_object().into_iter().flatten();
        let lone = content.get("example").into_iter();
        named
            .map(|(name, example)| (name.clone(), example["value"].clone()))
            .chain(lone.map(|example| (String::new(), example.clone())))
            .collect()
    }

    /// Checks that an answer has the shape of the example of this name.
    fn assert_like(&self, operation: &str, name: &str, answer: &Answer) {
        let examples = self.examples(operation, answer);
        let (_, example) = examples
            .iter()
            .find(|(given, _)| given == name)
            .unwrap_or_else(|| panic!("{operation}: no example {name:?} in {examples:#?}"));
        let real = answer.json();
        assert_eq!(shape(example), shape(&real), "{operation} {name}: {real:#}");
    }

    /// Checks that a problem is worded as one of the examples, or with other values in the same
    /// places.
    fn assert_problem(&self, operation: &str, status: u16, answer: &Answer) {
        let real = answer.json();
        assert_eq!(answer.status, status, "{operation}: {real}");
        let examples = self.examples(operation, answer);
        let like = |example: &Value| {
            ["type", "title", "status"]
                .iter()
                .all(|member| example[member] == real[member])
                && shape(example) == shape(&real)
        };
        assert!(
            examples.iter().any(|(_, example)| like(example)),
            "{operation}: no example like {real:#} in {examples:#?}"
        );
    }
}

/// Members and types, without values. Lists are as their first entry.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => json!("boolean"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("string"),
        Value::Array(entries) => entries.first().map(shape).into_iter().collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), shape(value)))
            .collect(),
    }
}

const PUBLISH: &str = "POST /api/sites/{site}/publishes";
const SHOW: &str = "GET /api/sites/{site}/publishes/{id}";
const LIST: &str = "GET /api/sites/{site}/invalidations";

#[tokio::test]
async fn successes_have_the_shape_of_their_examples() {
    let described = Described::start().await;
    let service = &described.service;
    let body = described.document["paths"]["/api/sites/{site}/publishes"]["post"]["requestBody"]
        ["content"]["application/json"]["examples"]
        .clone();

    let answer = service
        .api
        .post(&[], body["pages"]["value"].to_string())
        .await;
    described.assert_like(PUBLISH, "accepted", &answer);
    let example = &described.examples(PUBLISH, &answer)[0].1;
    assert_eq!(
        answer.json()["items"],
        example["items"],
        "as the example says"
    );
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    service.run_until_ended(&id).await;
    service.edge.run_due().await.unwrap();
    let answer = service
        .api
        .get(&format!("/api/sites/default/publishes/{id}"), &[])
        .await;
    described.assert_like(SHOW, "completed", &answer);
    described.assert_like(LIST, "", &service.api.invalidations("").await);

    let publish = body["everything"]["value"].to_string();
    assert_eq!(service.api.post(&[], publish).await.status, 202);

    let paths = json!({ "paths": ["/docs/install", "/docs/*"] }).to_string();
    let path = "/api/sites/default/publishes?dry_run=true";
    let answer = send(service.api.request(Method::POST, path, &[], paths)).await;
    described.assert_like(PUBLISH, "", &answer);
    let example = &described.examples(PUBLISH, &answer)[0].1;
    assert_eq!(
        answer.json()["explanations"],
        example["explanations"],
        "as the example says"
    );

    service.sandbox.set_policy(Value::Null).await;
    let id = service.publish_and_run("/about").await;
    let answer = service
        .api
        .get(&format!("/api/sites/default/publishes/{id}"), &[])
        .await;
    described.assert_like(SHOW, "waiting", &answer);

    for path in ["/health/live", "/health/ready"] {
        let answer = service.api.get(path, &[]).await;
        let operation = format!("GET {path}");
        assert_eq!(described.examples(&operation, &answer)[0].1, answer.json());
    }
    let metrics = service.api.get("/metrics", &[("authorization", "")]).await;
    assert!(described.examples("GET /metrics", &metrics).is_empty());
}

#[tokio::test]
async fn problems_are_worded_as_their_examples() {
    let described = Described::start().await;
    let service = &described.service;
    let api = &service.api;
    let good = r#"{"paths": ["/about"]}"#;
    let key = ("idempotency-key", "once");
    assert_eq!(api.post(&[key], good).await.status, 202);
    let stale = [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", "1614265330"),
        (
            "webhook-signature",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
    ];
    let of_blog = api.of_site("blog", &api.token);
    let large = format!(r#"{{"paths": ["{}"]}}"#, "x".repeat(1 << 20));
    for (status, answer) in [
        (400, api.post(&[], r#"{"paths": "/about"}"#).await),
        (401, api.post(&[("authorization", "")], good).await),
        (401, api.post(&stale, good).await),
        (404, of_blog.post(&[], good).await),
        (413, api.post(&[], large).await),
        (415, api.post(&[("content-type", "text/plain")], good).await),
        (422, api.post(&[], r#"{"paths": ["/a*b"]}"#).await),
        (422, api.post(&[key], r#"{"paths": ["/other"]}"#).await),
    ] {
        described.assert_problem(PUBLISH, status, &answer);
    }
    // The examples are the service's own words.
    let bad = r#"{"paths": ["/about", "/blog/*/comments"], "tags": ["two words"]}"#;
    let answer = api.post(&[], bad).await;
    let (examples, told) = (described.examples(PUBLISH, &answer), answer.json());
    assert!(
        examples.iter().any(|(_, example)| *example == told),
        "{told} in {examples:#?}"
    );

    let nowhere = format!("/api/sites/default/publishes/{}", uuid::Uuid::nil());
    described.assert_problem(SHOW, 404, &api.get(&nowhere, &[]).await);
    described.assert_problem(
        SHOW,
        401,
        &api.get(&nowhere, &[("authorization", "")]).await,
    );
    described.assert_problem(LIST, 400, &api.invalidations("?limit=0").await);
    described.assert_problem(LIST, 404, &of_blog.invalidations("").await);
    let elsewhere = api
        .get("/metrics", &[("x-forwarded-for", "192.0.2.1")])
        .await;
    described.assert_problem("GET /metrics", 403, &elsewhere);

    let bare = Stepped::start_with(NO_SETTINGS).await;
    described.assert_problem(PUBLISH, 409, &bare.api.post(&[], good).await);
}

#[tokio::test]
async fn without_a_database_the_answers_are_as_described() {
    let described = Described::start().await;
    let api: &Api = &described.service.api;
    described.service.state.store.close().await;
    let path = format!("/api/sites/default/publishes/{}", uuid::Uuid::nil());
    described.assert_problem(SHOW, 503, &api.get(&path, &[]).await);
    described.assert_problem(LIST, 503, &api.invalidations("").await);
    let ready = api.get("/health/ready", &[]).await;
    assert_eq!(ready.status, 503);
    described.assert_like("GET /health/ready", "", &ready);
}

#[tokio::test]
async fn the_page_shows_all_that_is_described() {
    let described = Described::start().await;
    let answer = described
        .service
        .api
        .get("/docs", &[("authorization", "")])
        .await;
    assert_eq!(answer.status, 200);
    let html = answer.body;
    let shown = |text: &str| {
        let escaped = text
            .replace('&', "&#38;")
            .replace('<', "&#60;")
            .replace('>', "&#62;");
        let escaped = escaped.replace('"', "&#34;").replace('\'', "&#39;");
        // Code between backquotes is marked up.
        escaped.split('`').all(|piece| html.contains(piece.trim()))
    };
    for (path, item) in described.document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let answers = operation["responses"].as_object().unwrap();
            for text in [path.as_str(), operation["summary"].as_str().unwrap()]
                .into_iter()
                .chain(
                    answers
                        .values()
                        .map(|answer| answer["description"].as_str().unwrap()),
                )
                .chain(parameters.map(|parameter| parameter["description"].as_str().unwrap()))
            {
                assert!(shown(text), "{path}: {text}");
            }
        }
    }
    let schemas = described.document["components"]["schemas"]
        .as_object()
        .unwrap();
    for (name, schema) in schemas {
        assert!(html.contains(&format!(r#"id="{name}""#)), "{name}");
        let members = schema["properties"].as_object().into_iter().flatten();
        for member in members.map(|(member, _)| member) {
            assert!(
                html.contains(&format!("<code>{member}</code>")),
                "{name}.{member}"
            );
        }
    }
    for link in html.split("href=\"#").skip(1) {
        let anchor = link.split('"').next().unwrap();
        assert_eq!(
            html.matches(&format!(r#" id="{anchor}""#)).count(),
            1,
            "#{anchor}"
        );
    }
}
