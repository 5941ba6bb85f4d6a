//! How publishes become invalidations.

use serde_json::json;
use skycms_cdn::domain::{
    AfterCreate, Attempt, AwsError, KnownPaths, MonthlyLimit, PastLimit, PlanInput, Policy, Room,
    Spending, Terms, Verdict, WaitReason, Waiting, Wanted, plan,
};
use skycms_cdn::store::{
    Connection, PlanInputs, Publishes, Recorded, SendClaim, SendRecord, Slot, Taking,
};

use crate::support::{
    DISTRIBUTION, Database, KEY, OTHER, OTHER_KEY, Replica, SECRET, Sandbox, Stepped, policy,
    settings, throttling, unavailable,
};

/// Terms that hold nothing back.
fn any_number(policy: Policy) -> Terms {
    Terms {
        policy,
        fold_above: 100,
        free_paths_left: u64::MAX,
        paths_left: None,
    }
}

/// All that waits.
pub(crate) fn all() -> Wanted {
    Wanted {
        terms: any_number(Policy::Everything),
        room: Room::default(),
        quota: Room::default(),
    }
}

#[tokio::test]
async fn a_lone_publish_goes_by_itself_and_completes() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start_with(500).await);
    let replica = Replica::start(&database, &sandbox).await;
    let id = replica.api.publish_path("/about").await;
    let publish = replica.api.wait_until_ended(&id).await;
    assert_eq!(publish["state"], "completed");
    let [invalidation] = publish["invalidations"].as_array().unwrap().as_slice() else {
        panic!("{publish:#}");
    };
    let [accepted] = sandbox.accepted().await.try_into().unwrap();
    assert_eq!(accepted["id"], invalidation["id"]);
    assert_eq!(accepted["paths"], json!(["/about"]));
}

#[tokio::test]
async fn a_storm_coalesces_while_a_call_is_under_way() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    sandbox.config(json!({ "latency_ms": 6_000 })).await;
    let replica = Replica::start(&database, &sandbox).await;
    let first = replica.api.publish_path("/first").await;
    let storm: Vec<_> = (0..50)
        .map(|n| {
            let api = replica.api.clone();
            tokio::spawn(async move { api.publish_path(&format!("/{}", n % 30)).await })
        })
        .collect();
    let mut ids = vec![first];
    for publish in storm {
        ids.push(publish.await.unwrap());
    }
    sandbox.config(json!({ "latency_ms": 0 })).await;
    for id in &ids {
        assert_eq!(replica.api.wait_until_ended(id).await["state"], "completed");
    }
    let paths: Vec<_> = (sandbox.creates().await.iter())
        .map(|call| call["paths"].as_u64().unwrap())
        .collect();
    // Where the machine is slow, some of the storm, or all of it, goes with the first call.
    assert!(paths.len() <= 2, "51 publishes take two calls: {paths:?}");
    assert!((31..=51).contains(&paths.iter().sum::<u64>()), "{paths:?}");
}

#[tokio::test]
async fn the_reference_is_stored_before_it_is_sent() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    sandbox
        .fault(json!({ "operation": "create", "fault": { "kind": "hang" } }))
        .await;
    let replica = Replica::start(&database, &sandbox).await;
    let id = replica.api.publish_path("/about").await;
    sandbox.wait_for_creates(1).await;
    let publish = replica.api.get_publish(&id).await;
    let sent = sandbox.creates().await[0]["caller_reference"].clone();
    assert!(sent.is_string());
    assert_eq!(publish["invalidations"][0]["caller_reference"], sent);
    assert_eq!(publish["invalidations"][0]["attempts"], 1);
}

