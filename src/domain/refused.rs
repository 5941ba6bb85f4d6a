//! Why something that was typed, pasted or sent cannot be taken.

use std::borrow::Cow;

/// What is wrong with it and what a good one looks like, in words for whoever wrote it. Where the
/// program itself tells several reasons apart, there is an error of its own instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(Cow<'static, str>);

impl Refused {
    pub fn new(words: impl Into<Cow<'static, str>>) -> Self {
        Self(words.into())
    }
}
