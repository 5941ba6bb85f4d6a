//! Who is looking at a page, and at which site.

use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::layout::{layout, path_of};
use super::signed_in::SignedIn;
use super::views::{FormPage, Layout, Nav};
use super::words::errors::MARK_ERROR;
use super::words::{Look, account, settings, sites};
use crate::admin::audit::{self, Actor};
use crate::domain::session::Source;
use crate::domain::{AuditAction, Item, Publisher, Widened};
use crate::store::{IdempotencyKey, NewPublish, Site, SiteId};
use crate::web::http::error::{Error, Result};
use crate::web::publishing::accept;
use crate::web::state::AppState;

/// Somebody who is signed in. Every page that requires signing in extracts it.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) state: AppState,
    pub(crate) user: SignedIn,
    notice: Notice,
    keep_still: Option<String>,
}

/// What is said of the page itself in its query.
#[derive(Clone, Default, Deserialize)]
struct Notice {
    /// What was just done, by its name, which is said once after a redirect.
    done: Option<String>,
    /// Its reader asked that it does not reload itself.
    still: Option<String>,
}

impl FromRequestParts<AppState> for Visitor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self> {
        // Absent only if the page is mounted with a rule that lets everybody in.
        let user = parts.extensions.get().cloned().ok_or(Error::Internal)?;
        let Query(notice) = Query::<Notice>::try_from_uri(&parts.uri).unwrap_or_default();
        let query = parts.uri.query().map(|query| format!("{query}&"));
        let still = || format!("?{}still=1", query.unwrap_or_default());
        Ok(Self {
            state: state.clone(),
            user,
            keep_still: notice.still.is_none().then(still),
            notice,
        })
    }
}

impl Visitor {
    /// The layout of a page that is not about a site.
    pub(crate) fn layout(&self, nav: Nav) -> Layout {
        Layout {
            flash: self.flash(nav),
            keep_still: self.keep_still.clone(),
            ..layout(&self.state, Some(&self.user), None, nav)
        }
    }

    fn flash(&self, nav: Nav) -> Option<Look> {
        let done = self.notice.done.as_deref()?;
        match nav {
            Nav::Settings(_) => settings::done(done),
            Nav::Sites => sites::done(done),
            Nav::Elsewhere => account::ended(done),
            Nav::Activity | Nav::Purge | Nav::Audit => None,
        }
    }

    /// Redirects (303) to a page that is not about a site.
    pub(crate) fn see(&self, page: &str) -> Response {
        see(&self.state, page)
    }

    /// The publisher of what they purge by hand.
    fn publisher(&self) -> Publisher {
        let name = self.user.session.user.as_str().into();
        match self.user.session.source {
            Source::Password => Publisher::User(name),
            Source::SkyCms => Publisher::SkyCmsUser(name),
        }
    }

    /// Records in the audit log what they did, and to which site, if any.
    pub(crate) async fn audit(
        &self,
        action: AuditAction,
        site: Option<SiteId>,
        detail: Option<String>,
    ) {
        let from = self.user.from.to_string();
        let actor = Actor {
            name: &self.user.session.user,
            source: Some(self.user.session.source),
            from: &from,
        };
        let (store, clock) = (&self.state.store, &self.state.clock);
        audit::record(store, clock, actor, action, site, detail).await;
    }
}

/// Somebody on a page of a site that they may see.
#[derive(Clone)]
pub(crate) struct Visit {
    pub(crate) state: AppState,
    pub(crate) visitor: Visitor,
    pub(crate) site: Arc<Site>,
}

impl FromRequestParts<AppState> for Visit {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        let site = visitor.user.site.clone().ok_or(Error::NotFound)?;
        Ok(Self {
            state: state.clone(),
            visitor,
            site,
        })
    }
}

impl Visit {
    /// The layout of a page about the site.
    pub(crate) fn layout(&self, nav: Nav) -> Layout {
        Layout {
            flash: self.visitor.flash(nav),
            keep_still: self.visitor.keep_still.clone(),
            ..layout(&self.state, Some(&self.visitor.user), Some(&self.site), nav)
        }
    }

    /// The path of a page of the site, below the prefix of `PUBLIC_URL`.
    pub(crate) fn path(&self, page: &str) -> String {
        format!("{}{page}", path_of(&self.site))
    }

    /// Redirects (303) to a page of the same site.
    pub(crate) fn see(&self, page: &str) -> Response {
        see(&self.state, &self.path(page))
    }

    /// Publishes by hand. Returns the publish's ID, and, if it is an earlier one with the same key,
    /// when that was received.
    pub(crate) async fn publish(
        &self,
        items: Vec<Item>,
        widened: Vec<Widened>,
        idempotency_key: Option<IdempotencyKey>,
    ) -> Result<(Uuid, Option<OffsetDateTime>)> {
        let state = &self.state;
        let id = state.clock.id();
        let publish = NewPublish {
            site: self.site.id,
            id,
            received_at: state.clock.now(),
            items,
            widened,
            idempotency_key,
            traceparent: None,
            publisher: self.visitor.publisher(),
        };
        let first = accept(state, &self.site, publish).await?;
        let is_repeat = first.id != id;
        Ok((first.id, is_repeat.then_some(first.received_at)))
    }

    /// Records in the audit log what they have done to the site.
    pub(crate) async fn audit(&self, action: AuditAction, detail: Option<String>) {
        let site = Some(self.site.id);
        self.visitor.audit(action, site, detail).await;
    }

    /// Records what they changed about the site, and lets this replica see it at once.
    pub(crate) async fn changed(&self, action: AuditAction, detail: Option<String>) {
        self.audit(action, detail).await;
        self.state.refresh_sites().await;
    }
}

pub(crate) fn html(page: &impl Template) -> Result<Response> {
    Ok(Html(page.render()?).into_response())
}

/// A page that shows the form as it was typed and what is wrong with it.
pub(crate) fn not_accepted(page: impl FormPage) -> Result<Response> {
    refused(StatusCode::UNPROCESSABLE_ENTITY, page)
}

/// The same with another status. The page does not reload itself, which would throw away what was
/// typed.
pub(crate) fn refused(status: StatusCode, mut page: impl FormPage) -> Result<Response> {
    let layout = page.layout();
    (layout.mark, layout.pending) = (Some(MARK_ERROR), false);
    Ok((status, html(&page)?).into_response())
}

/// Redirects (303) to a page, below the prefix of `PUBLIC_URL`.
pub(crate) fn see(state: &AppState, path: &str) -> Response {
    Redirect::to(&format!("{}{path}", state.public.prefix)).into_response()
}

/// What an address is about, by its `{id}`.
#[derive(Deserialize, FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Error))]
pub(crate) struct Id {
    pub(crate) id: Uuid,
}
