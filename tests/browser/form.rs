//! What the form says to what people paste into it, and how it helps before anything is sent.

use crate::browser::Browser;
use crate::driver::Scripts;
use crate::settings::{fill, outcomes};
use crate::stage::Stage;
use crate::support::{DISTRIBUTION, KEY, SECRET};

/// What is typed, and what is said at which field.
struct Mistake<'a> {
    distribution: &'a str,
    key: &'a str,
    secret: &'a str,
    told: &'a [(&'a str, &'a str)],
}

const RIGHT: Mistake<'_> = Mistake {
    distribution: DISTRIBUTION,
    key: KEY,
    secret: SECRET,
    told: &[],
};

const MISTAKES: &[Mistake<'_>] = &[
    Mistake {
        distribution: "d111111abcdef8.cloudfront.net",
        told: &[(
            "distribution_id",
            "This is the distribution's domain name, not its ID. The CloudFront console lists distributions with both: \
             take the ID, which begins with E, from the row whose “Domain name” is d111111abcdef8.cloudfront.net.",
        )],
        ..RIGHT
    },
    Mistake {
        distribution: KEY,
        told: &[(
            "distribution_id",
            "This is an access key ID. It belongs in the field “Access key ID”",
        )],
        ..RIGHT
    },
    Mistake {
        distribution: "e2sandbox0cdn1",
        told: &[("distribution_id", "Did you mean E2SANDBOX0CDN1?")],
        ..RIGHT
    },
    Mistake {
        distribution: "<b>&\"'",
        told: &[(
            "distribution_id",
            "A distribution ID is E and capital letters and digits",
        )],
        ..RIGHT
    },
    Mistake {
        key: "ASIASANDBOX000000001",
        told: &[(
            "access_key_id",
            "This is a temporary key (ASIA…): it works only together with a session token and will expire within hours.",
        )],
        ..RIGHT
    },
    Mistake {
        secret: "too-short",
        told: &[(
            "secret_access_key",
            "A secret access key has 40 characters, this one has 9.",
        )],
        ..RIGHT
    },
    Mistake {
        distribution: "",
        key: "",
        secret: "",
        told: &[
            ("distribution_id", "Enter the distribution ID"),
            (
                "access_key_id",
                "Enter the access key ID, for example AKIAIOSFODNN7EXAMPLE.",
            ),
            (
                "secret_access_key",
                "Enter the secret access key. AWS shows it only once",
            ),
        ],
    },
];

#[tokio::test]
async fn each_mistake_is_shown_at_its_field() {
    mistakes(Scripts::On).await;
}

#[tokio::test]
async fn each_mistake_is_shown_at_its_field_without_scripts() {
    mistakes(Scripts::Off).await;
}

async fn mistakes(scripts: Scripts) {
    let mut stage = Stage::fresh(scripts).await;
    stage.browser.keep_secret("too-short");
    for mistake in MISTAKES {
        stage.browser.open("/settings/cdn").await;
        mistake.check(&stage.browser, scripts).await;
    }
    swapped(&stage.browser).await;
    assert_eq!(stage.sandbox.ledger().await.len(), 0, "nothing was sent");
    stage.browser.open("/settings/cdn").await;
    stage
        .browser
        .assert_sees("#standing", "Not set up yet")
        .await;
    stage.finish().await;
}

impl Mistake<'_> {
    async fn check(&self, browser: &Browser, scripts: Scripts) {
        fill(browser, self.distribution, self.key, self.secret).await;
        browser.choose("region", "eu-central-1").await;
        browser.save_and_test().await;
        if scripts == Scripts::On {
            assert_eq!(browser.status().await, 422);
        }
        for (field, words) in self.told {
            assert_shown_at(browser, field, words).await;
        }
        assert_eq!(browser.count("[aria-invalid]").await, self.told.len());
        let count = match self.told.len() {
            1 => "One field needs".to_owned(),
            more => format!("{more} fields need"),
        };
        browser
            .assert_sees(
                "[role=alert]",
                &format!("Nothing was saved. {count} your attention."),
            )
            .await;
        assert_eq!(browser.value("distribution_id").await, self.distribution);
        assert_eq!(browser.value("access_key_id").await, self.key);
        assert_eq!(browser.value("secret_access_key").await, "");
        assert_eq!(browser.value("region").await, "eu-central-1");
    }
}

/// The words are next to the field, and whoever cannot see them hears them there.
async fn assert_shown_at(browser: &Browser, field: &str, words: &str) {
    let css = format!("#{field}");
    assert_eq!(
        browser.attribute(&css, "aria-invalid").await.as_deref(),
        Some("true")
    );
    let described = browser.attribute(&css, "aria-describedby").await.unwrap();
    assert_eq!(described, format!("{field}-hint {field}-error"));
    for id in described.split(' ') {
        assert_eq!(browser.count(&format!("[id={id}]")).await, 1, "{id}");
    }
    browser.assert_sees(&format!("#{field}-error"), words).await;
}

