//! The edge: routes with their rules, the layers around them, errors, and the serving of
//! connections.

pub(crate) mod client;
pub(crate) mod error;
pub(crate) mod extract;
mod layers;
pub(crate) mod problem;
pub(crate) mod render;
pub(crate) mod routes;
pub(crate) mod serve;
