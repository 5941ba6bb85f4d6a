//! The edge: routes with their rules, what every request passes, errors, and the serving of connections.

pub(crate) mod client;
pub(crate) mod entrance;
pub(crate) mod extract;
mod guard;
mod limits;
pub(crate) mod problem;
pub(crate) mod routes;
pub(crate) mod serve;
