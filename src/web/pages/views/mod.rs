//! The pages as plain values: a struct per page, which a handler fills in and
//! `askama::Template::render` turns into HTML.
//!
//! A view model holds no secret, except [`Revealed`], which shows a new one once. Every address
//! begins with [`Layout::base`] or [`Layout::root`], or is [`Layout::keep_still`]. A page, and the
//! style sheet and the script as they are sent, stay under 40 KB together as long as lists respect
//! [`PAGE_SIZE`] and [`ITEMS_SHOWN`].

use askama::Template;

mod account;
mod activity;
mod chart;
mod connection;
mod docs;
mod layout;
mod notice;
mod notifications;
mod paging;
mod parts;
mod publish;
mod purge;
mod settings;
mod sites;

pub use account::{
    AuditPage, NewSecondStep, PasswordErrors, PasswordPage, SecondStepPage, SessionEndedPage,
    SessionsPage, SetUpPage, SignInElsewhere, SignInPage,
};
pub use activity::{ActivityPage, Filter, Held, LivePage, Overview};
pub use chart::Chart;
pub use connection::{
    Connection, ConnectionForm, ConnectionPage, IamPolicy, ShownSettings, TestPart, TestResult,
    Tested,
};
pub use docs::{Answer, ApiPage, Content, Example, Group, Member, Operation, Shape};
pub use layout::{Banner, Layout, Nav, Section, SiteLink, User};
pub use notice::{ConfirmPage, ErrorPage, HelpPage};
pub use notifications::{EndpointForm, NotificationsPage};
pub use paging::{ListPage, Paging};
pub use parts::{Ago, Count, Field, Meter, Prose, Span, Usd};
pub use publish::PublishPage;
pub use purge::{LineError, Preview, PreviewItem, PurgePage};
pub use settings::{
    HookPage, PublishingForm, PublishingPage, RefusedPage, Revealed, SpendingForm, SpendingPage,
};
pub use sites::{SiteRow, SitesPage};

/// How many publishes a page of the activity list shows.
pub const PAGE_SIZE: u16 = 25;
/// How many items the page of a publish or a preview lists before “and … more”.
pub const ITEMS_SHOWN: usize = 100;
/// The same for each of a publish's invalidations.
const SENT_SHOWN: usize = 10;

/// A page that may be the answer to a form that was not accepted.
pub trait FormPage: Template {
    fn layout(&mut self) -> &mut Layout;
}

macro_rules! form_pages {
    ($($page:ty),+ $(,)?) => {
        $(impl FormPage for $page {
            fn layout(&mut self) -> &mut Layout {
                &mut self.layout
            }
        })+
    };
}

form_pages!(
    NotificationsPage,
    ConnectionPage,
    HookPage,
    PasswordPage,
    PublishingPage,
    PurgePage,
    SecondStepPage,
    SetUpPage,
    SignInPage,
    SitesPage,
    SpendingPage,
);
