//! Purge by hand, with a preview of exactly what would be sent.

use std::sync::Arc;

use axum::response::Response;
use serde::Deserialize;
use strum::IntoStaticStr;
use time::Duration;

use crate::domain::{AuditAction, Canonical, Fate, Item, ItemError, PublishRequest, canonicalize};
use crate::store::IdempotencyKey;
use crate::web::http::error::Result;
use crate::web::http::extract::Form;
use crate::web::http::turns::LARGE_BYTES;
use crate::web::pages::once::OnceKey;
use crate::web::pages::views::{
    ConfirmPage, Count, LineError, Nav, Preview, PreviewItem, PurgePage, Usd,
};
use crate::web::pages::visit::{Visit, html, not_accepted};
use crate::web::pages::words::{held, purge as words};
use crate::web::publishing::{DryRun, dry_run};
use crate::web::state::AppState;

/// How soon after the first a second press of “Purge” counts as a double click.
const DOUBLE_CLICK: Duration = Duration::minutes(1);

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Fields {
    items: String,
    action: Action,
    confirmed: Option<String>,
    /// “Cancel”: the question is not answered.
    cancel: Option<String>,
    once: OnceKey,
}

/// What a button of the form asks for.
#[derive(Clone, Copy, Default, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
enum Action {
    /// To show what would be sent.
    Preview,
    /// To purge the whole site, whatever was typed.
    Everything,
    #[default]
    #[serde(other)]
    Purge,
}

/// What was typed, one item per line, and which line each item is on.
#[derive(Default)]
struct Typed {
    request: PublishRequest,
    paths: Vec<usize>,
    tags: Vec<usize>,
}

impl Typed {
    fn read(text: &str) -> Self {
        let mut typed = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if let Some(tag) = line.strip_prefix('#') {
                typed.request.tags.push(given_tag(tag));
                typed.tags.push(index);
            } else if !line.is_empty() {
                typed.request.paths.push(line.to_owned());
                typed.paths.push(index);
            }
        }
        typed
    }

    /// Which line the item is on that a pointer such as `/tags/0` leads to.
    fn line_of(&self, pointer: &str) -> Option<usize> {
        let (lines, index) = match pointer.strip_prefix("/tags/") {
            Some(index) => (&self.tags, index),
            None => (&self.paths, pointer.strip_prefix("/paths/")?),
        };
        lines.get(index.parse::<usize>().ok()?).copied()
    }

    fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.tags.is_empty()
    }

    fn line_error(&self, text: &str, error: ItemError) -> LineError {
        let index = self.line_of(&error.pointer).unwrap_or_default();
        let line = text.lines().nth(index).unwrap_or_default();
        LineError {
            line: index + 1,
            text: line.trim().to_owned(),
            why: error.detail,
        }
    }
}

/// What intake is given for a tag, from what follows its `#`. Intake takes off a `#` too: a name
/// that begins with one keeps both.
pub(crate) fn given_tag(name: &str) -> String {
    if name.starts_with('#') {
        format!("#{name}")
    } else {
        name.to_owned()
    }
}

/// `GET /purge`.
pub(crate) async fn show(visit: Visit) -> Result<Response> {
    html(&blank(&visit, ""))
}

/// `POST /purge`: previews, asks before purging everything, or publishes.
pub(crate) async fn act(visit: Visit, Form(fields): Form<Fields>) -> Result<Response> {
    let state = &visit.state;
    if fields.cancel.is_some() {
        return html(&PurgePage {
            cancelled: Some(fields.action.into_str()),
            ..blank(&visit, &fields.items)
        });
    }
    let text = match fields.action {
        Action::Everything => Item::everything().to_string(),
        Action::Preview | Action::Purge => fields.items.clone(),
    };
    let is_preview = matches!(fields.action, Action::Preview);
    let typed = Typed::read(&text);
    if visit.site.distribution_id.is_none() || (typed.is_empty() && is_preview) {
        return html(&blank(&visit, &text));
    }
    let canonical = state.turns.compute(text.len() > LARGE_BYTES, {
        let (request, site) = (typed.request.clone(), Arc::clone(&visit.site));
        move || canonicalize(&request, &site.publishing, site.partition)
    });
    let canonical = match canonical.await {
        Ok(canonical) => canonical,
        Err(errors) => {
            let errors = errors.into_iter();
            let page = PurgePage {
                errors: errors.map(|error| typed.line_error(&text, error)).collect(),
                ..blank(&visit, &text)
            };
            return not_accepted(page);
        }
    };
    if is_preview {
        let planned = dry_run(state, &visit.site, &Arc::new(canonical)).await?;
        return html(&PurgePage {
            preview: planned.as_ref().map(|planned| preview(state, planned)),
            ..blank(&visit, &text)
        });
    }
    if canonical.items.contains(&Item::everything()) && fields.confirmed.is_none() {
        return html(&confirm_everything(&visit, fields));
    }
    purge(&visit, &text, canonical, &fields.once).await
}

