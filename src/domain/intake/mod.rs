//! Intake: from the body of the publish hook to canonical items.

mod given;
mod related;

use std::collections::HashSet;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use self::given::read_path;
pub use self::related::{MAX_RULES, RelatedRule};
use super::edge::PublicAddress;
use super::path::{Reading, path_part};
use super::{CacheTag, InvalidationPath, Item, OriginPath, Partition, PublisherHost, Refused};

/// The most items one publish may have, counted before and after they are made canonical. Ten
/// thousand are at least four requests and $50; whoever has more to purge at once is better served
/// by a wildcard. It also bounds how long one publish can keep the planner busy.
pub const MAX_ITEMS: usize = 10_000;

/// What a site's owner decided about its publishes, as one form changes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publishing {
    /// Where readers find the site, if its pages are looked at there.
    pub public_address: Option<PublicAddress>,
    /// Where in its origin the distribution begins.
    pub origin_path: OriginPath,
    /// Hosts whose absolute URLs are accepted; none means any.
    pub hosts: Vec<PublisherHost>,
    /// What goes with a publish of certain pages, or of any.
    pub related: Vec<RelatedRule>,
    /// Whether `/about` also means `/about/` and `/about/index.html`.
    pub directory_variants: bool,
}

/// The body of the publish hook. At least one of the three must say something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(remote = "Self", default, deny_unknown_fields)]
#[schema(min_properties = 1)]
pub struct PublishRequest {
    /// Paths or absolute URLs, as the publisher has them.
    #[serde(deserialize_with = "null_is_absent")]
    pub paths: Vec<String>,
    /// Cache tags, with or without `#`.
    #[serde(deserialize_with = "null_is_absent")]
    pub tags: Vec<String>,
    /// Purge all that is cached.
    #[serde(deserialize_with = "null_is_absent")]
    pub everything: bool,
}

/// From an object only: serde's derived code would read the fields from an array too.
impl<'de> Deserialize<'de> for PublishRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = PublishRequest;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with \"paths\", \"tags\" or \"everything\"")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PublishRequest, A::Error> {
                PublishRequest::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// Serializers that write every field write `null` for those that are absent.
fn null_is_absent<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What a publish means, in CloudFront's terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Canonical {
    /// Each item once, in order of first appearance. `/*` stands alone: it purges all that any path
    /// or tag could.
    pub items: Vec<Item>,
    /// What purges more than was written.
    pub widened: Vec<Widened>,
    /// Where the items come from, in order, before `/*` swallows any.
    pub sources: Vec<Source>,
}

/// A path that could only be purged by purging more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Widened {
    /// The path as it was given.
    pub from: String,
    /// The wildcard that takes its place.
    pub to: Item,
}

/// A path or tag that was asked for or added, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The text as it was given; for a related page, its canonical form.
    pub given: String,
    pub origin: Origin,
    pub rule: Option<String>,
    /// What is purged for it.
    pub items: Vec<Item>,
}

/// Why something is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It was asked for.
    Asked,
    /// It was asked for, and can only be purged by purging more.
    Widened,
    /// A rule of “Related pages” added it.
    Related,
}

/// One thing at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Fault)]
pub struct ItemError {
    /// Where it stands in the body, as a JSON Pointer (RFC 6901); empty for the body as a whole.
    pub pointer: String,
    /// What is wrong with it, and how to fix it.
    pub detail: String,
}

impl ItemError {
    fn whole(detail: String) -> Self {
        Self {
            pointer: String::new(),
            detail,
        }
    }
}

