//! Parameters that several calls take.

use serde::Deserialize;
use utoipa::IntoParams;

/// The longest that `Prefer: wait` may delay an answer, in seconds. The words below say so too.
pub(crate) const MAX_WAIT_SECONDS: u64 = 60;

/// The parameter of every address under `/api/sites/`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct SitePath {
    /// The site; a fresh install has one, `default`.
    #[param(example = "default")]
    pub(crate) site: String,
}

/// The header of calls that may be answered later.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is described, not read")]
pub(crate) struct PreferWait {
    /// RFC 7240: `wait=N` holds the answer until the publish has ended, for at most N seconds, and 60 at most. The
    /// answer says what was kept to in `Preference-Applied`.
    #[param(rename = "Prefer", nullable = false, example = "wait=30")]
    prefer: Option<String>,
}
