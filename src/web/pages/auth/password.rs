//! Setting the admin's password, with the one-time link or the old password.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::domain::session::Source;
use crate::domain::{AuditAction, NewPassword};
use crate::store::{ADMIN, FormHash, PasswordProof, PasswordShown, SignInClient, TokenHash, hash};
use crate::web::http::client::ClientAddress;
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::{Form, Query};
use crate::web::http::hasher::Requester;
use crate::web::pages::auth::session;
use crate::web::pages::auth::sign_in::{Code, Verdict, admin, check, note, wait_words};
use crate::web::pages::layout::layout;
use crate::web::pages::once::OnceKey;
use crate::web::pages::signed_in::Reader;
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
pub(crate) struct Fields {
    #[serde(default)]
    current_password: SecretString,
    new_password: SecretString,
    repeat_password: SecretString,
    #[serde(default)]
    once: OnceKey,
}

impl Fields {
    /// The form, with the link or the session that it was sent with.
    fn form(&self, state: &AppState, sent_with: &TokenHash) -> FormHash {
        self.once.form(state, &[&hex::encode(sent_with)])
    }

    /// The new password, if an earlier press of the same button has set it.
    async fn set_before(&self, state: &AppState, form: &FormHash) -> Result<Option<PasswordShown>> {
        let set = state.store.password_set_by(form, state.clock.now()).await?;
        let Some(set) = set else { return Ok(None) };
        let turn = state.hasher.turn(Requester::Known).await?;
        let is_new = turn.checks(self.new_password.clone(), Some(set.hash.clone()));
        Ok(is_new.await.then_some(set))
    }
}

/// `GET /set-up?token=…`.
pub(crate) async fn show_set_up(
    State(state): State<AppState>,
    Query(link): Query<Link>,
) -> Result<Response> {
    if !works(&state, &link.stored()).await? {
        return Err(Error::LinkExpired);
    }
    html(&set_up_page(&state, PasswordErrors::default()))
}

/// `POST /set-up?token=…`: sets the password and signs in.
pub(crate) async fn set_up(
    State(state): State<AppState>,
    ClientAddress(from): ClientAddress,
    Query(link): Query<Link>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let link = link.stored();
    let form = fields.form(&state, &link);
    let page = see(&state, "/settings/cdn");
    let sign_in =
        async |shown| session::begin(&state, &headers, from, &admin(), Some(&shown), page).await;
    // Hashing is costly: it takes a link that works.
    if !works(&state, &link).await? {
        let set = fields.set_before(&state, &form).await?;
        return sign_in(set.ok_or(Error::LinkExpired)?).await;
    }
    let password = match parse(&fields.new_password, &fields.repeat_password) {
        Ok(password) => password,
        Err(errors) => return not_accepted(set_up_page(&state, errors)),
    };
    let hash = state.hasher.hash(&password).await?;
    let now = state.clock.now();
    let proof = PasswordProof::Link(&link);
    if !state.store.set_password(&hash, proof, &form, now).await? {
        let set = fields.set_before(&state, &form).await?;
        return sign_in(set.ok_or(Error::LinkExpired)?).await;
    }
    note(&state, from, AuditAction::SetPassword).await;
    let with_code = false;
    sign_in(PasswordShown { hash, with_code }).await
}

async fn works(state: &AppState, link: &TokenHash) -> Result<bool> {
    let now = state.clock.now();
    Ok(state.store.set_up_link_works(link, now).await?)
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
    /// It was, until an earlier press of the same button set this one.
    Before(PasswordShown),
    /// What to answer instead, and with which status.
    No(StatusCode, String),
}

impl Owner {
    /// Checks the password again, and with `code` the second step, so that a session that was left
    /// open is not enough to change how one signs in. `wrong` is said of a wrong password, unless
    /// `form` has just changed it.
    pub(super) async fn prove(
        &self,
        password: SecretString,
        code: Option<&Code<'_>>,
        form: Option<(&Fields, &FormHash)>,
        wrong: &str,
    ) -> Result<Proved> {
        let (state, client) = (&self.visitor.state, SignInClient::Session(self.session));
        Ok(match check(state, client, ADMIN, password, code).await? {
            Verdict::Right(shown) => Proved::Yes(shown.hash),
            Verdict::Wrong => {
                if let Some((fields, form)) = form
                    && let Some(set) = fields.set_before(state, form).await?
                {
                    return Ok(Proved::Before(set));
                }
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
    Form(fields): Form<Fields>,
) -> Result<Response> {
    let state = &owner.visitor.state;
    let password = match parse(&fields.new_password, &fields.repeat_password) {
        Ok(password) => password,
        Err(errors) => return not_accepted(change_page(&owner, errors)),
    };
    let (from, form) = (owner.visitor.user.from, fields.form(state, &owner.session));
    let proved = owner.prove(
        fields.current_password.clone(),
        None,
        Some((&fields, &form)),
        words::NOT_CURRENT,
    );
    let shown = match proved.await? {
        Proved::Yes(current) => {
            let (hash, now) = (state.hasher.hash(&password).await?, state.clock.now());
            let proof = PasswordProof::Current(&current, &owner.session);
            if state.store.set_password(&hash, proof, &form, now).await? {
                note(state, from, AuditAction::ChangedPassword).await;
                // The session would have ended if a code was asked for since.
                let with_code = true;
                Some(PasswordShown { hash, with_code })
            } else {
                fields.set_before(state, &form).await?
            }
        }
        Proved::Before(set) => Some(set),
        Proved::No(status, error) => {
            let errors = PasswordErrors {
                current: Some(error),
                ..PasswordErrors::default()
            };
            return refused(status, change_page(&owner, errors));
        }
    };
    let page = see(state, "/activity");
    match shown {
        Some(shown) => session::begin(state, &headers, from, &admin(), Some(&shown), page).await,
        // Somebody else has set another one, or has ended the session.
        None => Ok(page),
    }
}

/// In front of `POST /password`: a second press comes from a session that the first one has ended.
pub(crate) async fn answer_again(
    State(state): State<AppState>,
    ClientAddress(from): ClientAddress,
    request: Request,
    next: Next,
) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let request = Request::from_parts(parts.clone(), body);
    let body = Bytes::from_request(request, &state).await?;
    let request = || Request::from_parts(parts.clone(), Body::from(body.clone()));
    let answer = next.run(request()).await;
    if let Some(Reader(None)) = answer.extensions().get()
        && let Some(session) = session::of_tab(&state, &parts.headers)
        && let Ok(Form(fields)) = Form::<Fields>::from_request(request(), &state).await
        && let form = fields.form(&state, &session)
        && let Some(set) = fields.set_before(&state, &form).await?
    {
        let page = see(&state, "/activity");
        return session::begin(&state, &parts.headers, from, &admin(), Some(&set), page).await;
    }
    Ok(answer)
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
