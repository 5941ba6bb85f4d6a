//! What all handlers need of HTTP: errors, extractors, the caller's address, and the serving of
//! connections.

pub(crate) mod client;
pub(crate) mod error;
pub(crate) mod extract;
pub(crate) mod fixed;
pub(crate) mod problem;
pub(crate) mod serve;
