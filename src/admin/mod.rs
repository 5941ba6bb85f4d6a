//! What administrators do, the same on a page and on the command line.

pub(crate) mod audit;
mod fresh;
mod save_and_test;
pub(crate) mod sites;

pub(crate) use fresh::{fresh_key_pair, fresh_token};
pub(crate) use save_and_test::Tester;
