//! Answers of a thread that blocks enter the runtime together: woken there, a task goes into its worker's own queue, and
//! one wake does for all of them.

use tokio::sync::mpsc;

type Work = Box<dyn FnOnce() + Send>;

/// Runs what it is told as a task of the runtime that it was started in.
#[derive(Debug)]
pub struct Herald {
    /// Absent outside a runtime.
    work: Option<mpsc::UnboundedSender<Work>>,
}

impl Herald {
    pub fn start() -> Self {
        let work = tokio::runtime::Handle::try_current().ok().map(|runtime| {
            // Bounded by those who wait for an answer.
            let (work, mut told) = mpsc::unbounded_channel::<Work>();
            runtime.spawn(async move {
                while let Some(work) = told.recv().await {
                    work();
                }
            });
            work
        });
        Self { work }
    }

    /// In place when there is no runtime, or none any more. Work that the runtime leaves undone at its end is dropped.
    pub fn tell(&self, work: impl FnOnce() + Send + 'static) {
        match &self.work {
            Some(tell) => {
                if let Err(back) = tell.send(Box::new(work)) {
                    (back.0)();
                }
            }
            None => work(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::{ThreadId, current};

    fn runner(herald: &Herald) -> ThreadId {
        let (tell, told) = std::sync::mpsc::channel();
        herald.tell(move || tell.send(current().id()).unwrap());
        told.recv().unwrap()
    }

    #[test]
    fn work_is_done_within_the_runtime_without_one_and_behind_its_end() {
        let here = current().id();
        assert_eq!(runner(&Herald::start()), here);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let herald = runtime.block_on(async { Herald::start() });
        assert_ne!(runner(&herald), here);
        runtime.shutdown_timeout(std::time::Duration::from_secs(10));
        assert_eq!(runner(&herald), here);
    }
}
