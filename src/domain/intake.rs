//! Intake: from the body of the publish hook to canonical items.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use utoipa::ToSchema;

use super::{
    CacheTag, InvalidationPath, Item, PublisherHost,
    host::split_authority,
    path::{PathError, Reading, excerpt},
};

/// The default of [`IntakeRules::max_items`]. Ten thousand items are at least four requests and
/// $50; whoever has more to purge at once is better served by a wildcard. It also bounds how long
/// one publish can keep the planner busy.
pub const DEFAULT_MAX_ITEMS: usize = 10_000;

/// The body of the publish hook. At least one of the three must say something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(remote = "Self", default, deny_unknown_fields)]
#[schema(min_properties = 1)]
pub struct PublishRequest {
    /// Paths or absolute URLs, as the publisher has them.
    pub paths: Vec<String>,
    /// Cache tags, with or without `#`.
    pub tags: Vec<String>,
    /// Purge all that is cached.
    pub everything: bool,
}

impl Serialize for PublishRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// Objects only: serde's derived code would read the fields from an array too.
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

/// What a site's owner decided about its publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntakeRules {
    /// Hosts whose absolute URLs are accepted; none means any.
    pub publisher_hosts: Vec<PublisherHost>,
    /// Items that go with every publish of a page, such as `/sitemap.xml`.
    pub companions: Vec<Item>,
    /// Whether `/about` also means `/about/` and `/about/index.html`.
    pub directory_variants: bool,
    /// Whether CloudFront knows cache tags where the distribution is; false in China.
    pub tags_allowed: bool,
    /// The most items one publish may have, counted before and after they are made canonical.
    pub max_items: usize,
}

impl Default for IntakeRules {
    fn default() -> Self {
        Self {
            publisher_hosts: Vec::new(),
            companions: Vec::new(),
            directory_variants: false,
            tags_allowed: true,
            max_items: DEFAULT_MAX_ITEMS,
        }
    }
}

/// What a publish means, in CloudFront's terms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Widened {
    /// The path as it was given.
    pub from: String,
    /// The wildcard that takes its place.
    pub to: Item,
}

/// One thing that was asked for, and what it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// As it was given; for a companion its canonical form.
    pub given: String,
    /// Why it is there.
    pub origin: Origin,
    /// What is purged for it.
    pub items: Vec<Item>,
}

/// Why something is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It was asked for.
    Asked,
    /// It was asked for, and can only be purged by purging more.
    Widened,
    /// The site's rules added it.
    Companion,
}

/// One fault in a publish request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemError {
    /// JSON Pointer (RFC 6901) to what is at fault in the body; empty for the body as a whole.
    pub pointer: String,
    /// What is wrong and how to mend it.
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

#[derive(Debug, thiserror::Error)]
enum GivenPathError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error(
        "{0}:// is not a scheme of pages: send the path alone, or a URL that begins with https:// or http://"
    )]
    Scheme(String),
    #[error(
        "{0} is not a complete URL: send the path alone, or write it as in https://www.example.com/about"
    )]
    Url(String),
    #[error(
        "the host {host} is not one of this site's publisher hosts ({accepted}): send the path alone, or add the \
         host in Settings → CDN → Publishing"
    )]
    Host {
        host: PublisherHost,
        accepted: String,
    },
}

