//! What the handlers of pages share: layout, answers, and the mapping of the domain's words to the
//! views'.

pub(crate) mod activity;
pub(crate) mod assets;
pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod docs;
pub(crate) mod events;
pub(crate) mod overview;
pub(crate) mod purge;
pub(crate) mod settings;
pub(crate) mod sites;
pub mod views;
pub mod words;

use std::sync::Arc;

use askama::Template;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};

use super::{AppState, Busy};
use crate::domain::{DEFAULT_SITE, PublishState};
use crate::store::{self, InboxError, Session, Site, Source, StoreError};
use crate::web::http::problem::Problem;
use crate::web::pages::auth::session::{self, SignedIn};
use crate::web::pages::views::{
    Banner, ErrorPage, Flash, Layout, Link, Nav, Role, Severity, SiteLink, User,
};
use crate::web::pages::words::errors::{self, Trouble};

/// Why a page could not be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
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
    /// The address takes another method.
    #[error("this address does not take this method")]
    NotThisWay,
    /// A form that another site sent.
    #[error("a form of another site")]
    CrossSite,
    /// A form or an address that no page of ours makes.
    #[error("not a form or an address of ours: {1}")]
    Unreadable(StatusCode, String),
    /// Something that was to tell its end never did.
    #[error("it was interrupted")]
    Interrupted,
}

impl PageError {
    /// Status and words.
    fn told_as(&self) -> (StatusCode, Trouble) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, errors::NOT_FOUND),
            Self::NotThisWay => (StatusCode::METHOD_NOT_ALLOWED, errors::NOT_THIS_WAY),
            Self::Forbidden => (StatusCode::FORBIDDEN, errors::FORBIDDEN),
            Self::LinkEnded => (StatusCode::GONE, errors::LINK_ENDED),
            Self::TicketRefused => (StatusCode::UNAUTHORIZED, errors::TICKET_REFUSED),
            Self::FrameEnded => (StatusCode::UNAUTHORIZED, errors::FRAME_ENDED),
            Self::CrossSite => (StatusCode::FORBIDDEN, errors::CROSS_SITE),
            Self::Unreadable(status, _) => (*status, errors::UNREADABLE),
            Self::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, errors::BUSY),
            Self::Store(StoreError::Database(_)) | Self::Inbox(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, errors::NO_DATABASE)
            }
            Self::Store(StoreError::Seal(_)) => (StatusCode::INTERNAL_SERVER_ERROR, errors::SEALED),
            Self::Store(_) | Self::Template(_) | Self::Interrupted => {
                (StatusCode::INTERNAL_SERVER_ERROR, errors::OURS)
            }
        }
    }

    /// What happened and what to do, where there is no room for a page.
    pub(crate) fn sentence(&self) -> String {
        let Trouble { title, text, fix } = self.told_as().1;
        format!("{title}. {text} {fix}")
    }
}

/// A page, or why not, with the layout it is told in.
pub(crate) type PageResult = Result<Response, Box<PageFailure>>;

/// An error and what is needed to tell it in a page.
#[derive(Debug)]
pub(crate) struct PageFailure {
    layout: Layout,
    error: PageError,
}

impl PageFailure {
    /// An error outside of a page's making.
    pub(crate) fn of(state: &AppState, user: Option<&SignedIn>, error: PageError) -> Box<Self> {
        Box::new(Self {
            layout: layout(state, user, Nav::Elsewhere),
            error,
        })
    }

    /// The same, as an answer.
    pub(crate) fn told_to(state: &AppState, user: Option<&SignedIn>, error: PageError) -> Response {
        Self::of(state, user, error).into_response()
    }
}

impl IntoResponse for Box<PageFailure> {
    fn into_response(self) -> Response {
        let (status, trouble) = self.error.told_as();
        if status.is_server_error() {
            tracing::error!(error = %self.error, "a page could not be shown");
        }
        let page = ErrorPage {
            layout: self.layout,
            status: status.as_u16(),
            trouble,
        };
        match page.render() {
            Ok(html) => (status, Html(html)).into_response(),
            Err(_) => status.into_response(),
        }
    }
}

/// Who reads, and which sites they see.
pub(crate) struct Reader<'a> {
    state: &'a AppState,
    user: Option<&'a SignedIn>,
}

impl<'a> Reader<'a> {
    pub(crate) const fn of(state: &'a AppState, user: &'a SignedIn) -> Self {
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
    pub(crate) fn layout(&self, nav: Nav) -> Layout {
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
            address: None,
            pending: false,
        }
    }

    /// 303 to a page about no site.
    pub(crate) fn see(&self, path: &str) -> Response {
        see(self.state, path)
    }
}

/// What pages about no site share, as this reader may see it.
pub(crate) fn layout(state: &AppState, user: Option<&SignedIn>, nav: Nav) -> Layout {
    Reader { state, user }.layout(nav)
}

/// Where a site's pages are, below the prefix of `PUBLIC_URL`: those of `default` are where those of the only site are.
pub(crate) fn path_of(site: &Site) -> String {
    if site.name == DEFAULT_SITE {
        String::new()
    } else {
        format!("/sites/{}", site.name)
    }
}

/// Where somebody begins: the activity of the first site that they see.
pub(crate) fn home(state: &AppState, session: &Session) -> String {
    let sites = state.directory.sites();
    let mut seen = sites.iter().filter(|site| session.sees(site));
    let first = seen
        .clone()
        .find(|site| site.name == DEFAULT_SITE)
        .or(seen.next());
    first.map(|site| path_of(site)).unwrap_or_default()
}

/// A page that is being made: the site it is about and the layout it is told in.
pub(crate) struct Page {
    pub(crate) site: Arc<Site>,
    pub(crate) layout: Layout,
}

impl Page {
    /// Begins a page about the site in the address, which the reader may see.
    pub(crate) fn begin(
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
    pub(crate) fn see(&self, path: &str) -> Response {
        Redirect::to(&format!("{}{path}", self.layout.base)).into_response()
    }

    /// Turns an error of this page's making into an error page in its layout.
    pub(crate) fn failed(&self) -> impl Fn(PageError) -> Box<PageFailure> + use<> {
        let layout = self.layout.clone();
        move |error| {
            Box::new(PageFailure {
                layout: layout.clone(),
                error,
            })
        }
    }

    /// The answer to what was just done.
    pub(crate) fn say(&mut self, severity: Severity, text: impl Into<String>) {
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
        title: errors::PAUSED.into(),
        text: errors::paused(&pause.error.code),
        link: Some(Link {
            label: errors::MEND.into(),
            path: "/settings/cdn".into(),
        }),
    })
}

/// A rendered page. Settings and activity are nobody's cache's business.
pub(crate) fn html(status: StatusCode, page: &impl Template) -> Result<Response, PageError> {
    Ok((
        status,
        [(header::CACHE_CONTROL, "no-store")],
        Html(page.render()?),
    )
        .into_response())
}

/// 303 to a page about no site.
pub(crate) fn see(state: &AppState, path: &str) -> Response {
    Redirect::to(&format!("{}{path}", state.public.prefix)).into_response()
}

/// An error in a page to a browser, which asks for HTML, and as a problem to a program.
pub(crate) async fn or_problem(
    state: &AppState,
    parts: &Parts,
    error: PageError,
    problem: Problem,
) -> Response {
    let asks_for_html = parts
        .headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    if !asks_for_html {
        return problem.into_response();
    }
    let user = session::signed_in(state, parts).await.ok().flatten();
    PageFailure::told_to(state, user.as_ref(), error)
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
