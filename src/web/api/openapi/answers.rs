//! What may be answered instead of what was asked for: the problems themselves, in the service's
//! own words.

use std::collections::BTreeMap;

use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::{ContentBuilder, Object, Ref, RefOr, Response, ResponseBuilder, Type};
use utoipa::{IntoResponses, ToSchema};

use super::examples;
use crate::web::api::signature;
use crate::web::http::problem::{MEDIA_TYPE, Problem, ProblemBody};

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
    /// Of a call that reads one publish.
    OfPublish: about_a_site().into_iter().chain([
        Problem::NoSuchPublish(examples::PUBLISH.into()),
    ])
}
problems! {
    /// Of a call that lists.
    OfList: about_a_site().into_iter().chain([
        Problem::BadRequest("`limit` is a number from 1 to 500.".into()),
    ])
}
problems! {
    /// Of a call that publishes.
    OfPublishing: about_a_site().into_iter().chain([
        examples::wrong_shape(),
        Problem::BodyTooSlow,
        Problem::NoSettings,
        Problem::TooLarge,
        Problem::NotJson,
        examples::bad_items(),
        Problem::KeyReused,
    ])
}
problems! {
    /// Of the metrics, to those who may not see them.
    OfMetrics: [Problem::NoMetricsToken, Problem::NotLocal]
}

fn about_a_site() -> Vec<Problem> {
    vec![
        Problem::Unauthorized,
        Problem::BadSignature(signature::TOO_OLD),
        Problem::NoSuchSite("blog".into()),
        Problem::database_away(),
        Problem::TookTooLong,
        Problem::Internal,
    ]
}

/// Problems of one status become one answer, with an example for each.
fn responses(problems: impl IntoIterator<Item = Problem>) -> Responses {
    let mut of_status: BTreeMap<u16, Vec<Problem>> = BTreeMap::new();
    for problem in problems {
        let status = problem.body().status;
        of_status.entry(status).or_default().push(problem);
    }
    of_status
        .into_iter()
        .map(|(status, problems)| (status.to_string(), response(&problems).into()))
        .collect()
}

fn response(problems: &[Problem]) -> Response {
    let mut titles: Vec<&str> = problems
        .iter()
        .map(|problem| problem.body().title)
        .collect();
    titles.dedup();
    let mut response = ResponseBuilder::new().description(format!("{}.", titles.join(", or: ")));
    if let Some((name, value)) = problems[0].header() {
        let description = format!("`{}`", value.to_str().unwrap_or_default());
        let header = HeaderBuilder::new()
            .schema(Some(Object::with_type(Type::String)))
            .description(Some(description));
        response = response.header(name.as_str(), header.build());
    }
    let examples = problems.iter().enumerate().map(|(index, problem)| {
        let body = problem.body();
        let example = ExampleBuilder::new().value(Some(serde_json::json!(body)));
        (format!("{}-{}", body.name(), index + 1), example.build())
    });
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(
            <ProblemBody as ToSchema>::name(),
        )))
        .examples_from_iter(examples);
    response.content(MEDIA_TYPE, content.build()).build()
}
