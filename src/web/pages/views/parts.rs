use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::web::pages::words;

/// Text with code in backquotes, which is shown as code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Template)]
#[template(
    source = "{% for (code, piece) in self.pieces() %}{% if code %}<code>{{ piece }}</code>{% else %}{{ piece }}{% endif %}{% endfor %}",
    ext = "html"
)]
pub struct Prose<T: AsRef<str> = String>(pub T);

impl<T: AsRef<str>> HtmlSafe for Prose<T> {}

impl<T: AsRef<str>> Prose<T> {
    /// The text in pieces: (is it code, piece). An unpaired backquote is an ordinary character.
    fn pieces(&self) -> impl Iterator<Item = (bool, &str)> {
        let text = self.0.as_ref();
        let pairs = text.matches('`').count() / 2;
        let pieces = text.splitn(2 * pairs + 1, '`').enumerate();
        pieces.map(|(index, piece)| (index % 2 == 1, piece))
    }
}

/// A time as `<time>`, with the exact time on hover. The script shows it in the reader's time zone.
#[derive(Template)]
#[template(
    source = r#"<time datetime="{{ self.datetime() }}" title="{{ self.exact() }}"{% if now.is_some() %} data-relative{% endif %}>{{ self.text() }}</time>"#,
    ext = "html"
)]
pub struct Ago {
    pub(super) at: OffsetDateTime,
    /// Shown as how long ago it was then; `None` means as the exact time.
    pub(super) now: Option<OffsetDateTime>,
}

impl HtmlSafe for Ago {}

impl Ago {
    fn datetime(&self) -> String {
        self.at.format(&Rfc3339).unwrap_or_default()
    }

    fn exact(&self) -> String {
        words::exact(self.at)
    }

    fn text(&self) -> String {
        let age = self.now.map(|now| words::age(now, self.at));
        age.unwrap_or_else(|| self.exact())
    }
}

/// A number, displayed with separators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub u64);

impl Count {
    pub(super) fn of<T>(list: &[T]) -> Self {
        Self(list.len() as u64)
    }

    /// How many of `all` are not among those shown, if any are.
    pub(super) fn more(all: u64, shown: usize) -> Option<Self> {
        let more = all.saturating_sub(shown as u64);
        (more > 0).then_some(Self(more))
    }
}

/// The first of a list, which are shown.
pub(super) fn first<T>(list: &[T], most: usize) -> &[T] {
    &list[..list.len().min(most)]
}

/// How many there are besides the first of a list.
pub(super) fn more<T>(list: &[T], most: usize) -> Option<Count> {
    Count::more(list.len() as u64, most)
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&words::count(self.0))
    }
}

/// Money, in thousandths of a US dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usd(pub u64);

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&words::usd(self.0))
    }
}

/// A length of time, displayed as `4.2 s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&words::span(self.0))
    }
}

/// How much of several parts is done, and how many there are. A single invalidation needs no
/// progress bar: its state says it all.
pub(super) fn progress(done: u64, total: u64) -> Option<(Count, Count)> {
    (total > 1).then_some((Count(done), Count(total)))
}

/// A text field of a form, as typed.
#[derive(Clone, Debug, Default)]
pub struct Field {
    /// The value; never a secret.
    pub value: String,
    pub error: Option<String>,
}

impl Field {
    pub fn new(value: impl Into<String>) -> Self {
        Self::typed(value, None)
    }

    /// A field as it was typed, and as it was understood.
    pub(crate) fn read<T>(value: impl Into<String>, read: &Result<T, String>) -> Self {
        Self::typed(value, read.as_ref().err().cloned())
    }

    /// A field as it was typed, and what is wrong with it.
    pub(crate) fn typed(value: impl Into<String>, error: Option<String>) -> Self {
        Self {
            value: value.into(),
            error,
        }
    }
}

/// What this month has cost.
#[derive(Clone, Debug)]
pub struct Meter {
    /// The month in words: “November 2026”.
    pub month: String,
    pub paths: Count,
    /// Paths that are free each month, for all distributions of the AWS account together.
    pub free: Count,
    pub free_left: Count,
    /// What the paths beyond them cost.
    pub cost: Usd,
    /// Paths by the end of the month, at this rate.
    pub projected_paths: Count,
    pub projected_cost: Usd,
    /// Paths saved by coalescing and folding.
    pub saved: Count,
}
