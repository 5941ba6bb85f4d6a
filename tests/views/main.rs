//! Every page: what is escaped, what others rely on, and how big it is.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::io::Write;

use askama::Template;
use flate2::Compression;
use flate2::write::GzEncoder;
use skycms_cdn::domain::AwsError;
use skycms_cdn::domain::session::{Role, Source};
use skycms_cdn::store::Session;
use skycms_cdn::web::views::*;
use skycms_cdn::web::words;

mod samples;
#[path = "../support/snapshots.rs"]
mod snapshots;

use snapshots::{assert_shown, readable};

/// Breaks out of text, of an attribute in either quote, and of a comment.
const HOSTILE: &str = r#""'><script>alert(1)</script><!--"#;

fn pages() -> Vec<(&'static str, String)> {
    samples::pages()
        .into_iter()
        .map(|(name, html)| (name, html.unwrap()))
        .collect()
}

/// Pages that show what those of tests/service/pages.rs do not come to.
const MORE: [&str; 12] = [
    "settings-errors",
    "settings-hook-revealed",
    "settings-spending",
    "settings-notifications",
    "settings-refused",
    "activity",
    "publish",
    "session-ended",
    "set-up",
    "second-step",
    "sessions",
    "sites",
];

#[test]
fn these_pages_look_as_they_did() {
    let more = pages().into_iter().filter(|(name, _)| MORE.contains(name));
    for (name, html) in more {
        assert_shown("views", name, &readable(&html));
    }
}

