//! What tests and people may set: the configuration, distributions and access keys.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::iam::Policy;

/// The account of everything that names no other.
const ACCOUNT: &str = "123456789012";

/// How the sandbox behaves. `null` in a quota or rate switches it off.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Added to each API call, half before and half after it is handled.
    pub(crate) latency_ms: u64,
    /// How long an invalidation stays `InProgress`.
    pub(crate) in_progress_ms: u64,
    /// `CreateInvalidation` calls a second for each account.
    pub(crate) rate: Option<f64>,
    /// How many calls may come at once before `rate` applies.
    pub(crate) burst: f64,
    pub(crate) files_in_progress: Option<usize>,
    pub(crate) wildcards_in_progress: Option<usize>,
    pub(crate) paths_per_request: usize,
    /// Paths and tags a second for each distribution. One second's worth may come at once, so a
    /// larger batch never passes.
    pub(crate) paths_per_second: Option<f64>,
    pub(crate) wildcards_per_second: Option<f64>,
    /// Added to the sandbox's clock where signatures are checked, and in the `Date` header.
    pub(crate) clock_offset_seconds: i64,
    pub(crate) already_used: AlreadyUsed,
    pub(crate) inner_wildcard: InnerWildcard,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            in_progress_ms: 3_000,
            rate: Some(0.5),
            burst: 5.0,
            files_in_progress: Some(3_000),
            wildcards_in_progress: Some(15),
            paths_per_request: 3_000,
            paths_per_second: None,
            wildcards_per_second: None,
            clock_offset_seconds: 0,
            already_used: AlreadyUsed::Return,
            inner_wildcard: InnerWildcard::Literal,
        }
    }
}

/// The two readings of CloudFront's quota page. Nobody outside AWS knows which of them an account
/// has.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Quotas {
    /// Until 2026, and in China: 3,000 files and 15 wildcards in progress.
    InProgress,
    /// Since September 2026: 150 paths or tags and 1 wildcard a second.
    PerSecond,
}

impl Config {
    pub(crate) fn with_quotas(self, quotas: Quotas) -> Self {
        match quotas {
            Quotas::InProgress => self,
            Quotas::PerSecond => Self {
                files_in_progress: None,
                wildcards_in_progress: None,
                paths_per_second: Some(150.0),
                wildcards_per_second: Some(1.0),
                ..self
            },
        }
    }

    /// # Errors
    /// The name of a number that makes no sense, and what would.
    pub(crate) fn checked(self) -> Result<Self, String> {
        let rates = [
            ("rate", self.rate),
            ("paths_per_second", self.paths_per_second),
            ("wildcards_per_second", self.wildcards_per_second),
        ];
        for (name, rate) in rates {
            if rate.is_some_and(|rate| rate <= 0.0) {
                return Err(format!(
                    "`{name}` must be above 0, or null to switch it off"
                ));
            }
        }
        if self.burst < 1.0 {
            return Err("`burst` must be at least 1".to_owned());
        }
        if self.clock_offset_seconds.unsigned_abs() > 10 * 365 * 86_400 {
            return Err("`clock_offset_seconds` must be within ten years".to_owned());
        }
        Ok(self)
    }
}

/// The answer to a caller reference that comes again with unchanged paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlreadyUsed {
    /// Documented: the existing invalidation.
    Return,
    /// Reported from live use: `InvalidArgument`.
    InvalidArgument,
}

/// What a `*` before the end of a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InnerWildcard {
    /// The current developer guide.
    Literal,
    /// The older developer guide.
    InvalidArgument,
}

/// A distribution or a distribution tenant, by ID.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Distribution {
    pub(crate) kind: Kind,
    pub(crate) partition: Partition,
    pub(crate) account: Account,
    /// Whether `CacheTagConfig` names a header. Tags never work in the China regions.
    pub(crate) cache_tags: CacheTags,
    /// Each of these replaces the configuration's where it is set.
    pub(crate) in_progress_ms: Option<u64>,
    pub(crate) files_in_progress: Option<usize>,
    pub(crate) wildcards_in_progress: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    #[default]
    Distribution,
    Tenant,
}

impl Kind {
    /// The word in paths and ARNs.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Distribution => "distribution",
            Self::Tenant => "distribution-tenant",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Partition {
    #[default]
    #[serde(rename = "aws")]
    Aws,
    #[serde(rename = "aws-cn")]
    China,
    #[serde(rename = "aws-eusc")]
    EuropeanSovereign,
}

impl Partition {
    pub(crate) const ALL: [Self; 3] = [Self::Aws, Self::China, Self::EuropeanSovereign];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::China => "aws-cn",
            Self::EuropeanSovereign => "aws-eusc",
        }
    }

    /// The one region whose name CloudFront accepts in a signature.
    pub(crate) fn signing_region(self) -> &'static str {
        match self {
            Self::Aws => "us-east-1",
            Self::China => "cn-northwest-1",
            Self::EuropeanSovereign => "eusc-de-east-1",
        }
    }
}

/// An AWS account number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Account(pub(crate) String);

impl Default for Account {
    fn default() -> Self {
        Self(ACCOUNT.to_owned())
    }
}

/// On unless it is switched off.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct CacheTags(pub(crate) bool);

impl Default for CacheTags {
    fn default() -> Self {
        Self(true)
    }
}

/// An access key of an IAM user. Its secrets are read, and never written out.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    #[serde(skip_serializing)]
    pub(crate) secret_access_key: String,
    /// Set for temporary credentials: calls must carry it.
    #[serde(skip_serializing)]
    pub(crate) session_token: Option<String>,
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub(crate) expires_at: Option<OffsetDateTime>,
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
    #[serde(default = "default_user")]
    pub(crate) user: String,
    #[serde(default)]
    pub(crate) account: Account,
    /// `null` is a user without any policy.
    pub(crate) policy: Option<Policy>,
}

impl Key {
    pub(crate) fn new(secret_access_key: String, policy: Policy) -> Self {
        Self {
            secret_access_key,
            session_token: None,
            expires_at: None,
            enabled: true,
            user: default_user(),
            account: Account::default(),
            policy: Some(policy),
        }
    }

    /// # Errors
    /// What is wrong with the change, in serde's words.
    pub(crate) fn changed(&self, change: Map<String, Value>) -> Result<Self, serde_json::Error> {
        let mut base = fields(self);
        base.insert(
            "secret_access_key".into(),
            self.secret_access_key.clone().into(),
        );
        base.insert("session_token".into(), self.session_token.clone().into());
        overlay(base, change)
    }
}

fn yes() -> bool {
    true
}

fn default_user() -> String {
    "skycms".to_owned()
}

/// `current` with the fields of `change` in place of its own.
///
/// # Errors
/// An unknown field or a value of the wrong type, in serde's words.
pub(crate) fn changed<T: Serialize + DeserializeOwned>(
    current: &T,
    change: Map<String, Value>,
) -> Result<T, serde_json::Error> {
    overlay(fields(current), change)
}

fn fields(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn overlay<T: DeserializeOwned>(
    mut base: Map<String, Value>,
    change: Map<String, Value>,
) -> Result<T, serde_json::Error> {
    base.extend(change);
    serde_json::from_value(Value::Object(base))
}
