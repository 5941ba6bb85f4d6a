//! Who is signed in.

use std::net::IpAddr;
use std::sync::Arc;

use axum::response::Response;

use crate::store::{Session, Site, TokenHash};

/// Proof that somebody is signed in. Pages get it from [`super::auth::session::require`].
#[derive(Clone, Debug)]
pub(crate) struct SignedIn {
    /// Who, and what they may do.
    pub(crate) session: Session,
    /// The session's key in the database; none: the session is SkyCMS's own, and is not stored.
    pub(crate) token: Option<TokenHash>,
    /// From where.
    pub(crate) from: IpAddr,
    /// The site in the address, or `default` where it names none; none: they do not see that.
    pub(crate) site: Option<Arc<Site>>,
}

/// Put into the answers of pages: who asked, if they are signed in.
#[derive(Clone)]
pub(crate) struct Reader(pub(crate) Option<SignedIn>);

/// Marks the answers of pages for which nobody signs in.
pub(crate) async fn mark_page(mut response: Response) -> Response {
    response.extensions_mut().insert(Reader(None));
    response
}
