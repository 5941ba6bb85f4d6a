//! Sample data for every page.

use std::collections::HashMap;

use askama::Template;
use skycms_cdn::domain::edge::{EdgeCheck, EdgeState};
use skycms_cdn::domain::session::{Role, Source};
use skycms_cdn::domain::{
    AwsError, Hint, InvalidationStatus, Item, Learned, Partition, PublishState, Publisher, Quota,
    Quotas, Refusal, RefusedFor, WaitReason, Widened,
};
use skycms_cdn::store::{
    AuditRecord, Burst, Day, Invalidation, ListedSession, Pace, Publish, PublishSummary, Session,
    Workload,
};
use skycms_cdn::web::views::*;
use skycms_cdn::web::words;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

mod settings;

pub(crate) use settings::*;

/// Every page by name.
pub(crate) fn pages() -> Vec<(&'static str, askama::Result<String>)> {
    vec![
        ("settings-new", settings_new().render()),
        ("settings-connected", settings_connected().render()),
        ("settings-failed", settings_failed().render()),
        ("settings-testing", settings_testing().render()),
        ("settings-errors", settings_errors().render()),
        ("settings-hook", hook().render()),
        ("settings-hook-revealed", hook_revealed().render()),
        ("settings-publishing", publishing().render()),
        ("settings-spending", spending().render()),
        ("settings-notifications", notifications().render()),
        ("settings-refused", refused().render()),
        ("activity", activity().render()),
        ("activity-empty", activity_empty().render()),
        ("publish", publish().render()),
        ("publish-failed", publish_failed().render()),
        ("purge", purge().render()),
        ("purge-errors", purge_errors().render()),
        ("sign-in", sign_in().render()),
        ("session-ended", session_ended().render()),
        ("set-up", set_up().render()),
        ("password", password().render()),
        ("second-step", second_step().render()),
        ("sessions", sessions().render()),
        ("audit", audit().render()),
        ("sites", sites().render()),
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
        root: ".".into(),
        base: ".".into(),
        sites: Vec::new(),
        nav,
        now: NOW,
        user: Some(User {
            session: Session::of("admin", Role::Admin, Source::Password),
            signs_out_here: true,
        }),
        banner: None,
        flash: None,
        address: None,
        once: "one-time-key".into(),
        mark: None,
        pending: false,
        keep_still: Some("?still=1".into()),
    }
}

