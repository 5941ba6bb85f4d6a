//! What an endpoint can be notified of. The names are those in messages and in the database.

use strum::{EnumString, IntoStaticStr, VariantArray};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(const_into_str)]
pub enum Event {
    #[strum(serialize = "publish.completed")]
    PublishCompleted,
    #[strum(serialize = "publish.failed")]
    PublishFailed,
    #[strum(serialize = "publish.unconfirmed")]
    PublishUnconfirmed,
    /// At the last look readers still got an old copy of a page, although its purge is completed.
    #[strum(serialize = "publish.stale")]
    PublishStale,
    /// AWS rejects the settings.
    #[strum(serialize = "site.paused")]
    SitePaused,
    #[strum(serialize = "site.resumed")]
    SiteResumed,
    /// Four fifths of the site's monthly limit are used.
    #[strum(serialize = "month.near")]
    MonthNear,
    #[strum(serialize = "month.reached")]
    MonthReached,
    /// Somebody pressed “Send a test”.
    #[strum(serialize = "test")]
    Test,
}

impl Event {
    /// Those that an endpoint can ask for.
    pub const CHOICE: &'static [Self] = match Self::VARIANTS {
        [choice @ .., Self::Test] => choice,
        all => all,
    };

    /// What to report when this many paths of a site's monthly limit are used.
    pub const fn of_month(used: u64, limit: u64) -> Option<Self> {
        if used >= limit {
            Some(Self::MonthReached)
        } else if used.saturating_mul(5) >= limit.saturating_mul(4) {
            Some(Self::MonthNear)
        } else {
            None
        }
    }

    /// Whether somebody should look: what a new endpoint asks for by default.
    pub const fn is_trouble(self) -> bool {
        !matches!(self, Self::PublishCompleted | Self::Test)
    }
}
