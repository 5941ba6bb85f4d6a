//! Taking a refused batch apart: to make it smaller, or to find the item that it was refused for.

use super::{Item, Kind, PerKind, Room, Usage};

/// How many calls may be refused before a search gives up: what is undecided by then fails as a
/// whole.
const MOST_REFUSALS: u32 = 40;

/// The results so far of a batch that is sent in pieces because one of its items is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Search {
    pub refused: u32,
    /// How many of the refused were a single item.
    pub refused_alone: u32,
    pub accepted: u32,
}

/// What to do about a batch that was refused for one of its items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Suspicion {
    /// Send these instead. The search begins once all are of one kind.
    Pieces {
        pieces: Vec<Vec<Item>>,
        searching: bool,
    },
    /// It can never succeed.
    Hopeless {
        /// Nor can the rest of the search: it is of tags, which the distribution does not have, or
        /// it took too long.
        rest_too: bool,
    },
}

/// What a refusal can be about: paths, wildcards, or tags, which a distribution may not support.
fn class(item: &Item) -> u8 {
    match item {
        Item::Tag(_) => 2,
        Item::Path(_) if item.is_wildcard() => 1,
        Item::Path(_) => 0,
    }
}

/// Finds what is at fault by a bounded number of calls. First the kinds of items are separated.
/// Then, of one kind, the first and the last go alone: if both are tags and neither is accepted,
/// the distribution takes no tags at all. Then the rest is halved again and again.
pub fn suspect(items: &[Item], search: Option<Search>) -> Suspicion {
    let by_class: Vec<Vec<Item>> = (0..3)
        .map(|n| items.iter().filter(|i| class(i) == n).cloned().collect())
        .filter(|items: &Vec<Item>| !items.is_empty())
        .collect();
    if by_class.len() > 1 {
        return Suspicion::Pieces {
            pieces: by_class,
            searching: false,
        };
    }
    let pieces = match (items, search) {
        ([] | [_], None) => return Suspicion::Hopeless { rest_too: false },
        ([] | [_], Some(search)) => {
            let alone = search.refused_alone + 1;
            let takes_no_tags =
                matches!(items, [Item::Tag(_)]) && alone >= 2 && search.accepted == 0;
            return Suspicion::Hopeless {
                rest_too: takes_no_tags || search.refused >= MOST_REFUSALS,
            };
        }
        (_, Some(search)) if search.refused >= MOST_REFUSALS => {
            return Suspicion::Hopeless { rest_too: true };
        }
        ([first, rest @ .., last], None) => [
            std::slice::from_ref(first),
            std::slice::from_ref(last),
            rest,
        ]
        .into_iter()
        .filter(|piece| !piece.is_empty())
        .map(<[Item]>::to_vec)
        .collect(),
        (items, Some(_)) => {
            let (left, right) = items.split_at(items.len().div_ceil(2));
            vec![left.to_vec(), right.to_vec()]
        }
    };
    Suspicion::Pieces {
        pieces,
        searching: true,
    }
}

/// Divides items into pieces that each fit one call.
pub fn fit(items: &[Item], room: Room) -> Vec<Vec<Item>> {
    let usage = Usage::of(items);
    if usage.fits(room.items) && items.len() <= room.paths_per_request as usize {
        return vec![items.to_vec()];
    }
    Kind::ALL
        .into_iter()
        .flat_map(|kind| {
            let most = room.items[kind].min(room.paths_per_request).max(1) as usize;
            let of_kind: Vec<Item> = items.iter().filter(|i| kind.is_of(i)).cloned().collect();
            // All of about one size, so that none is a call for a single item.
            let size = of_kind.len().div_ceil(of_kind.len().div_ceil(most).max(1));
            let pieces = of_kind.chunks(size.max(1)).map(<[Item]>::to_vec);
            pieces.collect::<Vec<_>>()
        })
        .collect()
}

