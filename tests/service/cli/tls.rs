//! HTTPS: a certificate that this machine trusts is taken, another is not.

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::canned::{answer, exchange};
use super::run::{publisher, run};
use crate::support::TOKEN;

/// A server of HTTPS for `localhost`, and the certificate of its own that it shows.
pub(super) fn self_signed() -> (TlsAcceptor, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), cert.pem())
}

#[tokio::test]
async fn a_trusted_certificate_is_taken_and_another_is_not() {
    let (acceptor, certificate) = self_signed();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "https://localhost:{}/cdn",
        listener.local_addr().unwrap().port()
    );
    let serving = tokio::spawn(async move {
        let accepted = json!({ "id": "0199", "state": "completed" }).to_string();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                return exchange(stream, &answer("202 Accepted", "", &accepted)).await;
            }
        }
    });

    let mut variables = publisher(&url, TOKEN);
    let said = run(&variables, &["publish", "--retry-for", "0", "/about"]).await;
    said.assert_ended(
        1,
        &[
            "no answer from https://localhost",
            "invalid peer certificate: UnknownIssuer",
        ],
    );

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, certificate).unwrap();
    variables.insert("SSL_CERT_FILE".into(), file.to_str().unwrap().into());
    run(&variables, &["publish", "--wait", "/about"])
        .await
        .assert_ok();
    let request = serving.await.unwrap();
    assert!(
        request.starts_with("POST /cdn/api/sites/default/publishes HTTP/1.1\r\n"),
        "{request}"
    );
}
