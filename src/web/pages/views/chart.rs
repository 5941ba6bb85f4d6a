use std::fmt::Write as _;

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::parts::{Count, Span};
use crate::store::Day;
use crate::web::pages::words;

/// Two small charts over the same hours: publishes per hour, and the time to complete.
///
/// Coordinates are in a box that is 80 high and 20 wide per hour, with y pointing down.
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
    /// For the script, which shows it in the reader's time zone.
    pub(super) fn datetime(&self) -> String {
        self.start.format(&Rfc3339).unwrap_or_default()
    }

    pub(super) fn when(&self) -> String {
        words::clock(self.start)
    }
}

impl Chart {
    const HEIGHT: u32 = 80;
    /// The width of an hour.
    const STEP: u32 = 20;

    pub fn new(day: &Day) -> Self {
        let paces = || day.hours.iter().map(|(_, pace)| pace);
        let busiest = paces().map(|pace| pace.publishes).max().unwrap_or(0);
        let slowest = paces().filter_map(|pace| pace.p95.max(pace.median)).max();
        let columns = (0..).step_by(Self::STEP as usize);
        let bars = columns
            .zip(&day.hours)
            .filter(|(_, (_, pace))| pace.publishes > 0)
            .map(|(x, (start, pace))| {
                let height = scaled(pace.publishes as f64, busiest as f64).max(2);
                Bar {
                    x: x + 3,
                    y: Self::HEIGHT - height,
                    height,
                    publishes: Count(pace.publishes),
                    start: *start,
                }
            });
        Self {
            bars: bars.collect(),
            p50: line(paces().map(|pace| pace.median), slowest),
            p95: line(paces().map(|pace| pace.p95), slowest),
            publishes: Count(paces().map(|pace| pace.publishes).sum()),
            busiest: Count(busiest),
            slowest: slowest.map(Span),
            median: day.whole.median.map(Span),
            percentile: day.whole.p95.map(Span),
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

/// An SVG path through the hours that have a time. It has no gaps at the others.
fn line(times: impl Iterator<Item = Option<Duration>>, slowest: Option<Duration>) -> String {
    let most = slowest.map_or(0.0, Duration::as_seconds_f64);
    let mut path = String::new();
    for (column, time) in (0..).zip(times) {
        let Some(time) = time else { continue };
        let command = if path.is_empty() { 'M' } else { 'L' };
        let x = column * Chart::STEP + Chart::STEP / 2;
        let y = Chart::HEIGHT - scaled(time.as_seconds_f64(), most) - 2;
        let _ = write!(path, "{command}{x} {y}"); // Writing to a String never fails.
    }
    if path.matches('L').count() == 0 && !path.is_empty() {
        path.push_str("h1"); // A single hour is a dot, drawn by the round line cap.
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Pace;

    #[test]
    fn one_publish_can_be_seen_beside_hundreds() {
        let hour = |publishes| {
            let pace = Pace {
                publishes,
                ..Pace::default()
            };
            (OffsetDateTime::UNIX_EPOCH, pace)
        };
        let chart = Chart::new(&Day {
            hours: vec![hour(1), hour(400)],
            whole: Pace::default(),
        });
        assert_eq!(chart.bars[0].height, 2);
    }
}
