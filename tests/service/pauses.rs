//! Settings that go bad while publishes flow: the site pauses, says why, and goes on by itself.
//! Others feel nothing.

use std::sync::Arc;

use serde_json::{Value, json};
use skycms_cdn::domain::{Credentials, Settings};

use crate::faults::{assert_shows, only};
use crate::support::{
    DISTRIBUTION, Database, ENCRYPTION_KEY, KEY, LOG, NO_SETTINGS, OTHER, OTHER_KEY, Stepped,
    policy, settings,
};

/// Breaks the settings in force, checks that the site pauses and the other one does not notice,
/// fixes them, and checks that everything goes on by itself.
async fn a_pause(service: &Stepped, code: &str, bad: Value, good: Value) {
    let other = service.add_other_site().await;
    service.sandbox.set_key(KEY, bad).await;
    let id = service.publish_and_run("/about").await;
    let publish = service.api.get_publish(&id).await;
    assert_shows(&publish, "queued", "Queued", json!("settings"), 1);
    assert_eq!(only(&publish)["error"]["code"], code);
    assert!(
        only(&publish)["error"]["fix"]
            .as_str()
            .is_some_and(|fix| fix.len() > 20)
    );

    // What comes meanwhile waits too, and AWS is left in peace.
    let later = service.publish_and_run("/later").await;
    let waiting = service.api.get_publish(&later).await;
    assert_eq!(
        (&waiting["state"], &waiting["waiting_for"]),
        (&json!("queued"), &json!("settings"))
    );
    // Nor does a publish that wakes the dispatcher for this site alone get past the pause.
    let (store, now) = (&service.state.store, service.state.clock.now());
    let connection = &mut store.connect().await.unwrap();
    let inputs = service.plan_inputs(connection).await;
    assert!(inputs.resume_at.is_some_and(|until| until > now));
    service.pass(20).await;
    let ours = |calls: Vec<Value>| {
        calls
            .iter()
            .filter(|c| c["distribution"] == DISTRIBUTION)
            .count()
    };
    assert_eq!(ours(service.sandbox.creates().await), 1);
    let theirs = other.publish_path("/theirs").await;
    service.run().await;
    service.pass(3).await;
    assert_eq!(other.get_publish(&theirs).await["state"], "completed");

    service.pass(10).await;
    assert_eq!(
        ours(service.sandbox.creates().await),
        2,
        "tried again now and then"
    );
    service.sandbox.set_key(KEY, good).await;
    for id in [id, later] {
        let publish = service.run_until_ended(&id).await;
        assert_eq!(publish["state"], "completed");
        assert_eq!(only(&publish)["waiting_for"], Value::Null);
    }
    service.refresh_sites().await;
    assert_eq!(service.state.directory.site("default").unwrap().pause, None);
}

#[tokio::test]
async fn a_disabled_key_pauses_its_site_until_it_is_enabled() {
    let service = Stepped::start().await;
    a_pause(
        &service,
        "InvalidClientTokenId",
        json!({ "enabled": false }),
        json!({ "enabled": true }),
    )
    .await;
}

#[tokio::test]
async fn a_detached_policy_pauses_its_site_until_it_is_attached() {
    let service = Stepped::start().await;
    a_pause(
        &service,
        "AccessDenied",
        json!({ "policy": null }),
        json!({ "policy": policy(DISTRIBUTION) }),
    )
    .await;
}

#[tokio::test]
async fn a_changed_secret_pauses_its_site_until_the_settings_are_fixed() {
    let service = Stepped::start().await;
    let secret = crate::support::SECRET;
    a_pause(
        &service,
        "SignatureDoesNotMatch",
        json!({ "secret_access_key": "another/secret/of/cloudfront/00000000001" }),
        json!({ "secret_access_key": secret }),
    )
    .await;
}

#[tokio::test]
async fn a_wrong_distribution_waits_for_settings_and_goes_to_the_right_one() {
    let service = Stepped::start().await;
    let site = service.site();
    service.activate(site, "E2WRONG0000001", KEY).await;
    for (policy_of, code) in [(DISTRIBUTION, "AccessDenied"), ("*", "NoSuchDistribution")] {
        service
            .sandbox
            .set_key(KEY, json!({ "policy": policy(policy_of) }))
            .await;
        service.activate(site, "E2WRONG0000001", KEY).await;
        let id = service.publish_and_run("/about").await;
        let publish = service.api.get_publish(&id).await;
        assert_eq!(publish["state"], "queued");
        let invalidation = publish["invalidations"].as_array().unwrap().last();
        if let Some(invalidation) = invalidation {
            assert_eq!(invalidation["waiting_for"], "settings");
            assert_eq!(invalidation["error"]["code"], code);
            assert_eq!(invalidation["distribution_id"], "E2WRONG0000001");
        } else {
            assert_eq!(publish["waiting_for"], "settings");
        }
        service.activate(site, DISTRIBUTION, KEY).await;
        let publish = service.run_until_ended(&id).await;
        assert_shows(&publish, "completed", "Completed", Value::Null, 1);
        assert_eq!(only(&publish)["distribution_id"], DISTRIBUTION);
    }
    assert_eq!(service.sandbox.accepted().await.len(), 2);
}

