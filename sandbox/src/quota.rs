//! A token bucket whose clock is handed in.

use time::OffsetDateTime;

/// Starts full, and refills at a rate that the caller names each time, so that it may change while
/// running.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenBucket {
    filled: Option<(f64, OffsetDateTime)>,
}

impl TokenBucket {
    /// Whether `amount` tokens are there. `rate` is tokens a second.
    pub(crate) fn holds(&self, amount: f64, rate: f64, capacity: f64, now: OffsetDateTime) -> bool {
        // Sums of fractions fall short of whole numbers by a hair.
        self.tokens(rate, capacity, now) + 1e-9 >= amount
    }

    /// Takes `amount` tokens, or none at all and says so.
    pub(crate) fn take(
        &mut self,
        amount: f64,
        rate: f64,
        capacity: f64,
        now: OffsetDateTime,
    ) -> bool {
        let enough = self.holds(amount, rate, capacity, now);
        let spent = if enough { amount } else { 0.0 };
        self.filled = Some((self.tokens(rate, capacity, now) - spent, now));
        enough
    }

    fn tokens(&self, rate: f64, capacity: f64, now: OffsetDateTime) -> f64 {
        self.filled.map_or(capacity, |(tokens, at)| {
            let elapsed = (now - at).as_seconds_f64().max(0.0);
            (tokens + elapsed * rate).min(capacity)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;
    use time::macros::datetime;

    #[test]
    fn a_burst_goes_through_and_then_one_each_two_seconds() {
        let start = datetime!(2026-11-23 12:00 UTC);
        let mut bucket = TokenBucket::default();
        let taken = (0..10)
            .filter(|_| bucket.take(1.0, 0.5, 5.0, start))
            .count();
        assert_eq!(taken, 5);
        assert!(!bucket.take(1.0, 0.5, 5.0, start + Duration::milliseconds(1_900)));
        assert!(bucket.take(1.0, 0.5, 5.0, start + Duration::seconds(2)));
        assert!(!bucket.take(1.0, 0.5, 5.0, start + Duration::seconds(3)));
    }
}
