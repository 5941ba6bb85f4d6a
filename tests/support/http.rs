//! A small HTTP client, and the API through it.

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use http::{HeaderMap, Method, Request, Response};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::{TOKEN, eventually, readable, sign};

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) async fn of<B>(response: Response<B>) -> Result<Self, String>
    where
        B: HttpBody<Data = Bytes, Error: Into<axum::BoxError>> + Send + 'static,
    {
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(Body::new(body), usize::MAX)
            .await
            .map_err(|e| format!("{e:?}"))?;
        Ok(Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(bytes.to_vec()).unwrap(),
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// All of it as text: its status, its headers in order, and its body in a form that people can
    /// compare.
    pub(crate) fn written(&self) -> String {
        let mut headers: Vec<String> = self
            .headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "date" | "content-length"))
            .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()))
            .collect();
        headers.sort();
        let body = match self.header("content-type") {
            Some(kind) if kind.contains("json") => format!("{:#}", self.json()),
            Some(kind) if kind.starts_with("text/html") => readable(&self.body),
            _ => self.body.clone(),
        };
        format!("{}\n{}\n{body}", self.status, headers.concat())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Checks that these words stand in it.
    #[track_caller]
    pub(crate) fn assert_says(&self, words: &str) {
        let (status, body) = (self.status, &self.body);
        assert!(body.contains(words), "no {words} in {status}: {body}");
    }

    /// Where it leads; empty: nowhere.
    pub(crate) fn location(&self) -> &str {
        self.header("location").unwrap_or_default()
    }
}

/// What stands between two texts of a page.
pub(crate) fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = page
        .split_once(before)
        .unwrap_or_else(|| panic!("no {before} in {page}"));
    rest.split(after).next().unwrap()
}

/// Sends one request on a connection of its own.
pub(crate) async fn send(request: Request<Body>) -> Answer {
    try_send(request).await.unwrap()
}

pub(crate) async fn try_send(request: Request<Body>) -> Result<Answer, String> {
    Client::new().send(request).await
}

/// A client whose connections stay open.
#[derive(Clone)]
pub(crate) struct Client(legacy::Client<HttpConnector, Body>);

impl Client {
    pub(crate) fn new() -> Self {
        Self(legacy::Client::builder(TokioExecutor::new()).build_http())
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Answer, String> {
        let answer = self.0.request(request);
        let answer = answer.await.map_err(|e| format!("{e:?}"))?;
        Answer::of(answer).await
    }
}

/// The API of one service, called with a site's token.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    /// Where the service is, with any path prefix.
    pub(crate) base: String,
    pub(crate) site: String,
    pub(crate) token: String,
}

impl Api {
    pub(crate) fn new(base: impl Into<String>) -> Self {
        Self {
            base: base.into(),
            site: "default".into(),
            token: TOKEN.into(),
        }
    }

    pub(crate) fn of_site(&self, site: &str, token: &str) -> Self {
        Self {
            base: self.base.clone(),
            site: site.into(),
            token: token.into(),
        }
    }

    /// A request with the site's token, and JSON where it has a body. `headers` come in place of
    /// those.
    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Request<Body> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(body.into())
            .unwrap();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            if value.is_empty() {
                request.headers_mut().remove(name);
            } else {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
        }
        request
    }

    /// `POST …/publishes`. A header with an empty value is left out.
    pub(crate) async fn post(&self, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        send(self.publishing(headers, body)).await
    }

    /// What [`Api::post`] sends.
    pub(crate) fn publishing(
        &self,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Request<Body> {
        let path = format!("/api/sites/{}/publishes", self.site);
        self.request(Method::POST, &path, headers, body)
    }

    /// `POST …/publishes`, signed in place of the token.
    pub(crate) async fn post_signed(&self, secret: &str, id: &str, at: i64, body: &str) -> Answer {
        let (timestamp, signature) = (at.to_string(), sign(secret, id, at, body));
        let headers = [
            ("authorization", ""),
            ("webhook-id", id),
            ("webhook-timestamp", &timestamp),
            ("webhook-signature", &signature),
        ];
        self.post(&headers, body.to_owned()).await
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        send(self.request(Method::GET, path, headers, Body::empty())).await
    }

    /// Publishes what must be accepted, and gives the answer.
    pub(crate) async fn publish(&self, body: Value) -> Value {
        let answer = self.post(&[], body.to_string()).await;
        assert_eq!(answer.status, 202, "{body} was answered {}", answer.json());
        answer.json()
    }

    /// Publishes one path, and gives the publish's id.
    pub(crate) async fn publish_path(&self, path: &str) -> String {
        self.publish_paths([path.to_owned()]).await
    }

    /// Publishes paths together, and gives the publish's id.
    pub(crate) async fn publish_paths(&self, paths: impl IntoIterator<Item = String>) -> String {
        let paths: Vec<String> = paths.into_iter().collect();
        let publish = self.publish(serde_json::json!({ "paths": paths })).await;
        publish["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn get_publish(&self, id: &str) -> Value {
        let path = format!("/api/sites/{}/publishes/{id}", self.site);
        let answer = self.get(&path, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        answer.json()
    }

    pub(crate) async fn wait_until_ended(&self, id: &str) -> Value {
        self.wait_until(id, "its end", has_ended).await
    }

    /// Publishes a path, and waits until CloudFront has completed it.
    pub(crate) async fn assert_publishes(&self) {
        let id = self.publish_path("/about").await;
        let ended = self.wait_until_ended(&id).await;
        assert_eq!(ended["state"], "completed");
    }

    /// Waits until CloudFront has accepted it.
    pub(crate) async fn wait_until_in_progress(&self, id: &str) {
        let accepted = |publish: &Value| publish["state"] == "in_progress";
        self.wait_until(id, "CloudFront", accepted).await;
    }

    /// The publish as soon as it is as `wanted`.
    pub(crate) async fn wait_until(
        &self,
        id: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let path = format!("/api/sites/{}/publishes/{id}", self.site);
        eventually(&format!("publish {id} to come to {what}"), || async {
            let answer = self.get(&path, &[]).await;
            if answer.status == 503 {
                return None; // as a client does: again, soon
            }
            assert_eq!(answer.status, 200, "{}", answer.json());
            Some(answer.json()).filter(|publish| wanted(publish))
        })
        .await
    }

    /// What `/metrics` says now.
    pub(crate) async fn metrics(&self) -> String {
        let answer = self.get("/metrics", &[("authorization", "")]).await;
        assert_eq!(answer.status, 200);
        answer.body
    }

    pub(crate) async fn invalidations(&self, query: &str) -> Answer {
        let path = format!("/api/sites/{}/invalidations{query}", self.site);
        self.get(&path, &[]).await
    }
}

pub(crate) fn has_ended(publish: &Value) -> bool {
    ["completed", "unconfirmed", "failed"].contains(&publish["state"].as_str().unwrap())
}
