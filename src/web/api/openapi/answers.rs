//! What may be answered instead of what was asked for: the problems themselves, in the service's
//! own words.

use std::collections::BTreeMap;

use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::{ContentBuilder, Object, Ref, RefOr, Response, ResponseBuilder, Type};
use utoipa::{IntoResponses, ToSchema};

use super::examples;
use crate::store::{InboxError, StoreError};
use crate::web::api::signature;
use crate::web::http::error::{Error, Unauthenticated};
use crate::web::http::problem::{MEDIA_TYPE, Problem};
use crate::web::http::turns::NoTurn;

type Responses = BTreeMap<String, RefOr<Response>>;

macro_rules! problems {
    ($(#[$doc:meta])* $name:ident: $problems:expr) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl IntoResponses for $name {
            fn responses() -> Responses {
                responses($problems)
            }
        }
    };
}

problems! {
    /// What may be wrong with a call that reads one publish.
    OfPublish: about_a_site().into_iter().chain([
        Error::NoSuchPublish(examples::PUBLISH.into()),
    ])
}
problems! {
    /// What may be wrong with a call that lists.
    OfList: about_a_site().into_iter().chain([
        Error::BadRequest("`limit` is a number from 1 to 500.".into()),
    ])
}
problems! {
    /// What may be wrong with a call that reads one invalidation.
    OfInvalidation: about_a_site().into_iter().chain([
        Error::BadRequest("`after` is what an earlier page gave as `next`.".into()),
        Error::NoSuchInvalidation(examples::REFERENCE.into()),
    ])
}
problems! {
    /// What may be wrong with a call that publishes.
    OfPublishing: about_a_site().into_iter().chain([
        examples::wrong_shape(),
        Error::BodyTooSlow,
        Error::NoSettings,
        Error::TooLarge,
        Error::NotJson,
        Error::Encoded("Content-Encoding: gzip".into()),
        examples::bad_items(),
        Error::KeyReused,
        Error::Inbox(InboxError::ShareFull),
        Error::Crowded,
    ])
}
problems! {
    /// What those are told who may not see the metrics.
    OfMetrics: [Error::NoMetricsToken, Error::NotLocal]
}

fn about_a_site() -> Vec<Error> {
    vec![
        Error::Unauthorized(Unauthenticated::Nothing),
        Error::BadSignature(signature::TOO_OLD),
        Error::NoSuchSite("blog".into()),
        NoTurn.into(),
        StoreError::no_answer().into(),
        Error::TookTooLong,
        Error::Internal,
    ]
}

/// Problems of one status become one answer, with an example for each.
fn responses(problems: impl IntoIterator<Item = Error>) -> Responses {
    let mut of_status: BTreeMap<u16, Vec<Error>> = BTreeMap::new();
    for problem in problems {
        let status = problem.kind().status.as_u16();
        of_status.entry(status).or_default().push(problem);
    }
    of_status
        .into_iter()
        .map(|(status, problems)| (status.to_string(), response(&problems).into()))
        .collect()
}

fn response(problems: &[Error]) -> Response {
    let titles = problems.iter().map(|problem| problem.kind().title);
    let mut titles: Vec<&str> = titles.collect();
    titles.dedup();
    let mut response = ResponseBuilder::new().description(format!("{}.", titles.join(", or: ")));
    if let Some((name, value)) = Problem::header(&problems[0]) {
        let description = format!("`{}`", value.to_str().unwrap_or_default());
        let header = HeaderBuilder::new()
            .schema(Some(Object::with_type(Type::String)))
            .description(Some(description));
        response = response.header(name.as_str(), header.build());
    }
    let examples = problems.iter().enumerate().map(|(index, problem)| {
        let body = serde_json::json!(Problem::of(problem));
        let example = ExampleBuilder::new().value(Some(body)).build();
        (format!("{}-{}", problem.kind().name, index + 1), example)
    });
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(<Problem as ToSchema>::name())))
        .examples_from_iter(examples);
    response.content(MEDIA_TYPE, content.build()).build()
}
