//! A TLS proxy in front of the service, as nginx or Caddy would be.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// What is passed on of the path.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Prefix {
    Kept,
    Stripped,
}

/// A proxy for `localhost` and CloudFront's own host, with a certificate of a private authority.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    /// The authority's certificate.
    pub(crate) authority: tempfile::NamedTempFile,
}

impl Proxy {
    pub(crate) async fn start(service: SocketAddr, prefix: Prefix) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "The tests' authority");
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let names = ["localhost", "cloudfront.amazonaws.com"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Node closes connections without a word.
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let answer = hyper::service::service_fn(move |request| async move {
                        Ok::<_, std::convert::Infallible>(pass_on(request, service, prefix).await)
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), answer)
                        .await;
                });
            }
        });
        let authority = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(authority.path(), issuer.pem()).unwrap();
        Self { port, authority }
    }
}

async fn pass_on(
    request: Request<hyper::body::Incoming>,
    service: SocketAddr,
    prefix: Prefix,
) -> Response<Body> {
    let mut request = request.map(Body::new);
    let path = request.uri().path_and_query().unwrap().as_str();
    let path = match prefix {
        Prefix::Kept => path,
        Prefix::Stripped => path.strip_prefix("/cdn").unwrap_or(path),
    };
    let uri: Uri = format!("http://{service}{path}").parse().unwrap();
    *request.uri_mut() = uri;
    let client = Client::builder(TokioExecutor::new()).build_http();
    match client.request(request).await {
        Ok(answer) => answer.map(Body::new),
        Err(error) => Response::builder()
            .status(StatusCode::BAD_GATEWAY)
            .body(Body::from(error.to_string()))
            .unwrap(),
    }
}
