//! Related pages: what else changes when a page does, such as the list that shows its headline.

use std::fmt;
use std::str::FromStr;

use super::given::read_path;
use super::is_page;
use crate::domain::{CacheTag, Item, Refused};

/// The most rules of a site: each is tried on every item of every publish.
pub const MAX_RULES: usize = 100;
/// The most items on the right of a rule.
const MAX_PAGES: usize = 50;
/// Stands between what is published and what is purged with it.
const ARROW: &str = "=>";

/// One line of “Related pages”: `/blog/* => /blog/ /feed.xml`, or `/sitemap.xml` for every page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelatedRule {
    /// What has to be published; `None` means any page.
    published: Option<Item>,
    also: Vec<Item>,
}

impl RelatedRule {
    /// Whether it applies to a publish of these items.
    pub(super) fn applies<'a>(&self, published: impl IntoIterator<Item = &'a Item>) -> bool {
        published.into_iter().any(|item| match &self.published {
            Some(rule) => matches!(item, Item::Path(_)) && rule.covers(item),
            None => is_page(item),
        })
    }

    pub(super) fn also(&self) -> &[Item] {
        &self.also
    }
}

impl FromStr for RelatedRule {
    type Err = Refused;

    fn from_str(line: &str) -> Result<Self, Refused> {
        let (published, also) = match line.split_once(ARROW) {
            Some((published, also)) => (Some(published.trim()), also.trim()),
            None => (None, line.trim()),
        };
        if also.contains(ARROW) {
            return Err(Refused::new(
                "=> may appear once in a line: write a line for each rule",
            ));
        }
        if also.is_empty() {
            return Err(Refused::new(
                "after =>, write what else is purged, as in /blog/* => /blog/ /feed.xml",
            ));
        }
        let published = published.map(read_published).transpose()?;
        let also = also
            .split_whitespace()
            .map(read_item)
            .collect::<Result<Vec<_>, _>>()?;
        if also.len() > MAX_PAGES {
            return Err(Refused::new(format!(
                "more than {MAX_PAGES} pages follow: use a wildcard, such as /blog/*"
            )));
        }
        let everything = Item::everything();
        if also.contains(&everything) && published.as_ref().is_none_or(|item| *item == everything) {
            return Err(Refused::new(
                "/* would purge the whole site with every publish: choose the policy “Everything” instead",
            ));
        }
        Ok(Self { published, also })
    }
}

fn read_published(given: &str) -> Result<Item, Refused> {
    if given.is_empty() {
        return Err(Refused::new(
            "write what is published before =>, as in /blog/* => /blog/ /feed.xml, or leave => out to mean every page",
        ));
    }
    if given.starts_with('#') {
        return Err(Refused::new(
            "a cache tag may only come after =>: begin with a path, such as /blog/*",
        ));
    }
    if given.contains(char::is_whitespace) {
        return Err(Refused::new(
            "the path before => holds white space: write %20 for a space, and a line for each path",
        ));
    }
    read_item(given)
}

fn read_item(given: &str) -> Result<Item, Refused> {
    let item = if given.starts_with('#') {
        CacheTag::parse(given).map(Item::Tag)
    } else {
        read_path(given, &[]).map(|reading| Item::Path(reading.path))
    };
    item.map_err(|error| Refused::new(format!("{given}: {error}")))
}

/// The rule as it is stored and shown: canonical, in one line.
impl fmt::Display for RelatedRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(published) = &self.published {
            write!(f, "{published} {ARROW} ")?;
        }
        let also: Vec<&str> = self.also.iter().map(Item::as_str).collect();
        f.write_str(&also.join(" "))
    }
}
