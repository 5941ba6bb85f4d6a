//! What the handlers of pages share: layout, answers, and the mapping of the domain's words to the views'.

use std::sync::Arc;

use askama::Template;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};

use super::session::{self, SignedIn};
use super::views::{
    self, Banner, ErrorPage, Flash, Layout, Link, Nav, Role, Severity, SiteLink, User,
};
use super::{AppState, Busy};
use crate::domain::{AwsError, DEFAULT_SITE, PublishState, WaitReason};
use crate::store::{self, InboxError, Session, Site, Source, StoreError};

/// Why a page could not be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A publish could not be accepted.
    #[error(transparent)]
    Inbox(#[from] InboxError),
    /// The page could not be made.
    #[error("the page could not be made: {0}")]
    Template(#[from] askama::Error),
    /// There is no such page.
    #[error("no such page")]
    NotFound,
    /// Not for this user.
    #[error("not for this user")]
    Forbidden,
    /// The one-time link was used, or is older than an hour.
    #[error("the link works no more")]
    LinkEnded,
    /// SkyCMS's token is not right.
    #[error("the token of SkyCMS was refused")]
    TicketRefused,
    /// The session of a frame is over.
    #[error("the session of the frame is over")]
    FrameEnded,
    /// Too many passwords are being checked.
    #[error(transparent)]
    Busy(#[from] Busy),
}

impl PageError {
    /// Status, title, text and fix.
    fn words(&self) -> (StatusCode, &'static str, &'static str, &'static str) {
        match self {
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "Page not found",
                "There is nothing at this address. Ended publishes are kept for a limited time.",
                "Check the address, or begin at the activity.",
            ),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "Not for you",
                "Only administrators may see and change this.",
                "Ask an administrator of SkyCMS.",
            ),
            Self::LinkEnded => (
                StatusCode::GONE,
                "This link works no more",
                "It works once, within an hour after it was made.",
                "Whoever runs this service gets a new one with `skycms-cdn set-up-link`.",
            ),
            Self::TicketRefused => (
                StatusCode::UNAUTHORIZED,
                "SkyCMS could not sign you in",
                "Its token has expired, was used before, or is not signed with the secret that is shared with this service.",
                "Go back to SkyCMS and open Settings → CDN again. If that does not help, whoever runs this service finds the reason in its log.",
            ),
            Self::FrameEnded => (
                StatusCode::UNAUTHORIZED,
                "Your visit is over",
                "You came here from SkyCMS, which vouches for its users for twelve hours.",
                "Open Settings → CDN in SkyCMS again.",
            ),
            Self::Busy(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many people are signing in",
                "Passwords are checked a few at a time, and the queue is full.",
                "Try again in a moment.",
            ),
            Self::Store(StoreError::Database(_)) | Self::Inbox(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The database does not answer",
                "Nothing was changed just now. Publishes that were accepted before go on as soon as it is back.",
                "Try again in a moment. If it lasts, whoever runs this service finds the reason in its log.",
            ),
            Self::Store(StoreError::Seal(_)) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "A stored secret cannot be opened",
                "The key in ENCRYPTION_KEY is not the one that the secret was saved with.",
                "Whoever runs this service has to put the old key back into ENCRYPTION_KEY, behind the new one.",
            ),
            Self::Store(_) | Self::Template(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something went wrong here",
                "The log tells more.",
                "Go back and try again.",
            ),
        }
    }
}

/// A page, or why not, with the layout it is told in.
pub(super) type PageResult = Result<Response, Box<PageFailure>>;

/// An error and what is needed to tell it in a page.
#[derive(Debug)]
pub(super) struct PageFailure {
    layout: Layout,
    error: PageError,
}

impl PageFailure {
    /// An error outside of a page's making.
    pub(super) fn of(state: &AppState, user: Option<&SignedIn>, error: PageError) -> Box<Self> {
        Box::new(Self {
            layout: layout(state, user, Nav::Elsewhere),
            error,
        })
    }

    /// The same, as an answer.
    pub(super) fn told_to(state: &AppState, user: Option<&SignedIn>, error: PageError) -> Response {
        Self::of(state, user, error).into_response()
    }
}

