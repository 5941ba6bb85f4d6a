//! Coverage, quotas, policies and folding.

use skycms_cdn::domain::fold::{FoldGoal, PLAIN_WEIGHT, fold};
use skycms_cdn::domain::{
    Fate, Item, KindCounts, KnownPaths, Partition, Plan, PlanInput, Policy, PublishRequest,
    Publishing, Room, Terms, Waiting, Wanted, canonicalize, explain, plan,
};
use uuid::Uuid;

pub(crate) fn item(canonical: &str) -> Item {
    Item::from_canonical(canonical).unwrap()
}

fn publish<S: AsRef<str>>(id: u128, items: impl IntoIterator<Item = S>) -> Waiting {
    Waiting {
        publish: Uuid::from_u128(id),
        items: items.into_iter().map(|i| item(i.as_ref())).collect(),
    }
}

pub(crate) fn known<S: ToString>(paths: impl IntoIterator<Item = S>) -> KnownPaths {
    KnownPaths::new(paths.into_iter().map(|path| path.to_string()))
}

pub(crate) fn room(files: u32, wildcards: u32, paths_per_request: u32) -> Room {
    Room {
        items: KindCounts::counted(files, wildcards),
        paths_per_request,
    }
}

#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) policy: Policy,
    pub(crate) fold_above: u32,
    pub(crate) room: Room,
    pub(crate) quota: Room,
    pub(crate) known: KnownPaths,
    pub(crate) free: u64,
    pub(crate) overdue: bool,
    pub(crate) budget: Option<u64>,
}

impl Site {
    fn new(policy: Policy) -> Self {
        let (room, quota) = (Room::default(), Room::default());
        Self {
            policy,
            fold_above: 100,
            room,
            quota,
            known: KnownPaths::default(),
            free: u64::MAX,
            overdue: false,
            budget: None,
        }
    }

    pub(crate) fn terms(&self) -> Terms {
        Terms {
            policy: self.policy,
            fold_above: self.fold_above,
            free_paths_left: self.free,
            paths_left: self.budget,
        }
    }

    pub(crate) fn plan(&self, waiting: &[Waiting]) -> Plan {
        plan(&PlanInput {
            waiting,
            room: self.room,
            quota: self.quota,
            terms: self.terms(),
            known_paths: &self.known,
            overdue: self.overdue,
        })
    }
}

fn batches(plan: &Plan) -> Vec<Vec<&str>> {
    plan.batches
        .iter()
        .map(|batch| batch.items.iter().map(Item::as_str).collect())
        .collect()
}

fn taken(plan: &Plan) -> Vec<u128> {
    plan.taken.iter().map(Uuid::as_u128).collect()
}

#[test]
fn waiting_publishes_go_together_and_duplicates_once() {
    let waiting = [
        publish(1, ["/a", "/", "#t"]),
        publish(2, ["/blog/x", "/", "/blog"]),
        publish(3, ["/blog/*"]),
        publish(4, ["#t", "/A"]),
    ];
    let plan = Site::new(Policy::Exact).plan(&waiting);
    assert_eq!(
        batches(&plan),
        [["/a", "/", "#t", "/blog", "/blog/*", "/A"]]
    );
    assert_eq!(taken(&plan), [1, 2, 3, 4]);
    assert_eq!(plan.batches[0].publishes, plan.taken);
    assert_eq!(
        (plan.saved.coalesced, plan.saved.folded, plan.has_backlog),
        (3, 0, false)
    );
}

#[test]
fn everything_is_one_wildcard() {
    let waiting = [publish(1, ["/a", "#t"]), publish(2, ["/b/*"])];
    let plan = Site::new(Policy::Everything).plan(&waiting);
    assert_eq!(batches(&plan), [["/*"]]);
    assert_eq!(taken(&plan), [1, 2]);
    assert_eq!(plan.saved.folded, 2);
    assert_eq!(Site::new(Policy::Everything).plan(&[]), Plan::default());
}

