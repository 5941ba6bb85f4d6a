//! Setting the admin's password: by the one-time link, or knowing the old one.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::domain::NewPassword;
use crate::store::{ADMIN, Source, TokenHash, TryingClient, hash};
use crate::web::AppState;
use crate::web::http::client::ClientAddress;
use crate::web::http::extract::{Form, Query};
use crate::web::pages::audit::{self, Deed};
use crate::web::pages::auth::session::{self, SignedIn};
use crate::web::pages::auth::sign_in::{Verdict, admin, check, wait_words};
use crate::web::pages::views::{Nav, PasswordPage, SetUpPage};
use crate::web::pages::words::account as words;
use crate::web::pages::{PageError, PageFailure, PageResult, html, layout, see};

/// The one-time link's query.
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

/// A new password, typed twice.
#[derive(Deserialize)]
pub(crate) struct NewFields {
    new_password: SecretString,
    repeat_password: SecretString,
}

/// A new password, and the old one.
#[derive(Deserialize)]
pub(crate) struct ChangeFields {
    current_password: SecretString,
    new_password: SecretString,
    repeat_password: SecretString,
}

/// What is wrong with which field.
#[derive(Default)]
struct FieldTroubles {
    current: Option<String>,
    new: Option<String>,
    repeat: Option<String>,
}

/// `GET /set-up?token=…`.
pub(crate) async fn show_set_up(
    State(state): State<AppState>,
    Query(link): Query<Link>,
) -> PageResult {
    let failed = |error| PageFailure::of(&state, None, error);
    if state
        .store
        .set_up_link_works(&link.stored(), state.clock.now())
        .await
        .map_err(|error| failed(error.into()))?
    {
        set_up_page(&state, StatusCode::OK, FieldTroubles::default())
    } else {
        Err(failed(PageError::LinkEnded))
    }
}

/// `POST /set-up?token=…`: sets the password and signs in.
pub(crate) async fn set_up(
    State(state): State<AppState>,
    ClientAddress(from): ClientAddress,
    Query(link): Query<Link>,
    headers: HeaderMap,
    Form(fields): Form<NewFields>,
) -> PageResult {
    let failed = |error| PageFailure::of(&state, None, error);
    let now = state.clock.now();
    let link = link.stored();
    // Nobody makes this service hash without a link that works.
    let done = async {
        if !state.store.set_up_link_works(&link, now).await? {
            return Err(PageError::LinkEnded);
        }
        let password = match parse(&fields.new_password, &fields.repeat_password) {
            Ok(password) => password,
            Err(troubles) => return Ok(Err(troubles)),
        };
        let hash = state.hasher.hash(&password).await?;
        if !state.store.set_password(&hash, Some(&link), now).await? {
            return Err(PageError::LinkEnded);
        }
        audit::write(&state, ADMIN, from, Deed::SetPassword, None).await?;
        let response = see(&state, "/settings/cdn");
        Ok(Ok(
            session::begin(&state, &headers, &admin(), response).await?
        ))
    };
    match done.await.map_err(failed)? {
        Ok(response) => Ok(response),
        Err(troubles) => set_up_page(&state, StatusCode::UNPROCESSABLE_ENTITY, troubles),
    }
}

fn set_up_page(state: &AppState, status: StatusCode, troubles: FieldTroubles) -> PageResult {
    let page = SetUpPage {
        layout: layout(state, None, Nav::Elsewhere),
        new_error: troubles.new,
        repeat_error: troubles.repeat,
    };
    html(status, &page).map_err(|error| PageFailure::of(state, None, error))
}

/// `GET /password`.
pub(crate) async fn show_change(State(state): State<AppState>, user: SignedIn) -> PageResult {
    must_have_password(&state, &user)?;
    change_page(&state, &user, StatusCode::OK, FieldTroubles::default())
}

/// `POST /password`: every other session ends, and this one gets a new token.
pub(crate) async fn change(
    State(state): State<AppState>,
    user: SignedIn,
    headers: HeaderMap,
    Form(fields): Form<ChangeFields>,
) -> PageResult {
    must_have_password(&state, &user)?;
    let failed = |error| PageFailure::of(&state, Some(&user), error);
    let done = async {
        let password = match parse(&fields.new_password, &fields.repeat_password) {
            Ok(password) => password,
            Err(troubles) => return Ok(Err((StatusCode::UNPROCESSABLE_ENTITY, troubles))),
        };
        let client = TryingClient::Session(user.token);
        let (status, trouble) = match check(&state, client, ADMIN, fields.current_password).await? {
            Verdict::Right => {
                let now = state.clock.now();
                let hash = state.hasher.hash(&password).await?;
                state.store.set_password(&hash, None, now).await?;
                audit::write(&state, ADMIN, user.from, Deed::ChangedPassword, None).await?;
                let response = see(&state, "/activity");
                let begun = session::begin(&state, &headers, &admin(), response).await?;
                return Ok(Ok(begun));
            }
            Verdict::Wrong => (
                StatusCode::UNPROCESSABLE_ENTITY,
                words::NOT_CURRENT.to_owned(),
            ),
            Verdict::Wait(wait) => (StatusCode::TOO_MANY_REQUESTS, wait_words(wait).0),
        };
        let troubles = FieldTroubles {
            current: Some(trouble),
            ..FieldTroubles::default()
        };
        Ok(Err((status, troubles)))
    };
    match done.await.map_err(failed)? {
        Ok(response) => Ok(response),
        Err((status, troubles)) => change_page(&state, &user, status, troubles),
    }
}

fn change_page(
    state: &AppState,
    user: &SignedIn,
    status: StatusCode,
    troubles: FieldTroubles,
) -> PageResult {
    let page = PasswordPage {
        layout: layout(state, Some(user), Nav::Elsewhere),
        current_error: troubles.current,
        new_error: troubles.new,
        repeat_error: troubles.repeat,
    };
    html(status, &page).map_err(|error| PageFailure::of(state, Some(user), error))
}

/// Whom SkyCMS signed in has no password here.
fn must_have_password(state: &AppState, user: &SignedIn) -> Result<(), Box<PageFailure>> {
    if user.session.source == Source::Password {
        Ok(())
    } else {
        Err(PageFailure::of(state, Some(user), PageError::Forbidden))
    }
}

fn parse(new: &SecretString, repeat: &SecretString) -> Result<NewPassword, FieldTroubles> {
    let password = NewPassword::parse(new).map_err(|error| FieldTroubles {
        new: Some(words::bad_password(&error)),
        ..FieldTroubles::default()
    })?;
    if new.expose_secret() == repeat.expose_secret() {
        Ok(password)
    } else {
        Err(FieldTroubles {
            repeat: Some(words::NOT_THE_SAME.into()),
            ..FieldTroubles::default()
        })
    }
}