impl IntoResponse for Box<PageFailure> {
    fn into_response(self) -> Response {
        let (status, title, text, fix) = self.error.words();
        if status.is_server_error() {
            tracing::error!(error = %self.error, "a page could not be shown");
        }
        let signed_in = self.layout.user.is_some();
        let page = ErrorPage {
            layout: self.layout,
            status: status.as_u16(),
            title: title.into(),
            text: text.into(),
            fixes: vec![fix.into()],
            link: signed_in.then(|| Link {
                label: "Activity".into(),
                path: "/activity".into(),
            }),
            request_id: None,
        };
        match page.render() {
            Ok(html) => (status, Html(html)).into_response(),
            Err(_) => status.into_response(),
        }
    }
}

/// Who reads, and which sites they see.
pub(super) struct Reader<'a> {
    state: &'a AppState,
    user: Option<&'a SignedIn>,
}

impl<'a> Reader<'a> {
    pub(super) const fn of(state: &'a AppState, user: &'a SignedIn) -> Self {
        Self {
            state,
            user: Some(user),
        }
    }

    /// The sites that they see, by name.
    fn sites(&self) -> Vec<Arc<Site>> {
        let Some(user) = self.user else {
            return Vec::new();
        };
        let mut sites = self.state.directory.sites();
        sites.retain(|site| user.session.sees(site));
        sites
    }

    /// What pages about no site share; its links lead to the first site that the reader sees.
    pub(super) fn layout(&self, nav: Nav) -> Layout {
        let sites = self.sites();
        let home = sites
            .iter()
            .find(|site| site.name == DEFAULT_SITE)
            .or(sites.first());
        let mut layout = self.layout_at(home.map(Arc::as_ref), nav, &sites);
        if nav == Nav::Sites {
            // Its own links are about all sites.
            layout.base.clone_from(&layout.root);
        }
        layout.sites.iter_mut().for_each(|site| site.here = false);
        layout
    }

    /// What pages about a site share.
    fn layout_about(&self, site: &Site, nav: Nav) -> Layout {
        Layout {
            banner: banner(site),
            ..self.layout_at(Some(site), nav, &self.sites())
        }
    }

    fn layout_at(&self, site: Option<&Site>, nav: Nav, seen: &[Arc<Site>]) -> Layout {
        let root = self.state.public.prefix.clone();
        let choice = if seen.len() > 1 { seen } else { &[] };
        Layout {
            base: root.clone() + &site.map(path_of).unwrap_or_default(),
            sites: choice
                .iter()
                .map(|other| SiteLink {
                    name: other.name.clone(),
                    address: format!("{root}{}{}", path_of(other), nav.path()),
                    here: site.is_some_and(|site| site.id == other.id),
                })
                .collect(),
            root,
            nav,
            now: self.state.clock.now(),
            user: self.user.map(|user| User {
                name: user.session.user.clone(),
                role: match user.session.role {
                    store::Role::Admin => Role::Admin,
                    store::Role::Editor => Role::Editor,
                },
                has_password: user.session.source == Source::Password,
            }),
            banner: None,
            flash: None,
            embedded: self.user.is_some_and(|user| user.session.framed),
            pending: false,
        }
    }

    /// 303 to a page about no site.
    pub(super) fn see(&self, path: &str) -> Response {
        see(self.state, path)
    }
}

/// What pages about no site share, as this reader may see it.
pub(super) fn layout(state: &AppState, user: Option<&SignedIn>, nav: Nav) -> Layout {
    Reader { state, user }.layout(nav)
}

/// Where a site's pages are, below the prefix of `PUBLIC_URL`: those of `default` are where those of the only site are.
pub(super) fn path_of(site: &Site) -> String {
    if site.name == DEFAULT_SITE {
        String::new()
    } else {
        format!("/sites/{}", site.name)
    }
}

/// Where somebody begins: the activity of the first site that they see.
pub(super) fn home(state: &AppState, session: &Session) -> String {
    let sites = state.directory.sites();
    let mut seen = sites.iter().filter(|site| session.sees(site));
    let first = seen
        .clone()
        .find(|site| site.name == DEFAULT_SITE)
        .or(seen.next());
    first.map(|site| path_of(site)).unwrap_or_default()
}

