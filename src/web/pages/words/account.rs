//! Signing in, and passwords.

use std::borrow::Cow;

use strum::{EnumString, IntoStaticStr};

use super::{DONE, Look, Question};
use crate::domain::Refused;
use crate::domain::session::{Role, Source};

/// A wrong user name or password: one sentence for both, so that nobody learns which it was.
pub const WRONG: &str = "The user name or the password is wrong.";

pub const WRONG_WITH_CODE: &str =
    "The user name, the password or the code is wrong. Each code works once.";

pub fn wait(seconds: i64) -> String {
    let time = super::seconds(seconds);
    format!("Too many wrong passwords. Wait {time}, then try again.")
}

pub fn bad_password(why: &Refused) -> String {
    format!("The password {why}.")
}

pub const NOT_CURRENT: &str = "This is not the current password.";

pub const WRONG_CODE: &str =
    "This is not the code that the app shows now. Check the clock of the device that it runs on.";

pub const NOT_BOTH: &str = "The password or the code is wrong. Each code works once.";

pub const NOT_THE_SAME: &str = "The two passwords are not the same.";

pub const fn role(role: &Role) -> &'static str {
    match role {
        Role::Admin => "Administrator",
        Role::Editor => "Editor",
    }
}

pub const fn signed_in_by(source: &Source) -> &'static str {
    match source {
        Source::Password => "by password",
        Source::SkyCms => "by SkyCMS",
    }
}

/// The name of a user of SkyCMS's own session, which says what they may do but not who they are.
pub const fn somebody_of_skycms(role: Role) -> &'static str {
    match role {
        Role::Admin => "SkyCMS administrator",
        Role::Editor => "SkyCMS editor",
    }
}

/// Why nobody is signed in by SkyCMS's own session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum WhyNot {
    Silent,
    Refused,
    ProvesNothing,
}

pub const fn not_by_skycms(why: &WhyNot) -> &'static str {
    match why {
        WhyNot::Silent => {
            "SkyCMS is not answering, so nobody can be signed in by it right now. Try again in a moment."
        }
        WhyNot::Refused => {
            "SkyCMS opens neither its settings nor its templates to you, so you are not signed in here. An administrator of SkyCMS can give you the role Editors."
        }
        WhyNot::ProvesNothing => {
            "SkyCMS opens its settings or its templates to everybody, so nobody is signed in by it. Whoever runs this service has to correct SKYCMS_ADMIN_PAGE or SKYCMS_EDITOR_PAGE."
        }
    }
}

/// For the audit: as what somebody came from SkyCMS.
pub const fn came_as(role: Role) -> &'static str {
    match role {
        Role::Admin => "as administrator",
        Role::Editor => "as editor",
    }
}

/// For the audit: who failed to sign in. The name that they typed may be a password.
pub const SOMEBODY: &str = "somebody";

/// Before SkyCMS signs in a user other than the one who is signed in here.
pub fn change_user(here: &str, coming: &str) -> Question {
    Question {
        title: Cow::Owned(format!("You are {here}. Continue as {coming}?")),
        text: "A link wants to sign somebody else in here, for SkyCMS. If you did not expect that, cancel.".into(),
        consequences: &["The session that is open in this browser ends."],
        action: "Continue",
    }
}

/// After signing in again, before a form is sent that was kept meanwhile.
pub const GO_ON: Question = Question {
    title: Cow::Borrowed("You are signed in again. Send the form now?"),
    text: Cow::Borrowed("It is sent exactly as you typed it."),
    consequences: &[],
    action: "Send it",
};

/// What was just done, by its name in the query.
pub fn ended(what: &str) -> Option<Look> {
    (what == "ended").then_some(DONE.means("Ended. Whoever used it has to sign in again."))
}

/// For the log: why a token of SkyCMS was refused. The page says only that it was.
pub mod ticket {
    pub const FORGED: &str = "it is not signed with EMBED_JWT_SECRET";
    pub const OTHER_AUDIENCE: &str = "its `aud` does not name `skycms-cdn`";
    pub const OTHER_CLAIMS: &str =
        "one of `sub`, `role`, `aud`, `jti`, `iat` and `exp` is missing or of another type";
    pub const NO_TOKEN: &str = "it is no JWT signed with HS256";
    pub const EXPIRED: &str = "it has expired";
    pub const TOO_LONG: &str = "it expires too far ahead";
    pub const NOT_YET: &str = "it is made for the future or for more than five minutes";
    pub const CRITICAL: &str = "its header has `crit`, and nothing critical is understood here";
    pub const OTHER_TYPE: &str = "its `typ` is not `JWT`";
    pub const NAMELESS: &str = "its `sub` or `jti` is empty or too long";
    pub const USED: &str = "it was used before";
    pub const NO_SITE: &str = "it names no site that is here";
    pub const NO_ROLE: &str = "its `role` is unknown";
}
