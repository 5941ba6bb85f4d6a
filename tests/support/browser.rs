//! A browser without a screen: it keeps cookies and says where its forms come from.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use http::{HeaderMap, Method, Request, header};
use tower::ServiceExt as _;

use super::{Answer, PASSWORD, send};

/// What one person's browser knows of a service.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    way: Way,
    /// By their names.
    pub(crate) cookies: BTreeMap<String, String>,
}

/// How it reaches the service.
#[derive(Clone, Debug)]
enum Way {
    /// Over the network, where the service is below this address.
    Network(String),
    /// Straight to its router, as from this address.
    Router(axum::Router, SocketAddr),
}

impl Browser {
    pub(crate) fn new(base: &str) -> Self {
        Self {
            way: Way::Network(base.to_owned()),
            cookies: BTreeMap::new(),
        }
    }

    /// The administrator's, who is signed in.
    pub(crate) async fn signed_in(base: &str) -> Self {
        let mut browser = Self::new(base);
        assert_eq!(browser.sign_in(PASSWORD).await.status, 303);
        browser
    }

    /// One at `address`, without a network.
    pub(crate) fn inside(router: &axum::Router, address: &str) -> Self {
        let peer = SocketAddr::new(address.parse().unwrap(), 40_000);
        Self {
            way: Way::Router(router.clone(), peer),
            cookies: BTreeMap::new(),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.request(Method::GET, path, &[], "").await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_with(path, &[("sec-fetch-site", "same-origin")], fields)
            .await
    }

    pub(crate) async fn post_with(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        fields: &[(&str, &str)],
    ) -> Answer {
        self.request(Method::POST, path, headers, form(fields))
            .await
    }

    /// As the administrator.
    pub(crate) async fn sign_in(&mut self, password: &str) -> Answer {
        self.post("/sign-in", &[("username", "admin"), ("password", password)])
            .await
    }

    /// Anything else; its body is a form, unless a header says what it is.
    pub(crate) async fn request(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let answer = self.send(self.made(method, path, headers, body)).await;
        self.keep(&answer.headers);
        answer
    }

    /// What it sends.
    fn made(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Request<Body> {
        let base = match &self.way {
            Way::Network(base) => base,
            Way::Router(..) => "",
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{base}{path}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body.into())
            .unwrap();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        if !self.cookies.is_empty() {
            let cookies = self.cookies.iter();
            let pairs: Vec<_> = cookies
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let all = pairs.join("; ").parse().unwrap();
            request.headers_mut().insert(header::COOKIE, all);
        }
        request
    }

    /// Keeps the cookies of an answer, and forgets those that it ends.
    fn keep(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all(header::SET_COOKIE) {
            let cookie = cookie::Cookie::parse(cookie.to_str().unwrap()).unwrap();
            let (name, value) = cookie.name_value();
            if cookie.max_age() == Some(time::Duration::ZERO) {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.into(), value.into());
            }
        }
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        match &self.way {
            Way::Network(_) => send(request).await,
            Way::Router(router, peer) => {
                let answer = through(router, *peer, request).await;
                Answer::of(answer).await.unwrap()
            }
        }
    }

    /// Opens a page that may never end, without reading it.
    pub(crate) async fn stream(&self, path: &str) -> Response {
        let Way::Router(router, peer) = &self.way else {
            panic!("over the network, answers are read to their end");
        };
        let request = self.made(Method::GET, path, &[], Body::empty());
        through(router, *peer, request).await
    }
}

async fn through(router: &axum::Router, peer: SocketAddr, mut request: Request<Body>) -> Response {
    request.extensions_mut().insert(ConnectInfo(peer));
    router.clone().oneshot(request).await.unwrap()
}

pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}
