//! The rules of the house: which room may use which, where a crate may be used, and that no two
//! modules use each other. docs/ARCHITECTURE.md says why.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// What each room may use of the other rooms.
const ROOMS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("clock", &[]),
    ("cloudfront", &["domain"]),
    ("store", &["domain"]),
    ("config", &["domain"]),
    ("logging", &["config"]),
    ("process", &[]),
    ("metrics", &["domain", "store"]),
    ("janitor", &["clock", "store"]),
    (
        "admin",
        &[
            "clock",
            "cloudfront",
            "domain",
            "metrics",
            "readers",
            "store",
        ],
    ),
    ("readers", &["clock", "domain", "metrics", "store"]),
    ("skycms", &["clock", "config", "domain", "store"]),
    (
        "dispatcher",
        &["clock", "cloudfront", "domain", "metrics", "store"],
    ),
    (
        "web",
        &[
            "admin",
            "clock",
            "config",
            "dispatcher",
            "domain",
            "metrics",
            "skycms",
            "store",
        ],
    ),
    (
        "app",
        &[
            "admin",
            "clock",
            "cloudfront",
            "config",
            "dispatcher",
            "domain",
            "janitor",
            "metrics",
            "readers",
            "skycms",
            "store",
            "web",
        ],
    ),
    (
        "cli",
        &[
            "admin",
            "app",
            "clock",
            "cloudfront",
            "config",
            "domain",
            "janitor",
            "logging",
            "metrics",
            "readers",
            "store",
            "web",
        ],
    ),
    (
        "main",
        &["app", "cli", "clock", "config", "logging", "process"],
    ),
];

/// What each room within the web room may use of the others: programs and people stand apart.
const ROOMS_OF_WEB: &[(&str, &[&str])] = &[
    ("http", &[]),
    ("state", &["http"]),
    ("publishing", &["http", "state"]),
    ("api", &["http", "publishing", "state"]),
    ("pages", &["http", "publishing", "state"]),
    ("render", &["api", "http", "pages", "state"]),
    ("layers", &["api", "http", "render", "state"]),
    ("routes", &["api", "http", "layers", "pages", "state"]),
];

/// The rooms that may use a crate; every other crate is anybody's.
const CRATES: &[(&str, &[&str])] = &[
    ("argon2", &["web"]),
    ("askama", &["web"]),
    ("aws_config", &["cloudfront"]),
    ("aws_credential_types", &["cloudfront", "web"]),
    ("aws_sdk_cloudfront", &["cloudfront"]),
    ("aws_sigv4", &["web"]),
    ("aws_smithy_http_client", &["cloudfront"]),
    ("aws_smithy_runtime_api", &["cloudfront"]),
    ("aws_smithy_types", &["cloudfront"]),
    ("axum", &["web"]),
    ("clap", &["cli", "main"]),
    ("cookie", &["skycms", "web"]),
    ("dotenvy", &["config"]),
    ("embedded_postgres", &["app", "cli"]),
    ("flate2", &["web"]),
    ("http_body_util", &["cloudfront", "web"]),
    ("hyper", &["web"]),
    ("hyper_util", &["cloudfront", "web"]),
    ("jsonwebtoken", &["web"]),
    ("prometheus_client", &["metrics"]),
    ("qrcode", &["web"]),
    ("quick_xml", &["web"]),
    ("reqwest", &["cli", "readers", "skycms"]),
    ("sqlx", &["store", "app"]),
    ("totp_rs", &["domain"]),
    ("tower", &["web"]),
    ("tower_http", &["web"]),
    ("tracing_subscriber", &["logging"]),
    ("utoipa_axum", &["web"]),
];

/// The only crates that `domain` may use: they compute, and reach for nothing outside.
const CRATES_OF_DOMAIN: &[&str] = &[
    "aws_lc_rs",
    "base64",
    "percent_encoding",
    "secrecy",
    "serde",
    "serde_json",
    "strum",
    "thiserror",
    "time",
    "totp_rs",
    "url",
    "utoipa",
    "uuid",
    "zeroize",
    "zxcvbn",
];

type Module = Vec<String>;

/// A source file: what it re-exports, by name, and every path that it mentions.
#[derive(Default)]
struct Source {
    reexports: BTreeMap<String, Vec<String>>,
    paths: BTreeSet<Vec<String>>,
    /// Whether braces of an import hold a path, not only names.
    has_nested_imports: bool,
}

#[derive(Default)]
struct House(BTreeMap<Module, Source>);

impl House {
    fn read() -> Self {
        let mut house = Self::default();
        house.read_module(Path::new("src"), "lib", &Module::new());
        house.read_module(Path::new("src"), "main", &vec!["main".to_owned()]);
        house
    }

