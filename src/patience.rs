//! How long something is waited for. What is there at once asks no clock, and a connection sets one timer again and again
//! instead of making one for each wait: both are shared by all threads, and cost more than they look.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// The time was over before what was waited for came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over;

/// The timer of whoever waits for one thing at a time.
#[derive(Debug, Default)]
pub struct Patience {
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Waits, but not longer than until the deadline, which is asked for once there is something to wait for. As cancel-safe as
    /// `wait`.
    ///
    /// # Errors
    /// [`Over`].
    pub async fn until<F: Future>(
        &mut self,
        deadline: impl FnOnce() -> Instant,
        wait: F,
    ) -> Result<F::Output, Over> {
        let mut wait = pin!(wait);
        let mut deadline = Some(deadline);
        poll_fn(|cx| {
            if let Poll::Ready(value) = wait.as_mut().poll(cx) {
                return Poll::Ready(Ok(value));
            }
            if let Some(deadline) = deadline.take() {
                self.set(deadline());
            }
            self.poll_over(cx)
        })
        .await
    }

    fn set(&mut self, deadline: Instant) {
        match &mut self.timer {
            // Next to nothing where the deadline only moves away, as it mostly does.
            Some(timer) => timer.as_mut().reset(deadline),
            None => self.timer = Some(Box::pin(sleep_until(deadline))),
        }
    }

    /// Looked at also where `wait` has used up the task's turn: what always has something to do must end as well.
    fn poll_over<T>(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, Over>> {
        let Some(timer) = &mut self.timer else { return Poll::Pending };
        pin!(unconstrained(timer.as_mut())).poll(cx).map(|()| Err(Over))
    }
}

/// The same for a wait that is mostly none.
///
/// # Errors
/// [`Over`].
pub async fn until<F: Future>(deadline: impl FnOnce() -> Instant, wait: F) -> Result<F::Output, Over> {
    Patience::default().until(deadline, wait).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::time::Duration;
    use tokio::time::sleep;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn what_is_there_asks_no_clock() {
        assert_eq!(until(|| panic!("asked"), ready(7)).await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_its_own_end_whichever_was_set_before() {
        let mut patience = Patience::default();
        for seconds in [5, 60, 2, 2, 300, 1] {
            let began = Instant::now();
            let limit = SECOND * seconds;
            assert_eq!(patience.until(|| began + limit, pending::<()>()).await, Err(Over));
            assert!((limit..limit + SECOND / 10).contains(&began.elapsed()), "{seconds}");
            // Its timer is left standing, and ends nothing that comes later.
            assert_eq!(patience.until(|| Instant::now() + limit, sleep(SECOND / 2)).await, Ok(()));
            let later = patience.until(|| Instant::now() + limit * 3, sleep(limit * 2));
            assert_eq!(later.await, Ok(()), "{seconds}");
        }
    }

    #[tokio::test]
    async fn who_never_pauses_is_ended_all_the_same() {
        let busy = async {
            loop {
                tokio::task::consume_budget().await;
            }
        };
        assert_eq!(until(|| Instant::now() + SECOND / 50, busy).await, Err::<(), _>(Over));
    }
}
