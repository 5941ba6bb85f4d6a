//! Reading single variables: what each kind looks like, and the error for what does not.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use url::Url;

use super::{ConfigError, EncryptionKey, OWN_PATHS, error};
use crate::domain::guessing::{is_patterned, is_soon_guessed};
use crate::domain::{DistributionId, SettingsForm, SiteName, trim_pasted};

/// The lowest accepted rate per second: one call in three hours. With a lower one, the end of a
/// wait would not fit into a date.
const MIN_RATE: f64 = 0.0001;

/// The variables of the process, or of a test.
pub(super) struct Variables<'a> {
    pub(super) lookup: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Variables<'_> {
    /// A variable's text without white space and invisible characters around it; an empty one
    /// counts as not set.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, ConfigError> {
        let Some(raw) = (self.lookup)(name) else {
            return Ok(None);
        };
        let text = raw
            .into_string()
            .map_err(|_| error(name, "is not valid UTF-8"))?;
        let text = trim_pasted(&text);
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    pub(super) fn is_any_set(&self, names: &[&str]) -> Result<bool, ConfigError> {
        let values: Vec<_> = names
            .iter()
            .map(|name| self.text(name))
            .collect::<Result<_, _>>()?;
        Ok(values.iter().any(Option::is_some))
    }

    /// A secret from `name`, or from the file that `name_FILE` names.
    pub(super) fn secret(&self, name: &str) -> Result<Option<SecretString>, ConfigError> {
        let file_variable = format!("{name}_FILE");
        let Some(path) = self.text(&file_variable)? else {
            return Ok(self.text(name)?.map(SecretString::from));
        };
        if self.text(name)?.is_some() {
            return Err(error(
                name,
                format!("is set together with {file_variable}; set one of the two"),
            ));
        }
        let text = std::fs::read_to_string(&path)
            .map_err(|e| error(&file_variable, format!("cannot read {path}: {e}")))?;
        let text = trim_pasted(&text);
        if text.is_empty() {
            return Err(error(&file_variable, format!("{path} is empty")));
        }
        Ok(Some(SecretString::from(text)))
    }

    /// A secret that programs send in a header.
    pub(super) fn token(&self, name: &str) -> Result<Option<SecretString>, ConfigError> {
        let token = self.unguessable(name, 16..=256)?;
        let is_sendable = |token: &SecretString| {
            let bytes = token.expose_secret().bytes();
            bytes.into_iter().all(|byte| matches!(byte, b' '..=b'~'))
        };
        match token.as_ref().is_none_or(is_sendable) {
            true => Ok(token),
            false => Err(error(
                name,
                "must have printable ASCII characters only, which a header can carry; make one with `openssl rand -hex 32`",
            )),
        }
    }

    /// A secret that programs know: as long as `lengths` allows, and hard to guess.
    pub(super) fn unguessable(
        &self,
        name: &str,
        lengths: RangeInclusive<usize>,
    ) -> Result<Option<SecretString>, ConfigError> {
        let secret = self.secret(name)?;
        let Some(text) = secret.as_ref().map(SecretString::expose_secret) else {
            return Ok(None);
        };
        let problem = if !lengths.contains(&text.len()) {
            let (least, most) = lengths.into_inner();
            format!(
                "must have {least} to {most} characters, and has {}",
                text.len()
            )
        } else if is_soon_guessed(text) {
            "is too easy to guess".to_owned()
        } else {
            return Ok(secret);
        };
        Err(error(
            name,
            format!("{problem}; make one with `openssl rand -hex 32`"),
        ))
    }

    pub(super) fn parse<T: FromStr>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, ConfigError> {
        self.text(name)?
            .map(|text| {
                text.parse()
                    .map_err(|_| error(name, format!("{} is not {expected}", quoted(&text))))
            })
            .transpose()
    }

    pub(super) fn endpoint(&self, name: &str) -> Result<Option<Url>, ConfigError> {
        let expected = "an http:// or https:// address";
        match self.parse::<Url>(name, expected)? {
            // `localhost:4000` is a URL of the scheme `localhost`.
            Some(url) if !matches!(url.scheme(), "http" | "https") => Err(error(
                name,
                format!("{} is not {expected}", quoted(url.as_str())),
            )),
            url => Ok(url),
        }
    }

    /// The address of a service with any path prefix, without a trailing slash.
    pub(super) fn base_url(&self, name: &str) -> Result<Option<Url>, ConfigError> {
        self.text(name)?
            .map(|text| base_url(&text).map_err(|problem| error(name, problem)))
            .transpose()
    }

    pub(super) fn public_url(&self) -> Result<Option<Url>, ConfigError> {
        let name = "PUBLIC_URL";
        let Some(url) = self.base_url(name)? else {
            return Ok(None);
        };
        if url.path().contains("//") {
            return Err(error(
                name,
                format!("`{url}` has `//` in its path: write one slash"),
            ));
        }
        let first = url.path().split('/').nth(1);
        match first.filter(|first| OWN_PATHS.contains(first)) {
            Some(own) => Err(error(
                name,
                format!(
                    "`/{own}` is one of the service's own paths: choose another, such as `/cdn`"
                ),
            )),
            None => Ok(Some(url)),
        }
    }

    pub(super) fn database_url(&self) -> Result<Option<SecretString>, ConfigError> {
        let url = self.secret("DATABASE_URL")?;
        let is_postgres = |url: &SecretString| {
            let url = url.expose_secret();
            url.starts_with("postgres://") || url.starts_with("postgresql://")
        };
        if url.as_ref().is_some_and(|url| !is_postgres(url)) {
            return Err(error(
                "DATABASE_URL",
                "is not an address such as postgres://user:password@host/database",
            ));
        }
        Ok(url)
    }

    /// False if it is not set.
    pub(super) fn flag(&self, name: &str) -> Result<bool, ConfigError> {
        Ok(self.parse(name, "`true` or `false`")?.unwrap_or(false))
    }

    pub(super) fn positive<T: FromStr + PartialOrd + Default>(
        &self,
        name: &str,
    ) -> Result<Option<T>, ConfigError> {
        let expected = "a positive number in range";
        match self.parse(name, expected)? {
            Some(value) if value <= T::default() => Err(error(name, format!("is not {expected}"))),
            value => Ok(value),
        }
    }

    pub(super) fn rate(&self, name: &str) -> Result<Option<f64>, ConfigError> {
        match self.positive::<f64>(name)? {
            Some(value) if !(MIN_RATE..f64::INFINITY).contains(&value) => Err(error(
                name,
                format!("is not a finite number of at least {MIN_RATE}"),
            )),
            value => Ok(value),
        }
    }

    /// A variable with several values, comma-separated.
    pub(super) fn list<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, ConfigError> {
        let text = self.text(name)?.unwrap_or_default();
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| parse(part).map_err(|problem| error(name, problem)))
            .collect()
    }

    pub(super) fn cloudfront(&self) -> Result<Option<SettingsForm>, ConfigError> {
        let id = self.text("CloudFront__DistributionId")?;
        let key = self.text("CloudFront__AccessKeyId")?;
        let secret = self.secret("CloudFront__SecretAccessKey")?;
        let region = self.text("CloudFront__Region")?;
        if id.is_none() && key.is_none() && secret.is_none() && region.is_none() {
            return Ok(None);
        }
        let missing = |name| {
            error(
                name,
                "is needed together with the other CloudFront__ variables",
            )
        };
        Ok(Some(SettingsForm {
            distribution_id: id.ok_or_else(|| missing("CloudFront__DistributionId"))?,
            access_key_id: key.ok_or_else(|| missing("CloudFront__AccessKeyId"))?,
            secret_access_key: secret.ok_or_else(|| missing("CloudFront__SecretAccessKey"))?,
            region: region.unwrap_or_else(|| "us-east-1".into()),
            aws_default: false,
        }))
    }
}

