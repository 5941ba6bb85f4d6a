//! The distribution's ID, and what people paste in its place.

use std::str::FromStr;

use strum::VariantArray as _;

use super::{
    Partition,
    pasted::{trimmed, visible},
    text::text,
};

/// The ID of a distribution (`E2QWRUHEXAMPLE`) or of a distribution tenant (`dt_…`, multi-tenant
/// distributions).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DistributionId(String);

text!(DistributionId);

/// A distribution ID found in what was pasted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognised {
    pub id: DistributionId,
    /// The partition, if the pasted text names it, as an ARN or a console address does.
    pub partition: Option<Partition>,
}

/// Why a text is not a distribution ID, in words for the user.
///
/// They never repeat what was typed, unless its shape rules out that it is a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DistributionIdError {
    #[error("Enter the distribution ID, for example E2QWRUHEXAMPLE. {WHERE}")]
    Missing,
    #[error(
        "This is the distribution's domain name, not its ID. The CloudFront console lists distributions with both: \
         take the ID, which begins with E, from the row whose “Domain name” is {0}."
    )]
    CloudFrontDomain(String),
    #[error(
        "This is the address of a website, not a distribution ID. {WHERE} Its column “Alternate domain names” shows which distribution serves the site."
    )]
    Website,
    #[error(
        "This address of the AWS console names no distribution. Open the distribution there first, or copy its ID. {WHERE}"
    )]
    ConsoleWithoutId,
    #[error(
        "This ARN is not a distribution's: that begins arn:aws:cloudfront:: and ends in distribution/ and the ID. {WHERE}"
    )]
    OtherArn,
    #[error(
        "CloudFront is not in this ARN's part of AWS. It is in the commercial regions (arn:aws:…), in China (arn:aws-cn:…) and in the European Sovereign Cloud (arn:aws-eusc:…)."
    )]
    PartitionWithoutCloudFront,
    #[error("Distribution IDs are written in capital letters. Did you mean {0}?")]
    LowerCase(DistributionId),
    #[error("There is a space inside the distribution ID. Did you mean {0}?")]
    SpaceInside(DistributionId),
    #[error(
        "This looks like the ID of an invalidation, which begins with I. The distribution's begins with E. {WHERE}"
    )]
    InvalidationId,
    #[error(
        "This is an access key ID. It belongs in the field “Access key ID”; this field is for the distribution ID. {WHERE}"
    )]
    AccessKeyId,
    #[error("This is an AWS account number, not a distribution ID. {WHERE}")]
    AccountNumber,
    #[error(
        "This begins like a distribution ID, but its length is wrong: IDs have about 14 characters, this one has {0}. Copy it again. {WHERE}"
    )]
    Length(usize),
    #[error(
        "A distribution ID is E and capital letters and digits, for example E2QWRUHEXAMPLE; that of a distribution tenant begins dt_. {WHERE}"
    )]
    Malformed,
}

const WHERE: &str = "It is in the AWS console under CloudFront → Distributions, column “ID”.";

impl FromStr for DistributionId {
    type Err = DistributionIdError;

    /// Reads an ID exactly as CloudFront writes it.
    ///
    /// AWS documents no grammar. Seen in use: `E` and 12 or 13 capital letters and digits; `dt_`
    /// and 27 letters and digits.
    fn from_str(text: &str) -> Result<Self, DistributionIdError> {
        if let Some(rest) = text.strip_prefix("dt_") {
            return match rest.len() {
                _ if !rest.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                    Err(DistributionIdError::Malformed)
                }
                8..=64 => Ok(Self(text.to_owned())),
                _ => Err(DistributionIdError::Length(text.len())),
            };
        }
        if !text.starts_with('E')
            || !text
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        {
            return Err(DistributionIdError::Malformed);
        }
        match text.len() {
            6..=32 => Ok(Self(text.to_owned())),
            other => Err(DistributionIdError::Length(other)),
        }
    }
}

