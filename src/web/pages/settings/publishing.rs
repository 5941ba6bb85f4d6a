//! What publishers may send, and what goes with it.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::page::{Notice, layout};
use super::shown::publishing_form;
use crate::domain::{AuditAction, IntakeRules, Item, PublishRequest, PublisherHost, canonicalize};
use crate::web::AppState;
use crate::web::http::error::Result;
use crate::web::http::extract::{Form, Query};
use crate::web::pages::views::{Field, PublishingForm, PublishingPage, Section};
use crate::web::pages::visit::{Visit, html, refused};
use crate::web::pages::words::settings as words;

/// Fields of “Publishing”.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct PublishingFields {
    hosts: String,
    companions: String,
    directory_variants: Option<String>,
}

/// `GET /settings/cdn/publishing`.
pub(crate) async fn show(visit: Visit, Query(notice): Query<Notice>) -> Result<Response> {
    let stored = publishing_form(&visit.site.intake);
    html(&page(&visit, Some(&notice), stored))
}

fn page(visit: &Visit, notice: Option<&Notice>, publishing: PublishingForm) -> PublishingPage {
    PublishingPage {
        layout: layout(visit, Section::Publishing, notice),
        publishing,
    }
}

/// `POST /settings/cdn/publishing`.
pub(crate) async fn save(
    State(state): State<AppState>,
    visit: Visit,
    Form(fields): Form<PublishingFields>,
) -> Result<Response> {
    let directory_variants = fields.directory_variants.is_some();
    let (hosts, companions) = (hosts(&fields.hosts), companions(&fields.companions));
    let (hosts, companions) = match (hosts, companions) {
        (Ok(hosts), Ok(companions)) => (hosts, companions),
        (hosts, companions) => {
            let typed = PublishingForm {
                hosts: Field::typed(fields.hosts, hosts.err()),
                companions: Field::typed(fields.companions, companions.err()),
                directory_variants,
            };
            return refused(&page(&visit, None, typed));
        }
    };
    state
        .store
        .save_publishing(visit.site.id, &hosts, &companions, directory_variants)
        .await?;
    visit.audit(AuditAction::ChangedPublishing, None).await?;
    state.refresh_sites().await;
    Ok(visit.see("/settings/cdn/publishing?done=rules"))
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn hosts(text: &str) -> Result<Vec<PublisherHost>, String> {
    let mut hosts: Vec<PublisherHost> = Vec::new();
    for line in lines(text) {
        let host = line
            .parse::<PublisherHost>()
            .map_err(|error| error.to_string())?;
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    Ok(hosts)
}

fn companions(text: &str) -> Result<Vec<Item>, String> {
    let paths: Vec<String> = lines(text).map(str::to_owned).collect();
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let request = PublishRequest {
        paths: paths.clone(),
        ..PublishRequest::default()
    };
    match canonicalize(&request, &IntakeRules::default()) {
        Ok(canonical) if canonical.items.contains(&Item::everything()) => {
            Err(words::COMPANION_IS_EVERYTHING.into())
        }
        Ok(canonical) => Ok(canonical.items),
        Err(errors) => {
            let first = errors.into_iter().next();
            Err(first.map_or_else(String::new, |error| {
                let line = error
                    .pointer
                    .rsplit('/')
                    .next()
                    .and_then(|index| index.parse::<usize>().ok())
                    .and_then(|index| paths.get(index));
                words::companion(line.map_or("", String::as_str), &error.detail)
            }))
        }
    }
}
