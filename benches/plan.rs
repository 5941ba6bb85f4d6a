//! How long planning takes as the backlog grows. The time for one publish should stay the same from
//! line to line.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

use std::time::Instant;

use skycms_cdn::domain::{
    Item, KindCounts, KnownPaths, PlanInput, Policy, Room, Terms, Waiting, plan,
};
use uuid::Uuid;

const ROUNDS: u32 = 5;

fn main() {
    println!(
        "{:<12}{:>10}{:>8}{:>12}{:>14}{:>8}",
        "policy", "publishes", "items", "plan", "a publish", "sent"
    );
    for (name, policy) in [
        ("exact", Policy::Exact),
        ("economical", Policy::Economical),
        ("everything", Policy::Everything),
    ] {
        for publishes in [1_000, 2_000, 5_000, 10_000] {
            let waiting: Vec<_> = (0..publishes).map(publish).collect();
            let known =
                KnownPaths::new((0..50_000).map(|i| format!("/section-{}/page-{i}", i % 100)));
            let room = Room {
                items: KindCounts::counted(100_000, 15),
                paths_per_request: 100_000,
            };
            let input = PlanInput {
                waiting: &waiting,
                room,
                quota: room,
                terms: Terms {
                    policy,
                    fold_above: 100,
                    free_paths_left: u64::MAX,
                    paths_left: None,
                },
                known_paths: &known,
                overdue: false,
            };
            let started = Instant::now();
            let sent: usize = (0..ROUNDS)
                .map(|_| plan(&input).batches[0].items.len())
                .max()
                .unwrap();
            let took = started.elapsed() / ROUNDS;
            let items = publishes * 5;
            println!(
                "{name:<12}{publishes:>10}{items:>8}{took:>12.2?}{:>14.2?}{sent:>8}",
                took / publishes
            );
        }
    }
}

/// A page and its picture, each its own, and three items that all publishes share.
fn publish(i: u32) -> Waiting {
    let items = [
        format!("/section-{}/page-{i}", i % 100),
        format!("/files/{}/{i}.png", i % 1_000),
        "/".to_owned(),
        "/index.html".to_owned(),
        "/sitemap.xml".to_owned(),
    ];
    Waiting {
        publish: Uuid::from_u128(u128::from(i)),
        items: items
            .iter()
            .map(|item| Item::from_canonical(item).unwrap())
            .collect(),
    }
}
