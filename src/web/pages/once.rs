//! Forms that are sent twice, by a double click or over a slow network: the second time shows the
//! result of the first.

use serde::Deserialize;

use crate::clock::Clock;
use crate::store::{FormHash, hash};
use crate::web::state::AppState;

/// The one-time key of a form: a hidden field that is different each time the page is rendered.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct OnceKey(String);

/// A form that is only a button.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct ButtonForm {
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
