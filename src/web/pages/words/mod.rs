//! What users read, unless it is in `templates/` or comes from the rules themselves
//! (`src/domain/`): the same words for the same thing, wherever it is shown. States, times and
//! numbers are here; the rest is in the modules, page by page.

pub mod account;
pub mod errors;
mod look;
pub mod notifications;
pub mod purge;
pub mod settings;
pub mod sites;

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use crate::domain::edge::EdgeState;
use crate::domain::{
    InvalidationStatus, PublishState, Publisher, RefusedFor, Step, StepOutcome, WaitNote,
    WaitReason,
};

use self::look::look;
pub use self::look::{DONE, Look, NOTE, PROBLEM, Tone, WARNING};

/// A question before something that cannot be undone.
#[derive(Clone, Debug)]
pub struct Question {
    pub title: Cow<'static, str>,
    pub text: Cow<'static, str>,
    /// What follows from it, one per line.
    pub consequences: &'static [&'static str],
    pub action: &'static str,
}

/// When something that is about to end was last used.
pub fn last_use(at: Option<OffsetDateTime>, now: OffsetDateTime) -> String {
    at.map_or_else(
        || "It has never been used.".to_owned(),
        |at| format!("It was last used {}, on {}.", age(now, at), exact(at)),
    )
}

pub fn publisher(publisher: &Publisher) -> String {
    match publisher {
        Publisher::Token(name) => format!("token {name}"),
        Publisher::Signature => "signed call".to_owned(),
        Publisher::KeyPair(name) => format!("key pair {name}"),
        Publisher::User(name) => format!("by {name}"),
        Publisher::SkyCmsUser(name) => format!("by {name} through SkyCMS"),
    }
}

pub const fn state(state: &PublishState) -> Look {
    match state {
        PublishState::Queued => look("Queued", Tone::Quiet, "queued")
            .means("Safely stored; not yet sent to CloudFront."),
        PublishState::InProgress => look("In progress", Tone::Info, "progress")
            .means("CloudFront has accepted it and is working on it."),
        PublishState::Completed => look("Completed", Tone::Good, "check")
            .means("CloudFront has confirmed that it is done."),
        PublishState::Unconfirmed => look("Unconfirmed", Tone::Warn, "question")
            .means("CloudFront accepted it, but cannot be asked whether it has completed."),
        PublishState::Failed => look("Failed", Tone::Bad, "cross").means("It was not purged."),
    }
}

/// Whether readers get the current page, by the state of its last publish.
pub const fn live(state: &PublishState) -> &'static str {
    match state {
        PublishState::Queued => "Not yet: it is waiting to be sent to CloudFront.",
        PublishState::InProgress => "Not everywhere yet: CloudFront is purging the old copies.",
        PublishState::Completed => "Yes: CloudFront has purged the old copies.",
        PublishState::Unconfirmed => {
            "Very likely: CloudFront accepted the purge, but its progress cannot be checked."
        }
        PublishState::Failed => {
            "Maybe not: the purge failed. Open the publish to see what was not purged."
        }
    }
}

pub const PARTLY_PURGED: Look =
    look("Partly purged", Tone::Bad, "cross").means("Some of it was purged, some was not.");

pub const PARTLY_SENT: Look = look("In progress", Tone::Info, "progress")
    .means("CloudFront has accepted a part of it; the rest is safely stored and waits to be sent.");

pub const fn status(status: &InvalidationStatus) -> Look {
    state(match status {
        InvalidationStatus::Queued => &PublishState::Queued,
        InvalidationStatus::InProgress => &PublishState::InProgress,
        InvalidationStatus::Completed => &PublishState::Completed,
        InvalidationStatus::Unconfirmed => &PublishState::Unconfirmed,
        InvalidationStatus::Failed => &PublishState::Failed,
    })
}

/// What readers get for a page.
pub const fn edge(state: &EdgeState) -> Look {
    match state {
        EdgeState::Fresh => look("Fresh", Tone::Good, "check")
            .means("Readers get a copy that was fetched after the purge."),
        EdgeState::Stale => {
            look("Stale", Tone::Warn, "warning").means("Readers still get an older copy.")
        }
        EdgeState::NotCloudfront => look("Not CloudFront", Tone::Warn, "question")
            .means("The page did not come through CloudFront."),
        EdgeState::Unreachable => look("Unreachable", Tone::Warn, "question")
            .means("The page could not be fetched from here."),
    }
}

/// The outcome of a step of the settings test.
pub const fn outcome(outcome: &StepOutcome) -> Look {
    match outcome {
        StepOutcome::Passed => look("Passed", Tone::Good, "check").means("This works."),
        StepOutcome::Failed => look("Failed", Tone::Bad, "cross").means("This does not work yet."),
        StepOutcome::Skipped => look("Skipped", Tone::Quiet, "skipped")
            .means("Not tried, because an earlier step failed."),
        StepOutcome::Waiting => look("Waiting", Tone::Info, "progress").means("Still to come."),
    }
}

