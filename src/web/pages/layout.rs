//! What all pages share, as far as the reader may see it.

use std::sync::Arc;

use time::OffsetDateTime;

use super::signed_in::SignedIn;
use super::views::{Banner, Layout, Nav, SiteLink, User};
use super::words::{PROBLEM, WARNING, date, errors};
use crate::domain::session::Role;
use crate::domain::{DEFAULT_SITE, site_name};
use crate::store::{Session, Site};
use crate::web::state::AppState;

/// The layout of a page about a site, or of one about none, whose links lead to the first site that
/// the reader may see.
pub(crate) fn layout(
    state: &AppState,
    user: Option<&SignedIn>,
    site: Option<&Site>,
    nav: Nav,
) -> Layout {
    let site = site.filter(|site| user.is_some_and(|user| user.session.sees(site)));
    let seen = user.map_or_else(Vec::new, |user| seen(state, &user.session));
    let choice = if seen.len() > 1 { &seen[..] } else { &[] };
    let root = state.public.prefix.clone();
    let links = choice.iter().map(|other| SiteLink {
        name: other.name.clone(),
        address: format!("{root}{}{}", path_of(other), nav.path()),
        here: site.is_some_and(|site| site.id == other.id),
    });
    // The links of the page of all sites are about all of them.
    let is_of_all = nav == Nav::Sites;
    let leads_to = site.or(first(&seen)).filter(|_| !is_of_all);
    let now = state.clock.now();
    let banner = user
        .zip(site)
        .and_then(|(user, site)| banner(site, now, user.session.role));
    Layout {
        base: root.clone() + &leads_to.map(path_of).unwrap_or_default(),
        sites: links.collect(),
        root,
        nav,
        now,
        user: user.map(|user| User {
            session: user.session.clone(),
            signs_out_here: user.token.is_some(),
        }),
        banner: banner.or_else(|| proxy_banner(state, user?)),
        flash: None,
        address: is_of_all.then(|| "/sites".into()),
        once: state.clock.id().to_string(),
        mark: None,
        pending: false,
        keep_still: None,
    }
}

/// Where somebody starts: the first site that they may see.
pub(crate) fn home(state: &AppState, session: &Session) -> String {
    let sites = seen(state, session);
    first(&sites).map(path_of).unwrap_or_default()
}

/// Where a site's pages are, below the prefix of `PUBLIC_URL`.
pub(crate) fn path_of(site: &Site) -> String {
    site_name::pages_of(&site.name)
}

/// The sites that somebody may see, by name.
fn seen(state: &AppState, session: &Session) -> Vec<Arc<Site>> {
    let mut sites = state.directory.sites();
    sites.retain(|site| session.sees(site));
    sites
}

fn first(sites: &[Arc<Site>]) -> Option<&Site> {
    let default = sites.iter().find(|site| site.name == DEFAULT_SITE);
    default.or(sites.first()).map(Arc::as_ref)
}

/// For whoever runs the service: a proxy is not trusted.
fn proxy_banner(state: &AppState, user: &SignedIn) -> Option<Banner> {
    let proxy = state.unbelieved_proxy.get()?;
    user.session.manages_sites().then(|| Banner {
        look: WARNING,
        trouble: errors::unbelieved_proxy(*proxy),
        path: None,
    })
}

/// What keeps the site from purging, or from knowing how far a purge is, shown on every page.
/// Editors are told who can fix it, rather than sent to a page that they may not see.
fn banner(site: &Site, now: OffsetDateTime, reader: Role) -> Option<Banner> {
    let (look, mut trouble, path) = if let Some(pause) = &site.pause {
        let paused = errors::paused(&pause.error.code);
        (PROBLEM, paused, "/settings/cdn")
    } else if let Some(until) = site.limited_until.filter(|until| *until > now) {
        let reached = errors::limit_reached(&date(until));
        (WARNING, reached, "/settings/cdn/policy")
    } else if site.poll_denied_since.is_some() {
        (WARNING, errors::NOT_ASKED, "/settings/cdn#policy")
    } else {
        return None;
    };
    let is_admin = reader == Role::Admin;
    if !is_admin {
        trouble.text = errors::for_editors(&trouble.text).into();
    }
    Some(Banner {
        look,
        trouble,
        path: is_admin.then_some(path),
    })
}
