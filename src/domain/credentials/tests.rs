#![allow(clippy::unwrap_used)]
use super::*;

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
    assert!(id_words("").starts_with("Enter the access key ID"));
    let temporary = id_words("ASIAIOSFODNN7EXAMPLE");
    assert!(
        temporary.contains("session token") && temporary.contains("expire"),
        "{temporary}"
    );
    assert!(id_words(SECRET).contains("looks like the secret access key"));
    assert!(id_words("arn:aws:iam::123456789012:role/cdn").contains("ARN of a role"));
    assert!(id_words("arn:aws:sts::123456789012:assumed-role/cdn/me").contains("ARN of a role"));
    assert!(id_words("arn:aws:iam::123456789012:user/cdn").contains("is an ARN"));
    assert!(id_words("123456789012").contains("account number"));
    assert!(id_words("1234-5678-9012").contains("account number"));
    assert!(id_words("AIDACKCEVSQ6C2EXAMPLE").contains("unique ID of a user"));
    assert!(id_words("APKAEIBAERJR2EXAMPLE").contains("signed URLs"));
    assert!(id_words("E2QWRUHEXAMPLE").contains("distribution ID"));
    assert!(id_words("akiaiosfodnn7example").contains("capital letters"));
    assert!(id_words("AKIAIOSF ODNN7EXAMPLE").contains("space inside"));
    assert!(id_words("AKIAIOSFOD").contains("this one has 10"));
    assert!(id_words("deploy").contains("AKIA and capital letters"));
}

#[test]
fn each_wrong_secret_is_recognised() {
    assert!(secret_words(" ").starts_with("Enter the secret access key"));
    assert!(secret_words("AKIAIOSFODNN7EXAMPLE").contains("looks like an access key ID"));
    assert!(secret_words("ASIAIOSFODNN7EXAMPLE").contains("looks like an access key ID"));
    assert!(secret_words(&SECRET[..12]).contains("this one has 12"));
    assert!(secret_words("wJalrXUtnFEMI/K7MDENG bPxRfiCYEXAMPLEKEY").contains("space inside"));
    assert!(secret_words("wJalrXUtnFEMI/K7MDENG€bPxRfiCYEXAMPLEKEY").contains("letters, digits"));
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
