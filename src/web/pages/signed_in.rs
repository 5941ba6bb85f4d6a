//! Who is signed in.

use std::net::IpAddr;
use std::sync::Arc;

use crate::store::{Session, Site, TokenHash};

/// Proof that somebody is signed in. Pages get it from [`super::auth::session::require`].
#[derive(Clone, Debug)]
pub(crate) struct SignedIn {
    /// Who, and what they may do.
    pub(crate) session: Session,
    /// The session's key in the database.
    pub(crate) token: TokenHash,
    /// From where.
    pub(crate) from: IpAddr,
    /// The site in the address, or `default` where it names none; none: they do not see that.
    pub(crate) site: Option<Arc<Site>>,
}
