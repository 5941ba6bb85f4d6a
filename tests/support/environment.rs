//! Programs of ours, and the environment that they are started in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{
    DISTRIBUTION, Database, EMBED_SECRET, ENCRYPTION_KEY, HOOK_SECRET, KEY, PASSWORD, SECRET,
    Sandbox, TOKEN,
};

/// The environment of a service.
pub(crate) type Variables = BTreeMap<String, String>;

/// Lets edge checks and notifications go to this machine.
pub(crate) const PRIVATE: &[(&str, &str)] = &[("ALLOW_PRIVATE_TARGETS", "true")];
/// Nothing that names a distribution and a key: an empty value is none.
pub(crate) const NO_SETTINGS: &[(&str, &str)] = &[
    ("CloudFront__DistributionId", ""),
    ("CloudFront__AccessKeyId", ""),
    ("CloudFront__SecretAccessKey", ""),
];

/// What people, SkyCMS and the hook's callers prove with who they are.
pub(crate) const SECRETS: &[(&str, &str)] = &[
    ("ADMIN_PASSWORD", PASSWORD),
    ("EMBED_JWT_SECRET", EMBED_SECRET),
    ("PUBLISH_HOOK_SECRET", HOOK_SECRET),
];

/// The environment of a service that works, with a request rate that gets in no test's way.
pub(crate) fn variables(database: &Database, sandbox: &Sandbox) -> Variables {
    let mut variables = working(&database.url, &sandbox.url);
    let rate = [
        ("CLOUDFRONT_REQUESTS_PER_SECOND", "1000"),
        ("CLOUDFRONT_REQUEST_BURST", "1000"),
    ];
    set(&mut variables, &rate);
    variables
}

/// The environment of a service that works, with its database and CloudFront at these addresses.
pub(crate) fn working(database: &str, cloudfront: &str) -> Variables {
    named(&[
        ("LISTEN_ADDR", "127.0.0.1:0"),
        ("DATABASE_URL", database),
        ("ENCRYPTION_KEY", ENCRYPTION_KEY),
        ("PUBLISH_TOKEN", TOKEN),
        ("RUST_LOG", "skycms_cdn=debug,warn"),
        ("AWS_ENDPOINT_URL_CLOUDFRONT", cloudfront),
        ("CloudFront__DistributionId", DISTRIBUTION),
        ("CloudFront__AccessKeyId", KEY),
        ("CloudFront__SecretAccessKey", SECRET),
    ])
}

/// These and no others.
pub(crate) fn named(pairs: &[(&str, &str)]) -> Variables {
    let mut variables = Variables::new();
    set(&mut variables, pairs);
    variables
}

/// These besides, or in place of what was there.
pub(crate) fn set(variables: &mut Variables, pairs: &[(&str, &str)]) {
    for (name, value) in pairs {
        variables.insert((*name).to_owned(), (*value).to_owned());
    }
}

/// Takes away what names a distribution and a key.
pub(crate) fn without_settings(variables: &mut Variables) {
    variables.retain(|name, _| !name.starts_with("CloudFront__"));
}

/// A file of the repository.
pub(crate) fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A tool that script/lib.sh has fetched, or that is in `PATH`.
pub(crate) fn tool(name: &str) -> Command {
    let fetched = file("target/tools").join(name);
    Command::new(if fetched.exists() {
        fetched
    } else {
        name.into()
    })
}

/// A binary of this build, or of the one in `BIN_DIR`.
pub(crate) fn program(name: &str) -> PathBuf {
    match std::env::var_os("BIN_DIR") {
        Some(dir) => std::path::absolute(Path::new(&dir).join(name)).unwrap(),
        None => Path::new(env!("CARGO_BIN_EXE_skycms-cdn")).with_file_name(name),
    }
}

/// The service's binary, run in this directory, whose `.env` it would read, and with an empty
/// environment.
pub(crate) fn service_program(directory: &Path) -> Command {
    let mut command = Command::new(program("skycms-cdn"));
    command.env_clear().current_dir(directory);
    command
}
