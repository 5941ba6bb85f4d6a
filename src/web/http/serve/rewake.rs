//! Polls a connection again at once when it wakes itself, as hyper does for each body: when the
//! handler asks for it, and when it has come. Through the scheduler, each of these would wake another
//! thread, which takes over what waits for the database.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

/// How often it is polled in a row before others have their turn: a publish takes three. While
/// requests are pipelined, hyper answers sixteen in each.
const POLLS: usize = 4;

/// Stands between the scheduler and what it polls.
pub(super) struct Rewake<F> {
    future: Pin<Box<F>>,
    wakes: Arc<Wakes>,
    waker: Waker,
}

struct Wakes(Mutex<State>);

enum State {
    Polling,
    Woken,
    Waiting(Waker),
}

impl<F: Future> Rewake<F> {
    pub(super) fn new(future: F) -> Self {
        let wakes = Arc::new(Wakes(Mutex::new(State::Woken)));
        Self {
            future: Box::pin(future),
            waker: Arc::clone(&wakes).into(),
            wakes,
        }
    }
}

impl<F: Future> Future for Rewake<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self {
            future,
            wakes,
            waker,
        } = &mut *self;
        for _ in 0..POLLS {
            *wakes.0.lock() = State::Polling;
            let polled = future.as_mut().poll(&mut Context::from_waker(waker));
            if polled.is_ready() {
                return polled;
            }
            let mut state = wakes.0.lock();
            if matches!(*state, State::Polling) {
                *state = State::Waiting(context.waker().clone());
                return Poll::Pending;
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        let before = mem::replace(&mut *self.0.lock(), State::Woken);
        if let State::Waiting(scheduler) = before {
            scheduler.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::mpsc;
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn what_wakes_itself_is_polled_at_once_and_others_have_their_turn_all_the_same() {
        let mut polls = 0;
        let waking = Rewake::new(poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        assert!(waking.now_or_never().is_none());
        assert_eq!(polls, POLLS);
        let mut polls = 0;
        let waiting = Rewake::new(poll_fn(|_| {
            polls += 1;
            Poll::<()>::Pending
        }));
        assert!(waiting.now_or_never().is_none());
        assert_eq!(polls, 1);
    }

    /// They come at any moment of the poll.
    #[tokio::test]
    async fn no_wake_of_another_thread_is_lost() {
        let (wakers, wakes) = mpsc::channel::<Waker>();
        let waking = std::thread::spawn(move || wakes.into_iter().for_each(Waker::wake));
        let mut left = 20_000;
        let woken = Rewake::new(poll_fn(move |context| {
            left -= 1;
            let waits = left > 0 && wakers.send(context.waker().clone()).is_ok();
            if waits {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        }));
        let in_time = tokio::time::timeout(Duration::from_secs(60), woken).await;
        assert!(in_time.is_ok(), "a wake was lost");
        assert!(waking.join().is_ok());
    }
}
