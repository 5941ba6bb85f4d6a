use std::mem;

use strum::VariantArray;
use time::OffsetDateTime;

use super::assets;
use super::parts::Ago;
use crate::store::{Role, Session, Source, Theme};
use crate::web::pages::words::{self, Severity};

/// What every page shares.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The path prefix of `PUBLIC_URL`: empty, or like `/cdn`, without a slash at the end.
    pub root: String,
    /// Where the pages of this page's site begin: `root`, or like `/cdn/sites/shop`.
    pub base: String,
    /// The sites that the reader sees; empty where there is no choice.
    pub sites: Vec<SiteLink>,
    /// Where the reader is.
    pub nav: Nav,
    /// The time at which the page was made; ages are counted from it.
    pub now: OffsetDateTime,
    /// Who is signed in.
    pub user: Option<User>,
    /// What stands in the way of purging, on every page until it is fixed (except where the page
    /// says it anyway).
    pub banner: Option<Banner>,
    /// The answer to what the reader just did, in one sentence.
    pub flash: Option<(Severity, &'static str)>,
    /// Where the page is read from, after `base`, when it may be the answer to a form that was sent
    /// elsewhere.
    pub address: Option<&'static str>,
    /// The one-time key of the page's forms.
    pub once: String,
    /// How the page stands, in a word before its title: “Error”, “Failed”. The tab's icon shows it too.
    pub mark: Option<&'static str>,
    /// Something on the page will change soon: without scripts, the page reloads itself every three
    /// seconds.
    pub pending: bool,
}

impl Layout {
    /// Of the style sheet, the script and the icons.
    pub(super) const VERSION: u32 = assets::VERSION;

    pub(super) fn is_admin(&self) -> bool {
        self.user
            .as_ref()
            .is_some_and(|user| user.session.role == Role::Admin)
    }

    /// It may make, rename and remove sites.
    pub(crate) fn manages_sites(&self) -> bool {
        self.user
            .as_ref()
            .is_some_and(|user| user.session.manages_sites())
    }

    /// Framed by SkyCMS: no name, no signing out.
    pub(super) fn embedded(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.session.framed)
    }

    /// What the frame asked for; otherwise the browser decides.
    pub(super) fn theme(&self) -> Option<Theme> {
        self.user.as_ref()?.session.theme
    }

    /// The name of the site that this page is about, where there is a choice.
    pub(super) fn site_name(&self) -> Option<&str> {
        let here = self.sites.iter().find(|site| site.here);
        here.map(|site| site.name.as_str())
    }

    /// The word before the title: of the page itself, or of what stands in the way of purging.
    pub(super) fn mark(&self) -> Option<&'static str> {
        let in_the_way = self
            .banner
            .as_ref()
            .filter(|banner| banner.severity == Severity::Danger);
        self.mark
            .or_else(|| in_the_way.map(|_| words::errors::MARK_PAUSED))
    }

    /// How long ago something was, as a `<time>`.
    pub fn ago(&self, at: &OffsetDateTime) -> Ago {
        Ago::relative(self.now, *at)
    }

    /// When something was, as a `<time>` with date and time.
    pub fn at(&self, at: &OffsetDateTime) -> Ago {
        Ago::exact(*at)
    }

    fn is(&self, nav: &Nav) -> bool {
        mem::discriminant(&self.nav) == mem::discriminant(nav)
    }

    /// The sections of the settings: (is it this one, address, name).
    pub(super) fn sections(&self) -> Vec<(bool, String, &'static str)> {
        Section::VARIANTS
            .iter()
            .map(|section| {
                let address = format!("{}{}", self.base, section.path());
                (self.nav == Nav::Settings(*section), address, section.name())
            })
            .collect()
    }

    /// The pages that this user may see: (is it this one, address, name).
    pub(super) fn links(&self) -> Vec<(bool, String, &'static str)> {
        let Some(user) = &self.user else {
            return Vec::new();
        };
        let (base, root) = (&self.base, &self.root);
        let mut links = vec![
            (Nav::Activity, format!("{base}/activity"), "Activity"),
            (Nav::Purge, format!("{base}/purge"), "Purge"),
        ];
        if user.session.role == Role::Admin {
            links.push((
                Nav::Settings(Section::Connection),
                format!("{base}/settings/cdn"),
                "Settings",
            ));
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
    /// The page that the reader is on, there.
    pub address: String,
    /// This page is about it.
    pub here: bool,
}

/// The pages of the navigation bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nav {
    /// Activity, and a publish's own page.
    Activity,
    Purge,
    /// Settings → CDN.
    Settings(Section),
    Audit,
    Sites,
    /// None of them.
    Elsewhere,
}

impl Nav {
    /// The page, after [`Layout::base`]: of pages that are not in the bar, or about no site, the activity.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Purge => "/purge",
            Self::Settings(section) => section.path(),
            Self::Activity | Self::Audit | Self::Sites | Self::Elsewhere => "/activity",
        }
    }
}

/// The sections of Settings → CDN, each at an address of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub enum Section {
    /// The connection to CloudFront.
    Connection,
    /// The publish hook, and what publishers prove themselves with.
    Hook,
    /// What publishers may send, and what goes with it.
    Publishing,
    /// What may be spent.
    Spending,
    /// Who is told of what happens.
    Notifications,
    /// The calls of publishers that were refused.
    Refused,
}

impl Section {
    /// Where it is, after [`Layout::base`].
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

/// Who is signed in.
#[derive(Clone, Debug)]
pub struct User {
    pub session: Session,
    /// The session is ours to end; false when it is SkyCMS's own.
    pub signs_out_here: bool,
}

impl User {
    pub(super) fn role(&self) -> &'static str {
        words::account::role(&self.session.role)
    }

    /// It has a password here that it can change; false when SkyCMS signed it in.
    pub(super) fn has_password(&self) -> bool {
        self.session.source == Source::Password
    }
}

/// A link within the service.
#[derive(Clone, Debug)]
pub struct Link {
    pub label: &'static str,
    /// The path after [`Layout::base`], with a slash before it.
    pub path: &'static str,
}

/// What stands in the way of purging.
#[derive(Clone, Debug)]
pub struct Banner {
    pub severity: Severity,
    /// What it is: “Purging is paused”.
    pub title: &'static str,
    /// Why, and what to do.
    pub text: String,
    /// Where to fix it.
    pub link: Option<Link>,
}
