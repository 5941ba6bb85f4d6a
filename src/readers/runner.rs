//! The loop that all work here runs in: claim what is due, do each in a task of its own, and look
//! again.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::store::{ChangeReader, StoreError, within};

/// The pause between two looks for due work.
const TICK: Duration = Duration::from_secs(1);
/// After this many looks that found nothing, the next one waits for news. A stale page is fetched for
/// the last time before that: a minute after the fetch before it.
const QUIET: usize = 90;
/// How long it waits at most: news may be lost, and nobody announces that something is due again.
const QUIET_PAUSE: Duration = Duration::from_secs(20);
/// How much is worked on at once. Most of it waits for somebody else's server, and what hangs must
/// leave places to the rest.
const AT_ONCE: usize = 128;
/// How long claiming may take. A database host that vanishes does not end its connections, and must
/// not end the loop.
const CLAIM_LIMIT: Duration = Duration::from_secs(20);
/// How long work on a claim may take: its lease. After that it is anybody's.
const WORK_LIMIT: Duration = Duration::from_secs(30);

/// Knows what is due, and how it is done.
pub trait Worker: Clone + Send + 'static {
    type Claim: Send;
    /// What the log says when nothing can be claimed.
    const TROUBLE: &str;

    /// Claims what is due, at most `most`.
    fn claim(
        &self,
        most: usize,
    ) -> impl Future<Output = Result<Vec<Self::Claim>, StoreError>> + Send;

    /// Does it, and records how it went.
    fn work(self, claim: Self::Claim) -> impl Future<Output = ()> + Send;
}

#[derive(Clone)]
pub struct Runner<W>(pub W);

impl<W: Worker> Runner<W> {
    /// Looks for what is due now and then, forever. What is under way when this is dropped is
    /// given up: its lease runs out, and whoever claims it next does it again.
    pub async fn run(self, mut news: ChangeReader) {
        let mut tasks = JoinSet::new();
        let mut looks_without_work = QUIET;
        loop {
            while tasks.try_join_next().is_some() {}
            // What changed until now is found by looking.
            news.catch_up();
            match within(CLAIM_LIMIT, self.start_due(&mut tasks)).await {
                Ok(0) if tasks.is_empty() => looks_without_work += 1,
                Ok(_) => looks_without_work = 0,
                Err(error) => tracing::warn!(%error, "{}", W::TROUBLE),
            }
            tokio::time::sleep(TICK).await;
            if looks_without_work > QUIET {
                // Either way it is time to look.
                let _ = tokio::time::timeout(QUIET_PAUSE, news.any_state()).await;
            }
        }
    }

    /// Does all that is due now, and waits for it: what a test steps through.
    pub async fn run_due(&self) -> Result<(), StoreError> {
        loop {
            let mut tasks = JoinSet::new();
            if self.start_due(&mut tasks).await? == 0 {
                return Ok(());
            }
            tasks.join_all().await;
        }
    }

    async fn start_due(&self, tasks: &mut JoinSet<()>) -> Result<usize, StoreError> {
        let free = AT_ONCE.saturating_sub(tasks.len());
        if free == 0 {
            return Ok(0);
        }
        let claims = self.0.claim(free).await?;
        let begun = claims.len();
        for claim in claims {
            let worker = self.0.clone();
            tasks.spawn(async move {
                let work = async {
                    worker.work(claim).await;
                    Ok(())
                };
                if let Err(error) = within(WORK_LIMIT, work).await {
                    tracing::warn!(%error, "{}", W::TROUBLE);
                }
            });
        }
        Ok(begun)
    }
}
