//! Setting the admin's password, with the one-time link or the old password.

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::domain::session::Source;
use crate::domain::{AuditAction, NewPassword};
use crate::store::{ADMIN, PasswordProof, PasswordShown, SignInClient, TokenHash, hash};
use crate::web::http::client::ClientAddress;
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::{Form, Query};
use crate::web::pages::auth::session;
use crate::web::pages::auth::sign_in::{Verdict, admin, check, note, wait_words};
use crate::web::pages::layout::layout;
use crate::web::pages::views::{Nav, PasswordErrors, PasswordPage, SetUpPage};
use crate::web::pages::visit::{Visitor, html, not_accepted, refused, see};
use crate::web::pages::words::account as words;
use crate::web::state::AppState;

#[derive(Deserialize)]
pub(crate) struct Link {
    #[serde(default)]
    token: SecretString,
}

impl Link {
    fn stored(&self) -> TokenHash {
        hash(self.token.expose_secret())
    }
}

#[derive(Deserialize)]
pub(crate) struct NewFields {
    new_password: SecretString,
    repeat_password: SecretString,
}

#[derive(Deserialize)]
pub(crate) struct ChangeFields {
    current_password: SecretString,
    new_password: SecretString,
    repeat_password: SecretString,
}

/// `GET /set-up?token=…`.
pub(crate) async fn show_set_up(
    State(state): State<AppState>,
    Query(link): Query<Link>,
) -> Result<Response> {
    require_working(&state, &link.stored()).await?;
    html(&set_up_page(&state, PasswordErrors::default()))
}

/// `POST /set-up?token=…`: sets the password and signs in.
pub(crate) async fn set_up(
    State(state): State<AppState>,
    ClientAddress(from): ClientAddress,
    Query(link): Query<Link>,
    headers: HeaderMap,
    Form(fields): Form<NewFields>,
) -> Result<Response> {
    let link = link.stored();
    // Hashing is costly: it takes a link that works.
    require_working(&state, &link).await?;
    let password = match parse(&fields.new_password, &fields.repeat_password) {
        Ok(password) => password,
        Err(errors) => return not_accepted(set_up_page(&state, errors)),
    };
    let hash = state.hasher.hash(&password).await?;
    let now = state.clock.now();
    let proof = PasswordProof::Link(&link);
    if !state.store.set_password(&hash, proof, now).await? {
        return Err(Error::LinkExpired);
    }
    note(&state, from, AuditAction::SetPassword).await;
    let page = see(&state, "/settings/cdn");
    let shown = PasswordShown {
        hash,
        with_code: false,
    };
    session::begin(&state, &headers, from, &admin(), Some(&shown), page).await
}

async fn require_working(state: &AppState, link: &TokenHash) -> Result<()> {
    let works = state.store.set_up_link_works(link, state.clock.now());
    works.await?.then_some(()).ok_or(Error::LinkExpired)
}

fn set_up_page(state: &AppState, errors: PasswordErrors) -> SetUpPage {
    SetUpPage {
        layout: layout(state, None, None, Nav::Elsewhere),
        errors,
    }
}

/// Somebody who signed in with the password. Users of SkyCMS have none here.
pub(crate) struct Owner {
    pub(super) visitor: Visitor,
    pub(super) session: TokenHash,
}

impl FromRequestParts<AppState> for Owner {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        match (visitor.user.session.source, visitor.user.token) {
            (Source::Password, Some(session)) => Ok(Self { visitor, session }),
            _ => Err(Error::Forbidden),
        }
    }
}

/// What came of a password that was given once more.
pub(super) enum Proved {
    /// It is the password with this hash.
    Yes(String),
    /// What to answer instead, and with which status.
    No(StatusCode, String),
}

impl Owner {
    /// Checks the password again, and with `code` the second step, so that a session that was left
    /// open is not enough to change how one signs in. `wrong` is said of a wrong password.
    pub(super) async fn prove(
        &self,
        password: SecretString,
        code: Option<&SecretString>,
        wrong: &str,
    ) -> Result<Proved> {
        let (state, client) = (&self.visitor.state, SignInClient::Session(self.session));
        Ok(match check(state, client, ADMIN, password, code).await? {
            Verdict::Right(shown) => Proved::Yes(shown.hash),
            Verdict::Wrong => {
                let action = AuditAction::GaveWrongPassword;
                self.visitor.audit(action, None, None).await;
                Proved::No(StatusCode::UNPROCESSABLE_ENTITY, wrong.to_owned())
            }
            Verdict::Wait(wait) => Proved::No(StatusCode::TOO_MANY_REQUESTS, wait_words(wait).0),
        })
    }
}

/// `GET /password`.
pub(crate) async fn show_change(owner: Owner) -> Result<Response> {
    html(&change_page(&owner, PasswordErrors::default()))
}

/// `POST /password`: ends every other session, and gives this one a new token.
pub(crate) async fn change(
    owner: Owner,
    headers: HeaderMap,
    Form(fields): Form<ChangeFields>,
) -> Result<Response> {
    let state = &owner.visitor.state;
    let password = match parse(&fields.new_password, &fields.repeat_password) {
        Ok(password) => password,
        Err(errors) => return not_accepted(change_page(&owner, errors)),
    };
    let proved = owner
        .prove(fields.current_password, None, words::NOT_CURRENT)
        .await?;
    let current = match proved {
        Proved::Yes(hash) => hash,
        Proved::No(status, error) => {
            let errors = PasswordErrors {
                current: Some(error),
                ..PasswordErrors::default()
            };
            return refused(status, change_page(&owner, errors));
        }
    };
    let from = owner.visitor.user.from;
    let hash = state.hasher.hash(&password).await?;
    let now = state.clock.now();
    let proof = PasswordProof::Current(&current, &owner.session);
    let page = see(state, "/activity");
    if !state.store.set_password(&hash, proof, now).await? {
        // A second press: the first has set it. Anybody else has to sign in now.
        return Ok(page);
    }
    note(state, from, AuditAction::ChangedPassword).await;
    let shown = PasswordShown {
        hash,
        // The session that this one follows would have ended if it was asked for since.
        with_code: true,
    };
    session::begin(state, &headers, from, &admin(), Some(&shown), page).await
}

fn change_page(owner: &Owner, errors: PasswordErrors) -> PasswordPage {
    PasswordPage {
        layout: owner.visitor.layout(Nav::Elsewhere),
        errors,
    }
}

fn parse(new: &SecretString, repeat: &SecretString) -> Result<NewPassword, PasswordErrors> {
    let password = NewPassword::parse(new).map_err(|error| PasswordErrors {
        new: Some(words::bad_password(&error)),
        ..PasswordErrors::default()
    })?;
    if new.expose_secret() == repeat.expose_secret() {
        Ok(password)
    } else {
        Err(PasswordErrors {
            repeat: Some(words::NOT_THE_SAME.into()),
            ..PasswordErrors::default()
        })
    }
}