fn assert_harmless(name: &str, html: &str) {
    assert!(!html.contains("<script>"), "{name}: markup came through");
    assert!(
        !html.contains(r#""'>"#) && !html.contains("<!--"),
        "{name}: a quote came through"
    );
    assert!(
        html.contains("&#60;script&#62;"),
        "{name}: the sample is not on the page"
    );
}

fn hostile_layout(mut layout: Layout) -> Layout {
    layout.banner = Some(Banner {
        look: words::PROBLEM,
        trouble: words::errors::Trouble {
            title: HOSTILE,
            text: HOSTILE.into(),
            fix: HOSTILE,
        },
        path: Some(HOSTILE),
    });
    layout.flash = Some(words::Look {
        meaning: HOSTILE,
        ..words::WARNING
    });
    layout.user = Some(User {
        session: Session::of(HOSTILE, Role::Admin, Source::Password),
        signs_out_here: true,
    });
    layout
}

fn hostile_field() -> Field {
    Field {
        value: HOSTILE.into(),
        error: Some(HOSTILE.into()),
    }
}

fn hostile_aws() -> AwsError {
    AwsError {
        http_status: Some(403),
        code: HOSTILE.into(),
        message: HOSTILE.into(),
        request_id: Some(HOSTILE.into()),
    }
}

#[test]
fn settings_escape_what_was_typed_and_what_aws_said() {
    let mut page = samples::settings_failed();
    page.layout = hostile_layout(page.layout);
    page.form.distribution_id = hostile_field();
    page.form.access_key_id = hostile_field();
    page.form.secret_error = Some(HOSTILE.into());
    page.policy.shown = HOSTILE.into();
    let step = &mut page.test.as_mut().unwrap().steps[2];
    (step.cause, step.fix, step.error) =
        (HOSTILE.into(), Some(HOSTILE.into()), Some(hostile_aws()));
    assert_harmless("settings", &page.render().unwrap());

    let mut page = samples::hook();
    page.layout = hostile_layout(page.layout);
    page.url = HOSTILE.into();
    page.tokens.rows[0].name = HOSTILE.into();
    assert_harmless("hook", &page.render().unwrap());

    let mut page = samples::notifications();
    page.endpoints.rows[0].shown = HOSTILE.into();
    page.form.url = hostile_field();
    page.deliveries[0].body = Some(HOSTILE.into());
    page.deliveries[0].tries[1].body = HOSTILE.into();
    assert_harmless("notifications", &page.render().unwrap());

    let mut page = samples::publishing();
    let form = &mut page.publishing;
    (form.hosts, form.related) = (hostile_field(), hostile_field());
    assert_harmless("publishing", &page.render().unwrap());
}

#[test]
fn lists_escape_paths_and_errors() {
    let mut page = samples::activity();
    page.layout = hostile_layout(page.layout);
    page.filter.path = HOSTILE.into();
    page.publishes[0].items = vec![HOSTILE.into()];
    page.publishes[0].error = Some(HOSTILE.into());
    assert_harmless("activity", &page.render().unwrap());

    let mut page = samples::publish_failed();
    page.publish.items.push(HOSTILE.into());
    page.publish.widened[0].from = HOSTILE.into();
    page.publish.items.push("/files/old*".into());
    let invalidation = &mut page.publish.invalidations[0];
    invalidation.items = vec![HOSTILE.into()];
    (invalidation.error, invalidation.fix) = (Some(hostile_aws()), Some(HOSTILE.into()));
    assert_harmless("publish", &page.render().unwrap());

    let mut page = samples::audit();
    page.search = HOSTILE.into();
    page.entries[0].0.what = HOSTILE.into();
    page.entries[0].0.address = HOSTILE.into();
    assert_harmless("audit", &page.render().unwrap());
}

#[test]
fn forms_escape_what_was_typed() {
    let mut page = samples::purge_errors();
    page.text = format!("</textarea>{HOSTILE}");
    page.errors[0].text = HOSTILE.into();
    let html = page.render().unwrap();
    assert_harmless("purge", &html);
    assert_eq!(html.matches("</textarea>").count(), 1);

    let mut page = samples::sites();
    page.layout = hostile_layout(page.layout);
    page.layout.sites[0].name = HOSTILE.into();
    page.new = hostile_field();
    page.sites.rows[1].name = HOSTILE.into();
    page.sites.rows[1].paused = Some(HOSTILE.into());
    page.sites.rows[1].new_name = hostile_field();
    assert_harmless("sites", &page.render().unwrap());

    let mut page = samples::sign_in();
    page.username = HOSTILE.into();
    page.next = Some(HOSTILE.into());
    assert_harmless("sign-in", &page.render().unwrap());

    let mut page = samples::confirm();
    page.fields.push(("items", HOSTILE.into()));
    assert_harmless("confirm", &page.render().unwrap());
}

#[test]
fn no_form_shows_a_secret() {
    for (name, html) in pages() {
        for input in html
            .split("<input")
            .skip(1)
            .map(|rest| rest.split('>').next().unwrap())
        {
            let is_secret = input.contains(r#"type="password""#);
            assert!(!(is_secret && input.contains(" value")), "{name}: {input}");
        }
    }
}

#[test]
fn every_address_follows_prefix_and_site() {
    let mut page = samples::activity();
    page.layout.root = "/cdn".into();
    page.layout.base = "/cdn/sites/shop".into();
    let html = page.render().unwrap();
    for attribute in ["href=\"", "src=\"", "action=\""] {
        for address in html
            .split(attribute)
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
        {
            assert!(
                address.starts_with("/cdn/") || address.starts_with('#'),
                "{attribute}{address}"
            );
        }
    }
    // The script listens to the events of the site.
    assert!(html.contains(r#"data-base="/cdn/sites/shop""#));
    assert!(
        html.contains(r#"href="/cdn/sites/shop/purge""#) && html.contains(r#"href="/cdn/audit""#)
    );
    assert!(
        html.contains(r#"action="/cdn/sign-out""#) && html.contains(r#"src="/cdn/static/app.js"#)
    );
}

#[test]
fn a_strict_content_security_policy_blocks_nothing() {
    for (name, html) in pages() {
        assert!(!html.contains(" style="), "{name}: inline style");
        assert!(!html.contains("<style"), "{name}: inline style sheet");
        assert_eq!(html.matches("<script").count(), 1, "{name}: only app.js");
        assert!(
            !html.contains(" on") || !html.contains("onclick="),
            "{name}: inline handler"
        );
    }
}

#[test]
fn without_scripts_a_pending_page_reloads_itself_until_told_not_to() {
    let mut pending = samples::settings_testing();
    let reload = format!(
        r#"<noscript><meta http-equiv="refresh" content="3; url={}/settings/cdn"></noscript>"#,
        pending.layout.base
    );
    let html = pending.render().unwrap();
    assert!(html.contains(&reload) && html.contains("href=\"?still=1\""));
    pending.layout.keep_still = None;
    assert!(!pending.render().unwrap().contains("<noscript>"));
    assert!(
        !samples::settings_connected()
            .render()
            .unwrap()
            .contains(&reload)
    );
}

#[test]
fn code_is_shown_as_code() {
    let mut page = samples::error();
    page.trouble.text = "Send `<b>`, and a lone ` stays.".into();
    let html = page.render().unwrap();
    assert!(
        html.contains("Send <code>&#60;b&#62;</code>, and a lone ` stays."),
        "{html}"
    );
    for (name, html) in pages() {
        let html = html
            .split("</pre>")
            .map(|part| part.split("<pre").next().unwrap());
        assert!(!html.collect::<String>().contains('`'), "{name}");
    }
}

/// The length of a text as a browser gets it.
fn compressed(text: &str) -> usize {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap().len()
}

#[test]
fn a_page_with_style_sheet_and_script_is_under_40_kb() {
    let style = compressed(include_str!("../../static/style.css"));
    let script = compressed(include_str!("../../static/app.js"));
    let assets = style + script;
    let mut rebuild = samples::publish();
    rebuild.publish.items = (0..5_000)
        .map(|n| format!("/archive/1998/a-page-with-a-rather-long-name-{n}"))
        .collect();
    let items = rebuild.publish.items.iter().cloned();
    rebuild.purged_by = items
        .map(|purged| (purged, samples::item("/archive/*")))
        .collect();
    let rebuild = ("publish of 5,000 pages", rebuild.render().unwrap());
    for (name, html) in pages().into_iter().chain([rebuild]) {
        let size = html.len() + assets;
        println!("{name}: {} + {assets} bytes", html.len());
        assert!(size < 40_000, "{name}: {size} bytes");
    }
}

#[test]
fn ids_are_unique_and_labels_have_their_field() {
    // Sites may be called like what an id ends with.
    let mut sites = samples::sites();
    let last = sites.sites.rows.last().unwrap().clone();
    for name in ["hint".to_owned(), format!("{}-hint", last.name)] {
        let row = SiteRow {
            name,
            ..last.clone()
        };
        sites.sites.rows.push(row);
    }
    let sites = ("sites of such names", sites.render().unwrap());
    for (name, html) in pages().into_iter().chain([sites]) {
        let ids: Vec<&str> = html
            .split(" id=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        for id in &ids {
            assert_eq!(
                ids.iter().filter(|other| other == &id).count(),
                1,
                "{name}: id {id}"
            );
        }
        for attribute in [
            "for=\"",
            "data-copy=\"",
            "aria-labelledby=\"",
            "aria-describedby=\"",
        ] {
            for list in html
                .split(attribute)
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap())
            {
                for id in list.split(' ') {
                    assert!(ids.contains(&id), "{name}: {attribute}{id}");
                }
            }
        }
    }
}