#[tokio::test]
async fn a_pause_ends_with_whatever_shows_that_the_settings_work() {
    for fault in [
        json!({ "kind": "error", "code": "TooManyInvalidationsInProgress", "status": 400 }),
        json!({ "kind": "error", "code": "InvalidArgument", "status": 400 }),
    ] {
        let service = Stepped::start().await;
        service.sandbox.enable_key(false).await;
        service.publish_and_run("/about").await;
        service.sandbox.enable_key(true).await;
        service.sandbox.fail_creates(1, fault.clone()).await;
        service.pass(31).await;
        service.refresh_sites().await;
        let pause = &service.state.directory.site("default").unwrap().pause;
        assert_eq!(*pause, None, "{fault}");
    }
}

#[tokio::test]
async fn a_replica_that_starts_with_the_same_settings_ends_no_pause() {
    let in_the_environment: &[(&str, &str)] = &[];
    let saved_on_the_page = NO_SETTINGS;
    for environment in [in_the_environment, saved_on_the_page] {
        let service = Stepped::start_with(environment).await;
        if !environment.is_empty() {
            service.activate(service.site(), DISTRIBUTION, KEY).await;
        }
        let bad = json!({ "enabled": false });
        service.sandbox.set_key(KEY, bad).await;
        service.publish_and_run("/about").await;
        let before = standing(&service).await;
        assert!(before.0, "paused");
        let database = Database::at(service.database.url.clone());
        let sandbox = Arc::clone(&service.sandbox);
        let second = time::Duration::SECOND;
        Stepped::start_on(database, sandbox, environment, second).await;
        assert_eq!(standing(&service).await, before, "{environment:?}");
    }
}

/// Settings that others stand before, and leave to use what they do not name.
#[tokio::test]
async fn what_is_not_in_force_ends_no_pause() {
    let service = Stepped::start().await;
    let site = service.site();
    service.activate(site, DISTRIBUTION, KEY).await;
    service.sandbox.enable_key(false).await;
    service.publish_and_run("/about").await;
    let before = standing(&service).await;
    assert!(before.0);

    let (store, now) = (&service.state.store, service.state.clock.now());
    let given = settings(OTHER, OTHER_KEY);
    let distribution = &given.distribution_id;
    for settings in [Some(&given), None] {
        let said = store.set_environment(site, settings, now);
        said.await.unwrap();
    }
    assert!(store.grant_default(site, distribution, now).await.unwrap());
    assert!(store.revoke_default(site, distribution, now).await.unwrap());
    assert!(!store.revoke_default(site, distribution, now).await.unwrap());
    assert_eq!(standing(&service).await, before);
}

/// Each start of a replica brings them again.
#[tokio::test]
async fn default_credentials_that_the_environment_brings_end_a_pause_once() {
    let service = Stepped::start().await;
    let site = service.site();
    let by_default = Settings {
        credentials: Credentials::AwsDefault,
        ..settings(DISTRIBUTION, KEY)
    };
    service.save(site, &by_default).await;
    service.publish_and_run("/about").await;
    let (is_paused, version) = standing(&service).await;
    assert!(is_paused);

    let (store, now) = (&service.state.store, service.state.clock.now());
    let grants = [("default".to_owned(), by_default.distribution_id)];
    for _ in 0..2 {
        let unknown = store.set_environment_grants(&grants, now).await.unwrap();
        assert!(unknown.is_empty(), "{unknown:?}");
        assert_eq!(standing(&service).await, (false, version + 1));
    }
    store.set_environment_grants(&[], now).await.unwrap();
    assert!(!store.may_use_default(site, &grants[0].1).await.unwrap());
}

/// Whether site `default` is paused, and the version of its settings.
async fn standing(service: &Stepped) -> (bool, i32) {
    let standing =
        "SELECT paused_at IS NOT NULL, settings_version FROM site WHERE name = 'default'";
    service.database.row(standing).await
}

