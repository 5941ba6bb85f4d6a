//! Any bytes as the body of the publish hook: nothing panics, and what is accepted is sound to the
//! last batch.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use skycms_cdn::domain::{
    Item, KindCounts, KnownPaths, Partition, PlanInput, Policy, PublishRequest, Publishing, Room,
    Terms, Waiting, canonicalize, plan,
};
use uuid::Uuid;

fuzz_target!(|body: &[u8]| {
    let Ok(request) = serde_json::from_slice::<PublishRequest>(body) else {
        return;
    };
    let rules = Publishing {
        hosts: vec!["www.example.com".parse().expect("a host name")],
        related: vec![
            "/sitemap.xml".parse().expect("a rule"),
            "/blog/* => /blog/ /feed.xml".parse().expect("a rule"),
        ],
        directory_variants: body.len() % 2 == 0,
        ..Publishing::default()
    };
    match canonicalize(&request, &rules, Partition::Aws) {
        Err(errors) => assert!(!errors.is_empty()),
        Ok(canonical) => {
            for item in &canonical.items {
                assert_eq!(Item::from_canonical(item.as_str()).as_ref(), Ok(item));
            }
            stays_as_it_is(&canonical.items);
            is_planned(canonical.items);
        }
    }
});

fn stays_as_it_is(items: &[Item]) {
    let (tags, paths) = items
        .iter()
        .map(ToString::to_string)
        .partition(|item| item.starts_with('#'));
    let again = PublishRequest {
        paths,
        tags,
        everything: false,
    };
    let again = canonicalize(&again, &Publishing::default(), Partition::Aws)
        .expect("items are canonical");
    // Related pages stand behind tags the first time only.
    let in_order = |items: &[Item]| items.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(in_order(&again.items), in_order(items));
    assert_eq!(again.items.len(), items.len());
    assert!(again.widened.is_empty());
}

fn is_planned(items: Vec<Item>) {
    let waiting = [Waiting {
        publish: Uuid::nil(),
        items,
    }];
    let room = Room {
        items: KindCounts::counted(5, 2),
        paths_per_request: 6,
    };
    for policy in [Policy::Exact, Policy::Economical] {
        let plan = plan(&PlanInput {
            waiting: &waiting,
            room,
            quota: room,
            terms: Terms {
                policy,
                fold_above: 3,
                free_paths_left: u64::MAX,
                paths_left: None,
            },
            known_paths: &KnownPaths::default(),
            overdue: false,
        });
        assert_eq!(plan.taken, [Uuid::nil()]);
        for item in &waiting[0].items {
            assert!(
                plan.batches
                    .iter()
                    .flat_map(|batch| &batch.items)
                    .any(|sent| sent.covers(item))
            );
        }
        for batch in &plan.batches {
            let wildcards = batch.items.iter().filter(|item| item.is_wildcard()).count();
            assert!(wildcards <= 2 && batch.items.len() - wildcards <= 5 && batch.items.len() <= 6);
        }
    }
}
