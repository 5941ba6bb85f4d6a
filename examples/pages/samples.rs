use askama::Template;
use skycms_cdn::web::views::*;
use time::{Duration, OffsetDateTime, macros::datetime};

/// Every page by name.
pub(crate) fn pages() -> Vec<(&'static str, askama::Result<String>)> {
    vec![
        ("settings-new", settings_new().render()),
        ("settings-connected", settings_connected().render()),
        ("settings-failed", settings_failed().render()),
        ("settings-testing", settings_testing().render()),
        ("settings-errors", settings_errors().render()),
        ("activity", activity().render()),
        ("activity-empty", activity_empty().render()),
        ("publish", publish().render()),
        ("publish-failed", publish_failed().render()),
        ("purge", purge().render()),
        ("purge-errors", purge_errors().render()),
        ("sign-in", sign_in().render()),
        ("set-up", set_up().render()),
        ("password", password().render()),
        ("audit", audit().render()),
        ("error", error().render()),
        ("confirm", confirm().render()),
    ]
}

const NOW: OffsetDateTime = datetime!(2026-11-23 12:00:30 UTC);

fn ago(seconds: i64) -> OffsetDateTime {
    NOW - Duration::seconds(seconds)
}

fn span(milliseconds: i64) -> Option<Span> {
    Some(Span(Duration::milliseconds(milliseconds)))
}

fn layout(nav: Nav) -> Layout {
    Layout {
        base: ".".into(),
        nav,
        now: NOW,
        user: Some(User {
            name: "admin".into(),
            role: Role::Admin,
            has_password: true,
        }),
        banner: None,
        flash: None,
        embedded: false,
        pending: false,
    }
}

fn outside() -> Layout {
    Layout {
        user: None,
        ..layout(Nav::Elsewhere)
    }
}

fn regions() -> Vec<RegionGroup> {
    let group = |name: &str, partition: &str, regions: &[(&str, &str)]| RegionGroup {
        name: name.into(),
        partition: partition.into(),
        regions: regions
            .iter()
            .map(|(code, name)| Region {
                code: (*code).into(),
                name: (*name).into(),
                recommended: *code == "us-east-1",
            })
            .collect(),
    };
    vec![
        group(
            "AWS",
            "aws",
            &[
                ("us-east-1", "US East (N. Virginia)"),
                ("us-east-2", "US East (Ohio)"),
                ("us-west-1", "US West (N. California)"),
                ("us-west-2", "US West (Oregon)"),
                ("af-south-1", "Africa (Cape Town)"),
                ("ap-east-1", "Asia Pacific (Hong Kong)"),
                ("ap-east-2", "Asia Pacific (Taipei)"),
                ("ap-northeast-1", "Asia Pacific (Tokyo)"),
                ("ap-northeast-2", "Asia Pacific (Seoul)"),
                ("ap-northeast-3", "Asia Pacific (Osaka)"),
                ("ap-south-1", "Asia Pacific (Mumbai)"),
                ("ap-south-2", "Asia Pacific (Hyderabad)"),
                ("ap-southeast-1", "Asia Pacific (Singapore)"),
                ("ap-southeast-2", "Asia Pacific (Sydney)"),
                ("ap-southeast-3", "Asia Pacific (Jakarta)"),
                ("ap-southeast-4", "Asia Pacific (Melbourne)"),
                ("ap-southeast-5", "Asia Pacific (Malaysia)"),
                ("ap-southeast-6", "Asia Pacific (New Zealand)"),
                ("ap-southeast-7", "Asia Pacific (Thailand)"),
                ("ca-central-1", "Canada (Central)"),
                ("ca-west-1", "Canada West (Calgary)"),
                ("eu-central-1", "Europe (Frankfurt)"),
                ("eu-central-2", "Europe (Zurich)"),
                ("eu-north-1", "Europe (Stockholm)"),
                ("eu-south-1", "Europe (Milan)"),
                ("eu-south-2", "Europe (Spain)"),
                ("eu-west-1", "Europe (Ireland)"),
                ("eu-west-2", "Europe (London)"),
                ("eu-west-3", "Europe (Paris)"),
                ("il-central-1", "Israel (Tel Aviv)"),
                ("me-central-1", "Middle East (UAE)"),
                ("me-south-1", "Middle East (Bahrain)"),
                ("mx-central-1", "Mexico (Central)"),
                ("sa-east-1", "South America (São Paulo)"),
            ],
        ),
        group(
            "China",
            "aws-cn",
            &[
                ("cn-north-1", "China (Beijing)"),
                ("cn-northwest-1", "China (Ningxia)"),
            ],
        ),
        group(
            "European Sovereign Cloud",
            "aws-eusc",
            &[("eusc-de-east-1", "EU (Brandenburg)")],
        ),
    ]
}

