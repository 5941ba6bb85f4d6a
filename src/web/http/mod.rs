//! What all handlers need of HTTP: errors, extractors, the caller's address, the serving of
//! connections, and how much each may ask of it: [`bodies`] in memory, [`open_answers`],
//! [`turns`] at large work, and the [`hasher`]'s.

pub(crate) mod authenticated;
pub(crate) mod bodies;
pub(crate) mod client;
pub(crate) mod description;
pub(crate) mod error;
pub(crate) mod extract;
pub(crate) mod fixed;
pub(crate) mod framing;
pub(crate) mod hasher;
pub(crate) mod open_answers;
pub(crate) mod problem;
pub(crate) mod serve;
pub(crate) mod turns;
