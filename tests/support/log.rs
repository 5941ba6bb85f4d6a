//! What services inside the tests log.

use std::io::Write;
use std::sync::{Arc, LazyLock};
use std::thread::ThreadId;

use parking_lot::Mutex;

/// Every line that any service of this process logs once this is used, at the most talkative level.
/// It is the only subscriber of the process: with one per test, which lines each of them gets would
/// depend on the others that run beside it.
pub(crate) static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    log
});

/// Lines, each with the thread that logged it.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<(ThreadId, String)>>>);

impl Log {
    pub(crate) fn text(&self) -> String {
        self.0
            .lock()
            .iter()
            .map(|(_, line)| line.as_str())
            .collect()
    }

    /// What this thread logs from now on, and so a test and the service inside it.
    pub(crate) fn of_this_thread(&self) -> OwnLog<'_> {
        OwnLog {
            log: self,
            thread: std::thread::current().id(),
            start: self.0.lock().len(),
        }
    }
}

/// A part of the log.
pub(crate) struct OwnLog<'a> {
    log: &'a Log,
    thread: ThreadId,
    start: usize,
}

impl OwnLog<'_> {
    pub(crate) fn text(&self) -> String {
        let lines = self.log.0.lock();
        let lines = lines.iter().skip(self.start);
        lines
            .filter(|(thread, _)| *thread == self.thread)
            .map(|(_, line)| line.as_str())
            .collect()
    }
}

/// The subscriber writes each line at once.
impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(line).into_owned();
        self.0.lock().push((std::thread::current().id(), text));
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
