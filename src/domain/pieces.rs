//! Pieces of batches: cut to what one call may hold, and joined again.

use strum::VariantArray as _;

use super::{Item, Kind, KindCounts, PerKind, Room};

/// What a refusal can be about: paths, wildcards, or tags, which a distribution may not support.
pub(super) fn class(item: &Item) -> u8 {
    match item {
        Item::Tag(_) => 2,
        Item::Path(_) if item.is_wildcard() => 1,
        Item::Path(_) => 0,
    }
}

/// Whether two batches hold items of the same classes, so that to join them undoes no separation.
pub fn alike(one: &[Item], other: &[Item]) -> bool {
    let classes = |items: &[Item]| [0, 1, 2].map(|n| items.iter().any(|item| class(item) == n));
    classes(one) == classes(other)
}

/// Divides items into pieces that each fit one call.
pub fn fit(items: &[Item], room: Room) -> Vec<Vec<Item>> {
    let counts = KindCounts::of(items);
    if counts.fits(room.items) && items.len() <= room.paths_per_request as usize {
        return vec![items.to_vec()];
    }
    Kind::VARIANTS
        .iter()
        .flat_map(|&kind| {
            let most = room.items[kind].min(room.paths_per_request).max(1) as usize;
            let mut of_kind: Vec<Item> = items.iter().filter(|i| kind.is_of(i)).cloned().collect();
            // Paths before tags: pieces that hold the same go together again.
            of_kind.sort_by_key(class);
            // All of about one size, so that none is a call for a single item.
            let size = of_kind.len().div_ceil(of_kind.len().div_ceil(most).max(1));
            let pieces = of_kind.chunks(size.max(1)).map(<[Item]>::to_vec);
            pieces.collect::<Vec<_>>()
        })
        .collect()
}

/// How many of these batches, from the first on, are to go as one. Pieces of what was refused are
/// joined again as calls are accepted: to at most twice what the `last` call of their kind held.
pub fn joined(batches: &[KindCounts], last: KindCounts, room: Room) -> usize {
    let Some(first) = batches.first() else {
        return 0;
    };
    let most = PerKind::each(|kind| match first[kind] {
        0 => 0,
        size => room.items[kind].min(size.max(last[kind].saturating_mul(2))),
    });
    let mut sum = KindCounts::default();
    let fits = |batch: &&KindCounts| {
        sum = sum + **batch;
        sum.fits(most) && sum.total() <= room.paths_per_request.into()
    };
    batches.iter().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::table::items;

    #[test]
    fn a_batch_is_cut_to_what_a_call_may_hold() {
        let paths = (0..5)
            .map(|n| format!("/{n}"))
            .chain((0..3).map(|n| format!("/{n}/*")));
        let room = Room {
            items: KindCounts::counted(2, 1),
            ..Room::default()
        };
        let sizes: Vec<usize> = fit(&items(paths), room).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 2, 1, 1, 1, 1]);
    }

    #[test]
    fn paths_and_tags_are_cut_apart() {
        let batch = items((0..4).flat_map(|n| [format!("/{n}"), format!("#t{n}")]));
        let room = Room {
            items: KindCounts::counted(4, 15),
            ..Room::default()
        };
        let pieces = fit(&batch, room);
        assert_eq!(pieces.len(), 2);
        let (paths, tags) = (&pieces[0], &pieces[1]);
        assert!(alike(paths, &batch[..1]) && alike(tags, &batch[1..2]));
        assert!(!alike(paths, tags));
    }

    #[test]
    fn no_piece_is_left_with_a_single_item() {
        let room = Room {
            items: KindCounts::counted(93, 15),
            ..Room::default()
        };
        let batch = items((0..187).map(|n| format!("/{n}")));
        let sizes: Vec<usize> = fit(&batch, room).iter().map(Vec::len).collect();
        assert_eq!(sizes, [63, 63, 61]);
    }
}
