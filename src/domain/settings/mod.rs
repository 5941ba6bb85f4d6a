//! A site's CDN settings, and the form they are typed into.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;
use strum::IntoStaticStr;

use super::credentials::{AccessKeyIdError, SecretAccessKeyError};
use super::pasted::may_hold_secret;
use super::{AccessKeyId, Credentials, DistributionId, Partition, Region, SecretAccessKey};

/// Settings that are well-formed. A test shows whether AWS accepts them.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub distribution_id: DistributionId,
    pub credentials: Credentials,
    /// The editor's choice; it decides the partition.
    pub region: Region,
}

/// The form as it was typed.
///
/// A secret may have been typed into any field: show fields again only through
/// [`SettingsForm::echo`].
#[derive(Clone)]
pub struct SettingsForm {
    /// An ID, or whatever was pasted in its place.
    pub distribution_id: String,
    /// Ignored with `aws_default`.
    pub access_key_id: String,
    /// Empty keeps the stored secret of the same access key. Ignored with `aws_default`.
    pub secret_access_key: SecretString,
    /// A region's code.
    pub region: String,
    pub aws_default: bool,
}

impl Settings {
    /// Who the request rate and the bill belong to: the access key ID, or `default` for AWS default
    /// credentials.
    pub fn access_key_name(&self) -> &str {
        self.credentials
            .access_key_id()
            .map_or("default", AccessKeyId::as_str)
    }
}

impl SettingsForm {
    /// What a page may show again in a field: as typed, but nothing that might be a secret.
    pub fn echo(&self, field: SettingsField) -> &str {
        let typed = match field {
            SettingsField::DistributionId => &self.distribution_id,
            SettingsField::AccessKeyId => &self.access_key_id,
            SettingsField::Region => &self.region,
            SettingsField::SecretAccessKey => return "",
        };
        if may_hold_secret(typed) { "" } else { typed }
    }
}

impl fmt::Debug for SettingsForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettingsForm")
            .field("distribution_id", &self.echo(SettingsField::DistributionId))
            .field("access_key_id", &self.echo(SettingsField::AccessKeyId))
            .field("region", &self.echo(SettingsField::Region))
            .field("aws_default", &self.aws_default)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum SettingsField {
    DistributionId,
    AccessKeyId,
    SecretAccessKey,
    Region,
}

/// Everything that is wrong with a form: for each field at fault, what is wrong and what to do.
/// Never repeats a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(BTreeMap<SettingsField, String>);

impl FieldErrors {
    /// For a form of which only this field is wrong.
    pub fn one(field: SettingsField, message: impl fmt::Display) -> Self {
        let mut errors = Self::default();
        errors.add(field, message);
        errors
    }

    fn add(&mut self, field: SettingsField, message: impl fmt::Display) {
        self.0.insert(field, message.to_string());
    }

    fn take<T, E: fmt::Display>(
        &mut self,
        field: SettingsField,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.add(field, error)).ok()
    }

    pub fn message(&self, field: SettingsField) -> Option<&str> {
        self.0.get(&field).map(String::as_str)
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.0.iter();
        let all = fields.map(|(field, message)| format!("{}: {message}", field.into_str()));
        f.write_str(&all.collect::<Vec<_>>().join(" "))
    }
}

impl std::error::Error for FieldErrors {}

impl Settings {
    /// Makes settings from what was typed.
    ///
    /// An empty secret keeps the one that `stored` (those in force first, then the draft) has for
    /// the same access key ID.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, and what to do about it.
    pub fn parse(form: &SettingsForm, stored: &[&Self]) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let distribution = errors.take(
            SettingsField::DistributionId,
            DistributionId::recognise(&form.distribution_id),
        );
        let credentials = if form.aws_default {
            Some(Credentials::AwsDefault)
        } else {
            key_pair(form, stored, &mut errors)
        };
        let region = errors.take(SettingsField::Region, form.region.parse::<Region>());
        let partition = distribution.as_ref().and_then(|found| found.partition);
        if let (Some(partition), Some(region)) = (partition, region)
            && partition != region.partition
        {
            errors.add(SettingsField::Region, other_partition(partition, region));
        }
        match (distribution, credentials, region) {
            (Some(distribution), Some(credentials), Some(region)) if errors.0.is_empty() => {
                Ok(Self {
                    distribution_id: distribution.id,
                    credentials,
                    region,
                })
            }
            _ => Err(errors),
        }
    }
}

fn key_pair(
    form: &SettingsForm,
    stored: &[&Settings],
    errors: &mut FieldErrors,
) -> Option<Credentials> {
    let id = form.access_key_id.parse::<AccessKeyId>();
    let secret = SecretAccessKey::parse(&form.secret_access_key);
    if matches!(id, Err(AccessKeyIdError::Secret))
        && matches!(secret, Err(SecretAccessKeyError::AccessKeyId))
    {
        errors.add(SettingsField::AccessKeyId, "The access key ID and the secret access key are swapped: this field is for the one that begins with AKIA.");
        errors.add(SettingsField::SecretAccessKey, "The access key ID and the secret access key are swapped: this field is for the one with 40 characters.");
        return None;
    }
    let secret = match (&id, secret) {
        (Ok(id), Err(SecretAccessKeyError::Missing)) => {
            errors.take(SettingsField::SecretAccessKey, kept_secret(id, stored))
        }
        // An empty field keeps the secret of the same ID, which has to be right first.
        (Err(_), Err(SecretAccessKeyError::Missing)) if !stored.is_empty() => None,
        (_, secret) => errors.take(SettingsField::SecretAccessKey, secret),
    };
    let id = errors.take(SettingsField::AccessKeyId, id);
    Some(Credentials::AccessKey {
        id: id?,
        secret: secret?,
    })
}

fn kept_secret(id: &AccessKeyId, stored: &[&Settings]) -> Result<SecretAccessKey, String> {
    let mut pairs = stored
        .iter()
        .filter_map(|settings| match &settings.credentials {
            Credentials::AccessKey { id, secret } => Some((id, secret)),
            Credentials::AwsDefault => None,
        });
    let first = pairs.clone().next();
    match (pairs.find(|(stored, _)| *stored == id), first) {
        (Some((_, secret)), _) => Ok(secret.clone()),
        (None, Some((other, _))) => Err(format!(
            "Enter the secret access key of the new key {id}. The stored secret belongs to {other}."
        )),
        (None, None) => Err(SecretAccessKeyError::Missing.to_string()),
    }
}

fn other_partition(distribution: Partition, region: Region) -> String {
    let place = region.partition.place();
    format!(
        "The distribution is in {} (arn:{}:…), but {} ({region}) is in {place}. Choose {}, or enter a distribution of {place}.",
        distribution.place(),
        distribution.into_str(),
        region.name,
        distribution.signing_region(),
    )
}

#[cfg(test)]
mod tests;
