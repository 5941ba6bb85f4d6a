//! For people: pages, as HTML that works without scripts.

pub(crate) mod activity;
pub(crate) mod assets;
pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod docs;
pub(crate) mod events;
pub(crate) mod help;
pub(crate) mod layout;
pub(crate) mod once;
pub(crate) mod overview;
pub(crate) mod purge;
pub(crate) mod settings;
pub(crate) mod signed_in;
pub(crate) mod sites;
pub mod views;
pub(crate) mod visit;
pub mod words;
