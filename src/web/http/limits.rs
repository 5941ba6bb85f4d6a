//! What one request may take: the size of its body, the time for its body to arrive, and the time
//! for its answer.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tower_http::timeout::{DeadlineBody, TimeoutError};

use crate::web::api::publishes::LONGEST_WAIT;
use crate::web::http::problem::Problem;
use crate::web::http::serve::ServeOptions;

/// The largest body that is taken, in bytes.
const LARGEST_BODY: usize = 1 << 20;

#[derive(Clone, Copy, Debug)]
enum Fault {
    TooLarge,
    TooSlow,
}

/// Keeps a request within its limits. The answer's body has no limit here: server-sent events go on as long as the
/// client reads.
pub(crate) async fn keep<F: Future<Output = Response>>(
    options: &ServeOptions,
    request: Request,
    refuse: fn(Problem) -> Response,
    answer: impl FnOnce(Request) -> F,
) -> Response {
    if declared_length(&request).is_some_and(|length| length > LARGEST_BODY as u64) {
        // Before any of it was read: who sent `Expect: 100-continue` need not send it.
        return closing(refuse, Problem::TooLarge);
    }
    let patience = if request.headers().contains_key("prefer") {
        options.answer + Duration::from_secs(LONGEST_WAIT)
    } else {
        options.answer
    };
    let fault = Arc::new(OnceLock::new());
    let request = if request.body().is_end_stream() {
        request
    } else {
        let noted = Arc::clone(&fault);
        request.map(|body| limited(body, options.body, noted))
    };
    let answer = tokio::time::timeout(patience, answer(request)).await;
    match (fault.get(), answer) {
        (Some(Fault::TooLarge), _) => closing(refuse, Problem::TooLarge),
        (Some(Fault::TooSlow), _) => closing(refuse, Problem::BodyTooSlow),
        (None, Ok(answer)) => answer,
        (None, Err(_)) => {
            tracing::error!(?patience, "an answer was not ready in time");
            closing(refuse, Problem::TookTooLong)
        }
    }
}

fn declared_length(request: &Request) -> Option<u64> {
    request
        .headers()
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Whichever extractor reads the body, what is wrong with it is told in one way.
fn limited(body: Body, patience: Duration, noted: Arc<OnceLock<Fault>>) -> Body {
    let body = Limited::new(DeadlineBody::new(patience, body), LARGEST_BODY);
    Body::new(body.map_err(move |error| {
        if error.is::<LengthLimitError>() {
            let _ = noted.set(Fault::TooLarge);
        } else if error.is::<TimeoutError>() {
            let _ = noted.set(Fault::TooSlow);
        }
        error
    }))
}

/// The rest of the body is not waited for, so nothing else can come on this connection.
fn closing(refuse: fn(Problem) -> Response, problem: Problem) -> Response {
    let mut response = refuse(problem);
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
