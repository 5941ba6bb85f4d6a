//! What tests of the whole service share: a real PostgreSQL with a database for each test, the
//! sandbox in CloudFront's place, and the service, either inside the test with time handed in, with
//! a network ([`Stepped`]) or without one ([`Service`]), or as the real binary ([`Replica`]); and
//! how they make sites, sign, speak HTTP and wait.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses a part of it"
)]

mod browser;
mod database;
mod environment;
mod front;
mod http;
mod log;
mod postgres;
mod proofs;
mod receiver;
mod replica;
mod sandbox;
mod service;
mod sites;
mod skycms;
mod snapshots;
mod stepped;

pub(crate) use browser::{Browser, form};
pub(crate) use database::Database;
pub(crate) use environment::{
    NO_SETTINGS, PRIVATE, SECRETS, Variables, file, named, program, service_program, set, tool,
    variables, without_settings, working,
};
pub(crate) use front::{Front, free_port};
pub(crate) use http::{Answer, Api, Client, between, has_ended, send, try_send};
pub(crate) use log::LOG;
pub(crate) use postgres::Postgres;
pub(crate) use proofs::{claims, jwt, jwt_with, sign, unsigned_jwt};
pub(crate) use receiver::{Mood, Received, Receiver};
pub(crate) use replica::{Replica, refusal};
pub(crate) use sandbox::{Sandbox, on_create, policy, texts, throttling, unavailable};
pub(crate) use service::{HOME, Service, config};
pub(crate) use sites::{ENDPOINT_SECRET, add_site, endpoint, settings, settings_with, token_of};
pub(crate) use skycms::{Mood as SkyCmsMood, SkyCms};
pub(crate) use snapshots::{assert_shown, readable};
pub(crate) use stepped::{Stepped, places};

use std::time::Duration;

/// The sandbox's distribution, and the key that may invalidate it.
pub(crate) const DISTRIBUTION: &str = "E2SANDBOX0CDN1";
pub(crate) const KEY: &str = "AKIASANDBOX000000001";
pub(crate) const SECRET: &str = "sandbox/demo/secret/of/cloudfront/000001";
/// Another distribution and its key, once [`Stepped::add_other_site`] or a test has added them.
pub(crate) const OTHER: &str = "E2OTHER0000001";
pub(crate) const OTHER_KEY: &str = "AKIAOTHER00000000001";
pub(crate) const ENCRYPTION_KEY: &str = "Gdh3UgB/vqZ06mUTbRNtE8FPVAerhZX7rdu+evANYOY=";
/// The publish token of site `default`.
pub(crate) const TOKEN: &str = "skycdn_test_token_of_site_default";
/// The administrator's.
pub(crate) const PASSWORD: &str = "violet ladder under the bridge";
/// What SkyCMS signs its users' tokens with, and its calls of the hook, where that is set.
pub(crate) const EMBED_SECRET: &str = "an embed secret that is long enough";
pub(crate) const HOOK_SECRET: &str = "whsec_trvPK8nzJOoMnocxYv2hxqF3WDkqn9Ye";
/// How long a test waits for something that is sure to come: more than twice a lease.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(90);

/// Asks again and again until there is an answer; `what` names it if none comes.
pub(crate) async fn eventually<T, F>(what: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, asking)
        .await
        .unwrap_or_else(|_| panic!("waited {TIMEOUT:?} for {what}"))
}
