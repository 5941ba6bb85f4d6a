//! The connection as its page shows it: the form as it is stored, or as it was typed.

use super::section::layout;
use crate::domain::{
    Credentials, Field, FieldErrors, Operation, Partition, Region, Settings, SettingsForm,
};
use crate::store::{SavedSettings, SettingsVersion, Slot};
use crate::web::http::error::Result;
use crate::web::pages::views::{
    self, Connection, ConnectionPage, Count, IamPolicy, Section, ShownSettings, TestResult, Tested,
};
use crate::web::pages::visit::Visit;
use crate::web::pages::words::errors::MARK_FAILED;
use crate::web::pages::words::settings as words;

pub(super) async fn page(
    visit: &Visit,
    typed: Option<(SettingsForm, FieldErrors)>,
) -> Result<ConnectionPage> {
    let (store, site) = (&visit.state.store, &visit.site);
    let saved = store.readable_settings(site.id).await?;
    let active = saved.iter().find(|s| s.slot != Slot::Draft);
    let draft = saved.iter().find(|s| s.slot == Slot::Draft);
    let latest = draft.or(active);
    // No help to somebody who has to correct the form.
    let test = latest.filter(|_| typed.is_none()).and_then(test_result);
    let mut layout = layout(visit, Section::Connection);
    let has_failed = draft.is_some_and(SavedSettings::has_failed);
    layout.mark = has_failed.then_some(MARK_FAILED);
    layout.pending = test.as_ref().is_some_and(TestResult::is_pending);
    // The page itself says why purging is paused and what to do, if it can read the settings.
    if active.is_some() && site.pause.is_some() {
        layout.banner = None;
    }
    let partition = latest.map_or(Partition::Aws, |s| s.settings.region.partition());
    let mut form = match typed {
        Some((form, errors)) => typed_form(&form, &errors, !saved.is_empty()),
        None => stored_form(latest.map(|s| &s.settings)),
    };
    form.version = SettingsVersion::of(&saved).to_string();
    Ok(ConnectionPage {
        connection: connection(visit, active).await?,
        last_purge: store.last_completed(site.id).await?,
        policy: IamPolicy::new(latest.map(|s| &s.settings.distribution_id), partition),
        active: active.map(shown_settings),
        draft: draft.map(shown_settings),
        form,
        test,
        layout,
    })
}

async fn connection(visit: &Visit, active: Option<&SavedSettings>) -> Result<Connection> {
    let (store, site) = (&visit.state.store, &visit.site);
    let Some(active) = active else {
        return Ok(Connection::NotSetUp);
    };
    if let Some(pause) = &site.pause {
        let settings = &active.settings;
        let advice = settings.advise(&pause.error, Operation::CreateInvalidation);
        return Ok(Connection::Paused {
            since: pause.since,
            why: advice.in_one(),
            waiting: Count(store.open_publishes(site.id).await?),
        });
    }
    Ok(match (&active.report, active.tested_at) {
        (Some(report), Some(since)) if report.passed() => Connection::Connected { since },
        _ => Connection::Untested,
    })
}

/// The settings in force, or those that failed their test.
fn shown_settings(saved: &SavedSettings) -> ShownSettings {
    let settings = &saved.settings;
    let partition = settings.region.partition();
    ShownSettings {
        distribution_id: settings.distribution_id.to_string(),
        console_url: partition.console_url(settings.distribution_id.as_str()),
        credentials: words::credentials(settings),
        region: settings.region.code().to_owned(),
        saved_at: saved.saved_at,
        from_environment: saved.slot == Slot::Environment,
    }
}

fn stored_form(settings: Option<&Settings>) -> views::ConnectionForm {
    let id = settings.map(|s| s.distribution_id.to_string());
    let key = settings.and_then(|s| s.credentials.access_key_id());
    views::ConnectionForm {
        distribution_id: views::Field::new(id.unwrap_or_default()),
        aws_default: settings.is_some_and(|s| matches!(s.credentials, Credentials::AwsDefault)),
        access_key_id: views::Field::new(key.map(ToString::to_string).unwrap_or_default()),
        secret_stored: key.is_some(),
        region: views::Field::new(settings.map_or(Region::RECOMMENDED, |s| s.region).code()),
        ..views::ConnectionForm::default()
    }
}

fn typed_form(
    form: &SettingsForm,
    errors: &FieldErrors,
    secret_stored: bool,
) -> views::ConnectionForm {
    let field = |field: Field| {
        views::Field::typed(form.echo(field), errors.message(field).map(str::to_owned))
    };
    views::ConnectionForm {
        distribution_id: field(Field::DistributionId),
        aws_default: form.aws_default,
        access_key_id: field(Field::AccessKeyId),
        secret_stored,
        secret_error: errors.message(Field::SecretAccessKey).map(str::to_owned),
        region: field(Field::Region),
        ..views::ConnectionForm::default()
    }
}

fn test_result(saved: &SavedSettings) -> Option<TestResult> {
    Some(TestResult {
        at: saved.tested_at?,
        of: match saved.slot {
            Slot::Draft => Tested::Draft,
            Slot::Active | Slot::Environment => Tested::Active,
        },
        steps: saved.report.as_ref()?.steps.clone(),
    })
}
