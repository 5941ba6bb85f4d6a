//! The names under which CloudFront knows an invalidation.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::text::text;
use super::{Item, Refused};

macro_rules! token {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        text!($name);

        impl FromStr for $name {
            type Err = Refused;

            fn from_str(text: &str) -> Result<Self, Refused> {
                let is_token = (1..=256).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_graphic());
                is_token.then(|| Self(text.to_owned())).ok_or_else(|| {
                    Refused::new("expected 1 to 256 printable ASCII characters without spaces")
                })
            }
        }

        impl TryFrom<String> for $name {
            type Error = Refused;
            fn try_from(text: String) -> Result<Self, Refused> {
                text.parse()
            }
        }
    };
}

token! {
    /// CloudFront's id of an invalidation, such as `I2J0I21PCUYOIK`.
    InvalidationId
}

token! {
    /// The name that makes a repeated `CreateInvalidation` the same invalidation.
    ///
    /// It belongs to one fixed list of items forever.
    CallerReference
}

impl CallerReference {
    /// The reference of our invalidation with this number.
    pub fn of(invalidation: Uuid) -> Self {
        Self(format!("skycms-cdn-{invalidation}"))
    }
}

/// What one `CreateInvalidation` sends: a caller reference and the items that belong to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidationBatch {
    /// Stored before it is sent.
    pub caller_reference: CallerReference,
    pub items: Vec<Item>,
}
