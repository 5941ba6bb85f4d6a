use askama::Template;

use super::{
    layout::Layout,
    paging::{ListPage, Paging},
    parts::Aria,
};
use crate::store::{AuditRecord, ListedSession};
use crate::web::pages::words::account::{self as words, WhyNot};

/// Sign-in. Form: `POST …/sign-in` with `username`, `password` and, if set, `next`.
#[derive(Template)]
#[template(path = "sign_in.html")]
pub struct SignInPage {
    pub layout: Layout,
    /// `username` as typed.
    pub username: String,
    /// Why it failed, one sentence for all reasons; or why SkyCMS's session does not do.
    pub error: Option<String>,
    /// `code` of an authenticator app is asked for too.
    pub asks_for_code: bool,
    /// `next`: the path to go to afterwards, below the base.
    pub next: Option<String>,
    /// `kept`: a form that is sent after it, sealed.
    pub kept: Option<String>,
    /// Whoever is signed in to SkyCMS is signed in here.
    pub by_skycms: bool,
}

/// A form came after a session of SkyCMS had ended: it waits in this page, sealed, and is posted to
/// `path` again.
#[derive(Template)]
#[template(path = "session_ended.html")]
pub struct SessionEndedPage {
    pub layout: Layout,
    /// Where the form goes, after the root.
    pub path: String,
    /// `kept`: the form.
    pub kept: String,
    /// It was sent again too soon.
    pub is_still_ended: bool,
    pub sign_in: SignInElsewhere,
}

/// Where somebody signs in whom SkyCMS signed in before.
#[derive(Clone, Debug, Default)]
pub struct SignInElsewhere {
    /// SkyCMS's own sign-in; none: its frame has to be opened again.
    pub address: Option<String>,
    /// Why SkyCMS signs nobody in right now.
    pub why_not: Option<WhyNot>,
    /// A password of this service has been used in this browser.
    pub by_password: bool,
}

/// Choosing the admin's password by the one-time link. The form posts to the address it was opened
/// with (whose query has the token, so that it need not be in the page) `new_password` and
/// `repeat_password`.
#[derive(Template)]
#[template(path = "set_up.html")]
pub struct SetUpPage {
    pub layout: Layout,
    pub errors: PasswordErrors,
}

/// Changing the password. Form: `POST …/password` with `current_password`, `new_password` and
/// `repeat_password`; `POST …/sign-out-everywhere`.
#[derive(Template)]
#[template(path = "password.html")]
pub struct PasswordPage {
    pub layout: Layout,
    pub errors: PasswordErrors,
}

/// What is wrong with which password of a form.
#[derive(Debug, Default)]
pub struct PasswordErrors {
    pub current: Option<String>,
    pub new: Option<String>,
    pub repeat: Option<String>,
}

impl PasswordErrors {
    fn new_aria(&self) -> Aria {
        Aria::new("new_password", self.new.is_some())
    }
}

/// The second step of signing in. Forms: `POST …/password/second-step` with `secret`, `current_password` and `code`
/// turns it on, and `POST …/password/second-step/remove` with `current_password` and `code` off.
#[derive(Template)]
#[template(path = "second_step.html")]
pub struct SecondStepPage {
    pub layout: Layout,
    /// What an authenticator app would share; none: one does already.
    pub new: Option<NewSecondStep>,
    /// Why it was not turned on or off.
    pub error: Option<String>,
}

/// A secret that an authenticator app is to share.
pub struct NewSecondStep {
    /// In Base32.
    pub secret: String,
    /// The address that opens an app with it.
    pub address: String,
    /// The same as a picture.
    pub picture: String,
}

/// Who is signed in. Forms: `POST …/sessions/{id}/end` and `POST …/sessions/end-others`.
#[derive(Template)]
#[template(path = "sessions.html")]
pub struct SessionsPage {
    pub layout: Layout,
    /// The latest used first.
    pub sessions: ListPage<ListedSession>,
    /// There are others than the reader's.
    pub has_others: bool,
}

/// Who changed, tested, removed or revealed what.
#[derive(Template)]
#[template(path = "audit.html")]
pub struct AuditPage {
    pub layout: Layout,
    /// `?search=…`.
    pub search: String,
    /// The entries, newest first, and the site that each was about, where there are several.
    pub entries: Vec<(AuditRecord, Option<String>)>,
    /// Where the neighbouring pages are.
    pub paging: Paging,
}
