//! Sample data for Settings → CDN.

use skycms_cdn::domain::notification::{EndpointKind, Event, Tried};
use skycms_cdn::domain::{
    AwsError, DistributionId, Partition, PastLimit, Policy, Step, StepOutcome, StepReport,
};
use skycms_cdn::store::{
    DeliveryState, DeliveryView, EndpointView, HookSecretView, KeyPairView, PublishApi,
    RefusedCall, SiteId, TokenView,
};
use skycms_cdn::web::views::*;
use skycms_cdn::web::words;
use strum::VariantArray as _;
use uuid::Uuid;

use super::{ago, layout, meter};

fn form(distribution_id: &str, key: &str, stored: bool) -> ConnectionForm {
    ConnectionForm {
        distribution_id: Field::new(distribution_id),
        access_key_id: Field::new(key),
        secret_stored: stored,
        version: "1".into(),
        region: Field::new("us-east-1"),
        ..ConnectionForm::default()
    }
}

fn active() -> ShownSettings {
    ShownSettings {
        distribution_id: "E2QWRUHAPOMQZL".into(),
        console_url:
            "https://console.aws.amazon.com/cloudfront/v4/home#/distributions/E2QWRUHAPOMQZL".into(),
        credentials: "AKIAIOSFODNN7EXAMPLE".into(),
        region: "us-east-1".into(),
        saved_at: ago(1_700_000),
        has_failed: false,
        from_environment: false,
    }
}

pub(crate) fn settings_new() -> ConnectionPage {
    ConnectionPage {
        layout: layout(Nav::Settings(Section::Connection)),
        connection: Connection::NotSetUp,
        last_purge: None,
        active: None,
        draft: None,
        form: form("", "", false),
        test: None,
        policy: IamPolicy::new(None, Partition::Aws),
    }
}

pub(crate) fn hook_revealed() -> HookPage {
    HookPage {
        revealed: vec![
            Revealed {
                name: "Publish token “default”".into(),
                value: "sample-token-shown-once".into(),
                is_token: true,
            },
            Revealed {
                name: "Signing secret".into(),
                value: "whsec_c2FtcGxlLXNlY3JldC1zaG93bi1vbmNlLW9ubHk=".into(),
                is_token: false,
            },
        ],
        ..hook()
    }
}

pub(crate) fn publishing() -> PublishingPage {
    PublishingPage {
        layout: layout(Nav::Settings(Section::Publishing)),
        publishing: PublishingForm {
            public_address: Field::new("https://www.example.com"),
            hosts: Field::new("www.example.com\nexample.com"),
            related: Field::new("/blog/* => /blog/ /feed.xml\n/sitemap.xml"),
            version: 1,
            ..PublishingForm::default()
        },
    }
}

pub(crate) fn spending() -> SpendingPage {
    SpendingPage {
        layout: layout(Nav::Settings(Section::Spending)),
        spending: SpendingForm {
            policy: Policy::Exact,
            fold_above: Field::new("100"),
            monthly_limit: Field::new(""),
            past_limit: PastLimit::Economical,
            version: 1,
            conflict: vec![("Monthly limit", "2,000".into())],
        },
        meter: meter(),
    }
}

pub(crate) fn hook() -> HookPage {
    HookPage {
        layout: layout(Nav::Settings(Section::Hook)),
        url: "https://editor.example.com/cdn/api/sites/default/publishes".into(),
        revealed: vec![],
        token_name: Field::default(),
        secret_error: None,
        key_name: Field::default(),
        key_is_home: false,
        tokens: ListPage::of(
            vec![
                TokenView {
                    id: Uuid::from_u128(1),
                    name: "default".into(),
                    ending: "x4Zq".into(),
                    created_at: ago(1_700_000),
                    last_used_at: Some(ago(130)),
                    unrevealed: false,
                },
                TokenView {
                    id: Uuid::from_u128(2),
                    name: "GitHub Actions".into(),
                    ending: "9_bA".into(),
                    created_at: ago(400_000),
                    last_used_at: None,
                    unrevealed: false,
                },
            ],
            None,
            1,
        ),
        secrets: ListPage::of(
            vec![HookSecretView {
                id: Uuid::from_u128(1),
                created_at: ago(1_700_000),
                last_used_at: Some(ago(4_000)),
                unrevealed: false,
            }],
            None,
            5,
        ),
        endpoint: "https://editor.example.com/cdn".into(),
        keys: ListPage::of(
            vec![KeyPairView {
                id: Uuid::from_u128(1),
                access_key_id: "SKYCSAMPLE0000000001".into(),
                name: "SkyCMS".into(),
                everything_is_home: true,
                created_at: ago(1_700_000),
                rotated_at: None,
                last_used_at: Some(ago(4_000)),
            }],
            None,
            8,
        ),
    }
}