    /// Reads `dir/name.rs` or `dir/name/mod.rs`, and the modules below it.
    fn read_module(&mut self, dir: &Path, name: &str, module: &Module) {
        let (file, below) = match dir.join(format!("{name}.rs")) {
            file if file.exists() => (file, dir.to_owned()),
            _ => (dir.join(name).join("mod.rs"), dir.join(name)),
        };
        let text = fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let mut reader = Reader {
            module,
            source: Source::default(),
            children: Vec::new(),
        };
        reader.visit_file(&parsed);
        let Reader {
            source, children, ..
        } = reader;
        self.0.insert(module.clone(), source);
        for child in children {
            let path = [module.as_slice(), std::slice::from_ref(&child)].concat();
            self.read_module(&below, &child, &path);
        }
    }

    /// The module that a path leads to, through re-exports.
    fn resolve(&self, path: &[String]) -> Module {
        let mut at = Module::new();
        for (index, segment) in path.iter().enumerate() {
            let child = [at.as_slice(), std::slice::from_ref(segment)].concat();
            if self.0.contains_key(&child) {
                at = child;
            } else if let Some(target) = self.0.get(&at).and_then(|m| m.reexports.get(segment)) {
                return self.resolve(&[target.as_slice(), &path[index + 1..]].concat());
            } else {
                break;
            }
        }
        at
    }

    /// Every use of one module by another.
    fn uses(&self) -> BTreeSet<(Module, Module)> {
        let inside = |path: &&Vec<String>| path[0] == "crate";
        self.0
            .iter()
            .flat_map(|(module, source)| {
                let targets = source.paths.iter().filter(inside);
                targets.map(|path| (module.clone(), self.resolve(&path[1..])))
            })
            .filter(|(user, used)| user != used)
            .collect()
    }
}

/// Collects what a file mentions, without its tests.
struct Reader<'a> {
    module: &'a Module,
    source: Source,
    children: Vec<String>,
}

impl Reader<'_> {
    /// From the root of the crate, or as it is when it leads out of it.
    fn absolute(&self, path: Vec<String>) -> Vec<String> {
        let ups = path
            .iter()
            .take_while(|segment| *segment == "super")
            .count();
        let base = match path[0].as_str() {
            "crate" => return path,
            "skycms_cdn" => return [vec!["crate".to_owned()], path[1..].to_vec()].concat(),
            "self" => self.module.clone(),
            "super" => self.module[..self.module.len() - ups].to_vec(),
            child if self.children.iter().any(|known| known == child) => {
                return [vec!["crate".to_owned()], self.module.clone(), path].concat();
            }
            _ => return path,
        };
        let rest = path[ups.max(1)..].to_vec();
        [vec!["crate".to_owned()], base, rest].concat()
    }

    fn import(&mut self, prefix: &[String], tree: &UseTree, is_public: bool) {
        let (name, target) = match tree {
            UseTree::Path(path) => {
                let prefix = [prefix, &[path.ident.to_string()]].concat();
                return self.import(&prefix, &path.tree, is_public);
            }
            UseTree::Group(group) => {
                let is_path = |tree: &UseTree| matches!(tree, UseTree::Path(_));
                self.source.has_nested_imports |= group.items.iter().any(is_path);
                return group
                    .items
                    .iter()
                    .for_each(|tree| self.import(prefix, tree, is_public));
            }
            UseTree::Glob(_) => ("*".to_owned(), prefix.to_vec()),
            UseTree::Name(name) if name.ident == "self" => (String::new(), prefix.to_vec()),
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                (name.clone(), [prefix, &[name]].concat())
            }
            UseTree::Rename(rename) => {
                let target = [prefix, &[rename.ident.to_string()]].concat();
                (rename.rename.to_string(), target)
            }
        };
        let target = self.absolute(target);
        if is_public && target[0] == "crate" {
            self.source.reexports.insert(name, target[1..].to_vec());
        }
        self.source.paths.insert(target);
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string() == "test")
    })
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_file(&mut self, file: &'ast syn::File) {
        for item in &file.items {
            if let Item::Mod(item) = item
                && item.content.is_none()
                && !is_test(&item.attrs)
            {
                self.children.push(item.ident.to_string());
            }
        }
        visit::visit_file(self, file);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_public = !matches!(item.vis, syn::Visibility::Inherited);
        self.import(&[], &item.tree, is_public);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if segments.len() > 1 {
            let path = self.absolute(segments);
            self.source.paths.insert(path);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        // Arguments of a macro are words to the parser: their paths begin with `crate`.
        let text = item.tokens.to_string().replace(' ', "");
        for start in text.match_indices("crate::").map(|(start, _)| start) {
            let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let path = text[start..].split(|c| !is_name(c)).next().unwrap();
            self.source
                .paths
                .insert(path.split("::").map(str::to_owned).collect());
        }
        visit::visit_macro(self, item);
    }
}

