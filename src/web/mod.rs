//! The web room: pages for people. Handlers fill the view models of [`views`]; [`words`] has the words for states.

pub mod views;
pub mod words;
