//! Settings → CDN: a file per section. Each section has its own address.

pub(crate) mod connection;
mod connection_page;
pub(crate) mod hook;
pub(crate) mod keys;
pub(crate) mod notifications;
pub(crate) mod publishing;
pub(crate) mod refused;
mod section;
pub(crate) mod spending;
mod test;
pub(crate) mod tokens;
