//! Who signs in, and how: with a password here, or through SkyCMS.

pub(crate) mod embed;
pub(crate) mod kept;
pub(crate) mod password;
pub(crate) mod second_step;
pub(crate) mod session;
pub(crate) mod sessions;
pub(crate) mod sign_in;

use super::layout::layout;
use super::views::{Nav, SignInPage};
use crate::web::http::error::Result;
use crate::web::state::AppState;

/// The sign-in page, with nothing typed yet.
async fn sign_in_page(state: &AppState) -> Result<SignInPage> {
    Ok(SignInPage {
        layout: layout(state, None, None, Nav::Elsewhere),
        username: String::new(),
        error: None,
        next: None,
        kept: None,
        by_skycms: state.skycms.is_some(),
        asks_for_code: state.store.second_step().await?.is_some(),
    })
}
