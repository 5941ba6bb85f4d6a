//! The sites that are published to, and the part of CloudFront that each one has.

use serde_json::{Value, json};
use skycms_cdn::clock::Clock;
use skycms_cdn::store::{DatabaseTimeouts, Sealer, Slot, Store, StoreError};

use crate::sender::{Body, Target};
use crate::support::{
    Api, DISTRIBUTION, KEY, SECRET, Sandbox, Variables, add_site, config, settings, token_of,
};

/// The site whose key is switched off, narrowed and repaired.
pub(crate) const FRAGILE: &str = "fragile";
/// The site that shares its distribution, and has a key that always works.
pub(crate) const TENANT: &str = "tenant";
/// Where `mover`'s settings go for a while.
pub(crate) const ELSEWHERE: &str = "E2CHAOSELSEWHER";
/// The actions of a key that works.
const ACTIONS: [&str; 2] = ["CreateInvalidation", "GetInvalidation"];

pub(crate) struct Site {
    pub(crate) name: &'static str,
    pub(crate) distribution: &'static str,
    /// Also names its AWS account, and so whose request rate it shares.
    pub(crate) key: &'static str,
    /// How long its invalidations are in progress, and what else its distribution is like.
    distribution_fields: fn() -> Value,
    /// How many of 1,500 publishes are for it.
    share: u32,
    body: Body,
}

/// `shop`'s invalidations are in progress for longer than until the first question. `small` has
/// quotas far below those that the service believes in, `plain` no header for cache tags.
pub(crate) const SITES: [Site; 10] = [
    Site {
        name: "default",
        distribution: DISTRIBUTION,
        key: KEY,
        distribution_fields: || json!({}),
        share: 390,
        body: Body::Usual,
    },
    Site {
        name: "blog",
        distribution: "E2CHAOSBLOG001",
        key: "AKIACHAOS00000000001",
        distribution_fields: || json!({}),
        share: 420,
        body: Body::Usual,
    },
    Site {
        name: "shop",
        distribution: "E2CHAOSSHOP001",
        key: "AKIACHAOS00000000001",
        distribution_fields: || json!({ "in_progress_ms": 3_000 }),
        share: 420,
        body: Body::Usual,
    },
    Site {
        name: FRAGILE,
        distribution: "E2CHAOSFRAGILE",
        key: "AKIACHAOS00000000002",
        distribution_fields: || json!({}),
        share: 60,
        body: Body::Usual,
    },
    Site {
        name: TENANT,
        distribution: "E2CHAOSFRAGILE",
        key: "AKIACHAOS10000000002",
        distribution_fields: || json!({}),
        share: 50,
        body: Body::Usual,
    },
    Site {
        name: "plain",
        distribution: "E2CHAOSPLAIN01",
        key: "AKIACHAOS00000000003",
        distribution_fields: || json!({ "cache_tags": false }),
        share: 50,
        body: Body::Few,
    },
    Site {
        name: "small",
        distribution: "E2CHAOSSMALL01",
        key: "AKIACHAOS00000000004",
        distribution_fields: || json!({ "files_in_progress": 20, "wildcards_in_progress": 2 }),
        share: 40,
        body: Body::Few,
    },
    Site {
        name: "mover",
        distribution: "E2CHAOSMOVER01",
        key: "AKIACHAOS00000000005",
        distribution_fields: || json!({}),
        share: 40,
        body: Body::Few,
    },
    Site {
        name: "guest",
        distribution: "E2CHAOSGUEST01",
        key: "AKIACHAOS00000000006",
        distribution_fields: || json!({}),
        share: 28,
        body: Body::Few,
    },
    Site {
        name: "bulk",
        distribution: "E2CHAOSBULK001",
        key: "AKIACHAOS00000000007",
        distribution_fields: || json!({}),
        share: 2,
        body: Body::Huge,
    },
];

pub(crate) fn site(name: &str) -> &'static Site {
    SITES.iter().find(|site| site.name == name).unwrap()
}

/// Makes the distributions and keys of all but `default`, which the sandbox has.
pub(crate) async fn prepare(sandbox: &Sandbox) {
    for site in SITES.iter().filter(|site| site.key != KEY) {
        let mut fields = (site.distribution_fields)();
        fields["account"] = account(site.key).into();
        sandbox.set_distribution(site.distribution, fields).await;
        set_actions(sandbox, site.key, &ACTIONS).await;
    }
    let fields = json!({ "account": account(site("mover").key) });
    sandbox.set_distribution(ELSEWHERE, fields).await;
}

fn account(key: &str) -> String {
    format!("21098765{:0>4}", &key[key.len() - 4..])
}

/// Lets a key do this and nothing else.
pub(crate) async fn set_actions(sandbox: &Sandbox, key: &str, actions: &[&str]) {
    let actions: Vec<_> = actions
        .iter()
        .map(|action| format!("cloudfront:{action}"))
        .collect();
    let own = SITES.iter().filter(|site| site.key == key);
    let mut resources: Vec<_> = own.map(|site| arn(site.distribution)).collect();
    resources.push(arn(ELSEWHERE));
    let policy = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": actions, "Resource": resources,
    }] });
    let fields = json!({ "secret_access_key": SECRET, "account": account(key), "policy": policy,
                         "enabled": true });
    sandbox.set_key(key, fields).await;
}

pub(crate) async fn repair_key(sandbox: &Sandbox, key: &str) {
    set_actions(sandbox, key, &ACTIONS).await;
}

fn arn(distribution: &str) -> String {
    format!("arn:aws:cloudfront::*:distribution/{distribution}")
}

/// Where each site is published to, on either replica.
pub(crate) fn targets(apis: &[Api; 2]) -> Vec<(u32, Target)> {
    SITES
        .iter()
        .map(|site| {
            let token = token_of(site.name);
            let apis = apis.each_ref().map(|api| api.of_site(site.name, &token));
            let target = Target {
                site: site.name,
                body: site.body,
                apis,
            };
            (site.share, target)
        })
        .collect()
}

/// A store of this process, for what an administrator does.
pub(crate) fn store(variables: &Variables) -> Store {
    let config = config(variables);
    let sealer = Sealer::new(&config.encryption_keys).unwrap();
    let options = variables["DATABASE_URL"].parse().unwrap();
    Store::new(options, sealer, DatabaseTimeouts::default())
}

/// Makes a site with its token and settings.
pub(crate) async fn add(store: &Store, site: &Site) -> Result<(), StoreError> {
    let settings = settings(site.distribution, site.key);
    add_site(store, &Clock::system(), site.name, &settings).await
}

/// Saves settings that name this distribution.
pub(crate) async fn point_at(
    store: &Store,
    site: &Site,
    distribution: &str,
) -> Result<(), StoreError> {
    let now = Clock::system().now();
    let id = store.ensure_site(site.name, now).await?;
    let settings = settings(distribution, site.key);
    store
        .save_settings(id, None, Slot::Active, &settings, None, now)
        .await?;
    Ok(())
}

pub(crate) async fn remove(store: &Store, site: &Site) -> Result<(), StoreError> {
    let now = Clock::system().now();
    let id = store.ensure_site(site.name, now).await?;
    store.remove_site(id, now).await?;
    Ok(())
}
