//! The CDN row of SkyCMS's settings table: `{"CdnProvider": 3, "Value": "{…}"}`, where the inner
//! text is JSON too.
//!
//! Nothing of the row is ever repeated in an error: any of it may be the secret.

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::SettingsForm;

/// SkyCMS's providers in its order: it stores the number, and may come to store the name.
const PROVIDERS: [&str; 7] = [
    "AzureFrontdoor",
    "AzureCDN",
    "Cloudflare",
    "CloudFront",
    "Sucuri",
    "None",
    "Fastly",
];
const CLOUDFRONT: &str = "CloudFront";

/// Why a row cannot be imported.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RowError {
    #[error(
        "{what} is not JSON (line {line}, column {column}); expected {{\"CdnProvider\":…,\"Value\":\"{{…}}\"}}"
    )]
    NotJson {
        what: &'static str,
        line: usize,
        column: usize,
    },
    #[error("the row is not of the shape {{\"CdnProvider\":…,\"Value\":\"{{…}}\"}}")]
    NotTheRow,
    #[error("the row is of {0}; only the row of CloudFront can be imported")]
    OtherProvider(String),
    #[error("the row's Value lacks {}; SkyCMS stores DistributionId, AccessKeyId, SecretAccessKey and Region", .0.join(", "))]
    Missing(Vec<&'static str>),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    distribution_id: String,
    #[serde(default)]
    access_key_id: String,
    #[serde(default)]
    secret_access_key: SecretString,
    #[serde(default)]
    region: String,
}

/// What would have been typed into the form.
pub(super) fn form(text: &str) -> Result<SettingsForm, RowError> {
    let mut row: Value = json(text, "the input")?;
    // The whole row of the table has the same JSON as the text of its own Value.
    if row.get("CdnProvider").is_none()
        && let Some(inner) = row.get("Value").and_then(Value::as_str)
    {
        row = json(inner, "the row's Value")?;
    }
    let provider = provider(row.get("CdnProvider").ok_or(RowError::NotTheRow)?)?;
    if provider != CLOUDFRONT {
        return Err(RowError::OtherProvider(provider));
    }
    let value = row
        .get("Value")
        .and_then(Value::as_str)
        .ok_or(RowError::NotTheRow)?;
    let config: Config = json(value, "the row's Value")?;
    let secret = &config.secret_access_key;
    let is_empty = [
        ("DistributionId", config.distribution_id.trim().is_empty()),
        ("AccessKeyId", config.access_key_id.trim().is_empty()),
        (
            "SecretAccessKey",
            secrecy::ExposeSecret::expose_secret(secret)
                .trim()
                .is_empty(),
        ),
    ];
    let missing: Vec<&str> = is_empty
        .into_iter()
        .filter(|(_, empty)| *empty)
        .map(|(name, _)| name)
        .collect();
    if !missing.is_empty() {
        return Err(RowError::Missing(missing));
    }
    Ok(SettingsForm {
        distribution_id: config.distribution_id,
        access_key_id: config.access_key_id,
        secret_access_key: config.secret_access_key,
        region: match config.region.trim() {
            "" => "us-east-1".to_owned(), // SkyCMS's own default
            region => region.to_owned(),
        },
        aws_default: false,
    })
}

/// The provider's name, from its name or number.
fn provider(value: &Value) -> Result<String, RowError> {
    let by_number = |number: u64| PROVIDERS.get(usize::try_from(number).ok()?).copied();
    match value {
        Value::Number(number) => number
            .as_u64()
            .map(|n| by_number(n).map_or_else(|| format!("provider {n}"), str::to_owned))
            .ok_or(RowError::NotTheRow),
        Value::String(name) => Ok(PROVIDERS
            .iter()
            .find(|known| known.eq_ignore_ascii_case(name))
            .map_or("an unknown provider", |known| *known)
            .to_owned()),
        _ => Err(RowError::NotTheRow),
    }
}

fn json<T: serde::de::DeserializeOwned>(text: &str, what: &'static str) -> Result<T, RowError> {
    serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
        if error.is_data() {
            RowError::NotTheRow
        } else {
            RowError::NotJson {
                what,
                line: error.line(),
                column: error.column(),
            }
        }
    })
}
