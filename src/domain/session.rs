//! Who signs in, what they may do, and for how long.

use strum::{EnumString, IntoStaticStr};
use time::Duration;

use super::DEFAULT_SITE;

/// A session that has not been used for this long is over.
pub const IDLE: Duration = Duration::hours(12);

#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum Role {
    /// Everything.
    Admin,
    /// Activity and purge, no settings.
    Editor,
}

/// Who vouched for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum Source {
    /// A password here.
    Password,
    /// A token from SkyCMS.
    SkyCms,
}

impl Source {
    /// How long a session lasts at most. SkyCMS can send its users again at any time, and may have
    /// stopped trusting them.
    pub const fn lifetime(self) -> Duration {
        match self {
            Self::Password => Duration::days(7),
            Self::SkyCms => Duration::hours(12),
        }
    }

    /// Whether a user sees the site of that name, where SkyCMS named sites and this is or is not
    /// among them, or named none. Whoever has a password here sees all; whoever SkyCMS sent without
    /// naming sites sees `default`.
    pub fn shows(self, site: &str, is_named: Option<bool>) -> bool {
        match (self, is_named) {
            (Self::Password, _) => true,
            (Self::SkyCms, Some(is_named)) => is_named,
            (Self::SkyCms, None) => site == DEFAULT_SITE,
        }
    }

    /// Whether a user of that role may make, rename and remove sites.
    pub fn lets_manage_sites(self, role: Role) -> bool {
        self == Self::Password && role == Role::Admin
    }
}
