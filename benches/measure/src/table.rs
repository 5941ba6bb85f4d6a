//! Figures of several rounds, and tables of them.

/// The value that so many percent are at or below. `sorted` is.
pub(crate) fn percentile<T: Copy + Default>(sorted: &[T], percent: f64) -> T {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

/// The middle one.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Whether a goal is met, in a word.
pub(crate) fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

/// Prints rows under their heads, the first column to the left and all others to the right.
pub(crate) fn print(title: &str, heads: &[&str], rows: &[Vec<String>]) {
    println!("\n{title}\n");
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let longest = cells.map(|cell| cell.chars().count()).max();
        longest.unwrap_or(0).max(heads[column].chars().count())
    };
    let line = |cells: &[String]| {
        let cells = cells.iter().enumerate().map(|(column, cell)| {
            let width = width(column);
            if column == 0 {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
    };
    line(
        &heads
            .iter()
            .map(|&head| head.to_owned())
            .collect::<Vec<_>>(),
    );
    let rules = (0..heads.len()).map(|column| {
        let width = width(column);
        if column == 0 {
            "-".repeat(width)
        } else {
            format!("{}:", "-".repeat(width - 1))
        }
    });
    line(&rules.collect::<Vec<_>>());
    rows.iter().for_each(|row| line(row));
}
