use std::fmt::Write as _;

use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::parts::{Count, Span};
use crate::web::pages::words;

/// An hour of the chart.
#[derive(Clone, Copy, Debug)]
pub struct Hour {
    /// When it began.
    pub start: OffsetDateTime,
    /// Publishes accepted in it.
    pub publishes: u64,
    /// Median time from accepted to completed.
    pub p50: Option<Duration>,
    /// 95th percentile of the same.
    pub p95: Option<Duration>,
}

/// Two small charts on one axis of time: publishes an hour, and the time to complete.
///
/// Coordinates are in a box 80 high and 20 wide an hour, y downwards.
#[derive(Clone, Debug)]
pub struct Chart {
    pub(super) bars: Vec<Bar>,
    pub(super) p50: String,
    pub(super) p95: String,
    pub(super) publishes: Count,
    pub(super) busiest: Count,
    pub(super) slowest: Option<Span>,
    pub(super) median: Option<Span>,
    pub(super) percentile: Option<Span>,
}

#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) height: u32,
    pub(super) publishes: Count,
    pub(super) start: OffsetDateTime,
}

impl Bar {
    /// For the script, which puts it into the reader's time zone.
    pub(super) fn datetime(&self) -> String {
        self.start.format(&Rfc3339).unwrap_or_default()
    }

    pub(super) fn when(&self) -> String {
        words::clock(self.start)
    }
}

impl Chart {
    const HEIGHT: u32 = 80;
    /// From one hour to the next.
    const STEP: u32 = 20;

    /// `hours` are in order, oldest first. `median` and `percentile` are of the whole time, which
    /// hours cannot tell.
    pub fn new(hours: &[Hour], median: Option<Duration>, percentile: Option<Duration>) -> Self {
        let busiest = hours.iter().map(|hour| hour.publishes).max().unwrap_or(0);
        let slowest = hours.iter().filter_map(|hour| hour.p95.max(hour.p50)).max();
        let columns = (0..).step_by(Self::STEP as usize);
        let bars = columns
            .zip(hours)
            .filter(|(_, hour)| hour.publishes > 0)
            .map(|(x, hour)| {
                let height = scaled(hour.publishes as f64, busiest as f64).max(2);
                Bar {
                    x: x + 3,
                    y: Self::HEIGHT - height,
                    height,
                    publishes: Count(hour.publishes),
                    start: hour.start,
                }
            });
        Self {
            bars: bars.collect(),
            p50: line(hours, slowest, |hour| hour.p50),
            p95: line(hours, slowest, |hour| hour.p95),
            publishes: Count(hours.iter().map(|hour| hour.publishes).sum()),
            busiest: Count(busiest),
            slowest: slowest.map(Span),
            median: median.map(Span),
            percentile: percentile.map(Span),
        }
    }
}

/// `value` of `most`, scaled to the height of the chart.
fn scaled(value: f64, most: f64) -> u32 {
    if most <= 0.0 {
        return 0;
    }
    (value / most * f64::from(Chart::HEIGHT - 4)).round() as u32
}

/// An SVG path through the hours that have a time; hours without one leave no gap.
fn line(
    hours: &[Hour],
    slowest: Option<Duration>,
    time: impl Fn(&Hour) -> Option<Duration>,
) -> String {
    let most = slowest.map_or(0.0, Duration::as_seconds_f64);
    let mut path = String::new();
    for (column, hour) in (0..).zip(hours) {
        let Some(time) = time(hour) else { continue };
        let command = if path.is_empty() { 'M' } else { 'L' };
        let x = column * Chart::STEP + Chart::STEP / 2;
        let y = Chart::HEIGHT - scaled(time.as_seconds_f64(), most) - 2;
        let _ = write!(path, "{command}{x} {y}"); // A String takes everything.
    }
    if path.matches('L').count() == 0 && !path.is_empty() {
        path.push_str("h1"); // A single hour is a dot, drawn by the round line cap.
    }
    path
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn coordinates_stay_in_the_box() {
        let hour = |publishes, p95: Option<i64>| Hour {
            start: datetime!(2026-11-23 00:00 UTC),
            publishes,
            p50: p95.map(|s| Duration::seconds(s / 2)),
            p95: p95.map(Duration::seconds),
        };
        let chart = Chart::new(
            &[hour(0, None), hour(1, Some(4)), hour(400, Some(20))],
            None,
            None,
        );
        assert_eq!(chart.bars.len(), 2, "an hour without publishes has no bar");
        assert!(
            chart
                .bars
                .iter()
                .all(|bar| bar.y + bar.height == 80 && bar.height >= 2)
        );
        assert_eq!(chart.p95, "M30 63L50 2");
        assert_eq!(chart.publishes, Count(401));
        assert_eq!(chart.slowest, Some(Span(Duration::seconds(20))));
    }

    #[test]
    fn no_hours_is_an_empty_chart() {
        let chart = Chart::new(&[], None, None);
        assert!(chart.bars.is_empty() && chart.p50.is_empty());
    }
}
