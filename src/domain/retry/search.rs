//! Finding the item that a batch was refused for, by sending it in pieces.

use std::slice;

use super::AfterCreate;
use crate::domain::pieces::class;
use crate::domain::{AwsError, Item};

/// How many calls may be refused before a search gives up: what is undecided by then fails as a
/// whole.
const MAX_REFUSALS: u32 = 40;

/// The results so far of a batch that is sent in pieces because one of its items is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Search {
    pub refused: u32,
    /// How many of the refused were a single item.
    pub refused_alone: u32,
    pub accepted: u32,
}

/// Finds what is at fault by a bounded number of calls. First the kinds of items are separated.
/// Then, of one kind, the first and the last go alone: if both are tags and neither is accepted,
/// the distribution takes no tags at all. Then the rest is halved again and again.
pub(super) fn suspect(error: AwsError, items: &[Item], search: Option<Search>) -> AfterCreate {
    let by_class: Vec<Vec<Item>> = (0..3)
        .map(|n| items.iter().filter(|i| class(i) == n).cloned().collect())
        .filter(|items: &Vec<Item>| !items.is_empty())
        .collect();
    if by_class.len() > 1 {
        return AfterCreate::Split {
            error,
            pieces: by_class,
            searching: false,
        };
    }
    let took_too_long = search.is_some_and(|search| search.refused >= MAX_REFUSALS);
    if items.len() < 2 || took_too_long {
        let takes_no_tags = matches!(items, [Item::Tag(_)])
            && search.is_some_and(|search| search.refused_alone > 0 && search.accepted == 0);
        return AfterCreate::Failed {
            error,
            rest_too: took_too_long || takes_no_tags,
        };
    }
    let pieces = match items {
        [first, rest @ .., last] if search.is_none() => {
            vec![slice::from_ref(first), slice::from_ref(last), rest]
        }
        _ => {
            let (left, right) = items.split_at(items.len().div_ceil(2));
            vec![left, right]
        }
    };
    AfterCreate::Split {
        error,
        pieces: pieces
            .into_iter()
            .filter(|piece| !piece.is_empty())
            .map(<[Item]>::to_vec)
            .collect(),
        searching: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::table::items;

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
            match suspect(AwsError::stopped(), &items, of.map(|of| searches[of])) {
                AfterCreate::Split {
                    pieces, searching, ..
                } => {
                    let of = match of {
                        None if searching => {
                            searches.push(Search::default());
                            Some(searches.len() - 1)
                        }
                        of => of,
                    };
                    open.extend(pieces.into_iter().map(|piece| (piece, of)));
                }
                AfterCreate::Failed { rest_too, .. } => {
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
                after => unreachable!("{after:?}"),
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
        assert!(refused <= MAX_REFUSALS + 2, "{refused}");
        assert!(failed >= 300);
    }
}
