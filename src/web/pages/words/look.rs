//! How states are shown.

use askama::Template;
use askama::filters::HtmlSafe;
use strum::Display;

/// How a state is shown: never by colour alone, always with a word and a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Template)]
#[template(path = "badge.html")]
pub struct Look {
    pub label: &'static str,
    pub tone: Tone,
    /// The shape: the name of a symbol in `templates/icons.html`.
    pub icon: &'static str,
    /// What it means, in one sentence.
    pub meaning: &'static str,
}

impl HtmlSafe for Look {}

pub(super) const fn look(label: &'static str, tone: Tone, icon: &'static str) -> Look {
    Look {
        label,
        tone,
        icon,
        meaning: "",
    }
}

impl Look {
    pub(super) const fn means(self, meaning: &'static str) -> Self {
        Self { meaning, ..self }
    }
}

/// How serious a banner or a flash is.
pub const NOTE: Look = look("Note", Tone::Info, "info");
pub const DONE: Look = look("Done", Tone::Good, "check");
pub const WARNING: Look = look("Warning", Tone::Warn, "warning");
pub const PROBLEM: Look = look("Problem", Tone::Bad, "cross");

/// A colour, by its meaning; displayed as its CSS class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display)]
#[strum(serialize_all = "lowercase")]
pub enum Tone {
    Quiet,
    Info,
    Good,
    Warn,
    Bad,
}