/// Turns a publish request into the items that CloudFront is to forget.
///
/// # Errors
/// Every fault of the request, not only the first; then nothing of it may be queued.
pub fn canonicalize(
    request: &PublishRequest,
    rules: &IntakeRules,
) -> Result<Canonical, Vec<ItemError>> {
    let given = request.paths.len() + request.tags.len();
    if given == 0 && !request.everything {
        return Err(vec![ItemError::whole(
            "nothing to purge: give \"paths\", \"tags\" or \"everything\": true".to_owned(),
        )]);
    }
    if given > rules.max_items {
        return Err(vec![too_many(given, rules.max_items)]);
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
        match read_path(given, rules) {
            Ok(reading) => canonical.add_path(given, reading, rules),
            Err(error) => errors.push(ItemError {
                pointer: format!("/paths/{i}"),
                detail: error.to_string(),
            }),
        }
    }
    for (i, given) in request.tags.iter().enumerate() {
        let tag = if rules.tags_allowed {
            CacheTag::parse(given).map_err(|error| error.to_string())
        } else {
            Err(
                "CloudFront has no cache tags in the China regions: send the paths instead"
                    .to_owned(),
            )
        };
        match tag {
            Ok(tag) => canonical.add(given.clone(), Origin::Asked, vec![Item::Tag(tag)]),
            Err(detail) => errors.push(ItemError {
                pointer: format!("/tags/{i}"),
                detail,
            }),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    if canonical
        .sources
        .iter()
        .any(|source| source.items.iter().any(is_page))
    {
        for companion in &rules.companions {
            canonical.add(
                companion.to_string(),
                Origin::Companion,
                vec![companion.clone()],
            );
        }
    }
    canonical.gather();
    if canonical.items.len() > rules.max_items {
        return Err(vec![too_many(canonical.items.len(), rules.max_items)]);
    }
    Ok(canonical)
}

fn too_many(items: usize, most: usize) -> ItemError {
    ItemError::whole(format!(
        "{items} items are more than one publish may have ({most}): split it, or use a wildcard such as /blog/*"
    ))
}

impl Canonical {
    fn add(&mut self, given: String, origin: Origin, items: Vec<Item>) {
        self.sources.push(Source {
            given,
            origin,
            items,
        });
    }

    fn add_path(&mut self, given: &str, Reading { path, widened }: Reading, rules: &IntakeRules) {
        let variants: &[&str] = match path.as_str() {
            "/" => &["index.html"],
            _ if rules.directory_variants && may_be_directory(path.as_str()) => {
                &["/", "/index.html"]
            }
            _ => &[],
        };
        let variants: Vec<_> = variants
            .iter()
            .filter_map(|suffix| InvalidationPath::from_canonical(&format!("{path}{suffix}")))
            .collect();
        let items: Vec<_> = std::iter::once(path)
            .chain(variants)
            .map(Item::Path)
            .collect();
        if widened {
            self.widened.push(Widened {
                from: given.to_owned(),
                to: items[0].clone(),
            });
        }
        let origin = if widened {
            Origin::Widened
        } else {
            Origin::Asked
        };
        self.add(given.to_owned(), origin, items);
    }

    fn gather(&mut self) {
        let everything = Item::everything();
        let mut asked = self.sources.iter().flat_map(|source| &source.items);
        self.items = if asked.clone().any(|item| *item == everything) {
            vec![everything]
        } else {
            let mut seen = HashSet::new();
            asked
                .by_ref()
                .filter(|item| seen.insert(*item))
                .cloned()
                .collect()
        };
    }
}

fn read_path(given: &str, rules: &IntakeRules) -> Result<Reading, GivenPathError> {
    let trimmed = given.trim();
    let path = match split_scheme(trimmed) {
        None if trimmed.eq_ignore_ascii_case("root") => "/",
        None => trimmed,
        Some((scheme, rest)) => {
            if !["http", "https"]
                .iter()
                .any(|known| scheme.eq_ignore_ascii_case(known))
            {
                return Err(GivenPathError::Scheme(excerpt(scheme)));
            }
            let (authority, path) = split_authority(rest);
            let Ok(host) = authority.parse::<PublisherHost>() else {
                return Err(GivenPathError::Url(excerpt(trimmed)));
            };
            if !rules.publisher_hosts.is_empty() && !rules.publisher_hosts.contains(&host) {
                return Err(GivenPathError::Host {
                    host,
                    accepted: accepted_hosts(rules),
                });
            }
            if path.is_empty() || path.starts_with('#') {
                "/"
            } else {
                path
            }
        }
    };
    Ok(InvalidationPath::parse(path)?)
}

fn accepted_hosts(rules: &IntakeRules) -> String {
    let hosts: Vec<_> = rules
        .publisher_hosts
        .iter()
        .map(PublisherHost::as_str)
        .collect();
    hosts.join(", ")
}

/// `scheme` and what follows `://`; `None` for what is a path. `Special:Pages` is a path, and so is
/// `//host/about`; `https:about` can only be a mistyped URL.
fn split_scheme(given: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = given.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    match rest.strip_prefix("//") {
        Some(rest) if is_scheme => Some((scheme, rest)),
        None if web => Some((scheme, "")),
        _ => None,
    }
}

/// A page, as far as a path can tell: without an extension, or HTML. `/logo.png` is none.
fn is_page(item: &Item) -> bool {
    let Item::Path(path) = item else { return false };
    let name = file_name(path.as_str());
    name.rsplit_once('.').is_none_or(|(_, extension)| {
        ["html", "htm"]
            .iter()
            .any(|html| extension.eq_ignore_ascii_case(html))
    })
}

/// `/about`, but not `/about/`, `/about.html`, `/about?x=1` or `/about*`.
fn may_be_directory(path: &str) -> bool {
    let name = file_name(path);
    !name.is_empty() && !path.contains(['?', '*']) && !name.contains('.')
}

/// What follows the last slash of the path, without the query.
fn file_name(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or(path);
    path.rsplit('/').next().unwrap_or(path)
}
