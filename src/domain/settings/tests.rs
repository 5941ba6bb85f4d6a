#![allow(clippy::unwrap_used)]
use super::*;
use crate::domain::table::{assert_says, rows};

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

fn secret_of(settings: &Settings) -> &str {
    match &settings.credentials {
        Credentials::AccessKey { secret, .. } => secret.expose(),
        Credentials::AwsDefault => "",
    }
}

#[test]
fn a_good_form_becomes_settings() {
    let settings = stored(KEY, SECRET);
    assert_eq!(settings.distribution_id.as_str(), "E2QWRUHEXAMPLE");
    assert_eq!(settings.credentials.access_key_id().unwrap().as_str(), KEY);
    assert_eq!(secret_of(&settings), SECRET);
    assert_eq!(settings.region, Region::RECOMMENDED);
    let chinese = "arn:aws-cn:cloudfront::123456789012:distribution/E2QWRUHEXAMPLE";
    Settings::parse(&form(chinese, KEY, SECRET, "cn-north-1"), &[]).unwrap();
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    for [distribution, key, secret, region, fields, words] in rows(
        " | ASIAIOSFODNN7EXAMPLE | short | us-gov-west-1 | distribution_id access_key_id secret_access_key region | temporary key … GovCloud
         E2QWRUHEXAMPLE | SECRET | KEY | us-east-1 | access_key_id secret_access_key | swapped: this field is for the one that begins … swapped: this field is for the one with 40
         E2QWRUHEXAMPLE | SECRET | SECRET | us-east-1 | access_key_id | looks like the secret
         E2QWRUHEXAMPLE | KEY | KEY | us-east-1 | secret_access_key | looks like an access key ID
         E2QWRUHEXAMPLE | KEY | | us-east-1 | secret_access_key | Enter the secret access key
         arn:aws-cn:cloudfront::123456789012:distribution/E2QWRUHEXAMPLE | KEY | SECRET | us-east-1 | region | in AWS China (arn:aws-cn:…) … Choose cn-northwest-1
         arn:aws:cloudfront::123456789012:distribution/E2QWRUHEXAMPLE | KEY | SECRET | cn-north-1 | region | in AWS's commercial regions",
    ) {
        let value = |cell: &str| cell.replace("KEY", KEY).replace("SECRET", SECRET);
        let form = form(distribution, &value(key), &value(secret), region);
        let errors = Settings::parse(&form, &[]).unwrap_err();
        let at_fault: Vec<_> = errors.0.keys().map(SettingsField::into_str).collect();
        assert_eq!(at_fault.join(" "), fields);
        assert_says(&errors.to_string(), words);
        assert!(!format!("{errors}{errors:?}").contains(SECRET));
    }
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
fn default_credentials_need_no_key() {
    let form = SettingsForm {
        aws_default: true,
        ..pair("nonsense", "")
    };
    let settings = Settings::parse(&form, &[]).unwrap();
    assert!(matches!(settings.credentials, Credentials::AwsDefault));
}

#[test]
fn no_secret_is_shown_again() {
    let settings = stored(KEY, SECRET);
    let shown = format!("{settings:?}");
    assert!(!shown.contains(&SECRET[..10]), "{shown}");
    let cut = &SECRET[..38];
    let small = SECRET.to_ascii_lowercase();
    assert_eq!(pair(&small, "").echo(SettingsField::AccessKeyId), "");
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
        let errors = Settings::parse(&form, &[]).unwrap_err();
        let shown = format!(
            "{} {} {form:?} {errors:?}",
            form.echo(SettingsField::DistributionId),
            form.echo(SettingsField::AccessKeyId)
        );
        assert!(!shown.contains(&SECRET[..10]), "{shown}");
    }
}

#[test]
fn what_is_no_secret_is_shown_as_typed() {
    let url = "https://us-east-1.console.aws.amazon.com/cloudfront/v4/home#/distributions/x";
    let form = form(url, "AKIA not yet", "", "moon-east-1");
    assert_eq!(form.echo(SettingsField::DistributionId), url);
    assert_eq!(form.echo(SettingsField::AccessKeyId), "AKIA not yet");
    assert_eq!(form.echo(SettingsField::Region), "moon-east-1");
}