pub(crate) fn refused() -> RefusedPage {
    let call = |status, proved, reason: &str, item: Option<&str>| RefusedCall {
        id: Uuid::from_u128(1),
        at: ago(300),
        site: Some(SiteId(1)),
        proved,
        endpoint: PublishApi::Hook,
        status,
        reason: reason.into(),
        item: item.map(Into::into),
        address: "203.0.113.7".into(),
    };
    RefusedPage {
        layout: layout(Nav::Settings(Section::Refused)),
        paging: Paging::default(),
        calls: vec![
            call(
                422,
                true,
                "One item cannot be purged; nothing was queued. It is listed under `errors`.",
                Some("/paths/1: * is a wildcard only at the end."),
            ),
            RefusedCall {
                site: None,
                endpoint: PublishApi::Cloudfront,
                ..call(401, false, "This call is not authenticated.", None)
            },
        ],
    }
}

fn steps(outcomes: [StepOutcome; 6]) -> [StepReport; 6] {
    std::array::from_fn(|at| StepReport {
        step: Step::VARIANTS[at],
        outcome: outcomes[at],
        cause: "What was found.".into(),
        fix: None,
        error: None,
    })
}

pub(crate) fn settings_connected() -> ConnectionPage {
    use StepOutcome::Passed;
    ConnectionPage {
        layout: Layout {
            flash: Some(words::Look {
                meaning: "The new settings passed their test and are in force.",
                ..words::DONE
            }),
            address: Some("/settings/cdn".into()),
            ..layout(Nav::Settings(Section::Connection))
        },
        connection: Connection::Connected {
            since: ago(1_700_000),
        },
        last_purge: Some(ago(130)),
        active: Some(active()),
        form: form("E2QWRUHAPOMQZL", "AKIAIOSFODNN7EXAMPLE", true),
        test: Some(TestResult {
            at: ago(75),
            of: Tested::Active,
            steps: steps([Passed; 6]),
        }),
        policy: IamPolicy::new(
            "E2QWRUHAPOMQZL".parse::<DistributionId>().ok().as_ref(),
            Partition::Aws,
        ),
        ..settings_new()
    }
}

pub(crate) fn settings_failed() -> ConnectionPage {
    use StepOutcome::{Failed, Passed, Skipped};
    let mut steps = steps([Passed, Passed, Failed, Skipped, Skipped, Skipped]);
    steps[2].cause = ("The policy of this key does not allow cloudfront:CreateInvalidation on distribution E2QWRUHAPOMQZX. Either the policy names another distribution, or the distribution ID has a typing error.").into();
    steps[2].fix = Some("Compare the distribution ID with the one in the AWS console. If it is right, put it into the Resource of the policy; the policy below has it already.".into());
    steps[2].error = Some(AwsError {
        http_status: Some(403),
        code: "AccessDenied".into(),
        message: "User: arn:aws:iam::123456789012:user/skycms is not authorized to perform: cloudfront:CreateInvalidation on resource: arn:aws:cloudfront::123456789012:distribution/E2QWRUHAPOMQZX because no identity-based policy allows the cloudfront:CreateInvalidation action".into(),
        request_id: Some("8c8b7a1e-4a43-4d64-9f5c-2b0c9f6a1d11".into()),
    });
    ConnectionPage {
        layout: layout(Nav::Settings(Section::Connection)),
        draft: Some(ShownSettings {
            distribution_id: "E2QWRUHAPOMQZX".into(),
            saved_at: ago(42),
            has_failed: true,
            ..active()
        }),
        form: form("E2QWRUHAPOMQZX", "AKIAIOSFODNN7EXAMPLE", true),
        test: Some(TestResult {
            at: ago(42),
            of: Tested::Draft,
            steps,
        }),
        ..settings_connected()
    }
}

