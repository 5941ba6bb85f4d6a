//! `GET /docs`: the API reference for people, made from the same document as `/openapi.json`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::Value;

use crate::web::http::client::ClientAddress;
use crate::web::http::description::Description;
use crate::web::http::error::Result;
use crate::web::http::problem::MEDIA_TYPE;
use crate::web::pages::auth::session;
use crate::web::pages::layout::layout;
use crate::web::pages::views::{
    Answer, ApiPage, Content, Example, Group, Layout, Member, Nav, Operation, Prose, Shape,
};
use crate::web::pages::visit::html;
use crate::web::state::AppState;

/// `GET /docs`.
pub(crate) async fn show(
    State(state): State<AppState>,
    client: ClientAddress,
    headers: HeaderMap,
    Extension(description): Extension<Arc<Description>>,
) -> Result<Response> {
    // Whoever is signed in keeps the navigation; without a database, nobody is.
    let user = session::signed_in(&state, &headers, client).await;
    let user = user.ok().flatten();
    let layout = layout(&state, user.as_ref(), None, Nav::Elsewhere);
    html(&page(&description.document, layout))
}

/// Turns an OpenAPI document into a page.
fn page(document: &Value, layout: Layout) -> ApiPage {
    let intro = text(&document["info"]["description"]);
    let schemes = members(&document["components"]["securitySchemes"]);
    let shapes = members(&document["components"]["schemas"]);
    let tags = list(&document["tags"]);
    let mut groups: Vec<_> = tags.map(|tag| group(document, tag)).collect();
    show_once(&mut groups);
    ApiPage {
        layout,
        intro: intro.split("\n\n").map(|part| Prose(part.into())).collect(),
        server: text(&document["servers"][0]["url"]),
        proofs: schemes.map(|(_, scheme)| proof(scheme)).collect(),
        groups,
        shapes: shapes.map(|(name, schema)| shape(name, schema)).collect(),
    }
}

fn group(document: &Value, tag: &Value) -> Group {
    let mut operations: Vec<_> = members(&document["paths"])
        .flat_map(|(path, item)| {
            members(item).map(move |(method, operation)| (path, method, operation))
        })
        .filter(|(_, _, operation)| operation["tags"][0] == tag["name"])
        .map(|(path, method, operation)| self::operation(path, method, operation))
        .collect();
    // Calls that change something come first.
    operations.sort_by_key(|operation| operation.method == "GET");
    Group {
        name: text(&tag["name"]),
        text: Prose(text(&tag["description"])),
        common: common(&mut operations),
        operations,
    }
}

fn operation(path: &str, method: &str, operation: &Value) -> Operation {
    let id = text(&operation["operationId"]);
    let body = &operation["requestBody"];
    Operation {
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&operation["summary"]),
        text: Prose(text(&operation["description"])),
        open: operation["security"]
            .as_array()
            .is_some_and(|ways| ways.iter().any(|way| members(way).next().is_none())),
        parameters: list(&operation["parameters"])
            .map(|parameter| Member {
                place: Some(text(&parameter["in"])),
                required: parameter["required"] == true,
                ..member(&text(&parameter["name"]), parameter, &parameter["schema"])
            })
            .collect(),
        body: content(&body["content"], &format!("{id}-body")),
        answers: members(&operation["responses"])
            .map(|(status, answer)| self::answer(status, answer, &id))
            .collect(),
        id,
    }
}

fn shape(name: &str, schema: &Value) -> Shape {
    Shape {
        name: name.to_owned(),
        text: Prose(text(&schema["description"])),
        members: members_of(schema),
        parts: list(&schema["allOf"]).filter_map(referred).collect(),
        words: list(&schema["enum"]).map(text).collect(),
    }
}

/// The members of an object, including those of its alternatives and of its parts.
fn members_of(schema: &Value) -> Vec<Member> {
    let required: Vec<&Value> = list(&schema["required"]).collect();
    let own = members(&schema["properties"]).map(|(name, property)| {
        let mut own = member(name, property, property);
        own.required = required.iter().any(|given| *given == name);
        own
    });
    let kinds = list(&schema["oneOf"]).flat_map(|kind| {
        let mut members = members_of(kind);
        for member in &mut members {
            if member.text.0.is_empty() {
                member.text = Prose(text(&kind["description"]));
            }
        }
        members
    });
    let parts = list(&schema["allOf"]).flat_map(members_of);
    own.chain(kinds).chain(parts).collect()
}

/// The name of the shape that a schema refers to.
fn referred(schema: &Value) -> Option<String> {
    let path = schema["$ref"].as_str()?;
    path.rsplit('/').next().map(str::to_owned)
}

/// Turns an example that the page has shown before into a link to the first.
fn show_once(groups: &mut [Group]) {
    let mut shown = HashMap::new();
    for operation in groups.iter_mut().flat_map(|group| &mut group.operations) {
        let answers = operation.answers.iter_mut();
        let bodies = operation
            .body
            .iter_mut()
            .chain(answers.filter_map(|answer| answer.body.as_mut()));
        for example in bodies.flat_map(|body| &mut body.examples) {
            let first = shown.entry(example.text.clone());
            let first = first.or_insert_with(|| example.id.clone());
            if *first != example.id {
                example.shown_at = Some(first.clone());
            }
        }
    }
}

