//! Long-lived tasks that broke off: a defect of the relay, which must not go on in silence.

use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What has broken off since the start.
#[derive(Debug, Default)]
pub struct Defects(
    // Plain data, held for a line.
    Mutex<Vec<&'static str>>,
);

impl Defects {
    fn lock(&self) -> MutexGuard<'_, Vec<&'static str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a task, and remembers that it broke off if it does.
    pub async fn watch(&self, what: &'static str, task: impl Future<Output = ()>) {
        if AssertUnwindSafe(task).catch_unwind().await.is_err() {
            self.lock().push(what);
            tracing::error!(what, "a part of the relay broke off (a defect); restart the relay");
        }
    }

    /// One line each for an operator.
    pub fn told(&self) -> Vec<String> {
        self.lock().iter().map(|what| format!("{what} broke off (a defect): restart the relay")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn c9_a_task_that_breaks_off_is_said() {
        let defects = Defects::default();
        defects.watch("this", async {}).await;
        assert!(defects.told().is_empty());
        defects.watch("the delivery of held jobs", async { panic!("on purpose") }).await;
        assert_eq!(defects.told(), ["the delivery of held jobs broke off (a defect): restart the relay"]);
    }
}