#[test]
fn what_does_not_fit_waits_and_says_why() {
    let waiting = [
        publish(1, ["/a", "/b"]),
        publish(2, ["/c", "/d"]),
        publish(3, ["/e"]),
        publish(4, ["/a"]),
    ];
    let mut site = Site::new(Policy::Exact);
    site.room.items.files = 3;
    let plan = site.plan(&waiting);
    assert_eq!(
        taken(&plan),
        [1, 4],
        "3 would fit, but takes what 2 waits for"
    );
    assert!(plan.has_backlog && !plan.is_limited);
    site.room = room(100, 15, 3);
    let plan = site.plan(&waiting);
    assert_eq!(
        taken(&plan),
        [1, 3, 4],
        "2 does not fit this call; there is room in progress for all"
    );
    assert!(plan.has_backlog && !plan.is_limited);
    site.room = room(0, 0, 3_000);
    assert_eq!(
        site.plan(&waiting),
        Plan {
            has_backlog: true,
            short: KindCounts::counted(2, 0),
            ..Plan::default()
        }
    );
}

#[test]
fn wildcards_in_progress_do_not_hold_up_plain_paths() {
    let mut site = Site::new(Policy::Exact);
    site.room.items.wildcards = 0;
    let plan = site.plan(&[
        publish(1, ["/a/*", "/b"]),
        publish(2, ["/c"]),
        publish(3, ["/d/*"]),
    ]);
    assert_eq!(batches(&plan), [["/c"]]);
    assert_eq!((taken(&plan), plan.has_backlog), (vec![2], true));
}

/// Only the first of them can be the next to go.
#[test]
fn publishes_that_wait_for_a_wildcard_each_hold_back_no_plain_path() {
    let mut site = Site::new(Policy::Exact);
    (site.room, site.quota) = (room(4, 0, 10), room(4, 1, 10));
    let plan = site.plan(&[
        publish(1, ["/1", "/a/*"]),
        publish(2, ["/2", "/3", "/b/*"]),
        publish(3, ["/4", "/5", "/c/*"]),
        publish(4, ["/6", "/7", "/8"]),
        publish(5, ["/9"]),
    ]);
    assert_eq!(batches(&plan), [["/6", "/7", "/8"]]);
    assert_eq!(taken(&plan), [4], "the first still finds room for its page");
}

#[test]
fn a_publish_larger_than_the_quota_is_cut_and_nothing_overtakes_it() {
    let mut site = Site::new(Policy::Exact);
    (site.room, site.quota) = (room(2, 1, 10), room(3, 2, 10));
    let large = publish(2, ["/1", "/2", "/3", "/4", "/5", "/w/*", "/x/*", "/y/*"]);
    let plan = site.plan(&[
        publish(1, ["/0"]),
        large,
        publish(3, ["/6"]),
        publish(4, ["/5"]),
    ]);
    assert_eq!(
        batches(&plan),
        [
            vec!["/0", "/1", "/w/*"],
            vec!["/2", "/3", "/4", "/x/*", "/y/*"],
            vec!["/5"]
        ]
    );
    assert_eq!((taken(&plan), plan.has_backlog), (vec![1, 2, 4], true));
    let of = |batch: usize| {
        plan.batches[batch]
            .publishes
            .iter()
            .map(Uuid::as_u128)
            .collect::<Vec<_>>()
    };
    assert_eq!((of(0), of(1), of(2)), (vec![1, 2], vec![2], vec![2, 4]));
}

#[test]
fn wildcards_that_wait_do_not_hold_up_a_publish_larger_than_the_quota() {
    let mut site = Site::new(Policy::Exact);
    (site.room, site.quota) = (room(3, 0, 10), room(3, 2, 10));
    let large = publish(2, ["/1", "/2", "/3", "/4", "/5", "/x/*"]);
    let plan = site.plan(&[publish(1, ["/w/*"]), large, publish(3, ["/6"])]);
    assert_eq!(batches(&plan), [["/1", "/2", "/3"]]);
    assert_eq!(plan.batches[0].publishes, [Uuid::from_u128(2)]);
    assert!(taken(&plan).is_empty() && plan.has_backlog);
}

