//! The rules of `domain`, as data and as properties.
#![allow(clippy::unwrap_used, clippy::panic)]

mod paths;
