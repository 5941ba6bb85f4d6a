//! Examples of what the API takes and answers. A test compares them with what the service really
//! answers.

use serde_json::{Value, json};

use crate::domain::{Partition, PublishRequest, Publishing, canonicalize};
use crate::web::http::error::Error;

/// The publish that the examples are about.
pub(crate) const PUBLISH: &str = "019aaf5e-7b00-7c3e-9d41-5a8b1c2d3e4f";

/// The reference of its invalidation.
pub(crate) const REFERENCE: &str = "skycms-cdn-019aaf5e-7b20-7a51-8c0e-6f1d2b3a4c5d";

/// Pages, addresses, a directory and a cache tag.
pub(crate) fn request() -> Value {
    json!({
        "paths": ["/about", "https://www.example.com/blog/post-1", "root", "/docs/*"],
        "tags": ["article:42"],
    })
}

/// That publish, as it is accepted.
pub(crate) fn accepted() -> Value {
    publish("queued", &[])
}

/// That publish at its end.
pub(crate) fn completed() -> Value {
    let mut completed = publish("completed", &[invalidation()]);
    completed["edge"] = json!([{
        "url": "https://www.example.com/about",
        "state": "fresh",
        "checked_at": "2026-11-23T12:00:12.601442Z",
        "http_status": 200,
        "age": 0,
        "x_cache": "Miss from cloudfront",
        "pop": "FRA56-P1",
        "detail": null,
    }]);
    completed
}

fn publish(state: &str, invalidations: &[Value]) -> Value {
    json!({
        "id": PUBLISH,
        "site": "default",
        "state": state,
        "received_at": "2026-11-23T12:00:00.120482Z",
        "items": ["/about", "/blog/post-1", "/", "/index.html", "/docs/*", "#article:42"],
        "invalidations": invalidations,
        "edge": [],
    })
}

/// CloudFront's invalidation for it.
fn invalidation() -> Value {
    json!({
        "id": "I2J0I21PCUYOIK",
        "caller_reference": REFERENCE,
        "distribution_id": "E1ABCDEF2GHIJK",
        "status": "Completed",
        "items": ["/about", "/blog/post-1", "/", "/index.html", "/docs/*", "#article:42"],
        "item_count": 6,
        "attempts": 1,
        "submitted_at": "2026-11-23T12:00:00.431907Z",
        "completed_at": "2026-11-23T12:00:11.874216Z",
        "error": null,
        "waiting_for": null,
    })
}

/// A publish that waits, because AWS rejects the settings.
pub(crate) fn waiting() -> Value {
    let mut invalidation = invalidation();
    invalidation["id"] = Value::Null;
    invalidation["status"] = json!("Queued");
    invalidation["submitted_at"] = Value::Null;
    invalidation["completed_at"] = Value::Null;
    invalidation["waiting_for"] = json!("settings");
    invalidation["error"] = json!({
        "code": "AccessDenied",
        "message": "User: arn:aws:iam::111122223333:user/skycms is not authorized to perform: \
                    cloudfront:CreateInvalidation",
        "request_id": "8c8b7a1e-4a43-4d64-9f5c-2b0c9f6a1d11",
        "fix": "Attach the policy on the settings page to the IAM user.",
    });
    publish("queued", &[invalidation])
}

pub(crate) fn invalidations() -> Value {
    json!({ "items": [invalidation()], "next": null })
}

/// A page of what the invalidation purges.
pub(crate) fn items() -> Value {
    json!({ "items": invalidation()["items"], "next": null })
}

/// What would be sent for a page and a directory that it is in.
pub(crate) fn dry_run() -> Value {
    json!({
        "dry_run": true,
        "site": "default",
        "items": ["/docs/install", "/docs/*"],
        "explanations": [
            {
                "given": "/docs/install",
                "origin": "asked",
                "items": [{ "item": "/docs/install", "fate": "swallowed", "by": "/docs/*" }],
            },
            {
                "given": "/docs/*",
                "origin": "asked",
                "items": [{ "item": "/docs/*", "fate": "sent" }],
            },
        ],
        "hints": [
            {
                "given": "/docs/*",
                "detail": "/docs/* purges all below /docs/, but not /docs itself. If only that page changed, /docs/ is enough.",
            },
        ],
        "invalidations": [{ "items": ["/docs/*"] }],
        "billed_paths": 1,
        "price_usd": "0.000",
        "free_paths_left": 1000,
        "waiting_for": null,
        "quotas": {
            "files": {
                "in_progress": 40,
                "unconfirmed": 0,
                "quota": 3000,
                "per_call": 3000,
                "learned": null,
                "full_since": null,
            },
            "wildcards": {
                "in_progress": 1,
                "unconfirmed": 0,
                "quota": 15,
                "per_call": 15,
                "learned": null,
                "full_since": null,
            },
        },
    })
}

/// A body that is JSON, but not a publish.
pub(crate) fn wrong_shape() -> Error {
    match serde_json::from_str::<PublishRequest>(r#"{"paths": "/about"}"#) {
        Err(error) => Error::not_this_shape(&error),
        Ok(_) => Error::BadRequest(String::new()),
    }
}

/// Two items that no path or tag can be made of.
pub(crate) fn bad_items() -> Error {
    let request = PublishRequest {
        paths: vec!["/about".into(), "/blog/*/comments".into()],
        tags: vec!["two words".into()],
        everything: false,
    };
    Error::BadItems(
        canonicalize(&request, &Publishing::default(), Partition::Aws)
            .err()
            .unwrap_or_default(),
    )
}
