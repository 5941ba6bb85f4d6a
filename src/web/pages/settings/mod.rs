//! Settings → CDN: a file per section, each with an address of its own.

pub(crate) mod connection;
pub(crate) mod hook;
pub(crate) mod keys;
pub(crate) mod notifications;
mod page;
pub(crate) mod publishing;
pub(crate) mod refused;
mod shown;
pub(crate) mod spending;
mod test;
pub(crate) mod tokens;
