//! The CDN row of SkyCMS's settings table: `{"CdnProvider": 3, "Value": "{…}"}`, where the inner
//! text is JSON too; and beside it, where the whole table is given, the row with the publisher's
//! URL.
//!
//! Nothing of the row is ever repeated in an error: any of it may be the secret.

use secrecy::SecretString;
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
const PUBLISHER_URL: &str = "PublisherUrl";
/// The name of the row in which the set-up wizard keeps what was entered.
const WIZARD: &str = "SETUP_WIZARD_STATE";

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
    #[error("the row's Value lacks {}; enter it again in SkyCMS and save, or enter the settings on the page here", .0.join(", "))]
    Missing(Vec<&'static str>),
}

impl RowError {
    /// How close the row comes to one that can be imported.
    const fn nearness(&self) -> u8 {
        match self {
            Self::NotTheRow => 0,
            Self::NotJson { .. } => 1,
            Self::OtherProvider(_) => 2,
            Self::Missing(_) => 3,
        }
    }
}

/// What SkyCMS knows of a site.
pub(super) struct Imported {
    /// What would have been typed into the form.
    pub(super) form: SettingsForm,
    /// Where readers find the site.
    pub(super) publisher_url: Option<String>,
}

pub(super) fn read(text: &str) -> Result<Imported, RowError> {
    let mut rows = match json(text, "the input")? {
        // As `sqlite3 -json` and exports print a table.
        Value::Array(rows) => rows,
        row => vec![row],
    };
    // The wizard's row stays as it was when the wizard ended, whatever has been saved since.
    rows.sort_by_key(is_wizards);
    let publisher_url = rows.iter().find_map(publisher_url);
    // The first row that is whole; else the one that comes nearest to it says what is wrong.
    let mut problem = RowError::NotTheRow;
    for row in rows {
        match form_of(row) {
            Ok(form) => {
                return Ok(Imported {
                    form,
                    publisher_url,
                });
            }
            Err(error) if error.nearness() > problem.nearness() => problem = error,
            Err(_) => {}
        }
    }
    Err(problem)
}

fn is_wizards(row: &Value) -> bool {
    field(row, "Name").is_some_and(|name| name == WIZARD)
}

/// The publisher's URL in a row of its own, or in what the set-up wizard keeps.
fn publisher_url(row: &Value) -> Option<String> {
    let text = |object: &Value, name: &str| Some(field(object, name)?.as_str()?.to_owned());
    let value = text(row, "Value");
    if text(row, "Name").is_some_and(|name| name == PUBLISHER_URL) {
        return value;
    }
    let state = value.and_then(|value| serde_json::from_str::<Value>(&value).ok());
    text(state.as_ref().unwrap_or(row), PUBLISHER_URL)
}

fn form_of(mut row: Value) -> Result<SettingsForm, RowError> {
    // The whole row of the table has the same JSON as the text of its own Value.
    if field(&row, "CdnProvider").is_none()
        && let Some(inner) = field(&row, "Value").and_then(Value::as_str)
    {
        // A row of something else may hold anything.
        let Ok(inner) = serde_json::from_str(inner) else {
            return match field(&row, "Group").and_then(Value::as_str) {
                Some("CDN") | None => Err(json(inner, "the row's Value")
                    .err()
                    .unwrap_or(RowError::NotTheRow)),
                Some(_) => Err(RowError::NotTheRow),
            };
        };
        row = inner;
    }
    // What the set-up wizard keeps.
    if field(&row, "CloudFrontDistributionId").is_some() {
        return match settings(&row, "CloudFront") {
            // It keeps empty ones for sites with another CDN.
            Err(RowError::Missing(all)) if all.len() == 3 => Err(RowError::NotTheRow),
            found => found,
        };
    }
    let provider = provider(field(&row, "CdnProvider").ok_or(RowError::NotTheRow)?)?;
    if provider != CLOUDFRONT {
        return Err(RowError::OtherProvider(provider));
    }
    match field(&row, "Value") {
        Some(Value::String(text)) => settings(&json(text, "the row's Value")?, ""),
        Some(_) => Err(RowError::NotTheRow),
        // The secret that the installer for AWS makes has them beside the provider.
        None => settings(&row, ""),
    }
}

/// The settings in an object whose fields begin with `prefix`.
fn settings(object: &Value, prefix: &str) -> Result<SettingsForm, RowError> {
    if !object.is_object() {
        return Err(RowError::NotTheRow);
    }
    let text = |name: &str| match field(object, &format!("{prefix}{name}")) {
        // A form that was saved again without its secret leaves null.
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.trim().to_owned()),
        Some(_) => Err(RowError::NotTheRow),
    };
    let (distribution_id, access_key_id) = (text("DistributionId")?, text("AccessKeyId")?);
    let (secret, region) = (text("SecretAccessKey")?, text("Region")?);
    let missing: Vec<&str> = [
        ("DistributionId", distribution_id.is_empty()),
        ("AccessKeyId", access_key_id.is_empty()),
        ("SecretAccessKey", secret.is_empty()),
    ]
    .into_iter()
    .filter(|(_, empty)| *empty)
    .map(|(name, _)| name)
    .collect();
    if !missing.is_empty() {
        return Err(RowError::Missing(missing));
    }
    Ok(SettingsForm {
        distribution_id,
        access_key_id,
        secret_access_key: SecretString::from(secret),
        region: if region.is_empty() {
            "us-east-1".to_owned() // SkyCMS's own default
        } else {
            region
        },
        aws_default: false,
    })
}

/// A field of an object, in whichever case its name is written.
fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object
        .as_object()?
        .iter()
        .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
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

fn json(text: &str, what: &'static str) -> Result<Value, RowError> {
    serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| RowError::NotJson {
        what,
        line: error.line(),
        column: error.column(),
    })
}
