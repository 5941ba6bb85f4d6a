//! The settings page, with the forms as stored or as typed.

use super::shown::{
    active_settings, draft_settings, publishing_form, spending_form, stored_form, test_result,
    typed_form,
};
use crate::domain::{Advice, FieldErrors, Operation, Partition, SettingsForm};
use crate::store::{SavedSettings, Site, Slot};
use crate::web::AppState;
use crate::web::http::error::Result;
use crate::web::pages::overview::meter;
use crate::web::pages::views::{
    Connection, Count, Flash, Hook, IamPolicy, KeyPair, Nav, PublishingForm, Revealed,
    SettingsPage, SigningSecret, SpendingForm, TestResult, Token,
};
use crate::web::pages::visit::Visit;

/// What the page shows instead of what is stored.
#[derive(Default)]
pub(crate) struct Shown {
    pub(crate) flash: Option<Flash>,
    /// Forms as they were typed.
    pub(crate) form: Option<(SettingsForm, FieldErrors)>,
    pub(crate) publishing: Option<PublishingForm>,
    pub(crate) spending: Option<SpendingForm>,
    /// Shown this once.
    pub(crate) revealed: Vec<Revealed>,
}

impl Shown {
    /// Whether reloading the page loses nothing.
    const fn is_nothing(&self) -> bool {
        self.form.is_none()
            && self.publishing.is_none()
            && self.spending.is_none()
            && self.revealed.is_empty()
    }
}

/// Reads what the page shows.
pub(crate) async fn page(state: &AppState, visit: &Visit, shown: Shown) -> Result<SettingsPage> {
    let (store, site) = (&state.store, &visit.site);
    let saved = store.settings(site.id).await?;
    let active = saved.iter().find(|s| s.slot != Slot::Draft);
    let draft = saved.iter().find(|s| s.slot == Slot::Draft);
    let latest = draft.or(active);
    let test = latest.and_then(test_result);
    let mut layout = visit.layout(Nav::Settings);
    layout.pending = shown.is_nothing() && test.as_ref().is_some_and(TestResult::is_pending);
    layout.address = Some("/settings/cdn");
    layout.flash = shown.flash;
    // The page itself says why purging is paused, and how to go on.
    if site.pause.is_some() {
        layout.banner = None;
    }
    let partition = latest.map_or(Partition::Aws, |s| s.settings.region.partition());
    Ok(SettingsPage {
        connection: connection(state, site, active).await?,
        last_purge: store.last_completed(site.id).await?,
        policy: IamPolicy::new(latest.map(|s| &s.settings.distribution_id), partition),
        active: active.map(active_settings),
        draft: draft.map(draft_settings),
        form: match shown.form {
            Some((form, errors)) => typed_form(&form, &errors, !saved.is_empty()),
            None => stored_form(latest.map(|s| &s.settings)),
        },
        test,
        hook: Some(hook(state, site, shown.revealed).await?),
        publishing: Some(
            shown
                .publishing
                .unwrap_or_else(|| publishing_form(&site.intake)),
        ),
        spending: Some(match shown.spending {
            Some(typed) => typed,
            None => spending_form(&store.spending(site.id).await?),
        }),
        meter: Some(meter(state, site, layout.now).await?),
        layout,
    })
}

async fn connection(
    state: &AppState,
    site: &Site,
    active: Option<&SavedSettings>,
) -> Result<Connection> {
    let Some(active) = active else {
        return Ok(Connection::NotSetUp);
    };
    if let Some(pause) = &site.pause {
        let Advice { cause, fix } = active
            .settings
            .advise(&pause.error, Operation::CreateInvalidation);
        return Ok(Connection::Paused {
            since: pause.since,
            why: format!("{cause} {fix}"),
            waiting: Count(state.store.open_publishes(site.id).await?),
        });
    }
    Ok(match (&active.report, active.tested_at) {
        (Some(report), Some(since)) if report.passed() => Connection::Connected { since },
        _ => Connection::Untested,
    })
}

/// The address that publishers call, its tokens, secrets and key pairs.
async fn hook(state: &AppState, site: &Site, revealed: Vec<Revealed>) -> Result<Hook> {
    let tokens = state.store.tokens(site.id).await?.into_iter();
    let secrets = state.store.hook_secrets(site.id).await?.into_iter();
    let keys = state.store.key_pairs(site.id).await?.into_iter();
    Ok(Hook {
        url: state.hook_url(site),
        endpoint: state.public.to_string(),
        keys: keys
            .map(|pair| KeyPair {
                id: pair.id.to_string(),
                access_key_id: pair.access_key_id,
                name: pair.name,
                everything_is_home: pair.everything_is_home,
                created_at: pair.rotated_at.unwrap_or(pair.created_at),
                last_used: pair.last_used_at,
            })
            .collect(),
        revealed,
        tokens: tokens
            .map(|token| Token {
                id: token.id.to_string(),
                name: token.name,
                created_at: token.created_at,
                last_used: token.last_used_at,
                unrevealed: token.unrevealed,
            })
            .collect(),
        secrets: secrets
            .map(|secret| SigningSecret {
                id: secret.id.to_string(),
                created_at: secret.created_at,
                last_used: secret.last_used_at,
                unrevealed: secret.unrevealed,
            })
            .collect(),
    })
}