fn meter() -> Meter {
    Meter {
        month: "November 2026".into(),
        paths: Count(1_412),
        free: Count(1_000),
        free_left: Count(0),
        cost: Usd(2_060),
        projected_paths: Count(1_910),
        projected_cost: Usd(4_550),
        saved: Count(3_218),
    }
}

fn form(distribution_id: &str, key: &str, stored: bool) -> SettingsForm {
    SettingsForm {
        distribution_id: Field::new(distribution_id),
        credentials: Some(CredentialsKind::AccessKey),
        access_key_id: Field::new(key),
        secret_stored: stored,
        secret_error: None,
        region: Field::new("us-east-1"),
        regions: regions(),
    }
}

fn active() -> ActiveSettings {
    ActiveSettings {
        distribution_id: "E2QWRUHAPOMQZL".into(),
        console_url: Some(
            "https://console.aws.amazon.com/cloudfront/v4/home#/distributions/E2QWRUHAPOMQZL"
                .into(),
        ),
        credentials: "AKIAIOSFODNN7EXAMPLE".into(),
        region: "us-east-1".into(),
        from_environment: false,
    }
}

pub(crate) fn settings_new() -> SettingsPage {
    SettingsPage {
        layout: layout(Nav::Settings),
        connection: Connection::NotSetUp,
        last_purge: None,
        active: None,
        draft: None,
        form: form("", "", false),
        test: None,
        policy: IamPolicy {
            distribution_id: None,
            partition: "aws".into(),
        },
        hook: Some(Hook {
            revealed: vec![
                Revealed {
                    name: "Publish token “default”".into(),
                    value: "sample-token-shown-once".into(),
                },
                Revealed {
                    name: "Signing secret".into(),
                    value: "whsec_c2FtcGxlLXNlY3JldC1zaG93bi1vbmNlLW9ubHk=".into(),
                },
            ],
            ..hook()
        }),
        publishing: None,
        spending: None,
        meter: None,
    }
}

fn hook() -> Hook {
    Hook {
        url: "https://editor.example.com/cdn/api/sites/default/publishes".into(),
        revealed: vec![],
        tokens: vec![
            Token {
                id: "1".into(),
                name: "default".into(),
                created_at: ago(1_700_000),
                last_used: Some(ago(130)),
                unrevealed: false,
            },
            Token {
                id: "2".into(),
                name: "GitHub Actions".into(),
                created_at: ago(400_000),
                last_used: None,
                unrevealed: false,
            },
        ],
        secrets: vec![SigningSecret {
            id: "1".into(),
            created_at: ago(1_700_000),
            last_used: Some(ago(4_000)),
        }],
    }
}

fn steps(outcomes: [StepOutcome; 5]) -> [StepResult; 5] {
    let [a, b, c, d, e] = outcomes;
    let step = |step, outcome, milliseconds| StepResult {
        took: (outcome == StepOutcome::Passed).then(|| Span(Duration::milliseconds(milliseconds))),
        ..StepResult::new(step, outcome)
    };
    [
        step(TestStep::Format, a, 0),
        step(TestStep::Credentials, b, 182),
        step(TestStep::CreateInvalidation, c, 214),
        step(TestStep::GetInvalidation, d, 97),
        step(TestStep::Completed, e, 12_400),
    ]
}

pub(crate) fn settings_connected() -> SettingsPage {
    use StepOutcome::Passed;
    SettingsPage {
        layout: Layout {
            flash: Some(Flash {
                severity: Severity::Success,
                text: "The new settings passed their test and are in force.".into(),
            }),
            ..layout(Nav::Settings)
        },
        connection: Connection::Connected {
            since: ago(1_700_000),
        },
        last_purge: Some(ago(130)),
        active: Some(active()),
        form: form("E2QWRUHAPOMQZL", "AKIAIOSFODNN7EXAMPLE", true),
        test: Some(TestResult {
            at: ago(75),
            of_draft: false,
            steps: steps([Passed; 5]),
        }),
        policy: IamPolicy {
            distribution_id: Some("E2QWRUHAPOMQZL".into()),
            partition: "aws".into(),
        },
        hook: Some(hook()),
        publishing: Some(PublishingForm {
            hosts: Field::new("www.example.com\nexample.com"),
            companions: Field::new("/sitemap.xml\n/toc.json"),
            directory_variants: false,
        }),
        spending: Some(SpendingForm {
            policy: SpendingPolicy::Exact,
            fold_above: Field::new("100"),
            monthly_limit: Field::new(""),
            past_limit: PastLimit::Economical,
        }),
        meter: Some(meter()),
        ..settings_new()
    }
}

