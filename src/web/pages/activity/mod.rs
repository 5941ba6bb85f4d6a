//! Activity: what was published, and how far its purge is.

mod csv;
mod list;
mod publish;

pub(crate) use self::csv::download;
pub(crate) use self::list::list;
pub(crate) use self::publish::{retry, show};