#[tokio::test]
async fn a_move_to_another_distribution_replans_what_was_not_sent() {
    let service = Stepped::start().await;
    let site = service.site();
    service.sandbox.add_tenant(OTHER, OTHER_KEY).await;
    service.sandbox.never_complete().await;
    let sent = service.publish_and_run("/sent").await;
    service.sandbox.fail_creates(1, throttling()).await;
    let planned = service.publish_and_run("/planned").await;
    let waiting = service.api.publish_path("/waiting").await;

    service.activate(site, OTHER, OTHER_KEY).await;
    service.sandbox.complete().await;
    service.sandbox.complete_at_once().await;
    for id in [&planned, &waiting] {
        let publish = service.run_until_ended(id).await;
        assert_eq!(publish["state"], "completed");
        let invalidations = publish["invalidations"].as_array().unwrap();
        assert_eq!(invalidations.len(), 1);
        assert_eq!(invalidations[0]["distribution_id"], OTHER);
    }
    // The new key may not ask about the old distribution, so nobody can.
    let publish = service.run_until_ended(&sent).await;
    assert_eq!(publish["state"], "unconfirmed");
    assert_eq!(publish["invalidations"][0]["distribution_id"], DISTRIBUTION);
    assert_eq!(
        service.sandbox.outcomes().await,
        ["Accepted", "NotHandled", "Accepted"]
    );
}

/// All of the publish goes to the new one.
#[tokio::test]
async fn what_the_old_distribution_refused_fails_no_publish_at_another() {
    let service = Stepped::start().await;
    service.sandbox.add_tenant(OTHER, OTHER_KEY).await;
    service.sandbox.fail_creates(1, throttling()).await;
    let id = service.publish_and_run("/about").await;
    let refused = "INSERT INTO invalidation (id, site_id, distribution_id, caller_reference, items, files, wildcards,
                                             asked, status, created_at, ended_at)
                   SELECT gen_random_uuid(), site_id, distribution_id, 'refused', items, files, wildcards, asked,
                          'Failed', created_at, now() FROM invalidation;
                   INSERT INTO coverage (invalidation_id, site_id, publish_id)
                   SELECT i.id, p.site_id, p.id FROM invalidation i, publish p WHERE i.status = 'Failed'";
    service.database.change(refused).await;

    service.activate(service.site(), OTHER, OTHER_KEY).await;
    let publish = service.run_until_ended(&id).await;
    assert_eq!(publish["state"], "completed", "{publish}");
}

/// Its record waits for the row that the move reads, or the other way round.
#[tokio::test]
async fn what_is_recorded_as_accepted_during_a_move_stays() {
    let service = Stepped::start().await;
    service.sandbox.add_tenant(OTHER, OTHER_KEY).await;
    service.sandbox.fail_creates(1, throttling()).await;
    service.publish_and_run("/about").await;
    let accepted = "UPDATE invalidation SET status = 'InProgress', cloudfront_id = 'IACCEPTED', submitted_at = now(),
                                            waiting_for = NULL";
    let recording = service.database.hold(accepted).await;
    let committing = async {
        service.database.wait_for_locks(1).await;
        recording.release().await;
    };
    tokio::join!(
        service.activate(service.site(), OTHER, OTHER_KEY),
        committing
    );
    let stored = "SELECT count(*) FROM invalidation WHERE status = 'InProgress' AND cloudfront_id = 'IACCEPTED'";
    assert_eq!(service.database.count(stored).await, 1);
}

#[tokio::test]
async fn a_new_key_follows_what_the_old_one_sent() {
    let service = Stepped::start().await;
    service.sandbox.never_complete().await;
    let id = service.publish_and_run("/about").await;
    let new = "AKIANEWKEY0000000001";
    service
        .sandbox
        .set_key(
            new,
            json!({ "secret_access_key": SECRET, "policy": policy(DISTRIBUTION) }),
        )
        .await;
    service.activate(service.site(), DISTRIBUTION, new).await;
    service.sandbox.enable_key(false).await;
    service.sandbox.complete().await;
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
    let asked = service.sandbox.calls("GetInvalidation").await;
    assert_eq!(asked.last().unwrap()["access_key_id"], new);
}