pub(crate) fn settings_failed() -> SettingsPage {
    use StepOutcome::{Failed, Passed, Skipped};
    let mut steps = steps([Passed, Passed, Failed, Skipped, Skipped]);
    steps[2].cause = Some("The policy of this key does not allow cloudfront:CreateInvalidation on distribution E2QWRUHAPOMQZX. Either the policy names another distribution, or the distribution ID has a typing error.".into());
    steps[2].fix = Some("Compare the distribution ID with the one in the AWS console. If it is right, put it into the Resource of the policy; the policy below has it already.".into());
    steps[2].aws = Some(AwsError {
        code: Some("AccessDenied".into()),
        message: "User: arn:aws:iam::123456789012:user/skycms is not authorized to perform: cloudfront:CreateInvalidation on resource: arn:aws:cloudfront::123456789012:distribution/E2QWRUHAPOMQZX because no identity-based policy allows the cloudfront:CreateInvalidation action".into(),
        request_id: Some("8c8b7a1e-4a43-4d64-9f5c-2b0c9f6a1d11".into()),
    });
    SettingsPage {
        layout: layout(Nav::Settings),
        draft: Some(DraftSettings {
            distribution_id: "E2QWRUHAPOMQZX".into(),
            credentials: "AKIAIOSFODNN7EXAMPLE".into(),
            region: "us-east-1".into(),
            saved_at: ago(42),
        }),
        form: form("E2QWRUHAPOMQZX", "AKIAIOSFODNN7EXAMPLE", true),
        test: Some(TestResult {
            at: ago(42),
            of_draft: true,
            steps,
        }),
        ..settings_connected()
    }
}

pub(crate) fn settings_testing() -> SettingsPage {
    use StepOutcome::{Passed, Waiting};
    SettingsPage {
        layout: Layout {
            pending: true,
            ..layout(Nav::Settings)
        },
        connection: Connection::Paused {
            since: ago(4_000),
            why: "AWS does not know the access key AKIAIOSFODNN7EXAMPLE any more: it was deleted or deactivated. Create a new one and enter it below.".into(),
            waiting: Count(3),
        },
        test: Some(TestResult {
            at: ago(3),
            of_draft: true,
            steps: steps([Passed, Passed, Passed, Waiting, Waiting]),
        }),
        ..settings_connected()
    }
}

pub(crate) fn settings_errors() -> SettingsPage {
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
    SettingsPage {
        form,
        ..settings_new()
    }
}

fn row(id: usize, state: State, seconds: i64, items: &[&str], total: u64) -> PublishRow {
    PublishRow {
        id: format!("0199f0c2-7d1e-7000-8000-{id:012}"),
        state,
        received_at: ago(seconds),
        items: items.iter().map(|item| (*item).into()).collect(),
        items_total: total,
        to_sent: (state != State::Queued)
            .then(|| Span(Duration::milliseconds(180 + seconds % 700))),
        to_completed: (state == State::Completed)
            .then(|| Span(Duration::milliseconds(9_000 + seconds % 9_000))),
        waiting_for: None,
        progress: None,
        error: None,
    }
}

fn hours() -> Vec<Hour> {
    let publishes = [
        0, 0, 0, 1, 0, 2, 6, 11, 18, 24, 31, 22, 19, 27, 34, 41, 29, 16, 9, 7, 4, 0, 3, 12,
    ];
    (0..)
        .zip(publishes)
        .map(|(hour, publishes)| Hour {
            start: ago(86_400 - hour * 3_600),
            publishes,
            p50: (publishes > 0).then(|| Duration::milliseconds(8_500 + (hour * 977) % 3_000)),
            p95: (publishes > 0).then(|| Duration::milliseconds(14_000 + (hour * 2_741) % 11_000)),
        })
        .collect()
}

