//! Where no connection to CloudFront comes about, the connection's own error is told, and who can
//! fix it.

use tokio::net::TcpListener;

use super::super::canned::server_that_says;
use super::super::tls::self_signed;
use super::{assert_found, check};
use crate::support::{Database, Sandbox, set, variables};

/// What `check` says of CloudFront at this endpoint, with these variables besides.
async fn assert_reported(endpoint: &str, more: &[(&str, &str)], words: &[&str]) {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let directory = tempfile::tempdir().unwrap();
    let mut variables = variables(&database, &sandbox);
    // Without a database, the environment's settings are asked about.
    variables.remove("DATABASE_URL");
    let data = directory.path().join("data");
    variables.insert("DATA_DIR".into(), data.to_str().unwrap().into());
    variables.insert("AWS_ENDPOINT_URL_CLOUDFRONT".into(), endpoint.into());
    set(&mut variables, more);
    assert_found(&check(&variables).await, "aws", "fail", words);
}

/// A proxy that refuses each request with this status, until the test ends.
async fn refusing_proxy(status: &str) -> String {
    let refusal = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
    let port = server_that_says(refusal.into_bytes()).await;
    format!("http://127.0.0.1:{port}")
}

#[tokio::test]
async fn a_refusal_by_the_proxy_is_reported_as_such() {
    let endpoint = "https://cloudfront.example.com";
    let proxy = refusing_proxy("407 Proxy Authentication Required").await;
    assert_reported(
        endpoint,
        &[("HTTPS_PROXY", &proxy)],
        &[
            "wants a user name and password (407)",
            "write them into HTTPS_PROXY",
        ],
    )
    .await;
    let proxy = refusing_proxy("403 Forbidden").await;
    assert_reported(
        endpoint,
        &[("HTTPS_PROXY", &proxy)],
        &[
            "The proxy on the way to CloudFront did not let the call through: tunnel error: unsuccessful",
            "Whoever runs the proxy has to allow",
        ],
    )
    .await;
    // Without TLS, the proxy's answer comes in CloudFront's place.
    for (status, words) in [
        ("407 Proxy Authentication Required", "wants a user name"),
        ("403 Forbidden", "refused the call (Http403)"),
    ] {
        let proxy = refusing_proxy(status).await;
        let variables = [("HTTP_PROXY", proxy.as_str())];
        assert_reported("http://cloudfront.example.com", &variables, &[words]).await;
    }
}

#[tokio::test]
async fn a_name_without_an_address_is_reported_in_the_resolvers_words() {
    assert_reported(
        "https://no-such-host.invalid",
        &[],
        &[
            "has no address: dns error: ",
            "check the DNS of the machine",
        ],
    )
    .await;
}

#[tokio::test]
async fn an_untrusted_certificate_is_reported_with_its_fix() {
    let (acceptor, _) = self_signed();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    assert_reported(
        &format!("https://localhost:{port}"),
        &[],
        &[
            "TLS handshake failed: invalid peer certificate: UnknownIssuer",
            "name a file with it in SSL_CERT_FILE",
        ],
    )
    .await;
}
