use askama::Template;

use super::{
    assets::VERSION,
    layout::{Layout, Link},
};

/// Something went wrong.
#[derive(Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// What every page shares.
    pub layout: Layout,
    /// The HTTP status.
    pub status: u16,
    /// What happened: «Page not found».
    pub title: String,
    /// Why, in a sentence.
    pub text: String,
    /// What to do, one a line.
    pub fixes: Vec<String>,
    /// Where to go.
    pub link: Option<Link>,
    /// To find it in the log.
    pub request_id: Option<String>,
}

/// «Are you sure?» The form posts the `fields` to `path`.
#[derive(Template)]
#[template(path = "confirm.html")]
pub struct ConfirmPage {
    /// What every page shares.
    pub layout: Layout,
    /// The question: «Purge the whole site?»
    pub title: String,
    /// What it means.
    pub text: String,
    /// More of it, one a line.
    pub consequences: Vec<String>,
    /// What the button says: «Purge everything».
    pub action: String,
    /// Where the form goes, after the base.
    pub path: String,
    /// Hidden fields (name, value); no secrets.
    pub fields: Vec<(String, String)>,
    /// The way back, after the base.
    pub cancel: String,
}
