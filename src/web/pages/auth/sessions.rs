//! Who is signed in, and where. The owner of the password sees and ends all sessions, a user of
//! SkyCMS those with the same name.

use axum::response::Response;
use serde::Deserialize;

use crate::domain::AuditAction;
use crate::domain::session::Source;
use crate::web::http::error::Result;
use crate::web::http::extract::Query;
use crate::web::pages::once::Ending;
use crate::web::pages::views::{ListPage, Nav, PAGE_SIZE, SessionsPage};
use crate::web::pages::visit::{Id, Visitor, html};

#[derive(Deserialize)]
pub(crate) struct PageQuery {
    /// The page of the list, counted from 1.
    sessions: Option<usize>,
}

/// The user whose sessions somebody may see and end; `None` if they may see everybody's.
fn own_only(visitor: &Visitor) -> Option<(&str, Source)> {
    let session = &visitor.user.session;
    (session.source != Source::Password).then_some((session.user.as_str(), session.source))
}

/// `GET /sessions`.
pub(crate) async fn show(visitor: Visitor, Query(query): Query<PageQuery>) -> Result<Response> {
    let state = &visitor.state;
    let (issuer, now) = (state.issuer(), state.clock.now());
    let (of, own) = (own_only(&visitor), visitor.user.token.as_ref());
    let sessions = state.store.sessions(of, own, issuer.as_ref(), now).await?;
    html(&SessionsPage {
        has_others: sessions.iter().any(|session| !session.is_own),
        sessions: ListPage::of(sessions, query.sessions, PAGE_SIZE.into()),
        layout: visitor.layout(Nav::Elsewhere),
    })
}

/// `POST /sessions/{id}/end`.
pub(crate) async fn end(visitor: Visitor, Id { id }: Id) -> Result<Response> {
    let (state, of, name) = (&visitor.state, own_only(&visitor), id.to_string());
    let ending = Ending::of(&["session", of.map_or("", |(user, _)| user), &name]);
    let (store, now) = (&state.store, state.clock.now());
    let ended = store.end_listed_session(id, of, ending.form(), now);
    if ended.await? {
        let detail = Some(name);
        visitor.audit(AuditAction::EndedSession, None, detail).await;
    } else {
        ending.confirm(state).await?;
    }
    Ok(visitor.see("/sessions?done=ended"))
}

/// `POST /sessions/end-others`.
pub(crate) async fn end_others(visitor: Visitor) -> Result<Response> {
    let (of, own) = (own_only(&visitor), visitor.user.token.as_ref());
    let ended = visitor.state.store.end_sessions(of, own).await?;
    if ended > 0 {
        let (action, detail) = (AuditAction::EndedOtherSessions, Some(ended.to_string()));
        visitor.audit(action, None, detail).await;
    }
    Ok(visitor.see("/sessions?done=ended"))
}