#[tokio::test]
async fn settings_that_are_removed_let_publishes_wait_for_others() {
    let service = Stepped::start().await;
    let site = service.site();
    service.activate(site, DISTRIBUTION, KEY).await;
    let (store, now) = (&service.state.store, service.state.clock.now());
    store.set_environment(site, None, now).await.unwrap();
    service.sandbox.fail_creates(1, throttling()).await;
    let id = service.publish_and_run("/about").await;
    store.remove_settings(site, now).await.unwrap();
    service.pass(60).await;
    let publish = service.api.get_publish(&id).await;
    assert_eq!(
        (&publish["state"], &publish["waiting_for"]),
        (&json!("queued"), &json!("settings"))
    );
    service.activate(site, DISTRIBUTION, KEY).await;
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
}

/// The planner has read the old settings, and the new ones are saved before it is done.
#[tokio::test]
async fn a_move_while_a_batch_is_being_planned_strands_nothing() {
    let service = Stepped::start().await;
    service.sandbox.add_tenant(OTHER, OTHER_KEY).await;
    let id = service.api.publish_path("/about").await;
    let read = Read::of(&service).await;
    let other = settings(OTHER, OTHER_KEY);
    service.save(service.site(), &other).await;
    assert!(read.claim(&service).await.is_none());
    let publish = service.run_until_ended(&id).await;
    assert_eq!(publish["state"], "completed", "{publish:#}");
    assert_eq!(publish["invalidations"][0]["distribution_id"], OTHER);
}

/// The planner has read what the owner allowed, and a limit is set before it is done.
#[tokio::test]
async fn a_limit_that_is_set_while_a_batch_is_being_planned_holds() {
    let service = Stepped::start().await;
    let paths = ["/one", "/two"].map(String::from);
    service.publish_paths(paths).await;
    let read = Read::of(&service).await;
    let limited = Spending {
        monthly_limit: Some(MonthlyLimit {
            paths: 1,
            then: PastLimit::Hold,
        }),
        ..Spending::default()
    };
    let (store, site) = (&service.state.store, service.site());
    assert!(store.save_spending(site, None, &limited).await.unwrap());
    assert!(read.claim(&service).await.is_none());
    service.pass(60).await;
    assert!(service.sandbox.creates().await.is_empty());
}

/// Where sites share a key and have distributions of their own, no lease keeps their calls apart.
#[tokio::test]
async fn a_claim_takes_a_call_of_what_others_have_left_of_the_rate() {
    let service = Stepped::start().await;
    service.publish_and_run("/first").await;
    service.api.publish_path("/about").await;
    let set_tokens = async |tokens: f64| {
        let set = format!("UPDATE access_key SET tokens = {tokens}");
        service.database.change(&set).await;
    };
    for (left, after) in [(0.5, None), (3.0, Some(2.0))] {
        set_tokens(4.0).await;
        let read = Read::of(&service).await;
        set_tokens(left).await;
        let claim = read.claim(&service).await;
        let (tokens,): (f64,) = service.database.row("SELECT tokens FROM access_key").await;
        assert_eq!(claim.map(|claim| claim.taking.bucket.tokens), after);
        assert_eq!(Some(tokens), after.or(Some(left)));
        let leases = "SELECT count(*) FROM distribution WHERE lease_token IS NOT NULL";
        let is_leased = service.database.count(leases).await == 1;
        assert_eq!(is_leased, after.is_some());
    }
}

/// A rebuild may be thousands.
#[tokio::test]
async fn no_more_publishes_are_read_for_the_log_than_it_names() {
    let service = Stepped::start().await;
    for n in 0..7 {
        service.api.publish_path(&format!("/{n}")).await;
    }
    let sent = claim(&service).await.stored.id;
    for (publishes, read) in [(Publishes::All, 7), (Publishes::Named, 5)] {
        let covered = service.state.store.covered(sent, publishes).await;
        let covered = covered.unwrap().unwrap();
        assert_eq!(covered.publishes.len(), read);
        let named = covered.publish_ids();
        assert!(named.ends_with(" and 2 more"), "{named}");
    }
}

