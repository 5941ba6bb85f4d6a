/// A page of a list that is in memory as a whole.
#[derive(Clone, Debug)]
pub struct Part<T> {
    pub rows: Vec<T>,
    /// The numbers of the neighbouring pages.
    pub previous: Option<usize>,
    pub next: Option<usize>,
}

impl<T> Part<T> {
    /// The page that is asked for, counted from 1, of `size` rows; past the end, the last.
    pub fn of(all: Vec<T>, asked: Option<usize>, size: usize) -> Self {
        let last = all.len().div_ceil(size).max(1);
        let page = asked.unwrap_or(1).clamp(1, last);
        Self {
            rows: all.into_iter().skip((page - 1) * size).take(size).collect(),
            previous: (page > 1).then(|| page - 1),
            next: (page < last).then(|| page + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Part;

    #[test]
    fn every_row_is_on_one_page() {
        let page = |asked| {
            let part = Part::of((1..=7).collect(), asked, 3);
            (part.rows, part.previous, part.next)
        };
        assert_eq!(page(None), (vec![1, 2, 3], None, Some(2)));
        assert_eq!(page(Some(2)), (vec![4, 5, 6], Some(1), Some(3)));
        assert_eq!(page(Some(3)), (vec![7], Some(2), None));
        assert_eq!(page(Some(usize::MAX)), page(Some(3)));
        assert_eq!(page(Some(0)), page(None));
        assert_eq!(Part::of(Vec::<u8>::new(), None, 3).next, None);
    }
}
