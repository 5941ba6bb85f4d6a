//! How much may be sent, and thus spent.

use axum::response::Response;
use serde::Deserialize;

use super::section::layout;
use crate::domain::plan::DEFAULT_THRESHOLD;
use crate::domain::{AuditAction, MonthlyLimit, PastLimit, Policy, Spending};
use crate::web::http::error::Result;
use crate::web::http::extract::Form;
use crate::web::pages::overview::meter;
use crate::web::pages::views::{Field, Section, SpendingForm, SpendingPage};
use crate::web::pages::visit::{Visit, html, not_accepted};
use crate::web::pages::words::settings as words;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct SpendingFields {
    policy: String,
    fold_above: String,
    monthly_limit: String,
    past_limit: String,
    version: Option<i32>,
}

/// `GET /settings/cdn/policy`.
pub(crate) async fn show(visit: Visit) -> Result<Response> {
    let (saved, version) = visit.state.store.spending(visit.site.id).await?;
    let stored = spending_form(&saved, version);
    html(&page(&visit, stored).await?)
}

fn spending_form(spending: &Spending, version: i32) -> SpendingForm {
    let limit = spending.monthly_limit;
    SpendingForm {
        policy: spending.policy,
        fold_above: Field::new(spending.fold_above.to_string()),
        monthly_limit: Field::new(limit.map(|l| l.paths.to_string()).unwrap_or_default()),
        past_limit: limit.map(|l| l.then).unwrap_or_default(),
        version,
        conflict: Vec::new(),
    }
}

async fn page(visit: &Visit, spending: SpendingForm) -> Result<SpendingPage> {
    let layout = layout(visit, Section::Spending);
    Ok(SpendingPage {
        meter: meter(&visit.state, &visit.site, layout.now).await?,
        spending,
        layout,
    })
}

/// `POST /settings/cdn/policy`.
pub(crate) async fn save(visit: Visit, Form(fields): Form<SpendingFields>) -> Result<Response> {
    let policy: Policy = fields.policy.parse().unwrap_or_default();
    let then: PastLimit = fields.past_limit.parse().unwrap_or_default();
    let fold_above = match fields.fold_above.trim() {
        "" => Ok(DEFAULT_THRESHOLD),
        text => number(text, 1_000_000),
    };
    let paths = match fields.monthly_limit.trim() {
        "" => Ok(None),
        text => number(text, u32::MAX).map(Some),
    };
    let typed = SpendingForm {
        policy,
        fold_above: Field::read(fields.fold_above, &fold_above),
        monthly_limit: Field::read(fields.monthly_limit, &paths),
        past_limit: then,
        version: fields.version.unwrap_or_default(),
        conflict: Vec::new(),
    };
    let (Ok(fold_above), Ok(paths)) = (fold_above, paths) else {
        return not_accepted(page(&visit, typed).await?);
    };
    let spending = Spending {
        policy,
        fold_above,
        monthly_limit: paths.map(|paths| MonthlyLimit {
            paths: u64::from(paths),
            then,
        }),
    };
    let (store, site) = (&visit.state.store, visit.site.id);
    let (before, _) = store.spending(site).await?;
    if store.save_spending(site, fields.version, &spending).await? {
        let detail = words::changed(&words::spending(&before), &words::spending(&spending));
        let action = AuditAction::ChangedPolicy;
        visit.changed(action, Some(detail)).await;
    } else {
        // Somebody else was faster. What they saved is shown next to what was typed.
        let (now, version) = store.spending(site).await?;
        let now = words::spending(&now);
        if now != words::spending(&spending) {
            let typed = SpendingForm {
                conflict: now,
                ..spending_form(&spending, version)
            };
            return not_accepted(page(&visit, typed).await?);
        }
    }
    Ok(visit.see("/settings/cdn/policy?done=policy"))
}

fn number(text: &str, most: u32) -> Result<u32, String> {
    text.replace([',', ' '], "")
        .parse()
        .ok()
        .filter(|n| (1..=most).contains(n))
        .ok_or_else(|| words::number(most))
}