/// How many of these batches, from the first on, are to go as one. Pieces of what was refused are
/// joined again as calls are accepted: to at most twice what the `last` call of their kind held.
pub fn joined(batches: &[Usage], last: Usage, room: Room) -> usize {
    let Some(first) = batches.first() else {
        return 0;
    };
    let most = PerKind::each(|kind| match first[kind] {
        0 => 0,
        held => room.items[kind].min(held.max(last[kind].saturating_mul(2))),
    });
    let mut sum = Usage::default();
    let fits = |batch: &&Usage| {
        sum = sum + **batch;
        sum.fits(most) && sum.total() <= room.paths_per_request.into()
    };
    batches.iter().take_while(fits).count()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn items(texts: impl IntoIterator<Item = String>) -> Vec<Item> {
        let items = texts.into_iter();
        items
            .map(|text| Item::from_canonical(&text).unwrap())
            .collect()
    }

    /// Searches a batch until all of it is decided, and returns how many calls were refused and how
    /// many items failed.
    fn search(batch: Vec<Item>, is_bad: impl Fn(&Item) -> bool) -> (u32, usize) {
        type Open = (Vec<Item>, Option<usize>);
        let mut searches: Vec<Search> = Vec::new();
        let mut open: std::collections::VecDeque<Open> = [(batch, None)].into();
        let (mut refused, mut failed) = (0, 0);
        while let Some((items, of)) = open.pop_front() {
            if !items.iter().any(&is_bad) {
                of.into_iter().for_each(|of| searches[of].accepted += 1);
                continue;
            }
            refused += 1;
            match suspect(&items, of.map(|of| searches[of])) {
                Suspicion::Pieces { pieces, searching } => {
                    let of = match of {
                        None if searching => {
                            searches.push(Search::default());
                            Some(searches.len() - 1)
                        }
                        of => of,
                    };
                    open.extend(pieces.into_iter().map(|piece| (piece, of)));
                }
                Suspicion::Hopeless { rest_too } => {
                    failed += items.len();
                    if rest_too {
                        failed += open
                            .iter()
                            .filter(|o| o.1 == of)
                            .map(|o| o.0.len())
                            .sum::<usize>();
                        open.retain(|o| o.1 != of);
                    }
                }
            }
            if let Some(of) = of {
                searches[of].refused += 1;
                searches[of].refused_alone += u32::from(items.len() == 1);
            }
        }
        (refused, failed)
    }

    #[test]
    fn tags_that_the_distribution_does_not_have_are_found_in_three_calls() {
        for tags in [3, 40, 500] {
            let batch = items((0..tags).map(|n| format!("#tag:{n}")));
            assert_eq!(
                search(batch, |item| item.as_str().starts_with('#')),
                (3, tags)
            );
        }
        let mixed = (0..40)
            .map(|n| format!("#t{n}"))
            .chain((0..9).map(|n| format!("/{n}")));
        assert_eq!(
            search(items(mixed), |item| item.as_str().starts_with('#')),
            (4, 40)
        );
    }

    #[test]
    fn one_bad_path_fails_alone_wherever_it_stands() {
        for bad in [0, 1, 1_500, 2_998, 2_999] {
            let batch = items((0..3_000).map(|n| format!("/{n}")));
            let (refused, failed) = search(batch, |item| item.as_str() == format!("/{bad}"));
            assert_eq!(failed, 1, "{bad}");
            assert!(refused <= 14, "{bad}: {refused}");
        }
    }

    #[test]
    fn good_paths_between_two_bad_ones_do_not_fail_with_them() {
        for both in [[0, 2_999], [0, 1], [1_499, 1_500]] {
            let bad: Vec<_> = both.iter().map(|n| format!("/{n}")).collect();
            let batch = items((0..3_000).map(|n| format!("/{n}")));
            let (refused, failed) = search(batch, |item| bad.iter().any(|b| b == item.as_str()));
            assert_eq!(failed, 2, "{both:?}");
            assert!(refused <= 26, "{both:?}: {refused}");
        }
    }

    #[test]
    fn a_search_ends_however_much_is_bad() {
        let batch = items((0..3_000).map(|n| format!("/{n}")));
        let (refused, failed) = search(batch, |item| item.as_str().ends_with('7'));
        assert!(refused <= MOST_REFUSALS + 2, "{refused}");
        assert!(failed >= 300);
    }

    #[test]
    fn a_batch_is_cut_to_what_a_call_may_hold() {
        let paths = (0..5)
            .map(|n| format!("/{n}"))
            .chain((0..3).map(|n| format!("/{n}/*")));
        let room = Room {
            items: Usage::counted(2, 1),
            ..Room::default()
        };
        let sizes: Vec<usize> = fit(&items(paths), room).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 2, 1, 1, 1, 1]);
    }

    #[test]
    fn no_piece_is_left_with_a_single_item() {
        let room = Room {
            items: Usage::counted(93, 15),
            ..Room::default()
        };
        let batch = items((0..187).map(|n| format!("/{n}")));
        let sizes: Vec<usize> = fit(&batch, room).iter().map(Vec::len).collect();
        assert_eq!(sizes, [63, 63, 61]);
    }
}
