//! Settings → CDN: a form a file, and the page that shows all of them.

pub(crate) mod connection;
pub(crate) mod keys;
mod page;
pub(crate) mod publishing;
mod shown;
pub(crate) mod spending;
mod test;
pub(crate) mod tokens;
