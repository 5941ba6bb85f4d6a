//! The optional second step of signing in: a code from an authenticator app. Whoever knows the
//! password turns it on and off.

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qrcode::QrCode;
use qrcode::render::svg;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::password::{Owner, Proved};
use super::sign_in::Code;
use crate::domain::{AuditAction, SecondStep};
use crate::store::{ADMIN, PasswordShown};
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::Form;
use crate::web::pages::once::OnceKey;
use crate::web::pages::views::{Nav, NewSecondStep, SecondStepPage};
use crate::web::pages::visit::{html, not_accepted, refused};
use crate::web::pages::words::account as words;

#[derive(Deserialize)]
pub(crate) struct Fields {
    #[serde(default)]
    secret: SecretString,
    current_password: SecretString,
    code: SecretString,
    #[serde(default)]
    once: OnceKey,
}

/// `GET /password/second-step`.
pub(crate) async fn show(owner: Owner) -> Result<Response> {
    let state = &owner.visitor.state;
    let new = if state.store.second_step().await?.is_some() {
        None
    } else {
        let step = SecondStep::new(ADMIN, *state.clock.random());
        Some(step.map_err(|_| Error::Internal)?)
    };
    html(&page(&owner, new.as_ref(), None)?)
}

/// `POST /password/second-step`: turns it on if the app shows the right code, and ends every other
/// session.
pub(crate) async fn turn_on(owner: Owner, Form(fields): Form<Fields>) -> Result<Response> {
    let state = &owner.visitor.state;
    if state.store.second_step().await?.is_some() {
        return Ok(owner.visitor.see("/password/second-step"));
    }
    let step = SecondStep::parse(ADMIN, &fields.secret)
        .map_err(|problem| Error::BadRequest(problem.to_string()))?;
    let Some(used) = step.check(fields.code.expose_secret(), state.clock.now()) else {
        let error = words::WRONG_CODE.to_owned();
        return not_accepted(page(&owner, Some(&step), Some(error))?);
    };
    set(&owner, Some((&step, used)), fields.current_password, None).await
}

/// `POST /password/second-step/remove`: turns it off.
pub(crate) async fn turn_off(owner: Owner, Form(fields): Form<Fields>) -> Result<Response> {
    let code = Code::of(&owner.visitor.state, &fields.once, &fields.code);
    set(&owner, None, fields.current_password, Some(&code)).await
}

/// Turns it on with a new secret, of which a code was used, or off. The password must be right, and
/// so must `code` where one is asked for.
async fn set(
    owner: &Owner,
    new: Option<(&SecondStep, i64)>,
    password: SecretString,
    code: Option<&Code<'_>>,
) -> Result<Response> {
    let (step, used) = new.unzip();
    let proved = owner.prove(password, code, None, words::NOT_BOTH);
    let password = match proved.await? {
        Proved::Yes(hash) | Proved::Before(PasswordShown { hash, .. }) => hash,
        Proved::No(status, error) => return refused(status, page(owner, step, Some(error))?),
    };
    let (store, secret) = (&owner.visitor.state.store, step.map(SecondStep::secret));
    let is_new = store.set_second_step(secret.as_ref(), used, &password, &owner.session);
    // Of two presses, one turns it on or off.
    if is_new.await? {
        let action = match step {
            Some(_) => AuditAction::TurnedSecondStepOn,
            None => AuditAction::TurnedSecondStepOff,
        };
        owner.visitor.audit(action, None, None).await;
    }
    Ok(owner.visitor.see("/password/second-step"))
}

fn page(owner: &Owner, new: Option<&SecondStep>, error: Option<String>) -> Result<SecondStepPage> {
    let mut layout = owner.visitor.layout(Nav::Elsewhere);
    layout.address = Some("/password/second-step".into());
    Ok(SecondStepPage {
        layout,
        new: new.map(shown).transpose()?,
        error,
    })
}

fn shown(step: &SecondStep) -> Result<NewSecondStep> {
    let address = step.address().map_err(|_| Error::Internal)?;
    let address = address.expose_secret().to_owned();
    Ok(NewSecondStep {
        secret: step.secret().expose_secret().to_owned(),
        picture: picture(&address)?,
        address,
    })
}

/// An address as a QR code, for an app on another device.
fn picture(address: &str) -> Result<String> {
    let code = QrCode::new(address).map_err(|_| Error::Internal)?;
    let svg = STANDARD.encode(code.render::<svg::Color<'_>>().build());
    Ok(format!("data:image/svg+xml;base64,{svg}"))
}
