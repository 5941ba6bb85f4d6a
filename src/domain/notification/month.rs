//! What to say of a site's monthly limit.

use super::Event;

/// What so many used paths of a limit are worth telling.
pub const fn of_month(used: u64, limit: u64) -> Option<Event> {
    if used >= limit {
        Some(Event::MonthReached)
    } else if used.saturating_mul(5) >= limit.saturating_mul(4) {
        Some(Event::MonthNear)
    } else {
        None
    }
}

/// How much of the limit is used.
pub fn used_of(used: u64, limit: u64) -> String {
    format!("The site has used {used} of the {limit} paths that it may take this month.")
}