/// Another replica has read that all of a publish is covered.
#[tokio::test]
async fn what_is_taken_back_counts_as_covering_nothing() {
    let service = Stepped::start().await;
    let (store, site) = (&service.state.store, service.site());
    let id = service.api.publish_path("/about").await;
    let inputs = Read::of(&service).await.inputs;
    store.take_back(site).await.unwrap();
    let publish = id.parse().unwrap();
    store.settle(&inputs, &[publish]).await.unwrap();
    assert_eq!(service.run_until_ended(&id).await["state"], "completed");
}

/// What a replica has read of site `default`, to plan a call from.
struct Read {
    connection: Connection,
    inputs: PlanInputs,
    waiting: Vec<Waiting>,
}

impl Read {
    async fn of(service: &Stepped) -> Self {
        let store = &service.state.store;
        let mut connection = store.connect().await.unwrap();
        let inputs = service.plan_inputs(&mut connection).await;
        let distribution = &inputs.settings.distribution_id;
        let waiting = store.waiting(&mut connection, service.site(), distribution, all());
        let waiting = waiting.await.unwrap();
        Self {
            connection,
            inputs,
            waiting,
        }
    }

    /// Claims a call for all that waits, unless something has changed since.
    async fn claim(mut self, service: &Stepped) -> Option<SendClaim> {
        let (store, clock) = (&service.state.store, &service.state.clock);
        let (inputs, waiting, limits) = (&self.inputs, &self.waiting, &service.state.limits);
        let plan = plan(&PlanInput {
            waiting,
            room: limits.quota(),
            quota: limits.quota(),
            terms: any_number(Policy::Exact),
            known_paths: &KnownPaths::default(),
            overdue: false,
        });
        let taking = Taking {
            bucket: inputs.bucket.take(limits).unwrap(),
            token: clock.id(),
            now: clock.now(),
        };
        let ids = vec![clock.id()];
        let connection = &mut self.connection;
        let claim = store.claim_planned(connection, inputs, &plan, waiting, ids, taking);
        claim.await.unwrap()
    }
}

/// Claims a call for what waits at site `default`.
async fn claim(service: &Stepped) -> SendClaim {
    Read::of(service).await.claim(service).await.unwrap()
}

/// A publish waits beside an invalidation of the old distribution, which ends while the publish is
/// being stored as planned for the new one.
#[tokio::test]
async fn an_end_at_the_old_distribution_ends_nothing_that_goes_to_the_new_one() {
    let service = Stepped::start_with(&[("CLOUDFRONT_WILDCARDS_IN_PROGRESS", "2")]).await;
    service.sandbox.add_tenant(OTHER, OTHER_KEY).await;
    service.sandbox.never_complete().await;
    let pair = |one: &str, two: &str| json!({ "paths": [one, two] });
    service.api.publish(pair("/a/*", "/b/*")).await;
    let publish = service.api.publish(pair("/a/*", "/c/*")).await;
    let id = publish["id"].as_str().unwrap();
    service.run().await;
    assert_eq!(service.state_of(id).await, "in_progress", "a part of it");
    service.activate(service.site(), OTHER, OTHER_KEY).await;

    let lock = "SELECT FROM publish WHERE NOT planned FOR UPDATE";
    let lock = service.database.hold(lock).await;
    let run = || {
        let dispatcher = service.dispatcher.clone();
        tokio::spawn(async move { dispatcher.run_pending().await })
    };
    let claiming = run();
    service.database.wait_for_locks(1).await;
    service.advance(time::Duration::seconds(3));
    let asking = run();
    service.database.wait_for_locks(2).await;
    lock.release().await;
    claiming.await.unwrap().unwrap();
    asking.await.unwrap().unwrap();
    let publish = service.api.get_publish(id).await;
    assert_eq!(publish["state"], "in_progress", "{publish:#}");

    service.sandbox.complete().await;
    // The new key may not ask about the old distribution.
    let publish = service.run_until_ended(id).await;
    assert_eq!(publish["state"], "unconfirmed", "{publish:#}");
    assert_eq!(service.sandbox.accepted().await.len(), 2);
}

