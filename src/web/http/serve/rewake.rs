//! Polls a future again at once when it wakes itself, as hyper's connections do for each body that
//! they hand over. Through the scheduler each of these would wake another thread, which finds
//! nothing to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

const IDLE: u8 = 0;
const POLLING: u8 = 1;
/// Woken while it was being polled.
const WOKEN: u8 = 2;

/// How often it is polled again before others have their turn.
const AGAIN: usize = 8;

/// Stands between the scheduler and what it polls.
pub(super) struct Rewake {
    inner: Arc<Inner>,
    waker: Waker,
}

struct Inner {
    state: AtomicU8,
    outer: AtomicWaker,
}

impl Rewake {
    pub(super) fn new() -> Self {
        let inner = Arc::new(Inner {
            state: AtomicU8::new(IDLE),
            outer: AtomicWaker::new(),
        });
        Self {
            waker: Arc::clone(&inner).into(),
            inner,
        }
    }

    /// Polls `future`, and again while it wakes itself.
    pub(super) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let Inner { state, outer } = &*self.inner;
        outer.register(cx.waker());
        for _ in 0..AGAIN {
            state.store(POLLING, Ordering::SeqCst);
            if let Poll::Ready(ready) = poll(&mut Context::from_waker(&self.waker)) {
                state.store(IDLE, Ordering::SeqCst);
                return Poll::Ready(ready);
            }
            let ended = state.compare_exchange(POLLING, IDLE, Ordering::SeqCst, Ordering::SeqCst);
            if ended.is_ok() {
                return Poll::Pending;
            }
        }
        state.store(IDLE, Ordering::SeqCst);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Wake for Inner {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let polled =
            self.state
                .compare_exchange(POLLING, WOKEN, Ordering::SeqCst, Ordering::SeqCst);
        if polled == Err(IDLE) {
            self.outer.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counting() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        (Arc::clone(&count), count.into())
    }

    #[test]
    fn what_wakes_itself_is_polled_at_once() {
        let (woken, waker) = counting();
        let mut polls = 0;
        let ended = Rewake::new().poll(&mut Context::from_waker(&waker), |cx| {
            polls += 1;
            if polls == 3 {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!((ended, polls), (Poll::Ready(()), 3));
        assert_eq!(woken.0.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn what_wakes_itself_for_ever_lets_others_have_their_turn() {
        let (woken, waker) = counting();
        let mut polls = 0;
        let ended: Poll<()> = Rewake::new().poll(&mut Context::from_waker(&waker), |cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!((ended, polls), (Poll::Pending, AGAIN));
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    }

    /// Each wake comes from another thread, at any moment of the poll: none may be lost.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_wake_of_another_thread_is_lost() {
        const ROUNDS: usize = 20_000;
        let rounds = Arc::new(AtomicUsize::new(0));
        let (wakers, wakes) = std::sync::mpsc::channel::<Waker>();
        let counted = Arc::clone(&rounds);
        let waking = std::thread::spawn(move || {
            for waker in wakes {
                counted.fetch_add(1, Ordering::SeqCst);
                waker.wake();
            }
        });
        let rewake = Rewake::new();
        let mut asked = 0;
        let waited = poll_fn(|cx| {
            rewake.poll(cx, |cx| {
                if asked == ROUNDS {
                    return Poll::Ready(());
                }
                if rounds.load(Ordering::SeqCst) == asked {
                    asked += 1;
                    wakers.send(cx.waker().clone()).expect("it is read");
                }
                Poll::Pending
            })
        });
        tokio::time::timeout(Duration::from_secs(60), waited)
            .await
            .expect("a wake was lost");
        drop(wakers);
        waking.join().expect("it does not panic");
    }
}
