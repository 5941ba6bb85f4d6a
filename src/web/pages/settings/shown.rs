//! Settings as the page shows them.

use crate::domain::{
    Credentials, Field, FieldErrors, PublisherHost, Publishing, Region, Settings, SettingsForm,
    Spending,
};
use crate::store::{SavedSettings, Slot};
use crate::web::pages::views::{
    self, PublishingForm, ShownSettings, SpendingForm, TestResult, Tested,
};
use crate::web::pages::words::settings as words;

/// The settings in force, or those that failed their test.
pub(crate) fn shown_settings(saved: &SavedSettings) -> ShownSettings {
    let settings = &saved.settings;
    ShownSettings {
        distribution_id: settings.distribution_id.to_string(),
        console_url: settings.console_url(),
        credentials: words::credentials(settings),
        region: settings.region.code().to_owned(),
        saved_at: saved.saved_at,
        from_environment: saved.slot == Slot::Environment,
    }
}

/// The form as it is stored.
pub(crate) fn stored_form(settings: Option<&Settings>) -> views::SettingsForm {
    let id = settings.map(|s| s.distribution_id.to_string());
    let key = settings.and_then(|s| s.credentials.access_key_id());
    views::SettingsForm {
        distribution_id: views::Field::new(id.unwrap_or_default()),
        aws_default: settings.is_some_and(|s| matches!(s.credentials, Credentials::AwsDefault)),
        access_key_id: views::Field::new(key.map(ToString::to_string).unwrap_or_default()),
        secret_stored: key.is_some(),
        region: views::Field::new(settings.map_or(Region::RECOMMENDED, |s| s.region).code()),
        ..views::SettingsForm::default()
    }
}

/// The form as it was typed, without the secret.
pub(crate) fn typed_form(
    form: &SettingsForm,
    errors: &FieldErrors,
    secret_stored: bool,
) -> views::SettingsForm {
    let field = |field: Field| {
        views::Field::typed(form.echo(field), errors.message(field).map(str::to_owned))
    };
    views::SettingsForm {
        distribution_id: field(Field::DistributionId),
        aws_default: form.aws_default,
        access_key_id: field(Field::AccessKeyId),
        secret_stored,
        secret_error: errors.message(Field::SecretAccessKey).map(str::to_owned),
        region: field(Field::Region),
        ..views::SettingsForm::default()
    }
}

/// The result of a test, if there was one.
pub(crate) fn test_result(saved: &SavedSettings) -> Option<TestResult> {
    Some(TestResult {
        at: saved.tested_at?,
        of: match saved.slot {
            Slot::Draft => Tested::Draft,
            Slot::Active | Slot::Environment => Tested::Active,
        },
        steps: saved.report.as_ref()?.steps.clone(),
    })
}

/// “Publishing” with these rules.
pub(crate) fn publishing_form(rules: &Publishing, version: i32) -> PublishingForm {
    let address = rules.public_address.as_ref().map(ToString::to_string);
    let hosts: Vec<&str> = rules.hosts.iter().map(PublisherHost::as_str).collect();
    let related: Vec<String> = rules.related.iter().map(ToString::to_string).collect();
    PublishingForm {
        public_address: views::Field::new(address.unwrap_or_default()),
        origin_path: views::Field::new(rules.origin_path.to_string()),
        hosts: views::Field::new(hosts.join("\n")),
        related: views::Field::new(related.join("\n")),
        directory_variants: rules.directory_variants,
        version,
        ..PublishingForm::default()
    }
}

/// “Policy” as stored.
pub(crate) fn spending_form(spending: &Spending, version: i32) -> SpendingForm {
    let limit = spending.monthly_limit;
    SpendingForm {
        policy: spending.policy,
        fold_above: views::Field::new(spending.fold_above.to_string()),
        monthly_limit: views::Field::new(limit.map(|l| l.paths.to_string()).unwrap_or_default()),
        past_limit: limit.map(|l| l.then).unwrap_or_default(),
        version,
        conflict: Vec::new(),
    }
}
