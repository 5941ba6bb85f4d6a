//! A machine whose clock is wrong, as AWS's message reports it.

use time::{PrimitiveDateTime, macros::format_description};

use super::{Advice, SET_THE_CLOCK, advice};
use crate::domain::AwsError;

/// The two times of “Signature expired: … is now earlier than …” and “Signature not yet current: …
/// is still later than …”.
pub(super) struct ClockSkew {
    ours: PrimitiveDateTime,
    aws: PrimitiveDateTime,
}

impl ClockSkew {
    pub(super) fn of(error: &AwsError) -> Option<Self> {
        let message = &error.message;
        if !message.contains("Signature expired") && !message.contains("Signature not yet current")
        {
            return None;
        }
        let format = format_description!("[year][month][day]T[hour][minute][second]Z");
        let mut times = message
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter_map(|word| PrimitiveDateTime::parse(word, format).ok());
        // The last one, in brackets, is AWS's clock; the one before has the tolerance added.
        Some(Self {
            ours: times.next()?,
            aws: times.next_back()?,
        })
    }

    pub(super) fn advice(&self) -> Advice {
        let readable = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
        let show =
            |time: PrimitiveDateTime| time.format(readable).unwrap_or_else(|_| time.to_string());
        let difference = self.ours - self.aws;
        let minutes = difference.whole_minutes().unsigned_abs();
        let amount = match minutes {
            0..=119 => format!("{minutes} minutes"),
            120..=2879 => format!("{} hours", minutes / 60),
            _ => format!("{} days", minutes / 1440),
        };
        let direction = if difference.is_negative() {
            "behind"
        } else {
            "ahead"
        };
        advice(
            format!(
                "The clock of the machine this service runs on is wrong: it said {}, when AWS's said {}. It is {amount} {direction}.",
                show(self.ours),
                show(self.aws),
            ),
            SET_THE_CLOCK,
        )
    }
}
