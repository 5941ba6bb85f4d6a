//! The rules of `domain`, as data and as properties.
#![allow(clippy::unwrap_used, clippy::panic)]

mod meter;
mod paths;
mod plan;
mod plan_properties;
mod throttled;
