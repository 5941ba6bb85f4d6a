use uuid::Uuid;

use crate::store::Page;

/// The queries of the neighbouring pages, without `?` and encoded: `after=…&state=failed`.
#[derive(Clone, Debug, Default)]
pub struct Paging {
    pub newer: Option<String>,
    pub older: Option<String>,
}

impl Paging {
    /// The neighbours of a page, with the same filter.
    pub(crate) fn of<T, V: AsRef<str>>(page: &Page<T>, filter: &[(&str, V)]) -> Self {
        let query = |position: &str, id: Uuid| {
            let mut query = url::form_urlencoded::Serializer::new(format!("{position}={id}"));
            query.extend_pairs(
                filter
                    .iter()
                    .filter(|(_, value)| !value.as_ref().is_empty()),
            );
            query.finish()
        };
        Self {
            newer: page.previous.map(|id| query("after", id)),
            older: page.next.map(|id| query("before", id)),
        }
    }

    /// Cuts a list, which is in memory and begins after `before`, to a page of `size` rows.
    pub(crate) fn cut<T>(
        rows: &mut Vec<T>,
        size: usize,
        before: Option<Uuid>,
        id: fn(&T) -> Uuid,
    ) -> Self {
        let next = (rows.len() > size).then(|| id(&rows[size - 1]));
        rows.truncate(size);
        Self {
            newer: before.map(|id| format!("after={id}")),
            older: next.map(|id| format!("before={id}")),
        }
    }
}

/// A page, by its number, of a list that is in memory as a whole.
#[derive(Clone, Debug)]
pub struct ListPage<T> {
    pub rows: Vec<T>,
    /// The numbers of the neighbouring pages.
    pub previous: Option<usize>,
    pub next: Option<usize>,
}

impl<T> ListPage<T> {
    /// The wanted page, counted from 1, of `size` rows; the last one if it is past the end.
    pub fn of(all: Vec<T>, wanted: Option<usize>, size: usize) -> Self {
        let last = all.len().div_ceil(size).max(1);
        let page = wanted.unwrap_or(1).clamp(1, last);
        Self {
            rows: all.into_iter().skip((page - 1) * size).take(size).collect(),
            previous: (page > 1).then(|| page - 1),
            next: (page < last).then(|| page + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ListPage;

    #[test]
    fn every_row_is_on_one_page() {
        let page = |wanted| {
            let page = ListPage::of((1..=7).collect(), wanted, 3);
            (page.rows, page.previous, page.next)
        };
        assert_eq!(page(None), (vec![1, 2, 3], None, Some(2)));
        assert_eq!(page(Some(2)), (vec![4, 5, 6], Some(1), Some(3)));
        assert_eq!(page(Some(3)), (vec![7], Some(2), None));
        assert_eq!(page(Some(usize::MAX)), page(Some(3)));
        assert_eq!(page(Some(0)), page(None));
        assert_eq!(ListPage::of(Vec::<u8>::new(), None, 3).next, None);
    }
}
