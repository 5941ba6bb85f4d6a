//! What must hold for every plan.

use std::collections::{HashSet, VecDeque};

use proptest::prelude::*;
use skycms_cdn::domain::fold::{
    FoldGoal, PLAIN_WEIGHT, UNKNOWN_BELOW_A_DIRECTORY, UNKNOWN_BELOW_THE_ROOT, fold,
};
use skycms_cdn::domain::{Item, KindCounts, Policy, Room, Waiting, Wanted};
use uuid::Uuid;

use super::plan::{Site, item, known, room};

/// A few names, so that items meet, nest and repeat.
fn any_item() -> impl Strategy<Value = Item> {
    let path = prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "d?x"]), 0..4);
    prop_oneof![
        12 => (path.clone(), any::<bool>()).prop_map(|(names, slash)| {
            let slash = if slash && !names.is_empty() { "/" } else { "" };
            item(&format!("/{}{slash}", names.join("/")))
        }),
        2 => path.prop_map(|names| item(&format!("/{}*", names.join("/")))),
        1 => prop::sample::select(vec!["#a", "#b"]).prop_map(item),
    ]
}

fn any_waiting() -> impl Strategy<Value = Vec<Waiting>> {
    prop::collection::vec(prop::collection::vec(any_item(), 1..8), 0..30).prop_map(|publishes| {
        (1..)
            .zip(publishes)
            .map(|(id, items)| Waiting {
                publish: Uuid::from_u128(id),
                items,
            })
            .collect()
    })
}

fn any_site() -> impl Strategy<Value = Site> {
    let policy = prop_oneof![
        Just(Policy::Exact),
        Just(Policy::Economical),
        Just(Policy::Everything),
    ];
    let quota = (1..12u32, 1..5u32, 1..12u32);
    let known_items = prop::collection::vec(any_item(), 0..40);
    (
        (policy, 1..20u32),
        quota,
        (0..12u32, 0..5u32),
        known_items,
        any::<Option<u8>>(),
        any::<bool>(),
    )
        .prop_map(
            |(
                (policy, fold_above),
                (files, wildcards, request),
                (free_files, free_wildcards),
                paths,
                free,
                overdue,
            )| Site {
                policy,
                fold_above,
                quota: room(files, wildcards, request),
                room: room(
                    free_files.min(files),
                    free_wildcards.min(wildcards),
                    request,
                ),
                known: known(
                    paths
                        .into_iter()
                        .filter(|item| !item.is_wildcard() && !item.as_str().starts_with('#')),
                ),
                free: free.map_or(u64::MAX, u64::from),
                overdue,
                budget: None,
            },
        )
}

fn within(items: &[Item], room: Room) -> bool {
    KindCounts::of(items).fits(room.items) && items.len() <= room.paths_per_request as usize
}

