#![allow(clippy::unwrap_used)]
use super::*;
use crate::domain::table::{assert_says, rows};

fn words(typed: &str) -> String {
    DistributionId::recognise(typed).unwrap_err().to_string()
}

#[test]
fn an_id_is_found_in_what_holds_it_and_its_partition_too() {
    for [typed, id, partition] in rows(
        "E2QWRUHEXAMPLE | E2QWRUHEXAMPLE |
         EDFDVBD632BHDS5 | EDFDVBD632BHDS5 |
         dt_2wjDZi3hD1ivOXf6rpZJOSNE1AB | dt_2wjDZi3hD1ivOXf6rpZJOSNE1AB |
         arn:aws:cloudfront::123456789012:distribution/E2QWRUHEXAMPLE | E2QWRUHEXAMPLE | aws
         arn:aws-cn:cloudfront::123456789012:distribution/E2QWRUHEXAMPLE | E2QWRUHEXAMPLE | aws-cn
         arn:aws-eusc:cloudfront::123456789012:distribution/E2QWRUHEXAMPLE | E2QWRUHEXAMPLE | aws-eusc
         arn:aws:cloudfront::123456789012:distribution-tenant/dt_2wjDZi3hD1ivOXf6rpZJOSNE1AB | dt_2wjDZi3hD1ivOXf6rpZJOSNE1AB | aws
         https://us-east-1.console.aws.amazon.com/cloudfront/v4/home?region=eu-west-1#/distributions/E2QWRUHEXAMPLE | E2QWRUHEXAMPLE | aws
         console.aws.amazon.com/cloudfront/v4/home#/distributions/E2QWRUHEXAMPLE/invalidations/details/I2J0I21PCUYOIK | E2QWRUHEXAMPLE | aws
         https://console.amazonaws.cn/cloudfront/v3/home?#/distributions/E2QWRUHEXAMPLE?tab=general | E2QWRUHEXAMPLE | aws-cn
         https://eusc-de-east-1.console.amazonaws-eusc.eu/cloudfront/v4/home#/distributions/E2QWRUHEXAMPLE | E2QWRUHEXAMPLE | aws-eusc",
    ) {
        let found = DistributionId::recognise(typed).unwrap();
        let in_it = found.partition.as_ref().map_or("", Partition::into_str);
        assert_eq!((found.id.as_str(), in_it), (id, partition), "{typed}");
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
        let found = DistributionId::recognise(typed).unwrap();
        assert_eq!(found.id.as_str(), "E2QWRUHEXAMPLE", "{typed:?}");
    }
}

#[test]
fn slips_are_named() {
    for [typed, expected] in rows(
        " | Enter the distribution ID
         e2qwruhexample | Did you mean E2QWRUHEXAMPLE?
         E2QWRUH EXAMPLE | space inside the distribution ID. Did you mean E2QWRUHEXAMPLE?
         I2J0I21PCUYOIK | ID of an invalidation
         AKIAIOSFODNN7EXAMPLE | access key ID
         123456789012 | account number
         1234-5678-9012 | account number
         E2Q | this one has 3
         E2QWRUHEXAMPL€ | capital letters and digits
         my distribution | capital letters and digits
         arn:aws:iam::123456789012:role/deploy | not a distribution's
         arn:aws-us-gov:cloudfront::123456789012:distribution/E2QWRUHEXAMPLE | not in this ARN's part of AWS
         https://us-east-1.console.aws.amazon.com/cloudfront/v4/home#/distributions | names no distribution
         d111111abcdef8.cloudfront.net | domain name, not its ID … “Domain name” is d111111abcdef8.cloudfront.net
         https://d111111abcdef8.cloudfront.net/ | “Domain name” is d111111abcdef8.cloudfront.net
         D111111ABCDEF8.CloudFront.net. | “Domain name” is d111111abcdef8.cloudfront.net
         www.example.com | address of a website
         https://www.example.com/blog/ | address of a website
         http://example.com:8080 | address of a website
         evil-console.aws.amazon.com.example.com/E2QWRUHEXAMPLE | website",
    ) {
        assert_says(&words(typed), expected);
    }
    assert_says(&words("  "), "Enter the distribution ID");
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
