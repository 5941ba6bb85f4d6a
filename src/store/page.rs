//! Lists that are read a page at a time.

use uuid::Uuid;

/// A page of a list, newest first.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Where the next page begins, if there is one.
    pub next: Option<Uuid>,
    /// Where the previous page ends, if there is one.
    pub previous: Option<Uuid>,
}

impl<T> Page<T> {
    /// Makes a page of `limit` out of up to one row more than that, read either downwards, newest
    /// first, or upwards from `after`, oldest first.
    pub(super) fn cut(
        mut items: Vec<T>,
        limit: u16,
        before: Option<Uuid>,
        after: Option<Uuid>,
        id: impl Fn(&T) -> Uuid,
    ) -> Self {
        let more = items.len() > usize::from(limit);
        items.truncate(usize::from(limit));
        if after.is_some() {
            items.reverse();
        }
        let (older, newer) = match after {
            Some(_) => (true, more),
            None => (more, before.is_some()),
        };
        Self {
            next: items.last().map(&id).filter(|_| older),
            previous: items.first().map(&id).filter(|_| newer),
            items,
        }
    }
}
