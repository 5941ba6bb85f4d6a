#![allow(clippy::unwrap_used)]
use super::*;

fn taken(typed: &str) -> (String, Option<Partition>) {
    let found = DistributionId::recognise(typed).unwrap();
    (found.id.to_string(), found.partition)
}

fn words(typed: &str) -> String {
    DistributionId::recognise(typed).unwrap_err().to_string()
}

#[test]
fn an_id_is_taken_as_it_is() {
    for id in [
        "E2QWRUHEXAMPLE",
        "EDFDVBD632BHDS5",
        "dt_2wjDZi3hD1ivOXf6rpZJOSNE1AB",
    ] {
        assert_eq!(taken(id), (id.to_owned(), None));
    }
}

#[test]
fn what_pasting_adds_is_taken_away() {
    for typed in [
        " E2QWRUHEXAMPLE\n",
        "\"E2QWRUHEXAMPLE\",",
        "E2QWRUHEXAMPLE.",
        "\u{feff}E2QWRU\u{200b}HEXAMPLE\u{a0}",
        "«E2QWRUHEXAMPLE»",
    ] {
        assert_eq!(taken(typed).0, "E2QWRUHEXAMPLE", "{typed:?}");
    }
}

#[test]
fn an_arn_gives_its_id_and_partition() {
    for (partition, name) in [
        (Partition::Aws, "aws"),
        (Partition::AwsCn, "aws-cn"),
        (Partition::AwsEusc, "aws-eusc"),
    ] {
        let arn = format!("arn:{name}:cloudfront::123456789012:distribution/E2QWRUHEXAMPLE");
        assert_eq!(taken(&arn), ("E2QWRUHEXAMPLE".to_owned(), Some(partition)));
    }
    let tenant =
        "arn:aws:cloudfront::123456789012:distribution-tenant/dt_2wjDZi3hD1ivOXf6rpZJOSNE1AB";
    assert_eq!(taken(tenant).0, "dt_2wjDZi3hD1ivOXf6rpZJOSNE1AB");
    assert!(words("arn:aws:iam::123456789012:role/deploy").contains("not a distribution's"));
    assert!(
        words("arn:aws-us-gov:cloudfront::123456789012:distribution/E2QWRUHEXAMPLE")
            .contains("not in this ARN's part of AWS")
    );
}

#[test]
fn a_console_address_gives_its_id() {
    for (address, partition) in [
        (
            "https://us-east-1.console.aws.amazon.com/cloudfront/v4/home?region=eu-west-1#/distributions/E2QWRUHEXAMPLE",
            Partition::Aws,
        ),
        (
            "console.aws.amazon.com/cloudfront/v4/home#/distributions/E2QWRUHEXAMPLE/invalidations/details/I2J0I21PCUYOIK",
            Partition::Aws,
        ),
        (
            "https://console.amazonaws.cn/cloudfront/v3/home?#/distributions/E2QWRUHEXAMPLE?tab=general",
            Partition::AwsCn,
        ),
        (
            "https://eusc-de-east-1.console.amazonaws-eusc.eu/cloudfront/v4/home#/distributions/E2QWRUHEXAMPLE",
            Partition::AwsEusc,
        ),
    ] {
        assert_eq!(
            taken(address),
            ("E2QWRUHEXAMPLE".to_owned(), Some(partition)),
            "{address}"
        );
    }
    assert!(
        words("https://us-east-1.console.aws.amazon.com/cloudfront/v4/home#/distributions")
            .contains("names no distribution")
    );
}

#[test]
fn a_domain_name_gets_a_hint_where_the_id_is() {
    for typed in [
        "d111111abcdef8.cloudfront.net",
        "https://d111111abcdef8.cloudfront.net/",
        "D111111ABCDEF8.CloudFront.net.",
    ] {
        let words = words(typed);
        assert!(words.contains("domain name, not its ID"), "{words}");
        assert!(
            words.contains("“Domain name” is d111111abcdef8.cloudfront.net"),
            "{words}"
        );
    }
    for typed in [
        "www.example.com",
        "https://www.example.com/blog/",
        "http://example.com:8080",
    ] {
        assert!(words(typed).contains("address of a website"), "{typed}");
    }
    assert!(words("evil-console.aws.amazon.com.example.com/E2QWRUHEXAMPLE").contains("website"));
}

#[test]
fn slips_are_named() {
    assert!(words("  ").starts_with("Enter the distribution ID"));
    assert!(words("e2qwruhexample").contains("Did you mean E2QWRUHEXAMPLE?"));
    assert!(
        words("E2QWRUH EXAMPLE")
            .contains("space inside the distribution ID. Did you mean E2QWRUHEXAMPLE?")
    );
    assert!(words("I2J0I21PCUYOIK").contains("ID of an invalidation"));
    assert!(words("AKIAIOSFODNN7EXAMPLE").contains("access key ID"));
    assert!(words("123456789012").contains("account number"));
    assert!(words("1234-5678-9012").contains("account number"));
    assert!(words("E2Q").contains("this one has 3"));
    assert!(words("E2QWRUHEXAMPL€").contains("capital letters and digits"));
    assert!(words("my distribution").contains("capital letters and digits"));
}

#[test]
fn a_secret_in_this_field_is_not_repeated() {
    let secret = "EJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY99";
    for typed in [
        secret.to_owned(),
        format!("{secret} {secret}"),
        secret[..32].to_owned(),
    ] {
        let words = words(&typed);
        assert!(
            !words.to_lowercase().contains(&secret[..16].to_lowercase()),
            "{words}"
        );
    }
}
