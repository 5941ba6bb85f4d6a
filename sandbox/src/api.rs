//! CloudFront's routes: from HTTP to a call, and from what becomes of it to HTTP again.

use std::future;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;

use crate::app::App;
use crate::error::ApiError;
use crate::faults::{Fault, Operation};
use crate::server::Connection;
use crate::settings::Kind;
use crate::sigv4;
use crate::state::{Answer, Call, Reply, Resource};
use crate::xml;

/// More than 3,000 paths of 4,000 characters.
const MAX_BODY: usize = 16 << 20;

/// The routes of API version 2020-05-31 that are about invalidations.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/2020-05-31/{noun}/{id}/invalidation", post(create))
        .route(
            "/2020-05-31/{noun}/{id}/invalidation/{invalidation}",
            get(read),
        )
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
}

async fn create(
    State(app): State<App>,
    Extension(connection): Extension<Connection>,
    Path((noun, id)): Path<(String, String)>,
    request: Request<Body>,
) -> Response {
    call(
        app,
        connection,
        Operation::Create,
        (noun, id, String::new()),
        request,
    )
    .await
}

async fn read(
    State(app): State<App>,
    Extension(connection): Extension<Connection>,
    Path(names): Path<(String, String, String)>,
    request: Request<Body>,
) -> Response {
    call(app, connection, Operation::Get, names, request).await
}

async fn unknown(State(app): State<App>) -> Response {
    refuse(
        &app,
        &ApiError::new(
            "UnknownOperationException",
            "The sandbox knows CreateInvalidation and GetInvalidation, for distributions and distribution \
             tenants. Its own API is under /sandbox/.",
        ),
    )
}

/// An error before there is a call that could be handled.
fn refuse(app: &App, error: &ApiError) -> Response {
    let request_id = app.state().request_id();
    error_response(error, &request_id)
}

async fn call(
    app: App,
    connection: Connection,
    operation: Operation,
    (noun, id, invalidation_id): (String, String, String),
    request: Request<Body>,
) -> Response {
    let kinds = [Kind::Distribution, Kind::Tenant];
    let Some(kind) = kinds.into_iter().find(|kind| kind.noun() == noun) else {
        return unknown(State(app)).await;
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        let error = ApiError::new(
            "BatchTooLarge",
            "Invalidation batch specified is too large.",
        );
        return refuse(&app, &error);
    };
    let call = Call {
        operation,
        resource: Resource { kind, id },
        invalidation_id,
        request: Request::from_parts(parts, body),
    };
    let half = Duration::from_millis(app.state().config.latency_ms) / 2;
    pause(half).await;
    let now = app.now();
    let (reply, offset) = {
        let mut state = app.state();
        (state.call(&call, now), state.config.clock_offset_seconds)
    };
    pause(half).await;
    let mut response = deliver(&call, reply, &connection).await;
    let clock = app.now() + time::Duration::seconds(offset);
    if let Ok(date) = httpdate::fmt_http_date(clock.into()).parse() {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

/// The runtime's timer rounds up, even from zero.
async fn pause(length: Duration) {
    if !length.is_zero() {
        tokio::time::sleep(length).await;
    }
}

/// The answer, or what a fault makes of it.
async fn deliver(call: &Call, reply: Reply, connection: &Connection) -> Response {
    let Reply {
        request_id,
        answer,
        fault,
    } = reply;
    let response = match &answer {
        Some(Ok(answer)) => success_response(call, answer, &request_id),
        Some(Err(error)) => error_response(error, &request_id),
        None => StatusCode::NO_CONTENT.into_response(),
    };
    let Some(injected) = fault else {
        return response;
    };
    match injected.fault {
        Fault::Error {
            code,
            status,
            message,
        } => {
            let message = message
                .unwrap_or_else(|| format!("{code}: a fault that the sandbox was told to play."));
            let mut error = ApiError::new(code, message);
            error.status = status.unwrap_or(error.status);
            error_response(&error, &request_id)
        }
        Fault::Status { status } => (
            StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY),
            [(header::CONTENT_TYPE, "text/html")],
            format!("<html><body><h1>{status}</h1></body></html>"),
        )
            .into_response(),
        Fault::Hang { ms } => {
            match ms {
                Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                None => future::pending().await,
            }
            match connection.close().await {}
        }
        Fault::Reset {} => match connection.reset().await {},
        Fault::DropAnswer {} => match connection.close().await {},
        Fault::Garbage {} => with_body(call, &request_id, Body::from("\u{1}not XML <<<")),
        Fault::Empty {} => with_body(call, &request_id, Body::empty()),
        Fault::Slow { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            response
        }
        Fault::Truncated {} => truncated(response).await,
    }
}

fn success_response(call: &Call, answer: &Answer, request_id: &str) -> Response {
    let invalidation = &answer.invalidation;
    let document = xml::invalidation(invalidation, answer.status);
    let mut response = with_body(call, request_id, Body::from(document));
    if matches!(call.operation, Operation::Create) {
        let host =
            sigv4::header(call.request.headers(), "host").unwrap_or("cloudfront.amazonaws.com");
        let location = format!(
            "https://{host}{}/{}",
            call.request.uri().path(),
            invalidation.id
        );
        if let Ok(location) = location.parse() {
            response.headers_mut().insert(header::LOCATION, location);
        }
    }
    response
}

/// The status and headers of a success, with any body.
fn with_body(call: &Call, request_id: &str, body: Body) -> Response {
    let status = match call.operation {
        Operation::Create => StatusCode::CREATED,
        Operation::Get => StatusCode::OK,
    };
    (status, api_headers(request_id), body).into_response()
}

fn error_response(error: &ApiError, request_id: &str) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (
        status,
        api_headers(request_id),
        xml::error(error, request_id),
    )
        .into_response()
}

fn api_headers(request_id: &str) -> [(&str, &str); 2] {
    [
        ("content-type", "text/xml"),
        ("x-amzn-requestid", request_id),
    ]
}

/// Promises the whole body, sends half of it and fails, which closes the connection.
async fn truncated(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let whole = axum::body::to_bytes(body, MAX_BODY)
        .await
        .unwrap_or_default();
    parts
        .headers
        .insert(header::CONTENT_LENGTH, whole.len().into());
    let half = whole.slice(..whole.len() / 2);
    let body = stream::unfold(Some(half), |half| async {
        match half {
            Some(half) => Some((Ok(half), None)),
            None => {
                // A turn of the loop lets the first half leave before the failure.
                tokio::task::yield_now().await;
                Some((Err(std::io::Error::other("truncated on request")), None))
            }
        }
    });
    Response::from_parts(parts, Body::from_stream(body))
}