/// Takes out the problems that every call of a group may answer with.
fn common(operations: &mut [Operation]) -> Vec<Answer> {
    let Some((first, others)) = operations
        .split_first()
        .filter(|(_, rest)| !rest.is_empty())
    else {
        return Vec::new();
    };
    let all_have = |status: &str, problem: &(String, Prose)| {
        others.iter().all(|other| {
            let mut answers = other.answers.iter();
            answers.any(|answer| answer.status == status && answer.problems.contains(problem))
        })
    };
    let mut common = first.answers.clone();
    common.retain_mut(|answer| {
        let problems = &mut answer.problems;
        problems.retain(|problem| all_have(&answer.status, problem));
        // The call with the fewest reasons for this status has the most specific text.
        let answers = others.iter().flat_map(|other| &other.answers);
        let texts = answers.filter(|other| other.status == answer.status);
        if let Some(other) = texts.min_by_key(|other| other.text.0.len())
            && other.text.0.len() < answer.text.0.len()
        {
            answer.text = other.text.clone();
        }
        !problems.is_empty()
    });
    for operation in operations {
        operation.answers.retain_mut(|answer| {
            let Some(said) = common.iter().find(|said| said.status == answer.status) else {
                return true;
            };
            answer
                .problems
                .retain(|problem| !said.problems.contains(problem));
            !answer.problems.is_empty()
        });
    }
    common
}

fn proof(scheme: &Value) -> (String, Prose) {
    let name = scheme["name"].as_str();
    let header = name.unwrap_or("Authorization: Bearer …").to_owned();
    (header, Prose(text(&scheme["description"])))
}

fn answer(status: &str, answer: &Value, operation: &str) -> Answer {
    let body = content(&answer["content"], &format!("{operation}-{status}"));
    let problems = members(&answer["content"][MEDIA_TYPE]["examples"]).map(|(_, example)| {
        let told = &example["value"];
        let kind = text(&told["type"]);
        let kind = kind.rsplit(':').next().unwrap_or_default().to_owned();
        (kind, Prose(text(&told["detail"])))
    });
    Answer {
        status: status.to_owned(),
        good: status.starts_with('2'),
        text: Prose(text(&answer["description"])),
        headers: members(&answer["headers"])
            .map(|(name, header)| member(name, header, &header["schema"]))
            .collect(),
        body: body.filter(|body| body.media_type != MEDIA_TYPE),
        problems: problems.collect(),
    }
}

fn content(content: &Value, id: &str) -> Option<Content> {
    let (media_type, media) = members(content).next()?;
    let named = members(&media["examples"])
        .map(|(name, example)| (name, &example["value"], text(&example["summary"])));
    let lone = media
        .get("example")
        .map(|value| ("example", value, "Example".to_owned()));
    Some(Content {
        media_type: media_type.to_owned(),
        kind: kind(&media["schema"]),
        examples: named
            .chain(lone)
            .map(|(name, value, title)| {
                let json = serde_json::to_string_pretty(value).unwrap_or_default();
                Example {
                    id: format!("{id}-{name}"),
                    title: Prose(title),
                    text: escaped(&json),
                    shown_at: None,
                }
            })
            .collect(),
    })
}

fn member(name: &str, described: &Value, schema: &Value) -> Member {
    Member {
        name: name.to_owned(),
        kind: kind(schema),
        place: None,
        required: true,
        text: Prose(text(&described["description"])),
    }
}

/// A schema in words, as HTML: a shape is a link to where the page describes it.
fn kind(schema: &Value) -> String {
    if let Some(shape) = referred(schema) {
        return format!("<a href=\"#{shape}\">{shape}</a>");
    }
    let choices = || list(&schema["oneOf"]);
    if let Some(choice) = choices().find(|choice| choice["$ref"].is_string()) {
        let or_null = choices().any(|choice| choice["type"] == "null");
        return kind(choice) + if or_null { " or null" } else { "" };
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    if types.contains(&"array") {
        return format!("array of {}", kind(&schema["items"]));
    }
    let mut words = types.join(" or ");
    if let Some(format) = schema["format"]
        .as_str()
        .filter(|format| !format.starts_with("int"))
    {
        words += &format!(" ({format})");
    }
    let names: Vec<&str> = list(&schema["enum"]).filter_map(Value::as_str).collect();
    if !names.is_empty() {
        words = names.join(", ");
    }
    if let (Some(least), Some(most)) = (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
        words += &format!(" from {least} to {most}");
    }
    if !schema["default"].is_null() {
        words += &format!(", {} by default", schema["default"]);
    }
    escaped(&words)
}

/// Escapes text for HTML. Outside an attribute, quotes need no escape; the examples have hundreds.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = value.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.as_str(), value))
}
