//! Signing in, and passwords.

use crate::domain::password::PasswordError;
use crate::store::Role;

/// A wrong user name or password; one sentence for both, so that nobody learns which.
pub const WRONG: &str = "The user name or the password is wrong.";

/// Too many wrong passwords.
pub fn wait(seconds: i64) -> String {
    format!("Too many wrong passwords. Wait {seconds} seconds, then try again.")
}

/// A password that cannot be one.
pub fn bad_password(why: &PasswordError) -> String {
    format!("The password {why}.")
}

/// The password in force was not typed right.
pub const NOT_CURRENT: &str = "This is not the current password.";

/// The new password was typed in two ways.
pub const NOT_THE_SAME: &str = "This is not the same as above.";

/// For the audit: whom SkyCMS sent.
pub const fn came_as(role: Role) -> &'static str {
    match role {
        Role::Admin => "as administrator",
        Role::Editor => "as editor",
    }
}

/// For the audit: who failed to sign in. What they typed may be a password.
pub const SOMEBODY: &str = "somebody";
