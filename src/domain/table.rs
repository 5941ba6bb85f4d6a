//! What tests of many similar cases share: tables with a case on each line.

use super::Item;
use super::edge::EdgeAnswer;

/// The rows of a table, whose cells stand between bars.
pub(crate) fn rows<const N: usize>(table: &str) -> impl Iterator<Item = [&str; N]> {
    let lines = table.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        <[&str; N]>::try_from(cells).expect("as many cells as columns")
    })
}

/// Asserts that a text has all the words that stand between ` … `.
#[track_caller]
pub(super) fn assert_says(text: &str, words: &str) {
    for words in words.split(" … ") {
        assert!(text.contains(words), "{text:?} lacks {words:?}");
    }
}

/// Items as they are stored.
pub(super) fn items<S: AsRef<str>>(stored: impl IntoIterator<Item = S>) -> Vec<Item> {
    let item = |stored: S| Item::from_canonical(stored.as_ref()).expect("an item");
    stored.into_iter().map(item).collect()
}

/// An answer with headers such as `age: 90; via: 1.1 varnish`.
pub(super) fn answer(http_status: u16, headers: &str) -> EdgeAnswer {
    EdgeAnswer::read(http_status, |name| {
        let headers = headers.split("; ").filter_map(|text| text.split_once(": "));
        let mut values = headers.filter(|(known, _)| *known == name);
        values.next().map(|(_, value)| value)
    })
}
