use std::borrow::Cow;
use std::mem;

use strum::VariantArray;
use time::OffsetDateTime;

use super::parts::Ago;
use crate::domain::session::{Role, Source};
use crate::store::{Session, Theme};
use crate::web::pages::assets;
use crate::web::pages::words::errors::Trouble;
use crate::web::pages::words::{self, Look};

/// What every page shares.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The path prefix of `PUBLIC_URL`: empty, or like `/cdn`, without a slash at the end.
    pub root: String,
    /// Where the pages of this page's site begin: `root`, or like `/cdn/sites/shop`.
    pub base: String,
    /// The sites that the reader may see; empty if there is only one.
    pub sites: Vec<SiteLink>,
    pub nav: Nav,
    /// When the page was rendered; ages are relative to it.
    pub now: OffsetDateTime,
    pub user: Option<User>,
    /// What keeps the site from purging: on every page until it is fixed, except where the page
    /// itself says so.
    pub banner: Option<Banner>,
    /// The answer to what the reader just did, in one sentence.
    pub flash: Option<Look>,
    /// The page's own address, after `base`, if it may be the answer to a form that was sent to
    /// another address.
    pub address: Option<Cow<'static, str>>,
    /// The one-time key of the page's forms.
    pub once: String,
    /// A word before the title that says how things stand: “Error”, “Failed”. The icon of the tab
    /// changes too.
    pub mark: Option<&'static str>,
    /// Something on the page will change soon. Without scripts, the page reloads itself every three
    /// seconds, unless its reader asked it not to.
    pub pending: bool,
    /// The query with which the page does not reload itself; `None` if it is that one.
    pub keep_still: Option<String>,
}

impl Layout {
    /// The version of the style sheet, the script and the icons.
    pub(super) fn version() -> u64 {
        *assets::VERSION
    }

    fn session(&self) -> Option<&Session> {
        self.user.as_ref().map(|user| &user.session)
    }

    pub(super) fn is_admin(&self) -> bool {
        self.session()
            .is_some_and(|session| session.role == Role::Admin)
    }

    /// The reader may create, rename and remove sites.
    pub(crate) fn manages_sites(&self) -> bool {
        self.session().is_some_and(Session::manages_sites)
    }

    /// The page is in a frame of SkyCMS: it shows no user name and no way to sign out.
    pub(super) fn embedded(&self) -> bool {
        self.session().is_some_and(|session| session.framed)
    }

    /// What the frame asked for; `None` if the browser decides.
    pub(super) fn theme(&self) -> Option<Theme> {
        self.session()?.theme
    }

    /// The name of the site that this page is about, if there are several.
    pub(super) fn site_name(&self) -> Option<&str> {
        let here = self.sites.iter().find(|site| site.here);
        here.map(|site| site.name.as_str())
    }

    /// The word before the title: that of the page itself, or of what keeps the site from purging.
    pub(super) fn mark(&self) -> Option<&'static str> {
        let in_the_way = self
            .banner
            .as_ref()
            .filter(|banner| banner.look == words::PROBLEM);
        self.mark
            .or_else(|| in_the_way.map(|_| words::errors::MARK_PAUSED))
    }

    /// How long ago something was, as a `<time>`.
    pub fn ago(&self, at: &OffsetDateTime) -> Ago {
        Ago {
            at: *at,
            now: Some(self.now),
        }
    }

    /// When something was, as a `<time>` with date and time.
    pub fn at(&self, at: &OffsetDateTime) -> Ago {
        Ago { at: *at, now: None }
    }

    fn is(&self, nav: &Nav) -> bool {
        mem::discriminant(&self.nav) == mem::discriminant(nav)
    }

    /// The sections of the settings: (is it this page, address, name).
    pub(super) fn sections(&self) -> Vec<(bool, String, &'static str)> {
        Section::VARIANTS
            .iter()
            .map(|section| {
                let address = format!("{}{}", self.base, section.path());
                (self.nav == Nav::Settings(*section), address, section.name())
            })
            .collect()
    }

    /// The pages that somebody who is signed in may see: (is it this page, address, name).
    pub(super) fn links(&self) -> Vec<(bool, String, &'static str)> {
        let (base, root) = (&self.base, &self.root);
        let mut links = vec![
            (Nav::Activity, format!("{base}/activity"), "Activity"),
            (Nav::Purge, format!("{base}/purge"), "Purge"),
        ];
        if self.is_admin() {
            let settings = Nav::Settings(Section::Connection);
            links.push((settings, format!("{base}/settings/cdn"), "Settings"));
            links.push((Nav::Audit, format!("{root}/audit"), "Audit"));
        }
        if self.manages_sites() && !self.sites.is_empty() {
            links.push((Nav::Sites, format!("{root}/sites"), "Sites"));
        }
        links
            .into_iter()
            .map(|(nav, address, name)| (self.is(&nav), address, name))
            .collect()
    }
}

/// A site that the reader may go to.
#[derive(Clone, Debug)]
pub struct SiteLink {
    pub name: String,
    /// The same page of that site.
    pub address: String,
    pub here: bool,
}

/// The pages of the navigation bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nav {
    /// Activity, and the page of a publish.
    Activity,
    Purge,
    Settings(Section),
    Audit,
    Sites,
    Elsewhere,
}

impl Nav {
    /// The page's path after [`Layout::base`]; activity for pages that are not in the bar or not
    /// about a site.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Purge => "/purge",
            Self::Settings(section) => section.path(),
            Self::Activity | Self::Audit | Self::Sites | Self::Elsewhere => "/activity",
        }
    }
}

/// The sections of Settings → CDN, each at its own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub enum Section {
    Connection,
    Hook,
    Publishing,
    Spending,
    Notifications,
    Refused,
}

impl Section {
    /// Its path after [`Layout::base`].
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Connection => "/settings/cdn",
            Self::Hook => "/settings/cdn/hook",
            Self::Publishing => "/settings/cdn/publishing",
            Self::Spending => "/settings/cdn/policy",
            Self::Notifications => "/settings/cdn/notifications",
            Self::Refused => "/settings/cdn/refused",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Connection => "Connection",
            Self::Hook => "Publish hook",
            Self::Publishing => "Publishing rules",
            Self::Spending => words::settings::SPENDING,
            Self::Notifications => "Notifications",
            Self::Refused => "Refused calls",
        }
    }
}

#[derive(Clone, Debug)]
pub struct User {
    pub session: Session,
    /// The session can be ended here; false if it is SkyCMS's own.
    pub signs_out_here: bool,
}

impl User {
    pub(super) fn role(&self) -> &'static str {
        words::account::role(&self.session.role)
    }

    /// The user has a password here; false if SkyCMS signed them in.
    pub(super) fn has_password(&self) -> bool {
        self.session.source == Source::Password
    }
}

#[derive(Clone, Debug)]
pub struct Banner {
    pub look: Look,
    pub trouble: Trouble,
    /// Where it can be fixed, after [`Layout::base`].
    pub path: Option<&'static str>,
}