pub(crate) fn activity() -> ActivityPage {
    let mut publishes = vec![
        row(
            1,
            State::Queued,
            4,
            &["/news/2026/11/harbour-bridge-opens"],
            4,
        ),
        row(2, State::InProgress, 21, &["/", "/index.html", "/sport"], 3),
        row(
            3,
            State::InProgress,
            48,
            &["/archive/1998/a", "/archive/1998/b", "/archive/1998/c"],
            5_000,
        ),
        row(4, State::Completed, 130, &["/about", "/sitemap.xml"], 2),
        row(5, State::Failed, 700, &["/files/report%20final.pdf"], 1),
        row(6, State::Unconfirmed, 2_900, &["/weather", "#city:oslo"], 2),
    ];
    publishes[0].waiting_for = Some(WaitingFor::Rate);
    publishes[2].progress = Some(Progress { done: 7, total: 19 });
    publishes[4].error = Some("CloudFront refused the path: Your request contains one or more invalid invalidation paths.".into());
    publishes.extend((7..26).map(|n| {
        row(
            n,
            State::Completed,
            n as i64 * 1_500,
            &["/news/2026/11/council-votes-on-budget", "/", "/index.html"],
            4,
        )
    }));
    ActivityPage {
        layout: layout(Nav::Activity),
        overview: Some(Overview {
            chart: Chart::new(
                &hours(),
                Some(Duration::milliseconds(9_800)),
                Some(Duration::milliseconds(21_300)),
            ),
            queued: Count(4),
            oldest: span(4_200),
            files: QuotaUse {
                used: Count(412),
                quota: Count(3_000),
            },
            wildcards: QuotaUse {
                used: Count(3),
                quota: Count(15),
            },
            meter: Some(meter()),
        }),
        filter: Filter::default(),
        publishes,
        paging: Paging {
            newer: None,
            older: Some("before=0199".into()),
        },
        set_up: true,
        hook_url: hook().url,
    }
}

pub(crate) fn activity_empty() -> ActivityPage {
    ActivityPage {
        overview: None,
        publishes: vec![],
        paging: Paging::default(),
        ..activity()
    }
}

pub(crate) fn publish() -> PublishPage {
    let item = |item: &str, why: Option<&str>| PublishedItem {
        item: item.into(),
        why: why.map(Into::into),
    };
    PublishPage {
        layout: layout(Nav::Activity),
        id: "0199f0c2-7d1e-7000-8000-000000000004".into(),
        state: State::InProgress,
        received_at: ago(21),
        sent_at: Some(ago(20)),
        ended_at: None,
        waiting_for: None,
        next_try_at: None,
        progress: Some(Progress { done: 1, total: 2 }),
        items: vec![
            item("/news/2026/11/harbour-bridge-opens", None),
            item("/", None),
            item("/index.html", Some("the home page is cached under both")),
            item(
                "/files/old~name.pdf",
                Some("sent as /files/old*, because CloudFront cannot match ~"),
            ),
            item("#city:oslo", None),
            item("/sitemap.xml", Some("goes with every publish")),
        ],
        items_total: 6,
        invalidations: vec![
            InvalidationView {
                id: Some("I2J0I21PCUYOIK".into()),
                console_url: Some("https://console.aws.amazon.com/cloudfront/v4/home".into()),
                caller_reference: "0199f0c2-7d20-7000-8000-0000000000aa".into(),
                distribution_id: "E2QWRUHAPOMQZL".into(),
                state: State::Completed,
                items_total: Count(5),
                attempts: 1,
                submitted_at: Some(ago(20)),
                completed_at: Some(ago(9)),
                waiting_for: None,
                error: None,
                fix: None,
            },
            InvalidationView {
                id: Some("I3K7Q92XPLEXAM".into()),
                console_url: Some("https://console.aws.amazon.com/cloudfront/v4/home".into()),
                caller_reference: "0199f0c2-7d21-7000-8000-0000000000ab".into(),
                distribution_id: "E2QWRUHAPOMQZL".into(),
                state: State::InProgress,
                items_total: Count(1),
                attempts: 2,
                submitted_at: Some(ago(12)),
                completed_at: None,
                waiting_for: None,
                error: None,
                fix: None,
            },
        ],
        can_retry: false,
    }
}

pub(crate) fn publish_failed() -> PublishPage {
    PublishPage {
        state: State::Failed,
        progress: None,
        sent_at: None,
        ended_at: Some(ago(18)),
        items: vec![PublishedItem {
            item: "/files/report%20final.pdf".into(),
            why: None,
        }],
        items_total: 1,
        invalidations: vec![InvalidationView {
            id: None,
            console_url: None,
            state: State::Failed,
            submitted_at: None,
            error: Some(AwsError {
                code: Some("InvalidArgument".into()),
                message: "Your request contains one or more invalid invalidation paths.".into(),
                request_id: Some("8c8b7a1e-4a43-4d64-9f5c-2b0c9f6a1d11".into()),
            }),
            fix: Some("Rename the file, or purge its folder with /files/*.".into()),
            ..publish().invalidations.remove(1)
        }],
        can_retry: true,
        layout: Layout {
            banner: Some(Banner {
                severity: Severity::Danger,
                title: "Purging is paused".into(),
                text: "AWS no longer accepts the access key. Three publishes wait.".into(),
                link: Some(Link {
                    label: "Open the settings".into(),
                    path: "/settings/cdn".into(),
                }),
            }),
            ..layout(Nav::Activity)
        },
        ..publish()
    }
}

