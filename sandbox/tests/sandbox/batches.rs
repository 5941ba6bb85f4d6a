//! What a batch may hold, and caller references.

use aws_sdk_cloudfront::types::{InvalidationBatch, Paths};
use serde_json::json;

use crate::support::{DISTRIBUTION, Sandbox, code, create, refusal};

async fn unlimited() -> Sandbox {
    let sandbox = Sandbox::start();
    sandbox.config(json!({ "rate": null })).await;
    sandbox
}

#[tokio::test]
async fn a_bad_path_is_an_invalid_argument() {
    let sandbox = unlimited().await;
    let client = sandbox.client();
    for path in [
        "about",
        "/é",
        "/a b",
        "/a~b",
        "/%4",
        "#a,b",
        "#",
        "https://www.example.com/",
    ] {
        assert_eq!(
            refusal(&create(&client, path, &["/good", path]).await),
            (
                400,
                "InvalidArgument".into(),
                "Your request contains one or more invalid invalidation paths.".into()
            ),
            "{path}"
        );
    }
    assert_eq!(
        code(&create(&client, "twice", &["/a", "/a"]).await),
        (400, "InvalidArgument".into())
    );
    create(&client, "literal", &["/a*b"]).await.unwrap();
    sandbox
        .config(json!({ "inner_wildcard": "invalid_argument" }))
        .await;
    assert_eq!(
        code(&create(&client, "older guide", &["/a*b"]).await),
        (400, "InvalidArgument".into())
    );
}

#[tokio::test]
async fn a_quantity_that_lies_is_inconsistent() {
    let sandbox = unlimited().await;
    let paths = Paths::builder().quantity(2).items("/a").build().unwrap();
    let batch = InvalidationBatch::builder()
        .paths(paths)
        .caller_reference("r")
        .build()
        .unwrap();
    let created = sandbox
        .client()
        .create_invalidation()
        .distribution_id(DISTRIBUTION)
        .invalidation_batch(batch)
        .send()
        .await;
    assert_eq!(code(&created), (400, "InconsistentQuantities".into()));
}

#[tokio::test]
async fn too_many_paths_are_too_large() {
    let sandbox = unlimited().await;
    let paths: Vec<String> = (0..3_001).map(|number| format!("/{number}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let client = sandbox.client();
    assert_eq!(
        code(&create(&client, "r", &paths).await),
        (413, "BatchTooLarge".into())
    );
    create(&client, "r", &paths[..3_000]).await.unwrap();
}

#[tokio::test]
async fn a_missing_body_is_reported() {
    let sandbox = unlimited().await;
    let created = sandbox
        .client()
        .create_invalidation()
        .distribution_id(DISTRIBUTION)
        .send()
        .await;
    assert_eq!(code(&created), (400, "MissingBody".into()));
}

#[tokio::test]
async fn a_caller_reference_is_used_once() {
    let sandbox = unlimited().await;
    let client = sandbox.client();
    let first = create(&client, "r", &["/a", "/b"]).await.unwrap();
    let again = create(&client, "r", &["/a", "/b"]).await.unwrap();
    assert_eq!(first.invalidation(), again.invalidation());
    assert_eq!(sandbox.last_call().await["outcome"], "Repeated");
    assert_eq!(sandbox.state().await["counters"]["billed_paths"], 2);
    let other = create(&client, "r", &["/a"]).await;
    assert_eq!(code(&other), (400, "InvalidationBatchAlreadyExists".into()));
}

#[tokio::test]
async fn a_repeat_may_be_refused_as_reported_from_live_use() {
    let sandbox = unlimited().await;
    let client = sandbox.client();
    sandbox
        .config(json!({ "already_used": "invalid_argument" }))
        .await;
    create(&client, "r", &["/a"]).await.unwrap();
    assert_eq!(
        refusal(&create(&client, "r", &["/a"]).await),
        (
            400,
            "InvalidArgument".into(),
            "Your request contains a caller reference that was used for a previous invalidation batch for the \
             same distribution."
                .into()
        )
    );
}
