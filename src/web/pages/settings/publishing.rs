//! What publishers may send, and what is purged along with it.

use std::sync::Arc;

use axum::response::Response;
use serde::Deserialize;

use super::section::layout;
use crate::domain::edge::PublicAddress;
use crate::domain::intake::MAX_RULES;
use crate::domain::{
    AuditAction, OriginPath, PublishRequest, PublisherHost, Publishing, RelatedRule, canonicalize,
};
use crate::web::http::error::Result;
use crate::web::http::extract::Form;
use crate::web::http::turns::LARGE_BYTES;
use crate::web::pages::purge::preview;
use crate::web::pages::views::{Field, PublishingForm, PublishingPage, Section};
use crate::web::pages::visit::{Visit, html, not_accepted};
use crate::web::pages::words::{purge, settings as words};
use crate::web::publishing::dry_run;

/// The most publisher hosts that a site can have: each URL of a publish is compared with them.
const MAX_HOSTS: usize = 100;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct PublishingFields {
    public_address: String,
    origin_path: String,
    hosts: String,
    related: String,
    directory_variants: Option<String>,
    /// Pages to try the rules on.
    r#try: String,
    action: Action,
    version: Option<i32>,
}

/// What a button of the form asks for.
#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    /// To show what a publish would purge under the rules as typed.
    Try,
    #[default]
    #[serde(other)]
    Save,
}

/// `GET /settings/cdn/publishing`.
pub(crate) async fn show(visit: Visit) -> Result<Response> {
    // Not what is in memory: an older one with this version would replace the newer one unseen.
    let (saved, version) = visit.state.store.publishing(visit.site.id).await?;
    let stored = publishing_form(&saved, version);
    html(&page(&visit, stored))
}

fn publishing_form(rules: &Publishing, version: i32) -> PublishingForm {
    let address = rules.public_address.as_ref().map(ToString::to_string);
    let hosts: Vec<&str> = rules.hosts.iter().map(PublisherHost::as_str).collect();
    let related: Vec<String> = rules.related.iter().map(ToString::to_string).collect();
    PublishingForm {
        public_address: Field::new(address.unwrap_or_default()),
        origin_path: Field::new(rules.origin_path.to_string()),
        hosts: Field::new(hosts.join("\n")),
        related: Field::new(related.join("\n")),
        directory_variants: rules.directory_variants,
        version,
        ..PublishingForm::default()
    }
}

fn page(visit: &Visit, publishing: PublishingForm) -> PublishingPage {
    PublishingPage {
        layout: layout(visit, Section::Publishing),
        publishing,
    }
}