pub(crate) fn purge() -> PurgePage {
    let item = |item: &str, why: &str, swallowed| PreviewItem {
        item: item.into(),
        why: why.into(),
        swallowed,
    };
    PurgePage {
        layout: layout(Nav::Purge),
        text:
            "root\nhttps://www.example.com/blog/post-1\n/blog/*\n/files/old~name.pdf\n#article:42"
                .into(),
        errors: vec![],
        preview: Some(Preview {
            items: vec![
                item("/", "the home page", false),
                item("/index.html", "the home page is cached under both", false),
                item("/blog/*", "as typed", false),
                item("/blog/post-1", "covered by /blog/*", true),
                item("/files/old*", "widened: CloudFront cannot match ~", false),
                item("#article:42", "as typed", false),
            ],
            billed: Count(5),
            price: Usd(25),
            free_left: Count(0),
            everything: false,
        }),
        blocked: None,
    }
}

pub(crate) fn purge_errors() -> PurgePage {
    PurgePage {
        text: "/about\n/blog/*/comments\n#city oslo".into(),
        errors: vec![
            LineError {
                line: 2,
                text: "/blog/*/comments".into(),
                why: "CloudFront takes * only as the last character. Use /blog/*.".into(),
            },
            LineError {
                line: 3,
                text: "#city oslo".into(),
                why: "A tag has no white space.".into(),
            },
        ],
        preview: None,
        ..purge()
    }
}

pub(crate) fn sign_in() -> SignInPage {
    SignInPage {
        layout: outside(),
        username: "admin".into(),
        error: Some("User name or password is wrong.".into()),
        next: Some("/activity".into()),
    }
}

pub(crate) fn set_up() -> SetUpPage {
    SetUpPage {
        layout: outside(),
        new_error: None,
        repeat_error: None,
    }
}

pub(crate) fn password() -> PasswordPage {
    PasswordPage {
        layout: layout(Nav::Elsewhere),
        current_error: None,
        new_error: Some("This password is on every attacker’s list. Take another.".into()),
        repeat_error: None,
    }
}

pub(crate) fn audit() -> AuditPage {
    let entry = |seconds, what: &str, detail: Option<&str>| AuditEntry {
        at: ago(seconds),
        who: "admin".into(),
        what: what.into(),
        detail: detail.map(Into::into),
        from: "203.0.113.7".into(),
    };
    AuditPage {
        layout: layout(Nav::Audit),
        search: String::new(),
        entries: vec![
            entry(75, "Tested the CDN settings", Some("all five steps passed")),
            entry(
                76,
                "Saved the CDN settings",
                Some("distribution E2QWRUHAPOMQZL, key AKIAIOSFODNN7EXAMPLE"),
            ),
            entry(400_000, "Created a publish token", Some("GitHub Actions")),
            entry(1_700_000, "Signed in", None),
        ],
        paging: Paging::default(),
    }
}

pub(crate) fn error() -> ErrorPage {
    ErrorPage {
        layout: layout(Nav::Elsewhere),
        status: 503,
        title: "The database does not answer".into(),
        text: "Nothing is lost: publishes that were accepted go on as soon as it is back.".into(),
        fixes: vec![
            "Try again in a minute.".into(),
            "If it stays so, tell whoever runs this service.".into(),
        ],
        link: Some(Link {
            label: "Try again".into(),
            path: "/activity".into(),
        }),
        request_id: Some("0199f0c2-7d1e".into()),
    }
}

pub(crate) fn confirm() -> ConfirmPage {
    ConfirmPage {
        layout: layout(Nav::Purge),
        title: "Purge the whole site?".into(),
        text: "CloudFront will forget every page, picture and file of the site.".into(),
        consequences: vec![
            "Until its copies are back, every request reaches your server. On a busy site that can be a lot.".into(),
            "It counts as one path. It cannot be cancelled.".into(),
        ],
        action: "Purge everything".into(),
        path: "/purge".into(),
        fields: vec![("action".into(), "everything".into()), ("confirmed".into(), "yes".into())],
        cancel: "/purge".into(),
    }
}
