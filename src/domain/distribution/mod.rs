//! The distribution's ID, and what people paste in its place.

use std::str::FromStr;

use strum::VariantArray as _;

use super::pasted::{trimmed, visible};
use super::text::text;
use super::{Partition, Refused};

/// The ID of a distribution (`E2QWRUHEXAMPLE`) or of a distribution tenant (`dt_…`, multi-tenant
/// distributions).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DistributionId(String);

text!(DistributionId);

/// A distribution ID found in what was pasted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognised {
    pub id: DistributionId,
    /// The partition, if the pasted text names it, as an ARN or a console address does.
    pub partition: Option<Partition>,
}

const WHERE: &str = "It is in the AWS console under CloudFront → Distributions, column “ID”.";

impl FromStr for DistributionId {
    type Err = Refused;

    /// Reads an ID exactly as CloudFront writes it.
    ///
    /// AWS documents no grammar. Seen in use: `E` and 12 or 13 capital letters and digits; `dt_`
    /// and 27 letters and digits.
    fn from_str(text: &str) -> Result<Self, Refused> {
        let is_of_id = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        let (is_well_formed, lengths) = match text.strip_prefix("dt_") {
            Some(rest) => (rest.bytes().all(|b| b.is_ascii_alphanumeric()), 11..=67),
            None => (text.starts_with('E') && text.bytes().all(is_of_id), 6..=32),
        };
        let length = text.len();
        if !is_well_formed {
            return Err(Refused::new(format!(
                "A distribution ID is E and capital letters and digits, for example E2QWRUHEXAMPLE; that of a distribution tenant begins dt_. {WHERE}"
            )));
        }
        if !lengths.contains(&length) {
            return Err(Refused::new(format!(
                "This begins like a distribution ID, but its length is wrong: IDs have about 14 characters, this one has {length}. Copy it again. {WHERE}"
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

impl DistributionId {
    /// Finds the ID in what a person pasted: the ID, the distribution's ARN, or an address of the
    /// console.
    pub fn recognise(typed: &str) -> Result<Recognised, Refused> {
        let typed = visible(typed);
        let text = trimmed(&typed);
        if text.is_empty() {
            return Err(Refused::new(format!(
                "Enter the distribution ID, for example E2QWRUHEXAMPLE. {WHERE}"
            )));
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

fn from_arn(after_prefix: &str) -> Result<Recognised, Refused> {
    let other = || {
        Refused::new(format!(
            "This ARN is not a distribution's: that begins arn:aws:cloudfront:: and ends in distribution/ and the ID. {WHERE}"
        ))
    };
    let parts: Vec<&str> = after_prefix.splitn(5, ':').collect();
    let [partition, "cloudfront", _, _, resource] = parts[..] else {
        return Err(other());
    };
    let partition = partition.parse().map_err(|_| {
        Refused::new(
            "CloudFront is not in this ARN's part of AWS. It is in the commercial regions (arn:aws:…), in China (arn:aws-cn:…) and in the European Sovereign Cloud (arn:aws-eusc:…).",
        )
    })?;
    let id = resource
        .strip_prefix("distribution/")
        .or_else(|| resource.strip_prefix("distribution-tenant/"))
        .ok_or_else(other)?;
    let id = id.split('/').next().unwrap_or(id);
    Ok(Recognised {
        id: id.parse()?,
        partition: Some(partition),
    })
}

fn from_address(text: &str) -> Result<Recognised, Refused> {
    let address = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = address
        .split(['/', '?', '#', ':'])
        .next()
        .unwrap_or(address)
        .trim_end_matches('.')
        .to_ascii_lowercase();
    if host.ends_with(".cloudfront.net") || host.ends_with(".cloudfront.cn") {
        return Err(Refused::new(format!(
            "This is the distribution's domain name, not its ID. The CloudFront console lists distributions with both: \
             take the ID, which begins with E, from the row whose “Domain name” is {host}."
        )));
    }
    let console = Partition::VARIANTS.iter().copied().find(|partition| {
        let console = partition.console_host();
        host == console || host.ends_with(&format!(".{console}"))
    });
    let Some(partition) = console else {
        return Err(Refused::new(format!(
            "This is the address of a website, not a distribution ID. {WHERE} Its column “Alternate domain names” shows which distribution serves the site."
        )));
    };
    address
        .split(['/', '?', '#', '&', '=', ':'])
        .skip(1)
        .find_map(|segment| segment.parse().ok())
        .map(|id| Recognised {
            id,
            partition: Some(partition),
        })
        .ok_or_else(|| {
            Refused::new(format!(
                "This address of the AWS console names no distribution. Open the distribution there first, or copy its ID. {WHERE}"
            ))
        })
}

/// What else a text that is not an ID might be. What was typed is repeated only where its shape
/// rules out that it is a secret.
fn misspelt(text: &str) -> Option<Refused> {
    let without_spaces: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if without_spaces.len() < text.len() {
        let id: DistributionId = without_spaces
            .parse()
            .or_else(|_| without_spaces.to_ascii_uppercase().parse())
            .ok()?;
        return Some(Refused::new(format!(
            "There is a space inside the distribution ID. Did you mean {id}?"
        )));
    }
    let all = |test: fn(&u8) -> bool| text.bytes().all(|b| test(&b));
    let upper = text.to_ascii_uppercase();
    if upper.starts_with("AKIA") || upper.starts_with("ASIA") {
        return Some(Refused::new(format!(
            "This is an access key ID. It belongs in the field “Access key ID”; this field is for the distribution ID. {WHERE}"
        )));
    }
    if text.len() >= 12 && all(|b| b.is_ascii_digit() || *b == b'-') {
        return Some(Refused::new(format!(
            "This is an AWS account number, not a distribution ID. {WHERE}"
        )));
    }
    if text.starts_with('I') && all(u8::is_ascii_alphanumeric) && (10..=32).contains(&text.len()) {
        return Some(Refused::new(format!(
            "This looks like the ID of an invalidation, which begins with I. The distribution's begins with E. {WHERE}"
        )));
    }
    // A mixed-case text of this length may be a secret in the wrong field.
    let one_case = all(|b| !b.is_ascii_uppercase()) || text.len() < 20;
    let id: DistributionId = upper.parse().ok().filter(|_| one_case)?;
    Some(Refused::new(format!(
        "Distribution IDs are written in capital letters. Did you mean {id}?"
    )))
}

#[cfg(test)]
mod tests;