/// The title of a step of the settings test.
pub const fn step(step: &Step) -> &'static str {
    match step {
        Step::Format => "Format",
        Step::Credentials => "Credentials",
        Step::CreateInvalidation => "Create an invalidation",
        Step::GetInvalidation => "Read its status",
        Step::Completed => "Completed",
        Step::Edge => "Readers",
    }
}

/// Why something is held.
pub const fn waiting_for(why: &WaitReason) -> &'static str {
    match why {
        WaitReason::Quota => "waiting for room in CloudFront’s quota",
        WaitReason::Rate => "waiting for its turn in the request rate",
        WaitReason::Retry => "waiting to try again",
        WaitReason::Settings => "waiting for working CDN settings",
    }
}

/// Why a call of that size was refused.
pub const fn refused_for(why: &RefusedFor) -> &'static str {
    match why {
        RefusedFor::Quota => "the quota",
        RefusedFor::Rate => "the rate",
        RefusedFor::Size => "the size of the call",
    }
}

/// Why something is held, in more detail if its note has more.
pub const fn held(why: &WaitReason, note: Option<&WaitNote>) -> &'static str {
    match note {
        Some(WaitNote::MonthlyLimit { .. }) => {
            "waiting for the next month, because the monthly limit is reached"
        }
        _ => waiting_for(why),
    }
}

/// A date in UTC: `1 December 2026`.
pub fn date(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    format!("{} {} {}", at.day(), at.month(), at.year())
}

/// A path in a list: as people write it, and without its middle if it is very long.
pub fn in_short(item: &str) -> Cow<'_, str> {
    const SHOWN: usize = 60;
    let text = decoded(item);
    let length = text.chars().count();
    if length <= 2 * SHOWN {
        return text;
    }
    let begin = text.chars().take(SHOWN);
    let end = text.chars().skip(length - SHOWN);
    Cow::Owned(begin.chain(['…']).chain(end).collect())
}

/// A path as people write it. Only letters outside ASCII are decoded: whatever is invisible, or has
/// a meaning in a URL, stays as CloudFront gets it.
pub fn decoded(item: &str) -> Cow<'_, str> {
    let (mut text, mut rest) = (String::new(), item);
    let is_outside = |escape: &&[u8]| {
        let outside = b'8'..=b'f';
        matches!(escape, [b'%', high, low] if outside.contains(high)
            && high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
    };
    while let Some(start) = rest.find('%') {
        let escapes = rest.as_bytes()[start..].chunks(3);
        let length = (escapes.take_while(is_outside).count() * 3).max(1);
        let (before, escaped) = (&rest[..start], &rest[start..start + length]);
        text.push_str(before);
        match percent_decode_str(escaped).decode_utf8() {
            Ok(word) if is_word(&word) => text.push_str(&word),
            _ => text.push_str(escaped),
        }
        rest = &rest[start + length..];
    }
    if text.is_empty() {
        return Cow::Borrowed(item);
    }
    text += rest;
    Cow::Owned(text)
}

/// Letters and digits, and marks within a word. Unicode counts most marks of the scripts of India
/// and South-East Asia as letters, but not those that leave out a vowel or set a tone.
fn is_word(text: &str) -> bool {
    let is_mark = |c: char| match c {
        // The nukta and the virama, at the same place for each script.
        '\u{900}'..='\u{d7f}' => matches!(u32::from(c) & 0x7f, 0x3c | 0x4d),
        '\u{dca}' | '\u{e47}'..='\u{e4e}' | '\u{ec8}'..='\u{ecd}' => true,
        _ => matches!(c, '\u{1037}' | '\u{1039}'..='\u{103a}' | '\u{17c9}'..='\u{17d3}'),
    };
    text.starts_with(char::is_alphanumeric)
        && text.chars().all(|c| c.is_alphanumeric() || is_mark(c))
}

/// What an item of a publish stands for.
pub fn widened(from: &str) -> String {
    format!("widened from {from}")
}

/// What purged an item that was not sent itself.
pub fn covered(by: impl std::fmt::Display) -> String {
    format!("purged by {by}")
}

/// How long ago, in the same words as `app.js`: `just now`, `42 s ago`, `2 min ago`, `3 h ago`,
/// `5 days ago`, then the date.
pub fn age(now: OffsetDateTime, then: OffsetDateTime) -> String {
    let seconds = (now - then).whole_seconds();
    match seconds {
        ..10 => "just now".into(),
        10..60 => format!("{seconds} s ago"),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        86_400..172_800 => "1 day ago".into(),
        172_800..604_800 => format!("{} days ago", seconds / 86_400),
        _ => then
            .to_offset(time::UtcOffset::UTC)
            .format(format_description!(
                "[day padding:none] [month repr:short] [year]"
            ))
            .unwrap_or_default(),
    }
}

