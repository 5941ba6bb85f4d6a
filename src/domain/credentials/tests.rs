#![allow(clippy::unwrap_used)]
use super::*;
use crate::domain::table::{assert_says, rows};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn id_words(typed: &str) -> String {
    typed.parse::<AccessKeyId>().unwrap_err().to_string()
}

fn secret_words(typed: &str) -> String {
    SecretAccessKey::parse(&typed.into())
        .unwrap_err()
        .to_string()
}

#[test]
fn what_pasting_adds_is_taken_away() {
    for typed in [
        "AKIAIOSFODNN7EXAMPLE",
        "\tAKIAIOSFODNN7EXAMPLE \r\n",
        "'AKIAIOSFODNN7EXAMPLE'",
        "AKIA\u{200b}IOSFODNN7EXAMPLE",
    ] {
        assert_eq!(
            typed.parse::<AccessKeyId>().unwrap().as_str(),
            "AKIAIOSFODNN7EXAMPLE"
        );
    }
    for typed in [
        SECRET.to_owned(),
        format!(" \"{SECRET}\"\n"),
        format!("\u{feff}{SECRET}\u{200b}"),
    ] {
        assert_eq!(
            SecretAccessKey::parse(&typed.into()).unwrap().expose(),
            SECRET
        );
    }
}

#[test]
fn each_wrong_key_id_is_recognised() {
    for [typed, expected] in rows(
        " | Enter the access key ID
         ASIAIOSFODNN7EXAMPLE | session token … expire
         wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY | looks like the secret access key
         arn:aws:iam::123456789012:role/cdn | ARN of a role
         arn:aws:sts::123456789012:assumed-role/cdn/me | ARN of a role
         arn:aws:iam::123456789012:user/cdn | is an ARN
         123456789012 | account number
         1234-5678-9012 | account number
         AIDACKCEVSQ6C2EXAMPLE | unique ID of a user
         APKAEIBAERJR2EXAMPLE | signed URLs
         E2QWRUHEXAMPLE | distribution ID
         akiaiosfodnn7example | capital letters
         AKIAIOSF ODNN7EXAMPLE | space inside
         AKIAIOSFOD | this one has 10
         deploy | AKIA and capital letters",
    ) {
        assert_says(&id_words(typed), expected);
    }
}

#[test]
fn each_wrong_secret_is_recognised() {
    for [typed, expected] in rows(
        " | Enter the secret access key
         AKIAIOSFODNN7EXAMPLE | looks like an access key ID
         ASIAIOSFODNN7EXAMPLE | looks like an access key ID
         wJalrXUtnFEM | this one has 12
         wJalrXUtnFEMI/K7MDENG bPxRfiCYEXAMPLEKEY | space inside
         wJalrXUtnFEMI/K7MDENG€bPxRfiCYEXAMPLEKEY | letters, digits",
    ) {
        assert_says(&secret_words(typed), expected);
    }
    assert_says(&secret_words(" "), "Enter the secret access key");
}

#[test]
fn no_error_and_no_debug_repeats_a_secret() {
    let secret = SecretAccessKey::parse(&SECRET.into()).unwrap();
    let credentials = Credentials::AccessKey {
        id: "AKIAIOSFODNN7EXAMPLE".parse().unwrap(),
        secret,
    };
    let printed = format!(
        "{credentials:?} {} {}",
        id_words(SECRET),
        secret_words(&SECRET[..14])
    );
    assert!(!printed.contains(&SECRET[..12]), "{printed}");
}
