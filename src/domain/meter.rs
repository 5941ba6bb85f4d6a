//! The meter: what paths cost. Amounts are whole millionths of a US dollar, so sums are exact.

use std::fmt;
use std::str::FromStr;

use strum::{EnumString, IntoStaticStr};
use time::{Duration, OffsetDateTime, Time, UtcOffset};

use super::Refused;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MicroUsd(pub u64);

impl fmt::Display for MicroUsd {
    /// Dollars with at least two decimals: `0.00`, `0.005`, `12.50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, micros) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let decimals = format!("{micros:06}");
        let significant = decimals.trim_end_matches('0').len().max(2);
        write!(f, "{dollars}.{}", &decimals[..significant])
    }
}

impl FromStr for MicroUsd {
    type Err = Refused;

    /// Reads what [`MicroUsd`] displays, exactly.
    fn from_str(text: &str) -> Result<Self, Refused> {
        let (dollars, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_number =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let is_amount = is_number(dollars) && is_number(decimals) && decimals.len() <= 6;
        let number = |digits: &str| digits.parse::<u64>().ok();
        number(dollars)
            .filter(|_| is_amount)
            .and_then(|dollars| dollars.checked_mul(1_000_000))
            .zip(number(&format!("{decimals:0<6}")))
            .and_then(|(dollars, micros)| dollars.checked_add(micros))
            .map(Self)
            .ok_or_else(|| Refused::new("not an amount in dollars such as 0.005"))
    }
}

/// What AWS charges for invalidation paths. A wildcard or a tag is one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// Paths a month that are free for an AWS account.
    pub free_paths: u64,
    /// Each path after those.
    pub path: MicroUsd,
}

impl Default for Prices {
    /// 1,000 paths free, then $0.005 a path.
    fn default() -> Self {
        Self {
            free_paths: 1_000,
            path: MicroUsd(5_000),
        }
    }
}

impl Prices {
    /// How many of the month's free paths are left after `used`.
    pub fn free_left(&self, used: u64) -> u64 {
        self.free_paths.saturating_sub(used)
    }

    /// What `paths` more cost in a month in which the account has `used` some already.
    pub fn cost(&self, used: u64, paths: u64) -> MicroUsd {
        let billed = paths.saturating_sub(self.free_left(used));
        MicroUsd(billed.saturating_mul(self.path.0))
    }
}

/// How many paths the whole month will have at the pace so far; rounded up.
///
/// `now` is within the month, which is UTC's, as on AWS's bill. Less than a day counts as a day, so
/// that the first publish of a month does not frighten anyone.
pub fn projected_paths(so_far: u64, now: OffsetDateTime) -> u64 {
    let now = now.to_offset(UtcOffset::UTC);
    let days = now.month().length(now.year());
    let elapsed = Duration::days(i64::from(now.day()) - 1) + (now.time() - Time::MIDNIGHT);
    let elapsed = elapsed.max(Duration::DAY).whole_seconds().unsigned_abs();
    let month = Duration::days(i64::from(days))
        .whole_seconds()
        .unsigned_abs();
    let projected = (u128::from(so_far) * u128::from(month)).div_ceil(u128::from(elapsed));
    u64::try_from(projected).unwrap_or(u64::MAX)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonthlyLimit {
    pub paths: u64,
    pub then: PastLimit,
}

/// What happens past a [`MonthlyLimit`]: the site owner's choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum PastLimit {
    /// Publishes are folded.
    #[default]
    Economical,
    /// Publishes wait for the next month, or for the owner.
    Hold,
}