fn base_url(text: &str) -> Result<Url, String> {
    let shown = quoted(text);
    let mut url = Url::parse(text).map_err(|e| {
        format!("{shown} is not an address such as https://editor.example.com/cdn: {e}")
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!("{shown} must begin with http:// or https://"));
    }
    let has_user = !url.username().is_empty() || url.password().is_some();
    if url.query().is_some() || url.fragment().is_some() || has_user {
        return Err("must have neither a query, nor a fragment, nor a user name".into());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// A value as a message shows it: without what may be a password in an address.
fn quoted(text: &str) -> String {
    match text.contains('@') {
        true => "the value".to_owned(),
        false => format!("`{text}`"),
    }
}

pub(super) fn grant(text: &str) -> Result<(String, DistributionId), String> {
    let grant = text.split_once('=').and_then(|(site, distribution)| {
        let site: SiteName = site.trim().parse().ok()?;
        let distribution = DistributionId::recognise(distribution).ok()?;
        Some((site.as_str().to_owned(), distribution.id))
    });
    let wanted = "is not a site and a distribution such as shop=E2QWRUHAPOMQZL";
    grant.ok_or_else(|| format!("`{text}` {wanted}"))
}

pub(super) fn encryption_keys(text: &str) -> Result<Vec<EncryptionKey>, String> {
    text.split(',')
        .enumerate()
        .map(|(index, key)| {
            let position = index + 1;
            let bytes = STANDARD
                .decode(trim_pasted(key))
                .map_err(|_| format!("key {position} is not base64"))?;
            let length = bytes.len();
            let bytes: [u8; 32] = bytes
                .try_into()
                .map_err(|_| format!("key {position} has {length} bytes instead of 32; make one with `openssl rand -base64 32`"))?;
            // The others only open what they once sealed, so weak ones must stay usable.
            if index == 0 && (is_patterned(&bytes) || is_soon_guessed(trim_pasted(key))) {
                return Err(format!("key {position} is not random; make one with `openssl rand -base64 32`"));
            }
            Ok(SecretBox::new(Box::new(bytes)))
        })
        .collect()
}
