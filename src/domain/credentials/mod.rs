//! What requests are signed with.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};

use super::DistributionId;
use super::pasted::{trimmed, visible};
use super::text::text;

/// The ID of a long-term access key of an IAM user (`AKIA…`). Not a secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccessKeyId(String);

text!(AccessKeyId);

/// Why a text is not an access key ID, in words for the user that never repeat what was typed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessKeyIdError {
    #[error("Enter the access key ID, for example AKIAIOSFODNN7EXAMPLE. {WHERE}")]
    Missing,
    #[error(
        "This is a temporary key (ASIA…): it works only together with a session token and will expire within hours. \
         Use the long-term key (AKIA…) of an IAM user, or AWS default credentials."
    )]
    Temporary,
    #[error(
        "This looks like the secret access key. This field is for the access key ID, which begins with AKIA and has 20 characters."
    )]
    Secret,
    #[error(
        "This is the ARN of a role. A role has no access key: enter that of an IAM user, or use AWS default credentials where the machine runs under the role. {WHERE}"
    )]
    RoleArn,
    #[error("This is an ARN, not an access key ID, which begins with AKIA. {WHERE}")]
    Arn,
    #[error("This is an AWS account number, not an access key ID, which begins with AKIA. {WHERE}")]
    AccountNumber,
    #[error(
        "This is the unique ID of a user or role, not an access key ID, which begins with AKIA. {WHERE}"
    )]
    PrincipalId,
    #[error(
        "This is the ID of a CloudFront key pair for signed URLs (APKA…). An access key ID begins with AKIA. {WHERE}"
    )]
    SigningKeyPair,
    #[error(
        "This is a distribution ID. This field is for the access key ID, which begins with AKIA. {WHERE}"
    )]
    DistributionId,
    #[error("Access key IDs are written in capital letters. Copy it again. {WHERE}")]
    LowerCase,
    #[error("There is a space inside the access key ID. Copy it again, alone. {WHERE}")]
    SpaceInside,
    #[error("An access key ID has 20 characters, this one has {0}. Copy it again. {WHERE}")]
    Length(usize),
    #[error(
        "An access key ID is AKIA and capital letters and digits, for example AKIAIOSFODNN7EXAMPLE. {WHERE}"
    )]
    Malformed,
}

const WHERE: &str = "It is in the AWS console under IAM → Users → the user → “Security credentials” → “Access keys”.";

impl FromStr for AccessKeyId {
    type Err = AccessKeyIdError;

    /// Reads what was typed, without what pasting adds.
    ///
    /// The length is 16 to 128 as in IAM's API reference; AWS issues 20.
    fn from_str(typed: &str) -> Result<Self, AccessKeyIdError> {
        use AccessKeyIdError as E;
        let typed = visible(typed);
        let text = trimmed(&typed);
        let capitals = text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if text.is_empty() {
            return Err(E::Missing);
        }
        if text.starts_with("arn:") {
            let role = text.contains(":role/") || text.contains(":assumed-role/");
            return Err(if role { E::RoleArn } else { E::Arn });
        }
        if text.contains(char::is_whitespace) {
            return Err(E::SpaceInside);
        }
        if SecretAccessKey::has_form(text) && !capitals {
            return Err(E::Secret);
        }
        if text.len() >= 12 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
            return Err(E::AccountNumber);
        }
        if capitals {
            match text.get(..4) {
                Some("AKIA") if (16..=128).contains(&text.len()) => {
                    return Ok(Self(text.to_owned()));
                }
                Some("AKIA") => return Err(E::Length(text.len())),
                Some("ASIA") => return Err(E::Temporary),
                Some("APKA") => return Err(E::SigningKeyPair),
                Some("AIDA" | "AROA" | "AGPA" | "ANPA" | "AIPA" | "ANVA") => {
                    return Err(E::PrincipalId);
                }
                Some(_) if text.parse::<DistributionId>().is_ok() => {
                    return Err(E::DistributionId);
                }
                _ => {}
            }
        }
        let upper = text.to_ascii_uppercase();
        if !capitals
            && (upper.starts_with("AKIA") || upper.starts_with("ASIA"))
            && upper.bytes().all(|b| b.is_ascii_alphanumeric())
        {
            return Err(E::LowerCase);
        }
        Err(E::Malformed)
    }
}

/// A secret access key. It cannot be printed or serialised, and is wiped when dropped.
#[derive(Clone)]
pub struct SecretAccessKey(SecretString);

impl PartialEq for SecretAccessKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

/// Why a text is not a secret access key, in words for the user that never repeat what was typed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretAccessKeyError {
    #[error(
        "Enter the secret access key. AWS shows it only once, when the access key is created; if it is lost, create a new access key."
    )]
    Missing,
    #[error(
        "This looks like an access key ID. This field is for the secret access key, which has 40 characters and belongs to it."
    )]
    AccessKeyId,
    #[error("There is a space inside the secret access key. Copy it again, alone.")]
    SpaceInside,
    #[error(
        "A secret access key has 40 characters, this one has {0}. Copy it again; if it is lost, create a new access key."
    )]
    Length(usize),
    #[error(
        "A secret access key has letters, digits and a few signs such as + and / only. Copy it again."
    )]
    Malformed,
}

impl SecretAccessKey {
    /// Reads what was typed, without what pasting adds.
    ///
    /// AWS issues 40 characters but promises no format, so only what cannot be one is refused; the
    /// test of the settings shows the rest.
    pub fn parse(typed: &SecretString) -> Result<Self, SecretAccessKeyError> {
        use SecretAccessKeyError as E;
        let typed = visible(typed.expose_secret());
        let text = trimmed(&typed);
        if text.is_empty() {
            return Err(E::Missing);
        }
        let id = text.parse::<AccessKeyId>();
        if matches!(id, Ok(_) | Err(AccessKeyIdError::Temporary)) {
            return Err(E::AccessKeyId);
        }
        if text.contains(char::is_whitespace) {
            return Err(E::SpaceInside);
        }
        if !(16..=128).contains(&text.chars().count()) {
            return Err(E::Length(text.chars().count()));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(E::Malformed);
        }
        Ok(Self(SecretString::from(text)))
    }

    fn has_form(text: &str) -> bool {
        text.len() == 40
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
    }

    /// The secret in plain text.
    ///
    /// For two callers only: the `cloudfront` room, which gives it to the SDK's signer, and the
    /// store, which seals it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for SecretAccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretAccessKey(…)")
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Credentials {
    /// A key pair of an IAM user, entered in the settings.
    AccessKey {
        id: AccessKeyId,
        secret: SecretAccessKey,
    },
    /// AWS's default chain: environment, profile, web identity, container or instance role.
    AwsDefault,
}

impl Credentials {
    pub const fn access_key_id(&self) -> Option<&AccessKeyId> {
        match self {
            Self::AccessKey { id, .. } => Some(id),
            Self::AwsDefault => None,
        }
    }
}

#[cfg(test)]
mod tests;
