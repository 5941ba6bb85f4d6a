//! Forms that are sent twice, by a double click or over a slow network: the second time shows the
//! result of the first.

use axum::extract::FromRequest;
use secrecy::SecretString;
use serde::Deserialize;

use crate::clock::Clock;
use crate::store::{FormHash, hash};
use crate::web::http::error::{Error, Result};
use crate::web::state::AppState;

/// The one-time key of a form: a hidden field that is different each time the page is rendered.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct OnceKey(String);

/// A form that is only a button, which may have to be confirmed first.
#[derive(Default, Deserialize, FromRequest)]
#[serde(default)]
#[from_request(via(axum::Form), rejection(Error))]
pub(crate) struct Button {
    pub(crate) confirmed: Option<String>,
    pub(crate) once: OnceKey,
}

impl OnceKey {
    pub(crate) fn fresh(clock: &Clock) -> Self {
        Self(clock.id().to_string())
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }

    /// The form as sent with these values. Without a key, every time counts as the first.
    pub(crate) fn form(&self, state: &AppState, values: &[&str]) -> FormHash {
        let mut text = match self.0.as_str() {
            "" => state.clock.id().to_string(),
            key => key.to_owned(),
        };
        for value in values {
            text.push('\0');
            text.push_str(value);
        }
        hash(&text)
    }
}

/// Ending something that is gone afterwards. A second press finds nothing left to end: that is what
/// was wanted, not a wrong address.
pub(crate) struct Ending(FormHash);

impl Ending {
    /// For what these texts name together.
    pub(crate) fn of(names: &[&str]) -> Self {
        Self(hash(&format!("ended\0{}", names.join("\0"))))
    }

    /// What the store notes it under for some minutes, in the transaction that ends it.
    pub(crate) fn form(&self) -> &FormHash {
        &self.0
    }

    /// Notes it apart from that. If that fails, only the log says so: an error would tell whoever
    /// pressed that nothing was ended.
    pub(crate) async fn note(&self, state: &AppState) {
        let (ended, now) = (SecretString::from("ended"), state.clock.now());
        if let Err(error) = state.store.keep_typed(&self.0, &ended, now).await {
            tracing::warn!(%error, "could not record what a button ended; a second press will be answered 404");
        }
    }

    /// There is nothing to end: an error, unless an earlier press has ended it.
    pub(crate) async fn confirm(&self, state: &AppState) -> Result<()> {
        let noted = state.store.form_answer(&self.0, state.clock.now());
        noted.await?.map(drop).ok_or(Error::NotFound)
    }
}