fn outside() -> Layout {
    Layout {
        user: None,
        ..layout(Nav::Elsewhere)
    }
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
fn row(id: usize, state: PublishState, seconds: i64, items: &[&str], total: u64) -> PublishSummary {
    let sent = ago(seconds) + Duration::milliseconds(180 + seconds % 700);
    let completed = sent + Duration::milliseconds(9_000 + seconds % 9_000);
    PublishSummary {
        id: Uuid::from_u128(0x0199_f0c2_7d1e_7000_8000_0000_0000_0000 + id as u128),
        state,
        received_at: ago(seconds),
        submitted_at: (state != PublishState::Queued).then_some(sent),
        ended_at: (state == PublishState::Completed).then_some(completed),
        items: items.iter().map(|item| (*item).into()).collect(),
        items_total: total,
        waiting_for: None,
        note: None,
        invalidations: 1,
        completed_invalidations: 0,
        error: None,
        edge: (id % 5 == 1 && state == PublishState::Completed).then_some(
            if id.is_multiple_of(2) {
                EdgeState::Stale
            } else {
                EdgeState::Fresh
            },
        ),
        publisher: Some(if id.is_multiple_of(3) {
            Publisher::SkyCmsUser("jane".into())
        } else {
            Publisher::Token("GitHub Actions".into())
        }),
        burst: None,
    }
}

fn day() -> Day {
    let publishes = [
        0, 0, 0, 1, 0, 2, 6, 11, 18, 24, 31, 22, 19, 27, 34, 41, 29, 16, 9, 7, 4, 0, 3, 12,
    ];
    let hours = (0..).zip(publishes).map(|(hour, publishes)| {
        let after = |milliseconds| (publishes > 0).then(|| Duration::milliseconds(milliseconds));
        let pace = Pace {
            publishes,
            median: after(8_500 + (hour * 977) % 3_000),
            p95: after(14_000 + (hour * 2_741) % 11_000),
        };
        (ago(86_400 - hour * 3_600), pace)
    });
    Day {
        hours: hours.collect(),
        whole: Pace {
            publishes: 0,
            median: Some(Duration::milliseconds(9_800)),
            p95: Some(Duration::milliseconds(21_300)),
        },
    }
}

pub(crate) fn activity() -> ActivityPage {
    let mut publishes = vec![
        row(
            1,
            PublishState::Queued,
            4,
            &["/news/2026/11/harbour-bridge-opens"],
            4,
        ),
        row(
            2,
            PublishState::InProgress,
            21,
            &["/", "/index.html", "/sport"],
            3,
        ),
        row(
            3,
            PublishState::InProgress,
            48,
            &["/archive/1998/a", "/archive/1998/b", "/archive/1998/c"],
            5_000,
        ),
        row(
            4,
            PublishState::Completed,
            130,
            &["/about", "/sitemap.xml"],
            2,
        ),
        row(
            5,
            PublishState::Failed,
            700,
            &["/files/report%20final.pdf"],
            1,
        ),
        row(
            6,
            PublishState::Unconfirmed,
            2_900,
            &["/weather", "#city:oslo"],
            2,
        ),
    ];
    publishes[0].waiting_for = Some(WaitReason::Rate);
    publishes[2].completed_invalidations = 7;
    publishes[2].invalidations = 19;
    publishes[3].burst = Some(Burst {
        publishes: 312,
        oldest: publishes[3].id,
        since: ago(190),
    });
    publishes[4].error = Some("CloudFront refused the path: Your request contains one or more invalid invalidation paths.".into());
    publishes.extend((7..26).map(|n| {
        row(
            n,
            PublishState::Completed,
            n as i64 * 1_500,
            &["/news/2026/11/council-votes-on-budget", "/", "/index.html"],
            4,
        )
    }));
    ActivityPage {
        layout: layout(Nav::Activity),
        overview: Some(Overview {
            chart: Chart::new(&day()),
            work: Some(Workload {
                since: ago(48),
                total: 5_000,
                ended: 1_204,
                in_trouble: 1,
                ended_at: None,
                is_more: false,
            }),
            queued: Count(4),
            oldest: span(4_200),
            held: Some(Held {
                why: words::waiting_for(&WaitReason::Rate),
                note: None,
            }),
            quotas: Some(quotas()),
            meter: meter(),
        }),
        filter: Filter::default(),
        hook_used: false,
        publishes,
        paging: Paging {
            newer: None,
            older: Some("before=0199".into()),
        },
        live: None,
        set_up: true,
        hook_url: hook().url,
    }
}

/// CloudFront refused 150 files at once, and said that it takes no more wildcards.
fn quotas() -> Quotas {
    let files = Quota {
        in_progress: 412,
        unconfirmed: 40,
        quota: 3_000,
        per_call: 94,
        learned: Some(Learned {
            at: ago(61),
            refused: Refusal {
                items: 150,
                why: RefusedFor::Rate,
                at: ago(125),
            },
        }),
        full_since: None,
    };
    let wildcards = Quota {
        in_progress: 15,
        unconfirmed: 0,
        quota: 15,
        per_call: 15,
        learned: None,
        full_since: Some(ago(12)),
    };
    Quotas { files, wildcards }
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
    PublishPage {
        layout: layout(Nav::Activity),
        publish: Publish {
            id: Uuid::from_u128(0x0199_f0c2_7d1e_7000_8000_0000_0000_0004),
            state: PublishState::InProgress,
            received_at: ago(21),
            submitted_at: Some(ago(20)),
            ended_at: None,
            items: vec![
                "/news/2026/11/harbour-bridge-opens".into(),
                "/".into(),
                "/index.html".into(),
                "/files/old*".into(),
                "#city:oslo".into(),
                "/sitemap.xml".into(),
            ],
            widened: vec![Widened {
                from: "/files/old~name.pdf".into(),
                to: item("/files/old*"),
            }],
            waiting_for: None,
            note: None,
            invalidations: invalidations(),
            edge: edge_checks(),
            edge_is_due: true,
            caller_reference: None,
            retry_of: None,
            retried_as: None,
            publisher: Some(Publisher::Token("GitHub Actions".into())),
        },
        note: None,
        failed: vec![],
        purged_by: HashMap::from([("/news/2026/11/harbour-bridge-opens".into(), item("/news/*"))]),
        partition: Partition::Aws,
    }
}

pub(crate) fn item(text: &str) -> Item {
    Item::from_canonical(text).expect("an item")
}

fn invalidations() -> Vec<Invalidation> {
    vec![
        Invalidation {
            id: Uuid::from_u128(1),
            cloudfront_id: Some("I2J0I21PCUYOIK".into()),
            caller_reference: "0199f0c2-7d20-7000-8000-0000000000aa".into(),
            distribution_id: "E2QWRUHAPOMQZL".into(),
            status: InvalidationStatus::Completed,
            items: vec!["/news/*".into()],
            item_count: 1,
            attempts: 1,
            created_at: ago(21),
            submitted_at: Some(ago(20)),
            ended_at: Some(ago(9)),
            waiting_for: None,
            error: None,
            fix: None,
        },
        Invalidation {
            id: Uuid::from_u128(2),
            cloudfront_id: Some("I3K7Q92XPLEXAM".into()),
            caller_reference: "0199f0c2-7d21-7000-8000-0000000000ab".into(),
            distribution_id: "E2QWRUHAPOMQZL".into(),
            status: InvalidationStatus::InProgress,
            items: vec!["#city:oslo".into()],
            item_count: 1,
            attempts: 2,
            created_at: ago(21),
            submitted_at: Some(ago(12)),
            ended_at: None,
            waiting_for: None,
            error: None,
            fix: None,
        },
    ]
}

fn edge_checks() -> Vec<EdgeCheck> {
    let fresh = EdgeCheck {
        url: "https://www.example.com/news/2026/11/harbour-bridge-opens".into(),
        state: EdgeState::Fresh,
        checked_at: ago(4),
        http_status: Some(200),
        age: Some(2),
        x_cache: Some("Hit from cloudfront".into()),
        pop: Some("OSL50-P1".into()),
        detail: None,
    };
    let stale = EdgeCheck {
        url: "https://www.example.com/".into(),
        state: EdgeState::Stale,
        age: Some(86_400),
        detail: Some(
            "The copy is 24 hours old. Compare the distribution’s alternate domain names.".into(),
        ),
        ..fresh.clone()
    };
    vec![fresh, stale]
}

pub(crate) fn publish_failed() -> PublishPage {
    PublishPage {
        publish: Publish {
            state: PublishState::Failed,
            submitted_at: None,
            ended_at: Some(ago(18)),
            items: vec!["/files/report%20final.pdf".into()],
            invalidations: vec![Invalidation {
                cloudfront_id: None,
                status: InvalidationStatus::Failed,
                submitted_at: None,
                error: Some(AwsError {
                    http_status: Some(400),
                    code: "InvalidArgument".into(),
                    message: "Your request contains one or more invalid invalidation paths.".into(),
                    request_id: Some("8c8b7a1e-4a43-4d64-9f5c-2b0c9f6a1d11".into()),
                }),
                fix: Some("Rename the file, or purge its folder with /files/*.".into()),
                ..invalidations().remove(1)
            }],
            edge: vec![],
            edge_is_due: false,
            ..publish().publish
        },
        failed: vec![item("/files/report%20final.pdf")],
        layout: Layout {
            banner: Some(Banner {
                look: words::PROBLEM,
                trouble: words::errors::Trouble {
                    title: "Purging is paused",
                    text: "AWS no longer accepts the access key. Three publishes wait.".into(),
                    fix: "Open the settings",
                },
                path: Some("/settings/cdn"),
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
            held: None,
            hints: vec![Hint {
                given: "/blog/*".into(),
                detail: "/blog/* purges all below /blog/, but not /blog itself.".into(),
            }],
        }),
        blocked: None,
        cancelled: None,
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
        kept: None,
        by_skycms: false,
        asks_for_code: false,
    }
}

pub(crate) fn session_ended() -> SessionEndedPage {
    SessionEndedPage {
        layout: outside(),
        path: "/settings/cdn?kept".into(),
        kept: "c2VhbGVk".into(),
        is_still_ended: true,
        sign_in: SignInElsewhere {
            address: Some("/Identity/Account/Login?ReturnUrl=%2Fcdn%2F".into()),
            why_not: None,
            by_password: true,
        },
    }
}

pub(crate) fn set_up() -> SetUpPage {
    SetUpPage {
        layout: outside(),
        errors: PasswordErrors::default(),
    }
}

pub(crate) fn password() -> PasswordPage {
    PasswordPage {
        layout: layout(Nav::Elsewhere),
        errors: PasswordErrors {
            new: Some("This password is on every attacker’s list. Take another.".into()),
            ..PasswordErrors::default()
        },
    }
}

pub(crate) fn second_step() -> SecondStepPage {
    SecondStepPage {
        layout: layout(Nav::Elsewhere),
        new: Some(NewSecondStep {
            secret: "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".into(),
            address: "otpauth://totp/skycms-cdn:admin?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=skycms-cdn".into(),
            picture: "data:image/svg+xml;base64,PHN2Zy8+".into(),
        }),
        error: Some("The password or the code is wrong. Each code works once.".into()),
    }
}

pub(crate) fn sessions() -> SessionsPage {
    let session = |user: &str, source, address: &str, used, is_own| ListedSession {
        id: Uuid::from_u128(1),
        user: user.into(),
        role: Role::Admin,
        source,
        began_at: ago(used + 7_200),
        used_at: ago(used),
        address: address.into(),
        is_own,
    };
    SessionsPage {
        layout: layout(Nav::Elsewhere),
        sessions: ListPage::of(
            vec![
                session("admin", Source::Password, "203.0.113.7", 20, true),
                session(
                    "ada@example.com",
                    Source::SkyCms,
                    "2001:db8:85a3::8a2e:370:7334",
                    4_000,
                    false,
                ),
            ],
            None,
            25,
        ),
        has_others: true,
    }
}

pub(crate) fn audit() -> AuditPage {
    let entry = |seconds, what: &str, detail: Option<&str>| {
        let record = AuditRecord {
            id: Uuid::from_u128(1),
            at: ago(seconds),
            who: "admin".into(),
            source: Some(Source::Password),
            what: what.into(),
            site: None,
            detail: detail.map(Into::into),
            address: "203.0.113.7".into(),
        };
        (record, None)
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

pub(crate) fn sites() -> SitesPage {
    let names = ["default", "shop-de", "shop-fr"];
    let row = |name: &str, distribution: Option<&str>| SiteRow {
        name: name.into(),
        path: format!("/sites/{name}"),
        distribution_id: distribution.map(Into::into),
        paused: None,
        changeable: name != "default",
        new_name: Field::new(name),
    };
    SitesPage {
        layout: Layout {
            sites: names
                .iter()
                .map(|name| SiteLink {
                    name: (*name).into(),
                    address: format!("./sites/{name}/activity"),
                    here: false,
                })
                .collect(),
            ..layout(Nav::Sites)
        },
        sites: ListPage::of(vec![
            row("default", Some("E2QWRUHAPOMQZL")),
            SiteRow {
                new_name: Field {
                    value: "Shop".into(),
                    error: Some("A name must be 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends, such as shop-de.".into()),
                },
                paused: Some("AccessDenied".into()),
                ..row("shop-de", Some("E1ABCDEFGHIJKL"))
            },
            row("shop-fr", None),
        ], None, 2),
        new: Field::default(),
    }
}

pub(crate) fn error() -> ErrorPage {
    ErrorPage {
        layout: layout(Nav::Elsewhere),
        status: 503,
        trouble: words::errors::Trouble {
            title: "The database is not responding",
            text: "Nothing was changed just now. Publishes accepted earlier continue as soon as it is back.".into(),
            fix: "Try again in a moment. If the problem persists, whoever runs this service can find the reason in its log.",
        },
    }
}

pub(crate) fn confirm() -> ConfirmPage {
    ConfirmPage {
        layout: layout(Nav::Purge),
        question: words::purge::EVERYTHING,
        path: "/purge".into(),
        fields: vec![("action", "purge".into()), ("confirmed", "yes".into())],
        cancel: None,
    }
}
