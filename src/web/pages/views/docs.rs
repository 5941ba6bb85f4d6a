use askama::Template;

use super::layout::Layout;
use super::parts::Prose;

/// The API reference. Every text may mark code with backquotes.
#[derive(Clone, Debug, Template)]
#[template(path = "docs.html")]
pub struct ApiPage {
    pub layout: Layout,
    /// What the API is for, by paragraph.
    pub intro: Vec<Prose>,
    /// The address that every path is appended to.
    pub server: String,
    /// How a call authenticates: (header, what it holds).
    pub proofs: Vec<(String, Prose)>,
    pub groups: Vec<Group>,
    pub shapes: Vec<Shape>,
}

/// Operations that belong together.
#[derive(Clone, Debug)]
pub struct Group {
    pub name: String,
    /// Who they are for.
    pub text: Prose,
    pub operations: Vec<Operation>,
    /// What each of them may answer, said once for all.
    pub common: Vec<Answer>,
}

#[derive(Clone, Debug)]
pub struct Operation {
    pub id: String,
    pub method: String,
    pub path: String,
    pub summary: String,
    pub text: Prose,
    /// It needs no authentication.
    pub open: bool,
    pub parameters: Vec<Member>,
    pub body: Option<Content>,
    pub answers: Vec<Answer>,
}

/// A parameter, or a member of an object.
#[derive(Clone, Debug)]
pub struct Member {
    pub name: String,
    /// What it may be, in words, as HTML.
    pub kind: String,
    /// Where a parameter is: `path`, `query` or `header`.
    pub place: Option<String>,
    /// It is always present.
    pub required: bool,
    pub text: Prose,
}

#[derive(Clone, Debug)]
pub struct Content {
    pub media_type: String,
    /// What it may be, in words, as HTML.
    pub kind: String,
    pub examples: Vec<Example>,
}

#[derive(Clone, Debug)]
pub struct Example {
    /// Its anchor on the page.
    pub id: String,
    /// When the body looks like this.
    pub title: Prose,
    /// The body, as HTML.
    pub text: String,
    /// The anchor of the same example, earlier on the page.
    pub shown_at: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: String,
    pub good: bool,
    pub text: Prose,
    pub headers: Vec<Member>,
    /// The body, unless it is a problem.
    pub body: Option<Content>,
    /// Each problem with this status: (type, detail).
    pub problems: Vec<(String, Prose)>,
}

/// A schema: the members of an object, or the values of an enumeration.
#[derive(Clone, Debug)]
pub struct Shape {
    pub name: String,
    pub text: Prose,
    /// Its members, if it is an object.
    pub members: Vec<Member>,
    /// The shapes whose members it also has.
    pub parts: Vec<String>,
    /// Its values, if it is an enumeration.
    pub words: Vec<String>,
}
