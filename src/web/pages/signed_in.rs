//! Who is signed in.

use std::net::IpAddr;
use std::sync::Arc;

use axum::response::Response;

use crate::store::{Session, Site, TokenHash};

/// Proof that somebody is signed in. Pages get it from [`super::auth::session::require`].
#[derive(Clone, Debug)]
pub(crate) struct SignedIn {
    pub(crate) session: Session,
    /// The session's key in the database; `None` if the session is SkyCMS's own and is not stored.
    pub(crate) token: Option<TokenHash>,
    pub(crate) from: IpAddr,
    /// The site in the URL, or `default` if it names none; `None` if they may not see it.
    pub(crate) site: Option<Arc<Site>>,
}

/// Attached to the responses of pages: who asked, if they are signed in.
#[derive(Clone)]
pub(crate) struct Reader(pub(crate) Option<SignedIn>);

/// Marks the responses of pages that nobody signs in for.
pub(crate) async fn mark_page(mut response: Response) -> Response {
    response.extensions_mut().insert(Reader(None));
    response
}
