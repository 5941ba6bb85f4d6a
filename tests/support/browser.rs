//! A browser without a screen: it keeps cookies and says where its forms come from.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{HeaderMap, Method, Request, header};

use super::{Answer, send};

/// By their names.
pub(crate) type Cookies = BTreeMap<String, String>;

/// What one person's browser knows of a service.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    base: String,
    pub(crate) cookies: Cookies,
}

impl Browser {
    pub(crate) fn new(base: &str) -> Self {
        Self {
            base: base.to_owned(),
            cookies: Cookies::new(),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.request(Method::GET, path, &[], Body::empty()).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("sec-fetch-site", "same-origin"),
        ];
        self.request(Method::POST, path, &headers, form(fields).into())
            .await
    }

    pub(crate) async fn request(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body).unwrap();
        present(&self.cookies, request.headers_mut());
        let answer = send(request).await;
        keep(&mut self.cookies, &answer.headers);
        answer
    }
}

pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

/// Sends cookies with a request.
pub(crate) fn present(cookies: &Cookies, headers: &mut HeaderMap) {
    if !cookies.is_empty() {
        let pairs = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let all = pairs.collect::<Vec<_>>().join("; ");
        headers.insert(header::COOKIE, all.parse().unwrap());
    }
}

/// Keeps the cookies of an answer, and forgets those that it ends.
pub(crate) fn keep(cookies: &mut Cookies, headers: &HeaderMap) {
    for cookie in headers.get_all(header::SET_COOKIE) {
        let cookie = cookie::Cookie::parse(cookie.to_str().unwrap()).unwrap();
        let (name, value) = cookie.name_value();
        if cookie.max_age() == Some(time::Duration::ZERO) {
            cookies.remove(name);
        } else {
            cookies.insert(name.into(), value.into());
        }
    }
}
