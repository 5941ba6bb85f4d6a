//! Who or what published.

use std::sync::Arc;

use strum::Display;

/// What a publish came with: a proof by its name, or a person. It is copied several times on a
/// publish's way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Display)]
pub enum Publisher {
    #[strum(to_string = "token {0}")]
    Token(Arc<str>),
    /// A Standard Webhooks signature; signing secrets have no names.
    #[strum(to_string = "signature")]
    Signature,
    #[strum(to_string = "key-pair {0}")]
    KeyPair(Arc<str>),
    /// Somebody who signed in with a password here.
    #[strum(to_string = "user {0}")]
    User(Arc<str>),
    /// Somebody whom SkyCMS signed in.
    #[strum(to_string = "skycms-user {0}")]
    SkyCmsUser(Arc<str>),
}

impl Publisher {
    /// Reads what its [`Display`] wrote.
    pub fn parse(stored: &str) -> Option<Self> {
        let (kind, name) = stored.split_once(' ').unwrap_or((stored, ""));
        let name = name.into();
        Some(match kind {
            "token" => Self::Token(name),
            "signature" => Self::Signature,
            "key-pair" => Self::KeyPair(name),
            "user" => Self::User(name),
            "skycms-user" => Self::SkyCmsUser(name),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_as_it_was_written() {
        for publisher in [
            Publisher::Token("GitHub Actions".into()),
            Publisher::Signature,
            Publisher::KeyPair("".into()),
            Publisher::User("admin".into()),
            Publisher::SkyCmsUser("jane doe@example.com".into()),
        ] {
            let stored = publisher.to_string();
            assert_eq!(Publisher::parse(&stored), Some(publisher), "{stored}");
        }
        assert_eq!(Publisher::parse("carrier pigeon"), None);
    }
}