/// Turns a publish request into the items that CloudFront is to forget, where the distribution is
/// in `partition`.
///
/// # Errors
/// Every fault of the request, not only the first; then nothing of it may be queued.
pub fn canonicalize(
    request: &PublishRequest,
    rules: &Publishing,
    partition: Partition,
) -> Result<Canonical, Vec<ItemError>> {
    let given = request.paths.len() + request.tags.len();
    if given == 0 && !request.everything {
        return Err(vec![ItemError::whole(
            "nothing to purge: give \"paths\", \"tags\" or \"everything\": true".to_owned(),
        )]);
    }
    if given > MAX_ITEMS {
        return Err(vec![too_many(given)]);
    }

    let mut canonical = Canonical::default();
    let mut errors = Vec::new();
    if request.everything {
        canonical.add(
            "everything".to_owned(),
            Origin::Asked,
            vec![Item::everything()],
        );
    }
    for (i, given) in request.paths.iter().enumerate() {
        match read_path(given, &rules.hosts) {
            Ok(reading) => canonical.add_path(given, reading, rules),
            Err(error) => errors.push(ItemError {
                pointer: format!("/paths/{i}"),
                detail: error.to_string(),
            }),
        }
    }
    for (i, given) in request.tags.iter().enumerate() {
        let tag = if partition == Partition::AwsCn {
            Err(Refused::new(
                "CloudFront has no cache tags in the China regions: send the paths instead",
            ))
        } else {
            CacheTag::parse(given)
        };
        match tag {
            Ok(tag) => canonical.add(given.clone(), Origin::Asked, vec![Item::Tag(tag)]),
            Err(error) => errors.push(ItemError {
                pointer: format!("/tags/{i}"),
                detail: error.to_string(),
            }),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    canonical.add_related(rules, partition);
    canonical.gather();
    if canonical.items.len() > MAX_ITEMS {
        return Err(vec![too_many(canonical.items.len())]);
    }
    Ok(canonical)
}

fn too_many(items: usize) -> ItemError {
    ItemError::whole(format!(
        "{items} items are more than one publish may have ({MAX_ITEMS}): split it, or use a wildcard such as /blog/*"
    ))
}

impl Canonical {
    fn add(&mut self, given: String, origin: Origin, items: Vec<Item>) {
        self.sources.push(Source {
            given,
            origin,
            rule: None,
            items,
        });
    }

    fn add_path(&mut self, given: &str, Reading { path, widened }: Reading, rules: &Publishing) {
        let items = with_variants(path, rules);
        let origin = if widened {
            self.widened.push(Widened {
                from: given.to_owned(),
                to: items[0].clone(),
            });
            Origin::Widened
        } else {
            Origin::Asked
        };
        self.add(given.to_owned(), origin, items);
    }

    /// Adds what the rules say goes with what was asked for. A page that two rules name is added by
    /// the first; rules do not apply to what rules have added.
    fn add_related(&mut self, rules: &Publishing, partition: Partition) {
        let asked = self.sources.len();
        let mut seen = HashSet::new();
        for rule in &rules.related {
            let published = self.sources[..asked].iter().flat_map(|asked| &asked.items);
            if !rule.applies(published) {
                continue;
            }
            // A tag would be refused there, with the publish whose pages were purged.
            let is_known =
                |item: &&Item| partition != Partition::AwsCn || matches!(item, Item::Path(_));
            let also = rule.also().iter().filter(is_known);
            for item in also.filter(|&item| seen.insert(item)) {
                let items = match item {
                    Item::Path(path) => with_variants(path.clone(), rules),
                    Item::Tag(_) => vec![item.clone()],
                };
                self.sources.push(Source {
                    given: item.to_string(),
                    origin: Origin::Related,
                    rule: Some(rule.to_string()),
                    items,
                });
            }
        }
    }

    fn gather(&mut self) {
        let everything = Item::everything();
        let asked = self.sources.iter().flat_map(|source| &source.items);
        self.items = if asked.clone().any(|item| *item == everything) {
            vec![everything]
        } else {
            let mut seen = HashSet::new();
            asked.filter(|item| seen.insert(*item)).cloned().collect()
        };
    }
}

/// A path, and the other spellings under which CloudFront caches the same page.
fn with_variants(path: InvalidationPath, rules: &Publishing) -> Vec<Item> {
    let variants = match path.as_str() {
        "/" => spellings(""),
        "/index.html" if rules.directory_variants => spellings(""),
        path if rules.directory_variants => directory(path).map(spellings).unwrap_or_default(),
        _ => Vec::new(),
    };
    let mut items = vec![Item::Path(path)];
    for variant in variants {
        let variant = InvalidationPath::from_canonical(&variant).map(Item::Path);
        items.extend(variant.filter(|variant| *variant != items[0]));
    }
    items
}

/// Whether this is a page, as far as its path shows: it has no extension, or that of HTML.
fn is_page(item: &Item) -> bool {
    let Item::Path(path) = item else { return false };
    let name = file_name(path.as_str());
    name.rsplit_once('.').is_none_or(|(_, extension)| {
        ["html", "htm"]
            .iter()
            .any(|html| extension.eq_ignore_ascii_case(html))
    })
}

/// The paths under which viewers may ask for a directory. The home page is that of the empty
/// directory, which nobody can ask for without its slash.
fn spellings(directory: &str) -> Vec<String> {
    let mut spellings = vec![format!("{directory}/"), format!("{directory}/index.html")];
    if !directory.is_empty() {
        spellings.insert(0, directory.to_owned());
    }
    spellings
}

/// `/about` of `/about`, `/about/` and `/about/index.html`; nothing of `/about.html`, `/about?x=1`
/// and `/about*`.
fn directory(path: &str) -> Option<&str> {
    let directory = path
        .strip_suffix("/index.html")
        .or_else(|| path.strip_suffix('/'))
        .unwrap_or(path);
    let name = file_name(directory);
    let is_one = !name.is_empty() && !name.contains('.') && !path.contains(['?', '*']);
    is_one.then_some(directory)
}

/// What follows the last slash of the path, without the query.
fn file_name(path: &str) -> &str {
    let path = path_part(path);
    path.rsplit('/').next().unwrap_or(path)
}