/// Its wildcard would replace what goes now, and waits.
#[test]
fn what_goes_of_a_publish_larger_than_the_quota_keeps_to_the_budget() {
    let mut site = Site::new(Policy::Exact);
    (site.room, site.quota) = (room(10, 0, 20), room(10, 2, 20));
    site.budget = Some(5);
    let pages = publish(1, ["/x/1", "/x/2", "/x/3", "/x/4"]);
    let large = publish(3, ["/x/*", "/y/*", "/z/*", "/1", "/2"]);
    let plan = site.plan(&[pages, publish(2, ["/w/*"]), large]);
    assert_eq!(batches(&plan)[0].len(), 5);
}

#[test]
fn economical_sends_what_was_asked_while_nothing_presses() {
    let waiting: Vec<_> = (0..100)
        .map(|i| publish(i, [format!("/blog/{i}")]))
        .collect();
    let mut site = Site::new(Policy::Economical);
    site.free = 100;
    let plan = site.plan(&waiting);
    assert_eq!(plan.batches[0].items.len(), 100);
    assert!(plan.folds.is_empty());
    site.free = 99;
    assert_eq!(batches(&site.plan(&waiting)), [["/blog/*"]]);
    site.free = u64::MAX;
    site.overdue = true;
    assert_eq!(batches(&site.plan(&waiting)), [["/blog/*"]]);
    site.policy = Policy::Exact;
    assert!(site.plan(&waiting).folds.is_empty());
}

/// In a storm, to read what waits would be to read ten thousand publishes for each look.
#[test]
fn only_a_monthly_limit_that_one_publish_may_exceed_needs_what_waits_to_be_read() {
    let files = KindCounts::counted(1, 0);
    for (policy, room, budget, is_known) in [
        (Policy::Exact, room(0, 15, 3_000), None, true),
        (Policy::Exact, room(0, 15, 3_000), Some(10_000), true),
        (Policy::Exact, room(0, 15, 3_000), Some(9_999), false),
        (Policy::Economical, room(0, 0, 3_000), Some(10_000), true),
        (Policy::Economical, room(0, 0, 3_000), Some(9_999), false),
        (Policy::Everything, room(3_000, 0, 3_000), Some(1), true),
        (Policy::Everything, room(3_000, 0, 3_000), Some(0), false),
    ] {
        let site = Site {
            budget,
            ..Site::new(policy)
        };
        let wanted = Wanted {
            terms: site.terms(),
            room,
            quota: site.quota,
        };
        let lacks = wanted.lacks(files);
        assert_eq!(lacks.is_some(), is_known, "{policy:?}, {budget:?}");
    }
}

#[test]
fn what_is_folded_lacks_room_for_a_wildcard_and_for_no_page() {
    let mut site = Site::new(Policy::Economical);
    (site.free, site.room) = (0, room(3_000, 0, 3_000));
    let plan = site.plan(&[publish(1, (0..90).map(|i| format!("/blog/{i}")))]);
    assert!(plan.batches.is_empty() && plan.has_backlog);
    assert_eq!(plan.short, KindCounts::counted(0, 1));
}

#[test]
fn a_single_page_is_not_worth_a_wildcard_even_when_it_costs_money() {
    let mut site = Site::new(Policy::Economical);
    site.free = 0;
    site.overdue = true;
    let page = ["/blog/post-1", "/", "/index.html", "/sitemap.xml", "#tag"];
    assert_eq!(batches(&site.plan(&[publish(1, page)])), [page]);
}