/// A page that is being made: the site it is about and the layout it is told in.
pub(super) struct Page {
    pub(super) site: Arc<Site>,
    pub(super) layout: Layout,
}

impl Page {
    /// Begins a page about the site in the address, which the reader may see.
    pub(super) fn begin(
        state: &AppState,
        user: &SignedIn,
        nav: Nav,
    ) -> Result<Self, Box<PageFailure>> {
        let Some(site) = &user.site else {
            return Err(PageFailure::of(state, Some(user), PageError::NotFound));
        };
        Ok(Self {
            layout: Reader::of(state, user).layout_about(site, nav),
            site: Arc::clone(site),
        })
    }

    /// 303 to a page of the same site.
    pub(super) fn see(&self, path: &str) -> Response {
        Redirect::to(&format!("{}{path}", self.layout.base)).into_response()
    }

    /// Turns an error of this page's making into an error page in its layout.
    pub(super) fn failed(&self) -> impl Fn(PageError) -> Box<PageFailure> + use<> {
        let layout = self.layout.clone();
        move |error| {
            Box::new(PageFailure {
                layout: layout.clone(),
                error,
            })
        }
    }

    /// The answer to what was just done.
    pub(super) fn say(&mut self, severity: Severity, text: impl Into<String>) {
        self.layout.flash = Some(Flash {
            severity,
            text: text.into(),
        });
    }
}

/// What stands in the way of purging, on every page.
fn banner(site: &Site) -> Option<Banner> {
    let pause = site.pause.as_ref()?;
    Some(Banner {
        severity: Severity::Danger,
        title: "Purging is paused".into(),
        text: format!(
            "AWS rejects the settings ({}). Publishes are kept and go by themselves as soon as the settings work again.",
            pause.error.code
        ),
        link: Some(Link {
            label: "Mend the settings".into(),
            path: "/settings/cdn".into(),
        }),
    })
}

/// A rendered page. Settings and activity are nobody's cache's business.
pub(super) fn html(status: StatusCode, page: &impl Template) -> Result<Response, PageError> {
    Ok((
        status,
        [(header::CACHE_CONTROL, "no-store")],
        Html(page.render()?),
    )
        .into_response())
}

/// 303 to a page about no site.
pub(super) fn see(state: &AppState, path: &str) -> Response {
    Redirect::to(&format!("{}{path}", state.public.prefix)).into_response()
}

/// The answer for addresses without a page.
pub(super) async fn not_found(state: &AppState, parts: &Parts) -> Response {
    let user = session::signed_in(state, parts).await.ok().flatten();
    PageFailure::told_to(state, user.as_ref(), PageError::NotFound)
}

impl From<PublishState> for views::State {
    fn from(state: PublishState) -> Self {
        match state {
            PublishState::Queued => Self::Queued,
            PublishState::InProgress => Self::InProgress,
            PublishState::Completed => Self::Completed,
            PublishState::Unconfirmed => Self::Unconfirmed,
            PublishState::Failed => Self::Failed,
        }
    }
}

impl From<crate::domain::InvalidationStatus> for views::State {
    fn from(status: crate::domain::InvalidationStatus) -> Self {
        use crate::domain::InvalidationStatus as S;
        match status {
            S::Queued => Self::Queued,
            S::InProgress => Self::InProgress,
            S::Completed => Self::Completed,
            S::Unconfirmed => Self::Unconfirmed,
            S::Failed => Self::Failed,
        }
    }
}

impl From<WaitReason> for views::WaitingFor {
    fn from(reason: WaitReason) -> Self {
        match reason {
            WaitReason::Quota => Self::Quota,
            WaitReason::Rate => Self::Rate,
            WaitReason::Retry => Self::Retry,
            WaitReason::Settings => Self::Settings,
        }
    }
}

impl From<AwsError> for views::AwsError {
    fn from(error: AwsError) -> Self {
        Self {
            code: Some(error.code),
            message: error.message,
            request_id: error.request_id,
        }
    }
}