#[tokio::test]
async fn a_key_that_is_fixed_at_aws_is_noticed_within_a_tenth_of_the_pause() {
    let service = Stepped::start().await;
    for (paused_for, noticed_after) in [(4 * 60, 31), (50 * 60, 301), (3 * 3_600, 601)] {
        let key = |enabled| json!({ "enabled": enabled });
        service.sandbox.set_key(KEY, key(false)).await;
        let id = service.publish_and_run("/about").await;
        service.pass_in_steps(paused_for / 60, 60).await;
        service.sandbox.set_key(KEY, key(true)).await;
        service.pass(noticed_after).await;
        assert_ne!(service.state_of(&id).await, "queued", "{paused_for} s");
        service.run_until_ended(&id).await;
    }
}

/// Leaves secrets of site `default` that no key opens.
async fn spoil_secrets(service: &Stepped) {
    let unreadable = format!(
        "UPDATE cdn_settings SET secret_access_key = '\\x0100'
         WHERE distribution_id = '{DISTRIBUTION}'"
    );
    service.database.change(&unreadable).await;
}

#[tokio::test]
async fn the_log_says_once_why_a_site_is_paused_and_again_when_that_changes() {
    let log = LOG.of_this_thread();
    let service = Stepped::start().await;
    service.sandbox.enable_key(false).await;
    service.publish_and_run("/about").await;
    spoil_secrets(&service).await;
    service.pass_in_steps(5, 31).await;
    let paused = " paused site=#1 error=a stored secret cannot be opened";
    assert_eq!(log.text().matches(paused).count(), 1, "{}", log.text());
}

/// Another one has sealed them with a key that this one lacks.
#[tokio::test]
async fn a_replica_that_cannot_read_settings_pauses_no_site_that_another_one_serves() {
    let service = Stepped::start().await;
    service.sandbox.complete_at_once().await;
    let keys = format!("H25Qb2BwQdEuAjPoGWoSeIpKRtlIoxzoqpCb6YIPtF0=,{ENCRYPTION_KEY}");
    let database = Database::at(service.database.url.clone());
    let (sandbox, now) = (Arc::clone(&service.sandbox), service.state.clock.now());
    let variables = [("ENCRYPTION_KEY", keys.as_str())];
    let reader = Stepped::start_at(database, sandbox, &variables, now).await;
    reader.activate(reader.site(), DISTRIBUTION, KEY).await;
    for n in 0..3 {
        let id = service.publish_and_run(&format!("/{n}")).await;
        assert_eq!(service.state_of(&id).await, "queued");
        assert!(!standing(&service).await.0, "paused");
        reader.run().await;
        assert_ne!(service.state_of(&id).await, "queued");
        service.pass(31).await;
        reader.pass(31).await;
    }

    // Nobody else is there, until somebody comes.
    let id = service.publish_and_run("/alone").await;
    for _ in 0..4 {
        service.pass(31).await;
        let publish = service.api.get_publish(&id).await;
        assert_eq!(publish["waiting_for"], "settings");
    }
    reader.pass(4 * 31).await;
    assert_ne!(service.state_of(&id).await, "queued");
    assert!(!standing(&service).await.0, "paused");
}

#[tokio::test]
async fn a_secret_that_does_not_open_waits_for_settings_and_holds_nobody_else_up() {
    let service = Stepped::start().await;
    let other = service.add_other_site().await;
    service.activate(service.site(), DISTRIBUTION, KEY).await;
    let sent = service.publish_and_run("/sent").await;
    spoil_secrets(&service).await;
    let waiting = service.api.publish_path("/waiting").await;
    let theirs = other.publish_path("/theirs").await;
    service.run().await;
    service.pass(3).await;
    service.pass(31).await;
    assert_eq!(other.get_publish(&theirs).await["state"], "completed");
    assert_eq!(service.api.get_publish(&sent).await["state"], "in_progress");
    let publish = service.api.get_publish(&waiting).await;
    assert_eq!(
        (&publish["state"], &publish["waiting_for"]),
        (&json!("queued"), &json!("settings"))
    );
    service.refresh_sites().await;
    let site = service.state.directory.site("default").unwrap();
    let error = &site.pause.as_ref().unwrap().error;
    assert!(
        error
            .message
            .contains("enter the secret again on the settings page")
    );

    service.activate(service.site(), DISTRIBUTION, KEY).await;
    for id in [sent, waiting] {
        assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    }
}

#[tokio::test]
async fn a_clock_that_is_off_waits_for_settings_and_goes_on_by_itself() {
    let service = Stepped::start().await;
    service
        .sandbox
        .config(json!({ "clock_offset_seconds": 3_600 }))
        .await;
    let id = service.publish_and_run("/about").await;
    let publish = service.api.get_publish(&id).await;
    assert_shows(&publish, "queued", "Queued", json!("settings"), 1);
    assert!(
        only(&publish)["error"]["fix"]
            .as_str()
            .unwrap()
            .contains("clock")
    );
    service
        .sandbox
        .config(json!({ "clock_offset_seconds": 0 }))
        .await;
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
}
