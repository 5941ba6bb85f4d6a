use askama::Template;

use super::layout::Layout;
use super::parts::Prose;

/// The API, shown to people. Every text may mark code with backquotes.
#[derive(Clone, Debug, Template)]
#[template(path = "docs.html")]
pub struct ApiPage {
    pub layout: Layout,
    /// What the API is for, a paragraph each.
    pub intro: Vec<Prose>,
    /// What every path begins with.
    pub server: String,
    /// How a call proves itself.
    pub proofs: Vec<Proof>,
    /// The operations, in groups.
    pub groups: Vec<Group>,
    /// The shapes that they refer to.
    pub shapes: Vec<Shape>,
}

/// A way to prove who calls.
#[derive(Clone, Debug)]
pub struct Proof {
    pub header: String,
    /// What it holds.
    pub text: Prose,
}

/// Operations that belong together.
#[derive(Clone, Debug)]
pub struct Group {
    pub name: String,
    /// Whom it is for.
    pub text: Prose,
    /// What there is.
    pub operations: Vec<Operation>,
    /// What each of them may be answered, said once for all.
    pub common: Vec<Answer>,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its anchor on the page.
    pub id: String,
    /// How it is asked.
    pub method: String,
    pub path: String,
    /// What it does, in a word or two.
    pub summary: String,
    pub text: Prose,
    /// Whether it needs no proof.
    pub open: bool,
    /// Beside the body.
    pub parameters: Vec<Member>,
    /// What it takes.
    pub body: Option<Content>,
    /// What may be answered.
    pub answers: Vec<Answer>,
}

/// A parameter, or a member of an object.
#[derive(Clone, Debug)]
pub struct Member {
    pub name: String,
    /// What it may be.
    pub kind: Kind,
    /// Where it stands, of a parameter: `path`, `query`, `header`.
    pub place: Option<String>,
    /// It is always there.
    pub required: bool,
    pub text: Prose,
}

/// What a value may be, in words.
#[derive(Clone, Debug, Default)]
pub struct Kind {
    /// Before the shape's name: `array of `.
    pub before: String,
    /// A shape of this page.
    pub shape: Option<String>,
    /// Behind it: ` or null`.
    pub after: String,
}

/// A body.
#[derive(Clone, Debug)]
pub struct Content {
    /// How it is declared.
    pub media_type: String,
    pub kind: Kind,
    /// What it may look like.
    pub examples: Vec<Example>,
}

/// An example of a body.
#[derive(Clone, Debug)]
pub struct Example {
    /// Its anchor on the page.
    pub id: String,
    /// When it looks so.
    pub title: Prose,
    /// The body, as HTML.
    text: String,
    /// The anchor of the same example, earlier on the page.
    pub shown_at: Option<String>,
}

impl Example {
    pub fn new(id: String, title: Prose, json: &str) -> Self {
        // In text, unlike in an attribute, quotes need no escape; the examples have hundreds.
        let text = json.replace('&', "&amp;").replace('<', "&lt;");
        Self {
            id,
            title,
            text,
            shown_at: None,
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: String,
    /// It is what was asked for.
    pub good: bool,
    pub text: Prose,
    /// Headers besides.
    pub headers: Vec<Member>,
    /// The body, but of a problem.
    pub body: Option<Content>,
    /// The words of each problem that has this status: (type, detail).
    pub problems: Vec<(String, Prose)>,
}

/// What an object holds, or which words there are.
#[derive(Clone, Debug)]
pub struct Shape {
    pub name: String,
    pub text: Prose,
    /// Its members, of an object.
    pub members: Vec<Member>,
    /// The shapes whose members it has too.
    pub parts: Vec<String>,
    /// Its words, of a name.
    pub words: Vec<String>,
}