#[test]
fn folding_spares_what_did_not_change() {
    let mut site = Site::new(Policy::Economical);
    let blog = (0..81).map(|i| format!("/blog/{i}"));
    let pages = (0..20).map(|i| format!("/page-{i}"));
    let docs = (0..600).map(|i| format!("/docs/{i}"));
    site.known = known(docs.chain((0..200).map(|i| format!("/blog/{i}"))));
    let waiting: Vec<_> = blog
        .chain(pages)
        .enumerate()
        .map(|(i, path)| publish(i as u128, [path]))
        .collect();
    let plan = site.plan(&waiting);
    let sent = &batches(&plan)[0];
    assert_eq!(sent[0], "/blog/*");
    assert_eq!(sent.len(), 21, "{sent:?}");
    assert_eq!(plan.folds, [item("/blog/*")]);
    assert_eq!((plan.saved.coalesced, plan.saved.folded), (0, 80));
}

/// Tags cannot be folded: that they are many is no reason to purge pages for nothing.
#[test]
fn many_tags_fold_no_pages() {
    let mut site = Site::new(Policy::Economical);
    site.known = known((0..9_000).map(|i| format!("/blog/{i}")));
    let tags = (0..5_000).map(|i| format!("#tag-{i}"));
    let items = tags.chain(["/blog/a".into(), "/blog/b".into()]);
    let plan = site.plan(&[publish(1, items)]);
    assert_eq!(plan.folds, []);
}

#[test]
fn an_overdue_backlog_is_folded_into_the_room_whatever_tags_wait() {
    let mut site = Site::new(Policy::Economical);
    (site.overdue, site.room) = (true, room(0, 3, 3_000));
    let pages = (0..90).map(|i| format!("/{}/{i}", i % 3));
    let items = pages.chain((0..3).map(|i| format!("#tag-{i}")));
    let plan = site.plan(&[publish(1, items)]);
    assert!(!plan.folds.is_empty());
}

#[test]
fn a_wildcard_costs_less_by_what_it_takes_the_place_of() {
    let mut site = Site::new(Policy::Exact);
    site.budget = Some(100);
    let pages = (0..100).map(|i| format!("/blog/{i}"));
    let plan = site.plan(&[publish(1, pages), publish(2, ["/blog/*"])]);
    assert_eq!(batches(&plan), [["/blog/*"]]);
    assert_eq!(taken(&plan), [1, 2]);

    site.budget = Some(5);
    let pages = (0..10).map(|i| format!("/blog/{i}"));
    let plan = site.plan(&[publish(1, pages), publish(2, ["/blog/*"])]);
    assert_eq!((taken(&plan), plan.is_limited), (vec![1, 2], false));
}

#[test]
fn what_the_budget_holds_hides_no_other_reason() {
    let mut site = Site::new(Policy::Exact);
    site.budget = Some(5);
    site.room = room(3_000, 0, 3_000);
    let large = (0..10).map(|i| format!("/{i}"));
    let plan = site.plan(&[publish(1, large), publish(2, ["/x/*"])]);
    assert!(plan.has_backlog && plan.is_limited);
}

#[test]
fn a_rebuild_of_5000_pages_is_a_handful_of_wildcards() {
    let mut site = Site::new(Policy::Economical);
    for directories in [1, 7, 50, 5_000] {
        let path = |i: u32| format!("/s{}/page-{i}", i % directories);
        site.known = known((0..5_000).map(path));
        let waiting: Vec<_> = (0..5_000).map(|i| publish(i.into(), [path(i)])).collect();
        let all = site.plan(&waiting);
        assert!(
            all.batches.len() == 1 && all.batches[0].items.len() <= 3,
            "{:?}",
            batches(&all)
        );
        // The same rebuild in six calls, as it arrives.
        let billed: usize = waiting
            .chunks(834)
            .map(|part| {
                site.plan(part)
                    .batches
                    .iter()
                    .map(|b| b.items.len())
                    .sum::<usize>()
            })
            .sum();
        assert!(
            billed < 20,
            "{billed} billed with {directories} directories"
        );
    }
    assert_eq!(Site::new(Policy::Exact).plan(&[]), Plan::default());
}

