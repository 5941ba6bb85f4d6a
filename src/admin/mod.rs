//! What administrators do, the same on a page and on the command line: one file per action.

pub(crate) mod audit;
mod key_pair;
mod save_and_test;
pub(crate) mod sites;
mod token;

pub(crate) use key_pair::fresh_key_pair;
pub(crate) use save_and_test::Tester;
pub(crate) use token::fresh_token;