async fn purge(
    visit: &Visit,
    text: &str,
    canonical: Canonical,
    once: &OnceKey,
) -> Result<Response> {
    let (state, now) = (&visit.state, visit.state.clock.now());
    let form = once.form(state, &["purge", text]);
    let key = Some(IdempotencyKey::of_form(&form));
    let Canonical { items, widened, .. } = canonical;
    let (mut id, mut repeated) = visit.publish(items.clone(), widened.clone(), key).await?;
    if repeated.is_some_and(|first| now - first > DOUBLE_CLICK) {
        // Not a double click: somebody came back to the page and wants the same thing again. Without
        // scripts, a browser restores it with its key.
        (id, repeated) = visit.publish(items, widened, None).await?;
    }
    if repeated.is_none() {
        let detail = words::purged(text);
        visit.audit(AuditAction::Purged, Some(detail)).await;
    }
    Ok(visit.see(&format!("/activity/{id}")))
}

fn blank(visit: &Visit, text: &str) -> PurgePage {
    let is_set_up = visit.site.distribution_id.is_some();
    // A browser leaves out the first line break of a field: without another, the lines would be
    // one further up than they are counted.
    let lost = if text.starts_with(['\r', '\n']) {
        "\n"
    } else {
        ""
    };
    PurgePage {
        text: format!("{lost}{text}"),
        errors: Vec::new(),
        preview: None,
        blocked: (!is_set_up).then_some(words::NO_SETTINGS),
        cancelled: None,
        layout: visit.layout(Nav::Purge),
    }
}

/// The question brings along what was typed, for whoever cancels.
fn confirm_everything(visit: &Visit, typed: Fields) -> ConfirmPage {
    ConfirmPage {
        layout: visit.layout(Nav::Purge),
        question: words::EVERYTHING,
        path: visit.path("/purge").into(),
        fields: vec![
            ("action", typed.action.into_str().to_owned()),
            ("confirmed", "yes".into()),
            ("items", typed.items),
            ("once", visit.state.clock.id().to_string()),
        ],
        cancel: None,
    }
}

/// Lists what is sent first, then what that makes unnecessary.
pub(crate) fn preview(state: &AppState, dry_run: &DryRun) -> Preview {
    let explained = || {
        let explanations = dry_run.explanations.iter();
        explanations.flat_map(|asked| asked.items.iter().map(move |item| (asked, item)))
    };
    let folds = dry_run.plan.folds.iter().map(|fold| {
        let folded = explained().filter(|(_, item)| item.fate == Fate::Folded(fold.clone()));
        PreviewItem {
            item: fold.to_string(),
            why: words::fold(folded.count()),
            swallowed: false,
        }
    });
    let mut items: Vec<PreviewItem> = folds.collect();
    items.extend(explained().map(|(asked, explained)| PreviewItem {
        item: explained.item.to_string(),
        why: words::fate(asked, explained),
        swallowed: matches!(explained.fate, Fate::Folded(_) | Fate::Swallowed(_)),
    }));
    items.sort_by_key(|item| item.swallowed);
    let mut batches = dry_run.plan.batches.iter();
    let everything = batches.any(|batch| batch.items.contains(&Item::everything()));
    let note = dry_run.note.as_ref();
    let held = dry_run.waiting_for.as_ref().map(|why| {
        let sentence = note.and_then(|note| note.sentence(state.clock.now(), &state.limits));
        sentence.unwrap_or_else(|| words::held(held(why, note)))
    });
    Preview {
        items,
        billed: Count(dry_run.billed_paths),
        price: Usd(dry_run.price.0 / 1_000),
        free_left: Count(dry_run.free_paths_left),
        everything,
        held,
        hints: dry_run.hints.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_whose_name_begins_with_a_sign_keeps_it() {
        let typed = Typed::read("#sale\n##sale");
        assert_eq!(typed.request.tags, ["sale", "##sale"]);
    }
}
