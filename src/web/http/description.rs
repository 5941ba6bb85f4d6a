//! The description of the API, for programs to fetch and for a page to be made of.

use serde_json::Value;
use utoipa::openapi::OpenApi;

use super::fixed::Fixed;

/// The document, and its text as it is sent.
pub(crate) struct Description {
    pub(crate) document: Value,
    pub(crate) written: Fixed,
}

impl Description {
    pub(crate) fn of(document: &OpenApi) -> Self {
        let text = document.to_json().unwrap_or_default();
        Self {
            document: serde_json::from_str(&text).unwrap_or_default(),
            written: Fixed::new("application/json", text),
        }
    }
}
