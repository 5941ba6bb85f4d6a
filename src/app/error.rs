use std::net::SocketAddr;

use crate::cloudfront;
use crate::domain::FieldErrors;
use crate::readers::NoPublicClient;
use crate::skycms::NoClient;
use crate::store::{DatabaseProblem, SealError, StoreError};
use crate::web::Busy;

/// Why the service did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error("DATA_DIR: {0}{instead}", instead = instead(.0))]
    Postgres(#[from] embedded_postgres::Error),
    #[error(
        "DATABASE_URL: is not an address such as postgres://user:password@host/database ({0}); in a password, write `#`, \
         `/`, `?` and `@` as %23, %2F, %3F and %40"
    )]
    DatabaseUrl(String),
    #[error("{problem}. {fix}", problem = .0, fix = .0.fix())]
    Database(#[from] DatabaseProblem),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(
        "ENCRYPTION_KEY: does not open the saved secrets; add the key they were saved with behind the new one, separated \
         by a comma, and run `skycms-cdn rotate-encryption-key` if the old one is to go. If it is lost, \
         `skycms-cdn rotate-encryption-key --remove-unreadable` removes what cannot be read; enter it again then"
    )]
    WrongKey,
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error("{path}: {problem}")]
    KeyFile { path: String, problem: String },
    #[error("CloudFront__…: {0}")]
    CloudFront(FieldErrors),
    #[error(transparent)]
    Authorities(#[from] cloudfront::NoAuthorities),
    #[error(transparent)]
    SkyCms(#[from] NoClient),
    #[error(transparent)]
    PublicClient(#[from] NoPublicClient),
    #[error("{variable}: cannot listen on {address}: {source}")]
    Listen {
        variable: &'static str,
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("the server stopped: {0}")]
    Serve(#[from] std::io::Error),
}

impl AppError {
    /// Why something sealed did not open: if the keys are to blame, with what to do.
    pub(crate) fn of_keys(error: StoreError) -> Self {
        match error {
            StoreError::Seal(SealError::WrongKey) => Self::WrongKey,
            error => error.into(),
        }
    }
}

/// What to do about it, where the way out is another setting.
const fn instead(error: &embedded_postgres::Error) -> &'static str {
    match error {
        embedded_postgres::Error::InUse(_) => {
            ": give this skycms-cdn its own DATA_DIR, or let both share one DATABASE_URL"
        }
        embedded_postgres::Error::NotInstalled { .. } => ", or set DATABASE_URL",
        _ => "",
    }
}
