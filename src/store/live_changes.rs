//! Changes, for those who wait for one.

use tokio::sync::broadcast;

use super::{Changes, SiteId};

/// How many changes a slow reader may lag behind; past this it looks for itself.
const BACKLOG: usize = 256;

/// Announces changes to readers. Clones share the readers.
#[derive(Clone, Debug)]
pub struct LiveChanges(broadcast::Sender<Changes>);

impl Default for LiveChanges {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl LiveChanges {
    pub fn announce(&self, change: Changes) {
        // Nobody may be reading.
        let _ = self.0.send(change);
    }

    pub fn subscribe(&self) -> ChangeReader {
        ChangeReader(self.0.subscribe())
    }
}

#[derive(Debug)]
pub struct ChangeReader(broadcast::Receiver<Changes>);

impl ChangeReader {
    /// Waits until the state of something may have changed, at any site.
    pub async fn any_state(&mut self) {
        while let Ok(Changes::Work(_)) = self.0.recv().await {}
    }

    /// Waits until sites, their settings or their tokens may have changed.
    pub async fn sites_changed(&mut self) {
        loop {
            match self.0.recv().await {
                Ok(Changes::Work(_) | Changes::State(_)) => {}
                // Nobody is left to announce anything.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                _ => return,
            }
        }
    }

    /// Forgets what has been announced so far.
    pub fn catch_up(&mut self) {
        self.0 = self.0.resubscribe();
    }

    /// Waits until a change of the site is heard of.
    pub async fn heard(&mut self, site: SiteId) {
        loop {
            match self.0.recv().await {
                Ok(Changes::Work(id) | Changes::State(id)) if id != site => {}
                _ => return,
            }
        }
    }
}