proptest! {
    /// What need not be read.
    #[test]
    fn nothing_goes_of_what_lacks_room(site in any_site(), waiting in any_waiting()) {
        let wanted = Wanted { terms: site.terms(), room: site.room, quota: site.quota };
        let kinds: KindCounts = waiting.iter().map(|waiting| KindCounts::of(&waiting.items)).sum();
        if wanted.lacks(kinds).is_some() || wanted.is_nothing() {
            prop_assert!(site.plan(&waiting).batches.is_empty());
        }
    }

    #[test]
    fn plans_cover_all_they_take_and_keep_the_quotas(site in any_site(), waiting in any_waiting()) {
        let plan = site.plan(&waiting);
        prop_assert_eq!(&site.plan(&waiting), &plan, "the same input, the same plan");

        let sent: Vec<_> = plan.batches.iter().flat_map(|batch| &batch.items).collect();
        let asked: HashSet<_> = waiting.iter().flat_map(|waiting| &waiting.items).collect();
        let folds: HashSet<_> = plan.folds.iter().collect();
        for waiting in &waiting {
            let covered = waiting.items.iter().all(|item| sent.iter().any(|sent| sent.covers(item)));
            prop_assert_eq!(plan.taken.contains(&waiting.publish), covered);
            for batch in &plan.batches {
                let touched = waiting.items.iter().any(|item| batch.items.iter().any(|sent| sent.covers(item)));
                prop_assert_eq!(batch.publishes.contains(&waiting.publish), touched);
            }
        }
        for (i, item) in sent.iter().enumerate() {
            prop_assert!(asked.contains(item) || folds.contains(item), "{} was not asked for", item);
            prop_assert!(!sent.iter().enumerate().any(|(j, other)| i != j && other.covers(item)), "{} goes twice", item);
        }
        if site.policy == Policy::Exact {
            prop_assert!(folds.is_empty());
        }
        for (i, batch) in plan.batches.iter().enumerate() {
            prop_assert!(!batch.items.is_empty() && !batch.publishes.is_empty());
            let limit = if i == 0 { site.room } else { site.quota };
            prop_assert!(within(&batch.items, limit), "{:?} exceeds {:?}", batch.items, limit);
        }
        prop_assert_eq!(!plan.has_backlog && !plan.is_limited, plan.taken.len() == waiting.len());
        let paid = sent.len() as u64 + plan.saved.coalesced + plan.saved.folded;
        let purged = waiting.iter().flat_map(|waiting| &waiting.items).filter(|item| sent.iter().any(|sent| sent.covers(item)));
        prop_assert_eq!(paid, purged.count() as u64);
    }

    /// Every round new publishes arrive, and what was sent completes three rounds later. Whoever is
    /// there at the beginning is gone after a number of rounds that depends on those before him
    /// only.
    #[test]
    fn nobody_is_overtaken_for_ever(mut site in any_site(), waiting in any_waiting(), young in any_waiting()) {
        const ROUNDS_IN_PROGRESS: usize = 3;
        let quota = site.quota;
        let mut queue: VecDeque<_> = waiting.clone().into();
        let mut old: HashSet<_> = waiting.iter().map(|waiting| waiting.publish).collect();
        let mut stored: VecDeque<Vec<Item>> = VecDeque::new();
        let mut progress: VecDeque<Vec<Item>> = vec![Vec::new(); ROUNDS_IN_PROGRESS].into();
        let items: usize = waiting.iter().map(|waiting| waiting.items.len()).sum();
        let mut id = 1_000;
        for round in 0.. {
            if old.is_empty() {
                break;
            }
            prop_assert!(round <= items * (ROUNDS_IN_PROGRESS + 1), "still waiting: {:?}", old);
            progress.pop_front();
            site.room = quota.less(progress.iter().map(|items| KindCounts::of(items)).sum());
            if stored.is_empty() {
                let plan = site.plan(queue.make_contiguous());
                queue.retain(|waiting| !plan.taken.contains(&waiting.publish));
                old.retain(|publish| !plan.taken.contains(publish));
                for waiting in &mut queue {
                    waiting.items.retain(|item| !plan.batches.iter().flat_map(|b| &b.items).any(|sent| sent.covers(item)));
                }
                stored.extend(plan.batches.into_iter().map(|batch| batch.items));
            }
            let sendable = stored.front().is_some_and(|items| within(items, site.room));
            progress.push_back(if sendable { stored.pop_front().unwrap() } else { Vec::new() });
            for mut arrival in young.iter().cloned() {
                arrival.publish = Uuid::from_u128(id);
                id += 1;
                queue.push_back(arrival);
            }
            queue.truncate(200);
        }
    }

    /// Against every possible choice of directories.
    #[test]
    fn no_other_choice_of_as_few_items_purges_less(
        paths in prop::collection::btree_set("/[ab]/[ab]/[a-d]|/[a-c]/[a-e]|/[a-e]", 2..12),
        paths_known in prop::collection::btree_set("/[ab]/[ab]/[a-d]|/[a-c]/[a-e]|/[a-e]", 0..40),
        wildcards in 1..4usize,
        goal in 1..12usize,
        copies in 1..60usize,
    ) {
        let items: Vec<_> = paths.iter().map(|path| item(path)).collect();
        // Copies make known pages weigh as much as the unknown ones.
        let all_known: Vec<_> = paths_known.iter().flat_map(|path| {
            let changed = paths.contains(path);
            (0..copies).map(move |i| if i == 0 || changed { path.clone() } else { format!("{path}{i}") })
        }).collect();
        let goal = FoldGoal { items: goal, wildcards, asked_wildcards_count: false, weight: PLAIN_WEIGHT };
        let chosen = fold(&items.iter().collect::<Vec<_>>(), &known(all_known.clone()), goal);

        let distinct: HashSet<_> = all_known.iter().collect();
        let unchanged: Vec<_> = distinct.into_iter().filter(|path| !paths.contains(*path)).map(|path| item(path)).collect();
        let outcome = |folds: &[Item]| {
            let left = items.iter().filter(|item| !folds.iter().any(|fold| fold.covers(item))).count() + folds.len();
            let known = unchanged.iter().filter(|item| folds.iter().any(|fold| fold.covers(item))).count() as u64;
            let unknown: u64 = folds
                .iter()
                .map(|f| if f.as_str() == "/*" { UNKNOWN_BELOW_THE_ROOT } else { UNKNOWN_BELOW_A_DIRECTORY })
                .sum();
            (left, known + unknown)
        };
        let (left, needless) = outcome(&chosen);
        prop_assert!(left <= goal.items && chosen.len() <= wildcards);

        let directories: Vec<_> = ["/*", "/a/*", "/b/*", "/c/*", "/a/a/*", "/a/b/*", "/b/a/*", "/b/b/*"].map(item).into();
        for set in 0..1_u32 << directories.len() {
            let folds: Vec<_> = directories.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1).map(|(_, d)| d.clone()).collect();
            let nested = folds.iter().any(|a| folds.iter().any(|b| a != b && a.covers(b)));
            let useful = folds.iter().all(|fold| items.iter().any(|item| fold.covers(item)));
            if nested || !useful || folds.len() > wildcards {
                continue;
            }
            let (other_left, other_needless) = outcome(&folds);
            prop_assert!(other_left > left || other_needless >= needless, "{:?} beats {:?}", folds, chosen);
        }
    }
}
