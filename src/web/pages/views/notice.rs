use std::borrow::Cow;

use askama::Template;

use super::{assets::VERSION, layout::Layout};
use crate::web::pages::words::{Question, errors::Trouble};

/// Something went wrong.
#[derive(Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// What every page shares.
    pub layout: Layout,
    /// The HTTP status.
    pub status: u16,
    /// What happened, why, and what to do.
    pub trouble: Trouble,
}

/// “Are you sure?” The form posts the `fields` to `path`.
#[derive(Template)]
#[template(path = "confirm.html")]
pub struct ConfirmPage {
    /// What every page shares.
    pub layout: Layout,
    /// What is asked.
    pub question: Question,
    /// Where the form goes, after the base.
    pub path: Cow<'static, str>,
    /// Hidden fields (name, value); no secrets.
    pub fields: Vec<(&'static str, String)>,
    /// The way back, after the base.
    pub cancel: &'static str,
}