/// `POST /settings/cdn/publishing`.
pub(crate) async fn save(visit: Visit, Form(fields): Form<PublishingFields>) -> Result<Response> {
    let state = &visit.state;
    let directory_variants = fields.directory_variants.is_some();
    let (hosts, related) = (hosts(&fields.hosts), related(&fields.related));
    let address = public_address(&fields.public_address, state.allow_private_targets);
    let origin_path = fields
        .origin_path
        .parse::<OriginPath>()
        .map_err(|error| error.to_string());
    let typed = PublishingForm {
        public_address: Field::read(fields.public_address, &address),
        origin_path: Field::read(fields.origin_path, &origin_path),
        hosts: Field::read(fields.hosts, &hosts),
        related: Field::read(fields.related, &related),
        directory_variants,
        tried: Field::new(fields.r#try),
        version: fields.version.unwrap_or_default(),
        ..PublishingForm::default()
    };
    let (Ok(hosts), Ok(related)) = (hosts, related) else {
        return not_accepted(page(&visit, typed));
    };
    match fields.action {
        Action::Try => {
            let rules = Publishing {
                hosts,
                related,
                directory_variants,
                ..visit.site.publishing.clone()
            };
            try_out(&visit, typed, rules).await
        }
        Action::Save => {
            let (Ok(public_address), Ok(origin_path)) = (address, origin_path) else {
                return not_accepted(page(&visit, typed));
            };
            let rules = Publishing {
                public_address,
                origin_path,
                hosts,
                related,
                directory_variants,
            };
            put_in_force(&visit, fields.version, &rules).await
        }
    }
}

async fn put_in_force(visit: &Visit, seen: Option<i32>, wanted: &Publishing) -> Result<Response> {
    let state = &visit.state;
    let (store, site) = (&state.store, visit.site.id);
    let saved = store.save_publishing(site, seen, wanted).await?;
    state.refresh_sites().await;
    if saved {
        let detail = words::changed(
            &words::publishing(&visit.site.publishing),
            &words::publishing(wanted),
        );
        let action = AuditAction::ChangedPublishing;
        visit.audit(action, Some(detail)).await;
    } else {
        // Somebody else was faster. What they saved is shown next to what was typed.
        let (now, version) = store.publishing(site).await?;
        let now = words::publishing(&now);
        if now != words::publishing(wanted) {
            let typed = PublishingForm {
                conflict: now,
                ..publishing_form(wanted, version)
            };
            return not_accepted(page(visit, typed));
        }
    }
    Ok(visit.see("/settings/cdn/publishing?done=rules"))
}

/// Shows what a publish of the lines to try would purge under the rules, or why that is unknown.
async fn try_out(visit: &Visit, mut typed: PublishingForm, rules: Publishing) -> Result<Response> {
    let (state, text) = (&visit.state, typed.tried.value.as_str());
    let request = PublishRequest {
        paths: lines(text).map(str::to_owned).collect(),
        ..PublishRequest::default()
    };
    if request.paths.is_empty() {
        typed.tried.error = Some(words::NOTHING_TO_TRY.into());
        return not_accepted(page(visit, typed));
    }
    let (is_large, partition) = (text.len() > LARGE_BYTES, visit.site.partition);
    let compute = move || canonicalize(&request, &rules, partition);
    let canonical = match state.turns.compute(is_large, compute).await {
        Ok(canonical) => canonical,
        Err(errors) => {
            let first = errors.into_iter().next();
            typed.tried.error = Some(first.map(|error| error.detail).unwrap_or_default());
            return not_accepted(page(visit, typed));
        }
    };
    let Some(planned) = dry_run(state, &visit.site, &Arc::new(canonical)).await? else {
        typed.tried.error = Some(purge::NO_SETTINGS.to_owned());
        return not_accepted(page(visit, typed));
    };
    typed.preview = Some(preview(state, &planned));
    html(&page(visit, typed))
}

/// The public address as typed; `None` if pages are not checked.
fn public_address(text: &str, allow_http: bool) -> Result<Option<PublicAddress>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    PublicAddress::parse(text, allow_http)
        .map(Some)
        .map_err(|error| error.to_string())
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn hosts(text: &str) -> Result<Vec<PublisherHost>, String> {
    let mut hosts: Vec<PublisherHost> = Vec::new();
    for line in lines(text) {
        let host = line
            .parse::<PublisherHost>()
            .map_err(|error| error.to_string())?;
        if hosts.contains(&host) {
            continue;
        }
        if hosts.len() == MAX_HOSTS {
            return Err(words::too_many_hosts(MAX_HOSTS));
        }
        hosts.push(host);
    }
    Ok(hosts)
}

fn related(text: &str) -> Result<Vec<RelatedRule>, String> {
    let rules = lines(text)
        .map(|line| {
            line.parse()
                .map_err(|error| words::faulty_line(line, &error))
        })
        .collect::<Result<Vec<RelatedRule>, _>>()?;
    if rules.len() > MAX_RULES {
        return Err(words::too_many_rules(MAX_RULES));
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_counted_once_and_no_more_are_taken_than_may_be() {
        let typed = |count: usize| {
            let lines: Vec<String> = (0..count).map(|n| format!("{n}.example.com")).collect();
            lines.join("\n")
        };
        let most = typed(MAX_HOSTS);
        let read = hosts(&format!("{most}\n{most}")).expect("hosts");
        assert_eq!(read.len(), MAX_HOSTS);
        assert!(hosts(&typed(MAX_HOSTS + 1)).is_err());
    }
}