/// The secret is in the wrong field, and is not echoed there either.
async fn swapped(browser: &Browser) {
    browser.open("/settings/cdn").await;
    fill(browser, DISTRIBUTION, SECRET, KEY).await;
    browser.save_and_test().await;
    let swapped =
        "The access key ID and the secret access key are swapped: this field is for the one ";
    assert_shown_at(
        browser,
        "access_key_id",
        &format!("{swapped}that begins with AKIA."),
    )
    .await;
    assert_shown_at(
        browser,
        "secret_access_key",
        &format!("{swapped}with 40 characters."),
    )
    .await;
    assert_eq!(browser.value("access_key_id").await, "");
}

#[tokio::test]
async fn what_pasting_adds_is_taken_away() {
    let stage = Stage::fresh(Scripts::On).await;
    let browser = &stage.browser;
    browser.open("/settings/cdn").await;
    let arn = format!(" arn:aws:cloudfront::123456789012:distribution/{DISTRIBUTION}\u{a0}");
    fill(
        browser,
        &arn,
        &format!("\u{a0}{KEY} "),
        &format!("  {SECRET} "),
    )
    .await;
    browser.save_and_test().await;
    browser.wait_for("#test", "All five steps passed.").await;
    assert_eq!(outcomes(browser).await, ["passed"; 5]);
    assert_eq!(browser.value("distribution_id").await, DISTRIBUTION);
    assert_eq!(browser.value("access_key_id").await, KEY);
    stage.finish().await;
}

#[tokio::test]
async fn an_unknown_region_is_shown_at_its_field() {
    let stage = Stage::fresh(Scripts::On).await;
    let browser = &stage.browser;
    browser.open("/settings/cdn").await;
    fill(browser, DISTRIBUTION, KEY, SECRET).await;
    browser
        .run("document.querySelector('#region :checked').value = 'us-moon-1'")
        .await;
    browser.save_and_test().await;
    assert_eq!(browser.status().await, 422);
    assert_shown_at(
        browser,
        "region",
        "AWS has no region of this name with CloudFront. Choose one from the list",
    )
    .await;
    stage.finish().await;
}

#[tokio::test]
async fn the_regions_are_those_of_each_part_of_aws() {
    let stage = Stage::fresh(Scripts::Off).await;
    let browser = &stage.browser;
    browser.open("/settings/cdn").await;
    let mut groups = Vec::new();
    for group in ["aws", "aws-cn", "aws-eusc"] {
        let css = format!("#region optgroup[data-partition={group}]");
        groups.push((
            browser.attribute(&css, "label").await.unwrap(),
            browser.texts(&format!("{css} option")).await,
        ));
    }
    let [
        (commercial, regions),
        (china, chinese),
        (sovereign, european),
    ] = groups.try_into().unwrap();
    assert_eq!(
        (&*commercial, &*china, &*sovereign),
        ("Commercial", "China", "European Sovereign Cloud")
    );
    assert!(
        regions.contains(&"Europe (Frankfurt) · eu-central-1".to_owned()),
        "{regions:?}"
    );
    assert_eq!(
        chinese,
        [
            "China (Beijing) · cn-north-1",
            "China (Ningxia) · cn-northwest-1"
        ]
    );
    assert_eq!(european.len(), 1);
    browser
        .assert_sees(
            "#region-hint",
            "AWS accepts only requests signed for CloudFront’s own region",
        )
        .await;
    stage.finish().await;
}

#[tokio::test]
async fn the_policy_follows_what_is_typed() {
    let stage = Stage::fresh(Scripts::On).await;
    let browser = &stage.browser;
    browser.open("/settings/cdn").await;
    let arn =
        |partition: &str, id: &str| format!("\"arn:{partition}:cloudfront::*:distribution/{id}\"");
    for (typed, id) in [
        ("E1TYPED000001", "E1TYPED000001"),
        (
            "arn:aws:cloudfront::123456789012:distribution/E1PASTED00001",
            "E1PASTED00001",
        ),
        ("d1.cloudfront.net", "YOUR_DISTRIBUTION_ID"),
        (DISTRIBUTION, DISTRIBUTION),
    ] {
        browser.fill("distribution_id", typed).await;
        browser.assert_sees("#policy-json", &arn("aws", id)).await;
    }
    for (region, partition) in [
        ("cn-north-1", "aws-cn"),
        ("eusc-de-east-1", "aws-eusc"),
        ("eu-west-1", "aws"),
    ] {
        browser.choose("region", region).await;
        browser
            .assert_sees("#policy-json", &arn(partition, DISTRIBUTION))
            .await;
    }
    let policy: serde_json::Value =
        serde_json::from_str(&browser.text("#policy-json").await).unwrap();
    assert_eq!(policy, crate::support::policy(DISTRIBUTION));
    stage.finish().await;
}
