//! Domain values that the database keeps as text or JSON.
//!
//! `domain` knows no SQL, so what sqlx needs to read its types is here. A query then names the type
//! of a column, as in `status as "status: InvalidationStatus"`, and a value that this version does
//! not understand is an error like any other column that cannot be decoded.

use sqlx::decode::Decode;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgHasArrayType, PgTypeInfo, PgValueRef, Postgres};
use sqlx::types::{Json, Type};

use super::deliveries::DeliveryState;
use super::refused::PublishApi;
use super::sessions::Theme;
use super::settings::Slot;
use crate::domain::notification::{EndpointKind, Event};
use crate::domain::session::{Role, Source};
use crate::domain::{
    AccessKeyId, AwsError, CallerReference, DistributionId, InvalidationId, InvalidationStatus,
    PastLimit, Policy, PublishState, Region, WaitReason,
};

macro_rules! text {
    ($($type:ty,)+) => {$(
        impl Type<Postgres> for $type {
            fn type_info() -> PgTypeInfo {
                <str as Type<Postgres>>::type_info()
            }

            fn compatible(info: &PgTypeInfo) -> bool {
                <str as Type<Postgres>>::compatible(info)
            }
        }

        impl PgHasArrayType for $type {
            fn array_type_info() -> PgTypeInfo {
                <&str as PgHasArrayType>::array_type_info()
            }

            fn array_compatible(info: &PgTypeInfo) -> bool {
                <&str as PgHasArrayType>::array_compatible(info)
            }
        }

        impl<'r> Decode<'r, Postgres> for $type {
            fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
                let text = <&str as Decode<'r, Postgres>>::decode(value)?;
                Ok(text.parse::<Self>()?)
            }
        }
    )+};
}

text! {
    AccessKeyId,
    CallerReference,
    DeliveryState,
    DistributionId,
    EndpointKind,
    Event,
    InvalidationId,
    InvalidationStatus,
    PastLimit,
    Policy,
    PublishApi,
    PublishState,
    Region,
    Role,
    Slot,
    Source,
    Theme,
    WaitReason,
}

/// An error is stored as JSON, unlike the others.
impl Type<Postgres> for AwsError {
    fn type_info() -> PgTypeInfo {
        <Json<Self> as Type<Postgres>>::type_info()
    }

    fn compatible(info: &PgTypeInfo) -> bool {
        <Json<Self> as Type<Postgres>>::compatible(info)
    }
}

impl<'r> Decode<'r, Postgres> for AwsError {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(<Json<Self> as Decode<'r, Postgres>>::decode(value)?.0)
    }
}
