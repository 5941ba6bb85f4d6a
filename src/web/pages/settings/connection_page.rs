//! The connection as its page shows it: the form as it is stored, or as it was typed.

use super::section::layout;
use crate::domain::{
    Credentials, FieldErrors, Operation, Partition, Region, Settings, SettingsField, SettingsForm,
};
use crate::store::{SavedSettings, SettingsVersion, Slot};
use crate::web::http::error::Result;
use crate::web::pages::views::{
    self, Connection, ConnectionPage, Count, IamPolicy, Section, ShownSettings, TestResult, Tested,
};
use crate::web::pages::visit::Visit;
use crate::web::pages::words::errors::MARK_FAILED;
use crate::web::pages::words::settings as words;

/// What is saved of a site's connection, as far as it can be read.
pub(super) struct Saved(Vec<SavedSettings>);

impl Saved {
    pub(super) async fn read(visit: &Visit) -> Result<Self> {
        let store = &visit.state.store;
        Ok(Self(store.readable_settings(visit.site.id).await?))
    }

    pub(super) fn in_force(&self) -> Option<&SavedSettings> {
        self.0.iter().find(|saved| saved.is_in_force())
    }

    pub(super) fn draft(&self) -> Option<&SavedSettings> {
        self.0.iter().find(|saved| saved.slot == Slot::Draft)
    }

    /// Those that the form shows.
    pub(super) fn latest(&self) -> Option<&SavedSettings> {
        self.draft().or(self.in_force())
    }

    pub(super) fn settings_in_force(&self) -> Option<&Settings> {
        self.in_force().map(|saved| &saved.settings)
    }

    pub(super) fn version(&self) -> SettingsVersion {
        SettingsVersion::of(&self.0)
    }

    /// Whether this is the version, or there is none: not every form comes from a page.
    pub(super) fn is_latest(&self, version: &str) -> bool {
        version.is_empty() || version == self.version().to_string()
    }

    /// Reads a form. If its secret is empty, the one in use is preferred to that of the draft.
    pub(super) fn parse(&self, form: &SettingsForm) -> Result<Settings, FieldErrors> {
        let stored: Vec<&Settings> = self.0.iter().map(|saved| &saved.settings).collect();
        Settings::parse(form, &stored)
    }
}

pub(super) async fn page(visit: &Visit) -> Result<ConnectionPage> {
    let (store, site) = (&visit.state.store, &visit.site);
    let saved = Saved::read(visit).await?;
    let (in_force, draft, latest) = (saved.in_force(), saved.draft(), saved.latest());
    let test = latest.and_then(test_result);
    let mut layout = layout(visit, Section::Connection);
    let has_failed = draft.is_some_and(SavedSettings::has_failed);
    layout.mark = has_failed.then_some(MARK_FAILED);
    layout.pending = test.as_ref().is_some_and(TestResult::is_pending);
    // The page itself says why purging is paused and what to do, if it can read the settings.
    if in_force.is_some() && site.pause.is_some() {
        layout.banner = None;
    }
    let partition = latest.map_or(Partition::Aws, |s| s.settings.region.partition);
    Ok(ConnectionPage {
        connection: connection(visit, in_force).await?,
        last_purge: store.last_completed(site.id).await?,
        policy: IamPolicy::new(latest.map(|s| &s.settings.distribution_id), partition),
        active: in_force.map(shown_settings),
        draft: draft.map(shown_settings),
        form: views::ConnectionForm {
            version: saved.version().to_string(),
            ..stored_form(latest.map(|s| &s.settings))
        },
        test,
        layout,
    })
}

/// The same with the form as it was typed, and what is wrong with it.
pub(super) async fn typed_page(
    visit: &Visit,
    form: &SettingsForm,
    errors: &FieldErrors,
) -> Result<ConnectionPage> {
    let field = |field: SettingsField| {
        views::Field::typed(form.echo(field), errors.message(field).map(str::to_owned))
    };
    let mut page = page(visit).await?;
    page.form = views::ConnectionForm {
        distribution_id: field(SettingsField::DistributionId),
        aws_default: form.aws_default,
        access_key_id: field(SettingsField::AccessKeyId),
        secret_stored: page.active.is_some() || page.draft.is_some(),
        secret_error: errors
            .message(SettingsField::SecretAccessKey)
            .map(str::to_owned),
        version: page.form.version,
        region: field(SettingsField::Region),
        ..views::ConnectionForm::default()
    };
    // No help to somebody who has to correct the form.
    page.test = None;
    Ok(page)
}

async fn connection(visit: &Visit, in_force: Option<&SavedSettings>) -> Result<Connection> {
    let (store, site) = (&visit.state.store, &visit.site);
    let Some(saved) = in_force else {
        return Ok(Connection::NotSetUp);
    };
    if let Some(pause) = &site.pause {
        let settings = &saved.settings;
        let advice = settings.advise(&pause.error, Operation::CreateInvalidation);
        return Ok(Connection::Paused {
            since: pause.since,
            why: advice.in_one(),
            waiting: Count(store.open_publishes(site.id).await?),
        });
    }
    Ok(match (&saved.report, saved.tested_at) {
        (Some(report), Some(since)) if report.passed() => Connection::Connected { since },
        _ => Connection::Untested,
    })
}

/// The settings in force, or the draft.
fn shown_settings(saved: &SavedSettings) -> ShownSettings {
    let settings = &saved.settings;
    let partition = settings.region.partition;
    ShownSettings {
        distribution_id: settings.distribution_id.to_string(),
        console_url: partition.console_url(settings.distribution_id.as_str()),
        credentials: words::credentials(settings),
        region: settings.region.code.to_owned(),
        saved_at: saved.saved_at,
        has_failed: saved.has_failed(),
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
        region: views::Field::new(settings.map_or(Region::RECOMMENDED, |s| s.region).code),
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
