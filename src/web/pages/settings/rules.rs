//! Two parts of the settings page: what publishers may send and what goes with it, and what may be
//! spent.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use time::OffsetDateTime;

use crate::domain::plan::DEFAULT_THRESHOLD;
use crate::domain::{
    IntakeRules, Item, MonthlyLimit, PastLimit, PolicyName, PublishRequest, PublisherHost,
    Spending, canonicalize,
};
use crate::store::{Site, StoreError};
use crate::web::AppState;
use crate::web::http::extract::Form;
use crate::web::pages::audit::{self, Deed};
use crate::web::pages::auth::session::SignedIn;
use crate::web::pages::settings::{Shown, refresh, respond};
use crate::web::pages::views::{
    Count, Field, Meter, Nav, PastLimit as ShownPastLimit, PublishingForm, SpendingForm,
    SpendingPolicy, Usd,
};
use crate::web::pages::words::settings as words;
use crate::web::pages::{Page, PageResult};

/// Fields of “Publishing”.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct PublishingFields {
    hosts: String,
    companions: String,
    directory_variants: Option<String>,
}

/// `POST /settings/cdn/publishing`.
pub(crate) async fn save_publishing(
    State(state): State<AppState>,
    user: SignedIn,
    Form(fields): Form<PublishingFields>,
) -> PageResult {
    let page = Page::begin(&state, &user, Nav::Settings)?;
    let failed = page.failed();
    let directory_variants = fields.directory_variants.is_some();
    let (hosts, companions) = (hosts(&fields.hosts), companions(&fields.companions));
    let (hosts, companions) = match (hosts, companions) {
        (Ok(hosts), Ok(companions)) => (hosts, companions),
        (hosts, companions) => {
            let typed = PublishingForm {
                hosts: typed(fields.hosts, hosts.err()),
                companions: typed(fields.companions, companions.err()),
                directory_variants,
            };
            let shown = Shown {
                publishing: Some(typed),
                ..Shown::default()
            };
            return respond(&state, page, StatusCode::UNPROCESSABLE_ENTITY, shown).await;
        }
    };
    state
        .store
        .save_publishing(page.site.id, &hosts, &companions, directory_variants)
        .await
        .map_err(|error| failed(error.into()))?;
    audit::by(&state, &user, Deed::ChangedPublishing, None).await?;
    refresh(&state).await;
    Ok(page.see("/settings/cdn?done=rules#publishing"))
}

fn typed(value: String, error: Option<String>) -> Field {
    Field {
        error,
        ..Field::new(value)
    }
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

/// Fields of “Policy”.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct SpendingFields {
    policy: String,
    fold_above: String,
    monthly_limit: String,
    past_limit: String,
}

/// `POST /settings/cdn/policy`.
pub(crate) async fn save_spending(
    State(state): State<AppState>,
    user: SignedIn,
    Form(fields): Form<SpendingFields>,
) -> PageResult {
    let page = Page::begin(&state, &user, Nav::Settings)?;
    let failed = page.failed();
    let policy: PolicyName = fields.policy.parse().unwrap_or_default();
    let then: PastLimit = fields.past_limit.parse().unwrap_or_default();
    let fold_above = match fields.fold_above.trim() {
        "" => Ok(DEFAULT_THRESHOLD),
        text => number(text, 1_000_000),
    };
    let paths = match fields.monthly_limit.trim() {
        "" => Ok(None),
        text => number(text, u32::MAX).map(Some),
    };
    let (fold_above, paths) = match (fold_above, paths) {
        (Ok(fold_above), Ok(paths)) => (fold_above, paths),
        (fold_above, paths) => {
            let typed = SpendingForm {
                policy: shown_policy(policy),
                fold_above: typed(fields.fold_above, fold_above.err()),
                monthly_limit: typed(fields.monthly_limit, paths.err()),
                past_limit: shown_past_limit(then),
            };
            let shown = Shown {
                spending: Some(typed),
                ..Shown::default()
            };
            return respond(&state, page, StatusCode::UNPROCESSABLE_ENTITY, shown).await;
        }
    };
    let spending = Spending {
        policy,
        fold_above,
        monthly_limit: paths.map(|paths| MonthlyLimit {
            paths: u64::from(paths),
            then,
        }),
    };
    state
        .store
        .save_spending(page.site.id, &spending)
        .await
        .map_err(|error| failed(error.into()))?;
    audit::by(
        &state,
        &user,
        Deed::ChangedPolicy,
        Some(policy.into_str().to_owned()),
    )
    .await?;
    refresh(&state).await;
    Ok(page.see("/settings/cdn?done=policy#spending"))
}

fn number(text: &str, most: u32) -> Result<u32, String> {
    text.replace([',', ' '], "")
        .parse()
        .ok()
        .filter(|n| (1..=most).contains(n))
        .ok_or_else(|| words::number(most))
}

/// «Publishing» as stored.
pub(crate) fn publishing(site: &Site) -> PublishingForm {
    let join = |lines: Vec<String>| lines.join("\n");
    let rules = &site.intake;
    PublishingForm {
        hosts: Field::new(join(
            rules
                .publisher_hosts
                .iter()
                .map(ToString::to_string)
                .collect(),
        )),
        companions: Field::new(join(
            rules.companions.iter().map(ToString::to_string).collect(),
        )),
        directory_variants: rules.directory_variants,
    }
}

/// «Policy» as stored.
pub(crate) async fn spending(state: &AppState, site: &Site) -> Result<SpendingForm, StoreError> {
    let spending = state.store.spending(site.id).await?;
    let limit = spending.monthly_limit;
    Ok(SpendingForm {
        policy: shown_policy(spending.policy),
        fold_above: Field::new(spending.fold_above.to_string()),
        monthly_limit: Field::new(limit.map(|l| l.paths.to_string()).unwrap_or_default()),
        past_limit: shown_past_limit(limit.map(|l| l.then).unwrap_or_default()),
    })
}

/// This month's paths and what they cost.
pub(crate) async fn meter(
    state: &AppState,
    site: &Site,
    now: OffsetDateTime,
) -> Result<Meter, StoreError> {
    let reading = state
        .store
        .month_usage(site.id, now)
        .await?
        .read(&state.limits.prices, now);
    Ok(Meter {
        month: format!("{} {}", now.month(), now.year()),
        paths: Count(reading.key_paths),
        free: Count(reading.free_paths),
        free_left: Count(reading.free_left),
        cost: Usd(reading.key_cost.0 / 1_000),
        projected_paths: Count(reading.projected_paths),
        projected_cost: Usd(reading.projected_cost.0 / 1_000),
        saved: Count(reading.site_saved),
    })
}

const fn shown_policy(policy: PolicyName) -> SpendingPolicy {
    match policy {
        PolicyName::Exact => SpendingPolicy::Exact,
        PolicyName::Economical => SpendingPolicy::Economical,
        PolicyName::Everything => SpendingPolicy::Everything,
    }
}

const fn shown_past_limit(then: PastLimit) -> ShownPastLimit {
    match then {
        PastLimit::Economical => ShownPastLimit::Economical,
        PastLimit::Hold => ShownPastLimit::Hold,
    }
}
