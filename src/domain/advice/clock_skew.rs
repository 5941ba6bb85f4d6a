//! A machine whose clock is wrong, as AWS's message reports it.

use time::PrimitiveDateTime;
use time::macros::format_description;

use super::{Advice, SET_THE_CLOCK, advice};
use crate::domain::AwsError;

/// Reads the two times of “Signature expired: … is now earlier than …” and “Signature not yet
/// current: … is still later than …”.
pub(super) fn clock_skew(error: &AwsError) -> Option<Advice> {
    let message = &error.message;
    if !message.contains("Signature expired") && !message.contains("Signature not yet current") {
        return None;
    }
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let mut times = message
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter_map(|word| PrimitiveDateTime::parse(word, format).ok());
    // The last one, in brackets, is AWS's clock; the one before has the tolerance added.
    let (ours, aws) = (times.next()?, times.next_back()?);
    let readable = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    let show = |time: PrimitiveDateTime| time.format(readable).unwrap_or_else(|_| time.to_string());
    let difference = ours - aws;
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
    let (ours, aws) = (show(ours), show(aws));
    Some(advice!(
        "The clock of the machine this service runs on is wrong: it said {ours}, when AWS's said {aws}. It is {amount} {direction}.",
        "{SET_THE_CLOCK}"
    ))
}