fn show(module: &[String]) -> String {
    if module.is_empty() {
        "lib".to_owned()
    } else {
        module.join("::")
    }
}

/// The child of `parent` that `module` is or is within.
fn child<'a>(parent: &[&str], module: &'a [String]) -> Option<&'a str> {
    let (above, below) = module.split_at_checked(parent.len())?;
    let child = below.first().filter(|_| above == parent);
    child.map(String::as_str)
}

/// Where a child of `parent` uses another although its table does not say so.
fn not_allowed(house: &House, parent: &[&str], rooms: &[(&str, &[&str])]) -> BTreeSet<String> {
    let allowed: BTreeMap<_, _> = rooms.iter().copied().collect();
    let mut wrong = BTreeSet::new();
    for (user, used) in house.uses() {
        let (Some(room), Some(other)) = (child(parent, &user), child(parent, &used)) else {
            continue;
        };
        let known = allowed.get(room);
        let may = known.unwrap_or_else(|| panic!("no table names `{}`", show(&user)));
        if room != other && !may.contains(&other) {
            wrong.insert(format!("{} uses {}", show(&user), show(&used)));
        }
    }
    wrong
}

/// The crates that the service depends on, as its code names them.
fn dependencies() -> impl Iterator<Item = String> {
    include_str!("../Cargo.toml")
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split([' ', '=', '.']).next())
        .map(|name| name.replace('-', "_"))
}

#[test]
fn a_room_uses_only_what_it_may() {
    let house = House::read();
    let mut wrong = not_allowed(&house, &[], ROOMS);
    wrong.extend(not_allowed(&house, &["web"], ROOMS_OF_WEB));
    for (module, source) in &house.0 {
        for path in &source.paths {
            let name = path[0].as_str();
            let owner = CRATES.iter().find(|(owned, _)| *owned == name);
            let Some(room) = module.first().map(String::as_str) else {
                continue;
            };
            let is_owners = owner.is_none_or(|(_, rooms)| rooms.contains(&room));
            let is_pure = room != "domain"
                || CRATES_OF_DOMAIN.contains(&name)
                || !dependencies().any(|known| known == name);
            if !is_owners || !is_pure {
                wrong.insert(format!("{} uses the crate {name}", show(module)));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", Vec::from_iter(wrong).join("\n"));
}

/// One line for each module, as stable rustfmt cannot see to.
#[test]
fn imports_name_each_module_once() {
    let house = House::read();
    let nested = house
        .0
        .iter()
        .filter(|(_, source)| source.has_nested_imports);
    let nested: Vec<_> = nested.map(|(module, _)| show(module)).collect();
    assert!(nested.is_empty(), "\n{}", nested.join("\n"));
}

/// Looks at the children of each module: what is within a child counts as the child's, and what the
/// parent itself says counts as nobody's.
#[test]
fn no_two_modules_use_each_other() {
    let mut uses: BTreeMap<Module, BTreeMap<Module, String>> = BTreeMap::new();
    for (user, used) in House::read().uses() {
        let common = user.iter().zip(&used).take_while(|(a, b)| a == b).count();
        if common < user.len() && common < used.len() {
            let proof = format!("{} uses {}", show(&user), show(&used));
            let from = uses.entry(user[..=common].to_vec()).or_default();
            from.entry(used[..=common].to_vec()).or_insert(proof);
        }
    }
    let leads_to = |from: &Module, to: &Module| {
        let (mut open, mut seen) = (vec![from], BTreeSet::new());
        while let Some(module) = open.pop() {
            if module == to {
                return true;
            }
            if seen.insert(module) {
                open.extend(uses.get(module).into_iter().flat_map(BTreeMap::keys));
            }
        }
        false
    };
    let mut circles = Vec::new();
    for (user, all) in &uses {
        for (used, proof) in all.iter().filter(|(used, _)| leads_to(used, user)) {
            circles.push(format!("{} → {} ({proof})", show(user), show(used)));
        }
    }
    assert!(circles.is_empty(), "in a circle:\n{}", circles.join("\n"));
}

/// Files that move are easily forgotten in what is written about them.
#[test]
fn every_file_that_the_documents_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let is_ours = |path: &str| {
        let top = path.split_once('/').map(|(top, _)| top);
        top.is_some_and(|top| !matches!(top, "" | "target") && root.join(top).is_dir())
    };
    let mut documents = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    let entries = fs::read_dir(root.join("docs")).unwrap();
    documents.extend(entries.map(|entry| entry.unwrap().path()));
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut missing = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for code in text.split('`').skip(1).step_by(2) {
            let path = code.split(' ').next().unwrap();
            let is_pattern = path.contains(['*', 'N', '{', '…']);
            if is_ours(path) && !is_pattern && !root.join(path).exists() {
                missing.push(format!("{}: {path}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}