pub(crate) fn settings_testing() -> ConnectionPage {
    use StepOutcome::{Passed, Waiting};
    ConnectionPage {
        layout: Layout {
            pending: true,
            address: Some("/settings/cdn".into()),
            ..layout(Nav::Settings(Section::Connection))
        },
        connection: Connection::Paused {
            since: ago(4_000),
            why: "AWS does not know the access key AKIAIOSFODNN7EXAMPLE any more: it was deleted or deactivated. Create a new one and enter it below.".into(),
            waiting: Count(3),
        },
        test: Some(TestResult {
            at: ago(3),
            of: Tested::Draft,
            steps: steps([Passed, Passed, Passed, Waiting, Waiting, Waiting]),
        }),
        ..settings_connected()
    }
}

pub(crate) fn settings_errors() -> ConnectionPage {
    let mut form = form(
        "d111111abcdef8.cloudfront.net",
        "wJalrXUtnFEMI/K7MDENG",
        false,
    );
    form.distribution_id.error = Some("This is the distribution’s domain name. Its ID stands left of it in the list of distributions and begins with E.".into());
    form.access_key_id.error =
        Some("This looks like the secret access key. Are the two fields swapped?".into());
    form.secret_error = Some(
        "Paste the secret access key again: it is not kept while other fields have errors.".into(),
    );
    ConnectionPage {
        form,
        ..settings_new()
    }
}

pub(crate) fn notifications() -> NotificationsPage {
    let endpoint = |id, kind, shown: &str, off_at| EndpointView {
        id: Uuid::from_u128(id),
        kind,
        shown: shown.into(),
        events: vec![Event::PublishFailed],
        created_at: ago(90_000),
        last_delivered: Some(ago(7_200)),
        waiting: 2,
        failing_since: Some(ago(3_600)),
        off_at,
    };
    let body =
        r#"{ "type": "publish.failed", "data": { "site": "default", "reason": "“Too” <long>" } }"#;
    let delivery = |id, seconds| DeliveryView {
        id: Uuid::from_u128(id),
        endpoint: Uuid::from_u128(1),
        webhook_id: format!("msg_01a209b{id}"),
        event: Event::PublishCompleted,
        happened_at: ago(seconds),
        state: DeliveryState::Waiting,
        body: None,
        tries: Vec::new(),
        next_at: Some(ago(-40)),
    };
    let endpoints = vec![
        endpoint(1, EndpointKind::Standard, "https://example.com/hook", None),
        endpoint(
            2,
            EndpointKind::Slack,
            "https://hooks.slack.com/…k3Xz",
            Some(ago(600)),
        ),
    ];
    NotificationsPage {
        layout: layout(Nav::Settings(Section::Notifications)),
        revealed: vec![Revealed {
            is_token: false,
            name: "Signing secret of the endpoint".into(),
            value: "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into(),
        }],
        endpoints: ListPage::of(endpoints.clone(), None, 6),
        known: endpoints,
        form: EndpointForm {
            url: Field {
                value: "http://example.com".into(),
                error: Some("Begin with https://.".into()),
            },
            kind: EndpointKind::Slack,
            events: vec![],
            events_error: Some("Choose at least one.".into()),
        },
        deliveries: vec![
            DeliveryView {
                event: Event::PublishFailed,
                body: Some(body.into()),
                tries: vec![
                    Tried {
                        at: ago(290),
                        took_ms: 10_000,
                        status: None,
                        body: String::new(),
                        trouble: Some("there was no answer within 10 s".into()),
                    },
                    Tried {
                        at: ago(200),
                        took_ms: 87,
                        status: Some(500),
                        body: "<html>no</html>".into(),
                        trouble: None,
                    },
                ],
                next_at: Some(ago(-60)),
                ..delivery(3, 300)
            },
            delivery(4, 20),
        ],
        paging: Paging::default(),
        before: None,
        opened: Some(Uuid::from_u128(3)),
        endpoint: None,
    }
}
