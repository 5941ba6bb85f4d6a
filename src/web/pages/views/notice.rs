use std::borrow::Cow;

use askama::Template;
use strum::VariantArray as _;

use super::layout::Layout;
use super::parts::Prose;
use crate::domain::PublishState;
use crate::domain::edge::EdgeState;
use crate::web::pages::words::errors::Trouble;
use crate::web::pages::words::{self, Question};

#[derive(Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    pub layout: Layout,
    pub status: u16,
    pub trouble: Trouble,
}

/// “Are you sure?” The form posts the `fields` to `path`.
#[derive(Template)]
#[template(path = "confirm.html")]
pub struct ConfirmPage {
    pub layout: Layout,
    pub question: Question,
    /// Where the form goes, after the root.
    pub path: Cow<'static, str>,
    /// Hidden fields: (name, value).
    pub fields: Vec<(&'static str, String)>,
    /// The way back, after the base; `None` for where the form goes, with the field `cancel`, so
    /// that what was typed is shown again.
    pub cancel: Option<&'static str>,
}

/// What the states mean, how to say what to purge, and which keys do what.
#[derive(Template)]
#[template(path = "help.html")]
pub struct HelpPage {
    pub layout: Layout,
}
