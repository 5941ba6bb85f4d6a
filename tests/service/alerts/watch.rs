//! A service whose metrics are scraped while time passes.

use super::promtool::{History, STEP};
use crate::support::{Database, Sandbox, Stepped};

/// A service and what its Prometheus has seen of it.
pub(crate) struct Watch {
    pub(crate) service: Stepped,
    pub(crate) history: History,
}

impl Watch {
    /// A service that has done its work for some minutes, and about which there is nothing to say.
    pub(crate) async fn start() -> Self {
        let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
        // A month that ends while the test runs would end the meter with it.
        let ahead = match time::OffsetDateTime::now_utc().day() {
            28.. => time::Duration::days(5),
            _ => time::Duration::ZERO,
        };
        let service = Stepped::start_on(database, sandbox, &[], ahead).await;
        let mut watch = Self {
            service,
            history: History::default(),
        };
        watch.scrape().await;
        for path in ["/", "/about", "/blog/*"] {
            watch.service.publish_and_run(path).await;
            watch.minutes(2).await;
        }
        watch.history.fire(&[]);
        watch
    }

    pub(crate) async fn scrape(&mut self) {
        let text = self.service.api.metrics().await;
        self.history.add(Some(&text));
    }

    /// Scrapes that nobody answers.
    pub(crate) fn misses(&mut self, times: usize) {
        for _ in 0..times {
            self.history.add(None);
        }
    }

    /// Lets time pass, in which the service does what is due and is scraped.
    pub(crate) async fn minutes(&mut self, minutes: i64) {
        for _ in 0..minutes * 60 / STEP {
            self.service.pass(STEP).await;
            self.scrape().await;
        }
    }
}
