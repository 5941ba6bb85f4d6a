//! What the handlers of pages share: layout, answers, and the mapping of the domain's words to the views'.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};

use super::AppState;
use super::views::{self, Banner, ErrorPage, Flash, Layout, Link, Nav, Role, Severity, User};
use crate::app::DEFAULT_SITE;
use crate::domain::{AwsError, PublishState, WaitReason};
use crate::store::{InboxError, Site, StoreError};
use std::sync::Arc;

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
}

/// A page, or why not, with the layout it is told in.
pub(super) type PageResult = Result<Response, Box<PageFailure>>;

/// An error and what is needed to tell it in a page.
#[derive(Debug)]
pub(super) struct PageFailure {
    layout: Layout,
    error: PageError,
}

impl IntoResponse for Box<PageFailure> {
    fn into_response(self) -> Response {
        let (status, title, text, fix) = match &self.error {
            PageError::NotFound => (
                StatusCode::NOT_FOUND,
                "Page not found",
                "There is nothing at this address. Ended publishes are kept for a limited time.",
                "Check the address, or begin at the activity.",
            ),
            PageError::Store(StoreError::Database(_)) | PageError::Inbox(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The database does not answer",
                "Nothing was changed just now. Publishes that were accepted before go on as soon as it is back.",
                "Try again in a moment. If it lasts, whoever runs this service finds the reason in its log.",
            ),
            PageError::Store(StoreError::Seal(_)) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "A stored secret cannot be opened",
                "The key in ENCRYPTION_KEY is not the one that the secret was saved with.",
                "Whoever runs this service has to put the old key back into ENCRYPTION_KEY, behind the new one.",
            ),
            _ => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something went wrong here",
                "The log tells more.",
                "Go back and try again.",
            ),
        };
        if status.is_server_error() {
            tracing::error!(error = %self.error, "a page could not be shown");
        }
        let page = ErrorPage {
            layout: self.layout,
            status: status.as_u16(),
            title: title.into(),
            text: text.into(),
            fixes: vec![fix.into()],
            link: Some(Link {
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

/// A page that is being made: the site it is about and the layout it is told in.
pub(super) struct Page {
    pub(super) site: Arc<Site>,
    pub(super) layout: Layout,
}

impl Page {
    /// Begins a page about the site `default`.
    pub(super) fn begin(state: &AppState, nav: Nav) -> Result<Self, Box<PageFailure>> {
        let site = state.directory.site(DEFAULT_SITE);
        let layout = Layout {
            base: state.public.prefix.clone(),
            nav,
            now: state.clock.now(),
            user: Some(User {
                name: "admin".into(),
                role: Role::Admin,
                has_password: false,
            }),
            banner: site.as_deref().and_then(banner),
            flash: None,
            embedded: false,
            pending: false,
        };
        match site {
            Some(site) => Ok(Self { site, layout }),
            None => Err(Box::new(PageFailure {
                layout,
                error: PageError::NotFound,
            })),
        }
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

/// 303 to a page of ours.
pub(super) fn see(state: &AppState, path: &str) -> Response {
    Redirect::to(&format!("{}{path}", state.public.prefix)).into_response()
}

/// The fallback for addresses without a page.
pub(super) fn not_found(state: &AppState) -> Response {
    match Page::begin(state, Nav::Elsewhere) {
        Ok(page) => page.failed()(PageError::NotFound).into_response(),
        Err(failure) => failure.into_response(),
    }
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
