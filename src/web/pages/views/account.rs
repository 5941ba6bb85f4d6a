use askama::Template;

use super::layout::Layout;
use super::paging::{ListPage, Paging};
use crate::store::{AuditRecord, ListedSession};
use crate::web::pages::words::account::{self as words, WhyNot};

#[derive(Template)]
#[template(path = "sign_in.html")]
pub struct SignInPage {
    pub layout: Layout,
    /// `username` as typed.
    pub username: String,
    /// Why it failed, in the same words for every reason, or why SkyCMS's session is not enough.
    pub error: Option<String>,
    /// The form also asks for `code`, from an authenticator app.
    pub asks_for_code: bool,
    /// `next`: the path to go to afterwards, below the base.
    pub next: Option<String>,
    /// `kept`: a sealed form that is sent after signing in.
    pub kept: Option<String>,
    /// Whoever is signed in to SkyCMS is signed in here too.
    pub by_skycms: bool,
}

/// A form was sent after a session of SkyCMS had ended. It waits in this page, sealed, and is
/// posted to `path` again.
#[derive(Template)]
#[template(path = "session_ended.html")]
pub struct SessionEndedPage {
    pub layout: Layout,
    pub path: String,
    pub kept: String,
    /// It was sent again before signing in.
    pub is_still_ended: bool,
    pub sign_in: SignInElsewhere,
}

/// Where somebody signs in again whom SkyCMS signed in.
#[derive(Clone, Debug, Default)]
pub struct SignInElsewhere {
    /// SkyCMS's own sign-in; `None` if SkyCMS has to open the frame again.
    pub address: Option<String>,
    /// Why SkyCMS signs nobody in right now.
    pub why_not: Option<WhyNot>,
    /// A password of this service has been used in this browser.
    pub by_password: bool,
}

/// Choosing the admin's password with the one-time link. The form is sent to the page's own
/// address, whose query has the token, so that the page itself need not have it.
#[derive(Template)]
#[template(path = "set_up.html")]
pub struct SetUpPage {
    pub layout: Layout,
    pub errors: PasswordErrors,
}

#[derive(Template)]
#[template(path = "password.html")]
pub struct PasswordPage {
    pub layout: Layout,
    pub errors: PasswordErrors,
}

/// What is wrong with each password of a form.
#[derive(Debug, Default)]
pub struct PasswordErrors {
    pub current: Option<String>,
    pub new: Option<String>,
    pub repeat: Option<String>,
}

/// The second step of signing in, to be turned on or off.
#[derive(Template)]
#[template(path = "second_step.html")]
pub struct SecondStepPage {
    pub layout: Layout,
    /// The secret for an authenticator app; `None` if the second step is on.
    pub new: Option<NewSecondStep>,
    /// Why it was not turned on or off.
    pub error: Option<String>,
}

pub struct NewSecondStep {
    pub secret: String,
    /// The address that opens an app with the secret.
    pub address: String,
    /// The address as a QR code, in a `data:` URL.
    pub picture: String,
}

#[derive(Template)]
#[template(path = "sessions.html")]
pub struct SessionsPage {
    pub layout: Layout,
    /// Most recently used first.
    pub sessions: ListPage<ListedSession>,
    /// There are sessions other than the reader's.
    pub has_others: bool,
}

/// Who changed, tested, removed or revealed what.
#[derive(Template)]
#[template(path = "audit.html")]
pub struct AuditPage {
    pub layout: Layout,
    /// `?search=…`.
    pub search: String,
    /// The entries, newest first, each with its site if there are several sites.
    pub entries: Vec<(AuditRecord, Option<String>)>,
    pub paging: Paging,
}