/// A call with the old key is under way when the new key is saved; then AWS refuses the old one.
#[tokio::test]
async fn a_refusal_of_replaced_settings_does_not_pause_the_site() {
    let service = Stepped::start().await;
    let (site, limits) = (service.site(), service.state.limits);
    let id = service.api.publish_path("/about").await;
    let (store, now) = (&service.state.store, service.state.clock.now());
    let claim = claim(&service).await;
    let later = now + time::Duration::SECOND;
    let same = settings(DISTRIBUTION, KEY);
    store
        .save_settings(site, None, Slot::Active, &same, None, later)
        .await
        .unwrap();
    let refused = SendRecord {
        verdict: Verdict {
            beliefs: claim.beliefs(now),
            rate: None,
            after: AfterCreate::Queued {
                why: WaitReason::Settings,
                until: later + time::Duration::seconds(30),
                error: AwsError {
                    code: "InvalidClientTokenId".into(),
                    message: "The security token included in the request is invalid.".into(),
                    request_id: None,
                    http_status: Some(403),
                },
                attempt: Attempt::Refused,
            },
        },
        fix: None,
        ids: Vec::new(),
        accepted_at: later,
    };
    let recorded = store.record_send(&claim, &refused, &limits, later).await;
    assert_eq!(recorded.unwrap(), Recorded::Ours);
    service.state.directory.refresh(store).await.unwrap();
    assert!(
        service
            .state
            .directory
            .site("default")
            .unwrap()
            .pause
            .is_none()
    );
    service.pass(1).await;
    let publish = service.api.get_publish(&id).await;
    assert_eq!(publish["state"], "in_progress", "{publish:#}");
}

/// The site has moved during the call, and is removed while its record is being written.
#[tokio::test]
async fn a_removal_and_the_record_of_a_call_that_was_set_aside_wait_in_no_circle() {
    let service = Stepped::start().await;
    service.sandbox.add_tenant(OTHER, OTHER_KEY).await;
    service.sandbox.complete_at_once().await;
    // With settings that are proven, whose row both would come to first, and in a new month.
    service.publish_and_run("/first").await;
    service.database.change("DELETE FROM usage").await;
    service.advance(time::Duration::seconds(5));
    service.api.publish_path("/about").await;
    let claim = claim(&service).await;
    service.activate(service.site(), OTHER, OTHER_KEY).await;
    service.sandbox.fail_creates(1, unavailable()).await;
    service.run().await;

    let (store, site) = (service.state.store.clone(), service.site());
    let (now, limits) = (service.state.clock.now(), service.state.limits);
    let held = service.database.hold("SELECT FROM hook_secret FOR UPDATE");
    let held = held.await;
    let removing = tokio::spawn({
        let store = store.clone();
        async move { store.remove_site(site, now).await }
    });
    service.database.wait_for_locks(1).await;
    let accepted = SendRecord {
        verdict: Verdict {
            beliefs: claim.beliefs(now),
            rate: None,
            after: AfterCreate::InProgress {
                id: "I2J0I21PCUYOIK".parse().unwrap(),
                next_poll: now,
            },
        },
        fix: None,
        ids: Vec::new(),
        accepted_at: now,
    };
    let recording =
        tokio::spawn(async move { store.record_send(&claim, &accepted, &limits, now).await });
    service.database.wait_for_locks(2).await;
    held.release().await;
    assert!(removing.await.unwrap().unwrap());
    assert_eq!(recording.await.unwrap().unwrap(), Recorded::Ours);
}
