//! The built-in sign-in.

use std::net::IpAddr;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use time::Duration;

use super::{kept, sign_in_page};
use crate::admin::audit::{self, Actor};
use crate::domain::password::MAX_PASSWORD_LENGTH;
use crate::domain::session::{Role, Source};
use crate::domain::{AuditAction, SecondStep};
use crate::store::{ADMIN, FormHash, PasswordShown, Session, SignInClient};
use crate::web::http::client::ClientAddress;
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::{Form, Query};
use crate::web::http::hasher::Requester;
use crate::web::pages::auth::session;
use crate::web::pages::once::OnceKey;
use crate::web::pages::views::SignInPage;
use crate::web::pages::visit::{Visitor, html, refused, see};
use crate::web::pages::words::account as words;
use crate::web::state::AppState;

/// The longest path that the sign-in leads to.
const MAX_NEXT_BYTES: usize = 2_048;

pub(crate) enum Verdict {
    Right(PasswordShown),
    Wrong,
    /// It was not checked: this is how long to wait after too many wrong ones.
    Wait(Duration),
}

/// A code of the second step, with the form that it came in: no other may use it again.
pub(crate) struct Code<'a> {
    typed: &'a SecretString,
    form: FormHash,
}

impl<'a> Code<'a> {
    pub(crate) fn of(state: &AppState, once: &OnceKey, typed: &'a SecretString) -> Self {
        let form = once.form(state, &["code", typed.expose_secret()]);
        Self { typed, form }
    }
}