impl DistributionId {
    /// Finds the ID in what a person pasted: the ID, the distribution's ARN, or an address of the
    /// console.
    pub fn recognise(typed: &str) -> Result<Recognised, DistributionIdError> {
        let typed = visible(typed);
        let text = trimmed(&typed);
        if text.is_empty() {
            return Err(DistributionIdError::Missing);
        }
        if let Some(arn) = text.strip_prefix("arn:") {
            return from_arn(arn);
        }
        if text.contains("://") || text.contains('.') {
            return from_address(text);
        }
        text.parse::<Self>()
            .map(|id| Recognised {
                id,
                partition: None,
            })
            .map_err(|error| misspelt(text).unwrap_or(error))
    }

    /// Whether this is a distribution tenant, for which CloudFront has separate calls and
    /// permissions.
    pub fn is_tenant(&self) -> bool {
        self.0.starts_with("dt_")
    }

    /// The ARN for a policy: any account, since the account is the one whose key signs.
    pub fn arn(&self, partition: Partition) -> String {
        let kind = if self.is_tenant() {
            "distribution-tenant"
        } else {
            "distribution"
        };
        format!(
            "arn:{}:cloudfront::*:{kind}/{}",
            partition.into_str(),
            self.0
        )
    }
}

fn from_arn(after_prefix: &str) -> Result<Recognised, DistributionIdError> {
    let parts: Vec<&str> = after_prefix.splitn(5, ':').collect();
    let [partition, "cloudfront", _, _, resource] = parts[..] else {
        return Err(DistributionIdError::OtherArn);
    };
    let partition = partition
        .parse()
        .map_err(|_| DistributionIdError::PartitionWithoutCloudFront)?;
    let id = resource
        .strip_prefix("distribution/")
        .or_else(|| resource.strip_prefix("distribution-tenant/"))
        .ok_or(DistributionIdError::OtherArn)?;
    let id = id.split('/').next().unwrap_or(id);
    Ok(Recognised {
        id: id.parse()?,
        partition: Some(partition),
    })
}

fn from_address(text: &str) -> Result<Recognised, DistributionIdError> {
    let address = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = address
        .split(['/', '?', '#', ':'])
        .next()
        .unwrap_or(address)
        .trim_end_matches('.')
        .to_ascii_lowercase();
    if host.ends_with(".cloudfront.net") || host.ends_with(".cloudfront.cn") {
        return Err(DistributionIdError::CloudFrontDomain(host));
    }
    let console = Partition::VARIANTS.iter().copied().find(|partition| {
        let console = partition.console_host();
        host == console || host.ends_with(&format!(".{console}"))
    });
    let Some(partition) = console else {
        return Err(DistributionIdError::Website);
    };
    address
        .split(['/', '?', '#', '&', '=', ':'])
        .skip(1)
        .find_map(|segment| segment.parse().ok())
        .map(|id| Recognised {
            id,
            partition: Some(partition),
        })
        .ok_or(DistributionIdError::ConsoleWithoutId)
}

/// What else a text that is not an ID might be.
fn misspelt(text: &str) -> Option<DistributionIdError> {
    let without_spaces: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if without_spaces.len() < text.len() {
        return without_spaces
            .parse()
            .or_else(|_| without_spaces.to_ascii_uppercase().parse())
            .ok()
            .map(DistributionIdError::SpaceInside);
    }
    let all = |test: fn(&u8) -> bool| text.bytes().all(|b| test(&b));
    let upper = text.to_ascii_uppercase();
    if upper.starts_with("AKIA") || upper.starts_with("ASIA") {
        return Some(DistributionIdError::AccessKeyId);
    }
    if text.len() >= 12 && all(|b| b.is_ascii_digit() || *b == b'-') {
        return Some(DistributionIdError::AccountNumber);
    }
    if text.starts_with('I') && all(u8::is_ascii_alphanumeric) && (10..=32).contains(&text.len()) {
        return Some(DistributionIdError::InvalidationId);
    }
    // A mixed-case text of this length may be a secret in the wrong field: it is not repeated.
    let one_case = all(|b| !b.is_ascii_uppercase()) || text.len() < 20;
    upper
        .parse()
        .ok()
        .filter(|_| one_case)
        .map(DistributionIdError::LowerCase)
}

#[cfg(test)]
mod tests;