#[test]
fn query_strings_and_root_pages_fold_by_path() {
    let goal = FoldGoal {
        items: 1,
        wildcards: 4,
        asked_wildcards_count: false,
        weight: PLAIN_WEIGHT,
    };
    let folded = |paths: &[&str]| {
        let items: Vec<_> = paths.iter().map(|path| item(path)).collect();
        fold(
            &items.iter().collect::<Vec<_>>(),
            &KnownPaths::default(),
            goal,
        )
    };
    assert_eq!(folded(&["/a/x?u=/b/1", "/a/x?u=/b/2"]), [item("/a/*")]);
    assert_eq!(folded(&["/blog", "/blog/x"]), [item("/*")]);
    assert_eq!(folded(&["/a/b/c/1", "/a/b/c/2"]), [item("/a/b/c/*")]);
    assert_eq!(folded(&["/a"]), []);
    assert_eq!(folded(&["#a", "#b"]), []);
}

#[test]
fn an_overdue_backlog_of_wildcards_folds_into_the_room() {
    let mut site = Site::new(Policy::Economical);
    let waiting: Vec<_> = (0..40)
        .map(|i| publish(i, [format!("/s{}/{i}/*", i % 4)]))
        .collect();
    assert_eq!(site.plan(&waiting).taken.len(), 15);
    site.overdue = true;
    let plan = site.plan(&waiting);
    assert_eq!(plan.taken.len(), 40);
    assert!(plan.batches[0].items.len() <= 15);
    let late: Vec<_> = (0..50).map(|i| publish(i, [format!("/a/{i}")])).collect();
    assert_eq!(site.plan(&late).batches[0].items.len(), 1);
    site.room.items.wildcards = 0;
    assert_eq!(
        site.plan(&late).batches[0].items.len(),
        50,
        "no wildcard, no folding"
    );
}

#[test]
fn an_explanation_gives_the_fate_of_each_item() {
    let request = PublishRequest {
        paths: ["/docs/x", "/docs/*", "/a~b", "root"]
            .map(str::to_owned)
            .to_vec(),
        ..PublishRequest::default()
    };
    let rules = Publishing {
        related: vec!["/toc.json".parse().unwrap()],
        ..Publishing::default()
    };
    let canonical = canonicalize(&request, &rules, Partition::Aws).unwrap();
    let waiting = [Waiting {
        publish: Uuid::nil(),
        items: canonical.items.clone(),
    }];
    let fates = |plan: &Plan| -> Vec<_> {
        explain(&canonical, plan)
            .into_iter()
            .flat_map(|e| e.items)
            .map(|e| (e.item.to_string(), e.fate))
            .collect()
    };
    let exact = fates(&Site::new(Policy::Exact).plan(&waiting));
    assert_eq!(
        exact[0],
        ("/docs/x".to_owned(), Fate::Swallowed(item("/docs/*")))
    );
    assert!(
        exact[1..].iter().all(|(_, fate)| *fate == Fate::Sent),
        "{exact:?}"
    );
    assert_eq!(
        exact
            .iter()
            .map(|(item, _)| item.as_str())
            .collect::<Vec<_>>()[2..],
        ["/a*", "/", "/index.html", "/toc.json"]
    );
    let everything = fates(&Site::new(Policy::Everything).plan(&waiting));
    assert!(
        everything
            .iter()
            .all(|(_, fate)| *fate == Fate::Folded(item("/*"))),
        "{everything:?}"
    );
    let json = serde_json::to_value(explain(&canonical, &Plan::default())).unwrap();
    assert_eq!(
        json[2],
        serde_json::json!({
            "given": "/a~b", "origin": "widened", "items": [{ "item": "/a*", "fate": "waits" }]
        })
    );
}
