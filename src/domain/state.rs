//! Where a publish and an invalidation stand, and why they wait. The names are the API's and the
//! database's.

use serde::Serialize;
use strum::{EnumString, IntoStaticStr, VariantArray, VariantNames};
use utoipa::ToSchema;

/// How far a publish is. The last three are ends: `completed` (CloudFront said so),
/// `unconfirmed` (CloudFront accepted it, but cannot be asked whether it has completed) and
/// `failed`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, EnumString, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum PublishState {
    /// Waits.
    Queued,
    /// CloudFront has accepted some or all of it.
    InProgress,
    /// CloudFront said so.
    Completed,
    /// CloudFront accepted it, but nobody can ask.
    Unconfirmed,
    /// Some of it can never succeed.
    Failed,
}

impl PublishState {
    pub const fn has_ended(self) -> bool {
        !matches!(self, Self::Queued | Self::InProgress)
    }
}

/// How far an invalidation is. The last three are ends.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, EnumString, IntoStaticStr, VariantNames,
)]
#[strum(const_into_str)]
pub enum InvalidationStatus {
    /// Not accepted yet.
    Queued,
    /// CloudFront accepted it.
    InProgress,
    /// CloudFront said so.
    Completed,
    /// CloudFront accepted it, but nobody can ask.
    Unconfirmed,
    /// It can never succeed, or CloudFront no longer knows it.
    Failed,
}

impl InvalidationStatus {
    pub const fn has_ended(self) -> bool {
        !matches!(self, Self::Queued | Self::InProgress)
    }
}

/// Why something is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema, EnumString, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum WaitReason {
    /// CloudFront's quota of invalidations in progress is full.
    Quota,
    /// The access key's request rate is used up.
    Rate,
    /// CloudFront gave no usable answer; it is tried again.
    Retry,
    /// AWS rejects the site's settings.
    Settings,
}