/// The exact time in UTC, for readers without scripts: `23 Nov 2026, 12:00:05 UTC`.
pub fn exact(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC)
        .format(format_description!(
            "[day padding:none] [month repr:short] [year], [hour]:[minute]:[second] UTC"
        ))
        .unwrap_or_default()
}

/// A time of day: `14:00 UTC`.
pub fn clock(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC)
        .format(format_description!("[hour]:[minute] UTC"))
        .unwrap_or_default()
}

/// A length of time: `180 ms`, `4.2 s`, `42 s`, `1 min 20 s`, `2 h 5 min`, `3 d 4 h`. Negative
/// lengths count as zero.
pub fn span(length: Duration) -> String {
    let milliseconds = length.whole_milliseconds().max(0);
    let seconds = milliseconds / 1_000;
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..10 => format!("{seconds}.{} s", milliseconds % 1_000 / 100),
        10..60 => format!("{seconds} s"),
        60..3_600 => two_units(seconds / 60, "min", seconds % 60, "s"),
        3_600..86_400 => two_units(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two_units(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

fn two_units(large: i128, large_unit: &str, small: i128, small_unit: &str) -> String {
    match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    }
}

/// How long to wait: `1 second`, `42 seconds`.
pub fn seconds(n: i64) -> String {
    format!("{n} second{}", if n == 1 { "" } else { "s" })
}

/// A number with separators: `3,000`.
pub fn count(n: u64) -> String {
    match n {
        ..1_000 => n.to_string(),
        _ => format!("{},{:03}", count(n / 1_000), n % 1_000),
    }
}

/// Thousandths of a US dollar: `$0`, `$1.20`, `$0.005`. A path costs five of them.
pub fn usd(thousandths: u64) -> String {
    let (dollars, rest) = (count(thousandths / 1_000), thousandths % 1_000);
    match (thousandths, rest % 10) {
        (0, _) => "$0".into(),
        (_, 0) => format!("${dollars}.{:02}", rest / 10),
        _ => format!("${dollars}.{rest:03}"),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn ages_are_short_and_end_in_a_date() {
        let now = datetime!(2026-11-23 12:00 UTC);
        for (seconds, words) in [
            (-5, "just now"),
            (9, "just now"),
            (42, "42 s ago"),
            (125, "2 min ago"),
            (7_300, "2 h ago"),
            (90_000, "1 day ago"),
            (200_000, "2 days ago"),
            (20 * 86_400, "3 Nov 2026"),
        ] {
            assert_eq!(age(now, now - Duration::seconds(seconds)), words);
        }
        assert_eq!(exact(now), "23 Nov 2026, 12:00:00 UTC");
    }

    #[test]
    fn spans_have_one_or_two_units() {
        for (milliseconds, words) in [
            (-1, "0 ms"),
            (180, "180 ms"),
            (4_250, "4.2 s"),
            (42_900, "42 s"),
            (80_000, "1 min 20 s"),
            (120_000, "2 min"),
            (7_500_000, "2 h 5 min"),
        ] {
            assert_eq!(span(Duration::milliseconds(milliseconds)), words);
        }
    }

    #[test]
    fn one_second_is_no_seconds() {
        assert_eq!(seconds(1), "1 second");
        assert!(account::wait(1).contains("Wait 1 second, then"));
        assert!(account::wait(42).contains("Wait 42 seconds, then"));
    }

    #[test]
    fn a_very_long_path_is_shown_by_its_ends() {
        let path = format!("/{}/page", "a".repeat(900));
        let shown = in_short(&path);
        assert_eq!(shown.chars().count(), 121);
        assert!(shown.starts_with("/aaa") && shown.ends_with("a/page"));
        assert_eq!(in_short("/about"), "/about");
    }

    #[test]
    fn only_letters_are_decoded() {
        for (sent, shown) in [
            ("/about", "/about"),
            ("/%C3%BCber-uns/%E6%97%A5", "/über-uns/日"),
            ("/a%20b%2Fc%25", "/a%20b%2Fc%25"),
            ("/caf%C3%A9%20x", "/café%20x"),
            (
                "/%E0%A4%B9%E0%A4%BF%E0%A4%A8%E0%A5%8D%E0%A4%A6%E0%A5%80",
                "/हिन्दी",
            ),
            ("/%E0%B8%82%E0%B9%88%E0%B8%B2%E0%B8%A7", "/ข่าว"),
            ("/%E0%A5%8D", "/%E0%A5%8D"),
            ("/%E2%80%AEevil", "/%E2%80%AEevil"),
            ("/%FF%C3", "/%FF%C3"),
            ("/ends%", "/ends%"),
        ] {
            assert_eq!(decoded(sent), shown);
        }
    }

    #[test]
    fn numbers_and_money() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(usd(0), "$0");
        assert_eq!(usd(5), "$0.005");
        assert_eq!(usd(1_200), "$1.20");
        assert_eq!(usd(1_234_005), "$1,234.005");
    }
}
