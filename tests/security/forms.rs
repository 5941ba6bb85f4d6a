//! Forms of other sites.

use skycms_cdn::domain::session::Role;

use crate::support::{PASSWORD, Service};

#[tokio::test]
async fn forms_are_taken_from_our_own_pages_only() {
    let service = Service::start_with(&[("PUBLIC_URL", "https://editor.example.com/cdn")]).await;
    let cases: [(&[(&str, &str)], bool); 10] = [
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("sec-fetch-site", "none")], true),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("sec-fetch-site", "same-site")], false),
        (
            &[
                ("sec-fetch-site", "cross-site"),
                ("origin", "https://evil.example.com"),
            ],
            false,
        ),
        (&[("origin", "https://editor.example.com")], true),
        (&[("origin", "https://evil.example.com")], false),
        (
            &[("origin", "https://editor.example.com.evil.example")],
            false,
        ),
        (&[("origin", "http://editor.example.com")], false),
        (&[("origin", "null")], false),
    ];
    for (headers, taken) in cases {
        for prefix in ["", "/cdn"] {
            let mut admin = service.signed_in(Role::Admin).await;
            let path = format!("{prefix}/settings/cdn/remove");
            let answer = admin.post_with(&path, headers, &[]).await;
            assert_eq!(
                answer.status,
                if taken { 200 } else { 403 },
                "{prefix} {headers:?}"
            );
            let sign_in = format!("{prefix}/sign-in");
            let fields = [("username", "admin"), ("password", PASSWORD)];
            let answer = service
                .browser()
                .post_with(&sign_in, headers, &fields)
                .await;
            assert_eq!(
                answer.status,
                if taken { 303 } else { 403 },
                "{prefix} {headers:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_changes_something_is_a_post() {
    let service = Service::start().await;
    let mut admin = service.signed_in(Role::Admin).await;
    for path in [
        "/sign-out",
        "/sign-out-everywhere",
        "/settings/cdn/remove",
        "/settings/cdn/tokens",
        "/settings/cdn/secrets",
    ] {
        assert_eq!(admin.get(path).await.status, 405, "{path}");
    }
    assert_eq!(
        admin.get("/settings/cdn").await.status,
        200,
        "still signed in"
    );
}
