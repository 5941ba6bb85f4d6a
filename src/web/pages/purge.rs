//! Purge by hand, with a preview of exactly what would be sent.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use crate::domain::{Canonical, Fate, Item, ItemError, PublishRequest, canonicalize};
use crate::store::NewPublish;
use crate::web::AppState;
use crate::web::api::dry_run::{DryRun, dry_run};
use crate::web::api::publishes::accept;
use crate::web::http::extract::Form;
use crate::web::pages::audit::{self, Deed};
use crate::web::pages::auth::session::SignedIn;
use crate::web::pages::views::{
    ConfirmPage, Count, LineError, Nav, Preview, PreviewItem, PurgePage, Usd,
};
use crate::web::pages::words::purge as words;
use crate::web::pages::{Page, PageError, PageResult, html};

/// The fields of the form.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Fields {
    items: String,
    action: String,
    confirmed: Option<String>,
}

/// What was typed, a line an item, and where each came from.
struct Typed {
    request: PublishRequest,
    paths: Vec<usize>,
    tags: Vec<usize>,
}

impl Typed {
    fn read(text: &str) -> Self {
        let mut typed = Self {
            request: PublishRequest::default(),
            paths: Vec::new(),
            tags: Vec::new(),
        };
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if let Some(tag) = line.strip_prefix('#') {
                typed.request.tags.push(tag.to_owned());
                typed.tags.push(index);
            } else if !line.is_empty() {
                typed.request.paths.push(line.to_owned());
                typed.paths.push(index);
            }
        }
        typed
    }

    fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.tags.is_empty()
    }

    /// Tells an item's error by the line it is on.
    fn line_error(&self, text: &str, error: ItemError) -> LineError {
        let position = |pointer: &str, prefix: &str, lines: &[usize]| {
            let index: usize = pointer.strip_prefix(prefix)?.parse().ok()?;
            lines.get(index).copied()
        };
        let index = position(&error.pointer, "/paths/", &self.paths)
            .or_else(|| position(&error.pointer, "/tags/", &self.tags))
            .unwrap_or_default();
        LineError {
            line: index + 1,
            text: text
                .lines()
                .nth(index)
                .unwrap_or_default()
                .trim()
                .to_owned(),
            why: error.detail,
        }
    }
}

/// `GET /purge`.
pub(crate) async fn show(State(state): State<AppState>, user: SignedIn) -> PageResult {
    let page = Page::begin(&state, &user, Nav::Purge)?;
    let failed = page.failed();
    html(StatusCode::OK, &blank(page, String::new())).map_err(failed)
}

/// `POST /purge`: previews, asks about «everything», or publishes.
pub(crate) async fn act(
    State(state): State<AppState>,
    user: SignedIn,
    Form(fields): Form<Fields>,
) -> PageResult {
    let page = Page::begin(&state, &user, Nav::Purge)?;
    let failed = page.failed();
    let text = match fields.action.as_str() {
        "everything" => Item::everything().to_string(),
        _ => fields.items,
    };
    let typed = Typed::read(&text);
    if page.site.distribution_id.is_none() || (typed.is_empty() && fields.action == "preview") {
        return html(StatusCode::OK, &blank(page, text)).map_err(failed);
    }
    let canonical = match canonicalize(&typed.request, &page.site.intake) {
        Ok(canonical) => canonical,
        Err(errors) => {
            let errors = errors
                .into_iter()
                .map(|error| typed.line_error(&text, error))
                .collect();
            let refused = PurgePage {
                errors,
                ..blank(page, text)
            };
            return html(StatusCode::UNPROCESSABLE_ENTITY, &refused).map_err(failed);
        }
    };
    if fields.action == "preview" {
        let preview = dry_run(&state, &page.site, &canonical)
            .await
            .map_err(|error| failed(error.into()))?
            .as_ref()
            .map(preview);
        let previewed = PurgePage {
            preview,
            ..blank(page, text)
        };
        return html(StatusCode::OK, &previewed).map_err(failed);
    }
    if canonical.items.contains(&Item::everything()) && fields.confirmed.is_none() {
        return html(StatusCode::OK, &confirm_everything(page, text)).map_err(failed);
    }
    publish(&state, &user, &page, canonical).await
}

async fn publish(
    state: &AppState,
    user: &SignedIn,
    page: &Page,
    canonical: Canonical,
) -> PageResult {
    let id = state.clock.id();
    let publish = NewPublish {
        site: page.site.id,
        id,
        received_at: state.clock.now(),
        items: canonical.items,
        widened: canonical.widened,
        repeat_key: None,
        traceparent: None,
    };
    accept(state, &page.site, publish)
        .await
        .map_err(|error| page.failed()(PageError::from(error)))?;
    audit::by(state, user, Deed::Purged, Some(id.to_string())).await?;
    Ok(page.see(&format!("/activity/{id}")))
}

fn blank(page: Page, text: String) -> PurgePage {
    PurgePage {
        text,
        errors: Vec::new(),
        preview: None,
        blocked: page
            .site
            .distribution_id
            .is_none()
            .then(|| words::NO_SETTINGS.to_owned()),
        layout: page.layout,
    }
}

fn confirm_everything(page: Page, text: String) -> ConfirmPage {
    ConfirmPage {
        layout: page.layout,
        question: words::EVERYTHING,
        path: "/purge".into(),
        fields: vec![
            ("action", "purge".into()),
            ("confirmed", "yes".into()),
            ("items", text),
        ],
        cancel: "/purge",
    }
}

fn preview(dry_run: &DryRun) -> Preview {
    let mut items: Vec<PreviewItem> = Vec::new();
    for explanation in &dry_run.explanations {
        for explained in &explanation.items {
            items.push(PreviewItem {
                item: explained.item.to_string(),
                why: words::fate(explanation, explained),
                swallowed: matches!(explained.fate, Fate::Folded(_) | Fate::Swallowed(_)),
            });
        }
    }
    items.extend(dry_run.plan.folds.iter().map(|fold| PreviewItem {
        item: fold.to_string(),
        why: words::FOLD.to_owned(),
        swallowed: false,
    }));
    let everything = dry_run
        .plan
        .batches
        .iter()
        .any(|batch| batch.items.contains(&Item::everything()));
    Preview {
        items,
        billed: Count(dry_run.billed_paths),
        price: Usd(dry_run.price.0 / 1_000),
        free_left: Count(dry_run.free_paths_left),
        everything,
    }
}