/// Where to go afterwards, and why SkyCMS's session is not enough.
#[derive(Deserialize)]
pub(crate) struct SignInQuery {
    next: Option<String>,
    skycms: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Fields {
    #[serde(default)]
    username: String,
    password: SecretString,
    #[serde(default)]
    code: SecretString,
    next: Option<String>,
    /// A form that waits for the sign-in.
    kept: Option<String>,
    #[serde(default)]
    once: OnceKey,
}

/// `GET /sign-in`.
pub(crate) async fn show(
    State(state): State<AppState>,
    Query(query): Query<SignInQuery>,
) -> Result<Response> {
    let why_not: Option<words::WhyNot> = query.skycms.and_then(|why| why.parse().ok());
    html(&SignInPage {
        error: why_not.map(|why| words::not_by_skycms(&why).to_owned()),
        next: query.next.filter(|next| is_local_path(next)),
        ..sign_in_page(&state).await?
    })
}

/// `POST /sign-in`.
pub(crate) async fn submit(
    State(state): State<AppState>,
    ClientAddress(from): ClientAddress,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let device = session::known_device(&state, &headers).await?;
    let client = device.map_or(SignInClient::Stranger(from), SignInClient::Device);
    let typed = SignInPage {
        username: fields.username.trim().to_owned(),
        next: fields.next.filter(|next| is_local_path(next)),
        kept: fields.kept,
        ..sign_in_page(&state).await?
    };
    let (username, code) = (
        typed.username.as_str(),
        Code::of(&state, &fields.once, &fields.code),
    );
    match check(&state, client, username, fields.password, Some(&code)).await? {
        Verdict::Right(shown) => {
            note(&state, from, AuditAction::SignedIn).await;
            let response = match typed.kept {
                Some(kept) => kept::ask_to_go_on(&state, kept)?,
                None => see(&state, typed.next.as_deref().unwrap_or("/activity")),
            };
            session::begin(&state, &headers, from, &admin(), Some(&shown), response).await
        }
        Verdict::Wrong => {
            let action = AuditAction::FailedToSignIn;
            record(&state, words::SOMEBODY, None, from, action).await;
            let wrong = match typed.asks_for_code {
                true => words::WRONG_WITH_CODE,
                false => words::WRONG,
            };
            refuse(StatusCode::UNAUTHORIZED, typed, wrong.to_owned())
        }
        Verdict::Wait(wait) => {
            let (told, seconds) = wait_words(wait);
            let answer = refuse(StatusCode::TOO_MANY_REQUESTS, typed, told)?;
            let wait = [(header::RETRY_AFTER, HeaderValue::from(seconds))];
            Ok((wait, answer).into_response())
        }
    }
}

fn refuse(status: StatusCode, typed: SignInPage, why: String) -> Result<Response> {
    let error = Some(why);
    refused(status, SignInPage { error, ..typed })
}

/// `POST /sign-out`.
pub(crate) async fn sign_out(visitor: Visitor, headers: HeaderMap) -> Result<Response> {
    visitor.audit(AuditAction::SignedOut, None, None).await;
    session::end(&visitor.state, &headers, visitor.see("/sign-in")).await
}

/// `POST /sign-out-everywhere`.
pub(crate) async fn sign_out_everywhere(visitor: Visitor, headers: HeaderMap) -> Result<Response> {
    let (state, action) = (&visitor.state, AuditAction::SignedOutEverywhere);
    visitor.audit(action, None, None).await;
    let Session { user, source, .. } = &visitor.user.session;
    let of = Some((user.as_str(), *source));
    state.store.end_sessions(of, None).await?;
    session::end(state, &headers, visitor.see("/sign-in")).await
}

/// Records in the audit log what the owner of the password did, who may not have a session yet.
pub(crate) async fn note(state: &AppState, from: IpAddr, action: AuditAction) {
    record(state, ADMIN, Some(Source::Password), from, action).await;
}

async fn record(
    state: &AppState,
    name: &str,
    source: Option<Source>,
    from: IpAddr,
    action: AuditAction,
) {
    let from = &*from.to_string();
    let actor = Actor { name, source, from };
    audit::record(&state.store, &state.clock, actor, action, None, None).await;
}

/// The admin, signed in here.
pub(crate) fn admin() -> Session {
    Session::of(ADMIN, Role::Admin, Source::Password)
}

/// Checks a password, and with `code` the second step if it is on, unless the client has to wait. A
/// password that cannot be right takes as long as one that is wrong.
pub(crate) async fn check(
    state: &AppState,
    client: SignInClient,
    username: &str,
    password: SecretString,
    code: Option<&Code<'_>>,
) -> Result<Verdict> {
    let now = state.clock.now();
    let wait = state.store.wait_before_attempt(client, now).await?;
    if wait.is_positive() {
        return Ok(Verdict::Wait(wait));
    }
    let requester = match client {
        SignInClient::Stranger(_) => Requester::Stranger,
        SignInClient::Device(_) | SignInClient::Session(_) => Requester::Known,
    };
    let turn = state.hasher.turn(requester).await?;
    if let Some(wait) = state.store.begin_attempt(client, now).await? {
        return Ok(Verdict::Wait(wait));
    }
    let possible =
        username == ADMIN && password.expose_secret().chars().count() <= MAX_PASSWORD_LENGTH;
    let (password, hash) = if possible {
        (password, state.store.password_hash().await?)
    } else {
        (SecretString::default(), None)
    };
    // Read before the password is known to be right, which the time of an answer would tell.
    let step = match code {
        Some(_) => state.store.second_step().await?,
        None => None,
    };
    let with_code = step.is_some();
    let is_right = turn.checks(password, hash.clone()).await
        && match code.zip(step) {
            Some((code, step)) => passes_second_step(state, &step, code).await?,
            None => true,
        };
    match hash.filter(|_| is_right) {
        Some(hash) => {
            state.store.attempt_succeeded(client).await?;
            Ok(Verdict::Right(PasswordShown { hash, with_code }))
        }
        None => Ok(Verdict::Wrong),
    }
}

/// Whether the code is right. A code works once, or for a second press of the same form.
async fn passes_second_step(
    state: &AppState,
    secret: &SecretString,
    code: &Code<'_>,
) -> Result<bool> {
    let (step, now) = (SecondStep::parse(ADMIN, secret), state.clock.now());
    let step = step.map_err(|_| Error::Internal)?;
    match step.check(code.typed.expose_secret(), now) {
        Some(used) => Ok(state.store.use_code(used, &code.form, now).await?),
        None => Ok(false),
    }
}

/// How long to wait, in words and in seconds.
pub(crate) fn wait_words(wait: Duration) -> (String, i64) {
    let seconds = wait.whole_seconds() + 1;
    (words::wait(seconds), seconds)
}

/// Whether `next` is the path of a page here, and not something that a browser could take for
/// another host or a header.
fn is_local_path(next: &str) -> bool {
    next.len() <= MAX_NEXT_BYTES
        && next.starts_with('/')
        && !next.starts_with("//")
        && next
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}
