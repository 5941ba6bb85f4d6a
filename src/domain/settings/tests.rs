#![allow(clippy::unwrap_used)]
use super::*;

const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const NEW_KEY: &str = "AKIAI44QH8DHBEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn form(distribution: &str, key: &str, secret: &str, region: &str) -> SettingsForm {
    SettingsForm {
        distribution_id: distribution.to_owned(),
        access_key_id: key.to_owned(),
        secret_access_key: secret.into(),
        region: region.to_owned(),
        aws_default: false,
    }
}

/// A form of which only the key pair is in question.
fn pair(key: &str, secret: &str) -> SettingsForm {
    form("E2QWRUHEXAMPLE", key, secret, "us-east-1")
}

fn stored(key: &str, secret: &str) -> Settings {
    Settings::parse(&pair(key, secret), &[]).unwrap()
}

fn errors_of(form: &SettingsForm) -> FieldErrors {
    Settings::parse(form, &[]).unwrap_err()
}

fn secret_of(settings: &Settings) -> &str {
    match &settings.credentials {
        Credentials::AccessKey { secret, .. } => secret.expose(),
        Credentials::AwsDefault => "",
    }
}

fn assert_says(errors: &FieldErrors, field: Field, words: &str) {
    let message = errors.message(field).unwrap();
    assert!(message.contains(words), "{message}");
}

#[test]
fn a_good_form_becomes_settings() {
    let settings = stored(KEY, SECRET);
    assert_eq!(settings.distribution_id.as_str(), "E2QWRUHEXAMPLE");
    assert_eq!(settings.credentials.access_key_id().unwrap().as_str(), KEY);
    assert_eq!(secret_of(&settings), SECRET);
    assert_eq!(settings.region, Region::RECOMMENDED);
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let errors = errors_of(&form("", "ASIAIOSFODNN7EXAMPLE", "short", "us-gov-west-1"));
    let fields: Vec<_> = errors.0.keys().map(Field::into_str).collect();
    let all = "distribution_id access_key_id secret_access_key region";
    assert_eq!(fields.join(" "), all);
    assert_says(&errors, Field::AccessKeyId, "temporary key");
    assert_says(&errors, Field::Region, "GovCloud");
}

#[test]
fn swapped_key_and_secret_are_noticed() {
    let both = errors_of(&pair(SECRET, KEY));
    assert_says(&both, Field::AccessKeyId, "swapped");
    assert_says(&both, Field::SecretAccessKey, "swapped");
    let key_only = errors_of(&pair(SECRET, SECRET));
    assert_says(&key_only, Field::AccessKeyId, "looks like the secret");
    assert_eq!(key_only.message(Field::SecretAccessKey), None);
    let secret_only = errors_of(&pair(KEY, KEY));
    let expected = "looks like an access key ID";
    assert_says(&secret_only, Field::SecretAccessKey, expected);
    assert!(!format!("{both}{both:?}{key_only}{key_only:?}").contains(SECRET));
}

#[test]
fn an_empty_secret_keeps_the_stored_one_of_the_same_key() {
    let draft = stored(NEW_KEY, &SECRET.replace('w', "d"));
    let active = stored(KEY, SECRET);
    let elsewhere = form("E2QWRUHEXAMPLE", KEY, " ", "eu-west-1");
    let kept = Settings::parse(&elsewhere, &[&draft, &active]).unwrap();
    assert_eq!(secret_of(&kept), SECRET);
    let newer = stored(KEY, &SECRET.replace('w', "n"));
    let kept = Settings::parse(&pair(KEY, ""), &[&newer, &active]).unwrap();
    assert_eq!(secret_of(&kept), secret_of(&newer));
}

#[test]
fn a_new_key_needs_its_own_secret() {
    let active = stored(KEY, SECRET);
    let errors = Settings::parse(&pair(NEW_KEY, ""), &[&active]).unwrap_err();
    let field = Field::SecretAccessKey;
    assert_says(&errors, field, &format!("the new key {NEW_KEY}"));
    assert_says(&errors, field, &format!("belongs to {KEY}"));
}

#[test]
fn the_first_secret_must_be_typed() {
    let errors = errors_of(&pair(KEY, ""));
    let expected = "Enter the secret access key";
    assert_says(&errors, Field::SecretAccessKey, expected);
}

#[test]
fn default_credentials_need_no_key() {
    let form = SettingsForm {
        aws_default: true,
        ..pair("nonsense", "")
    };
    let settings = Settings::parse(&form, &[]).unwrap();
    assert!(matches!(settings.credentials, Credentials::AwsDefault));
}

#[test]
fn an_arn_from_another_partition_than_the_region_is_noticed() {
    let chinese = "arn:aws-cn:cloudfront::123456789012:distribution/E2QWRUHEXAMPLE";
    let errors = errors_of(&form(chinese, KEY, SECRET, "us-east-1"));
    assert_says(&errors, Field::Region, "in AWS China (arn:aws-cn:…)");
    assert_says(&errors, Field::Region, "Choose cn-northwest-1");
    Settings::parse(&form(chinese, KEY, SECRET, "cn-north-1"), &[]).unwrap();
    let commercial = "arn:aws:cloudfront::123456789012:distribution/E2QWRUHEXAMPLE";
    errors_of(&form(commercial, KEY, SECRET, "cn-north-1"));
}

#[test]
fn no_secret_is_printed() {
    let (form, settings) = (pair(KEY, SECRET), stored(KEY, SECRET));
    let printed = format!("{form:?} {settings:?}");
    assert!(!printed.contains(&SECRET[..10]), "{printed}");
}

#[test]
fn a_secret_in_a_wrong_field_is_not_shown_again() {
    let cut = &SECRET[..38];
    let small = SECRET.to_ascii_lowercase();
    assert_eq!(pair(&small, "").echo(Field::AccessKeyId), "");
    for (distribution, key) in [
        (SECRET, KEY),
        ("E2QWRUHEXAMPLE", SECRET),
        ("E2QWRUHEXAMPLE", cut),
        (
            "see",
            "AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ),
    ] {
        let form = form(distribution, key, SECRET, "us-east-1");
        let errors = errors_of(&form);
        let shown = format!(
            "{} {} {form:?} {errors:?}",
            form.echo(Field::DistributionId),
            form.echo(Field::AccessKeyId)
        );
        assert!(!shown.contains(&SECRET[..10]), "{shown}");
    }
}

#[test]
fn what_is_no_secret_is_shown_as_typed() {
    let url = "https://us-east-1.console.aws.amazon.com/cloudfront/v4/home#/distributions/x";
    let form = form(url, "AKIA not yet", "", "moon-east-1");
    assert_eq!(form.echo(Field::DistributionId), url);
    assert_eq!(form.echo(Field::AccessKeyId), "AKIA not yet");
    assert_eq!(form.echo(Field::Region), "moon-east-1");
}
