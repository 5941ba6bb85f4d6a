//! The last day's figures of each site, which are costly to read and change slowly.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use time::{Duration, OffsetDateTime};

use super::{Day, SiteId};

/// How long a day's figures are shown before they are read again.
const FRESH: Duration = Duration::seconds(10);

/// The last day of each site as last read.
#[derive(Debug, Default)]
pub struct RecentDays(Mutex<HashMap<SiteId, ReadDay>>);

/// When it was read, and what.
type ReadDay = (OffsetDateTime, Arc<Day>);

impl RecentDays {
    pub(crate) fn kept(&self, site: SiteId, now: OffsetDateTime) -> Option<Arc<Day>> {
        let days = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, day) = days.get(&site)?;
        ((now - *at).abs() < FRESH).then(|| Arc::clone(day))
    }

    pub(crate) fn keep(&self, site: SiteId, now: OffsetDateTime, day: Arc<Day>) {
        let mut days = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        days.insert(site, (now, day));
    }
}
