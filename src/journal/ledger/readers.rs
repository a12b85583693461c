//! A few connections to the ledger for callers that must not block: reads wait for one of them, not for the disk.

use super::{Ledger, LedgerError, Trouble};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Cheap to clone. A connection is made when it is first needed, and again after an error.
#[derive(Clone)]
pub struct Readers {
    dir: Arc<PathBuf>,
    permits: Arc<Semaphore>,
    // A lock, since blocking threads take and give back; held for a push or a pop.
    idle: Arc<Mutex<Vec<Ledger>>>,
}

impl Readers {
    /// At most `count` reads at once, each on a blocking thread.
    pub fn new(dir: PathBuf, count: usize) -> Self {
        Self { dir: Arc::new(dir), permits: Arc::new(Semaphore::new(count)), idle: Arc::default() }
    }

    /// Runs `read` when a connection is free. A caller that gives up does not stop a read that has begun.
    ///
    /// # Errors
    /// [`LedgerError`] when there is no ledger, or what `read` says.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Ledger) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let permit = self.permits.clone().acquire_owned().await.expect("the readers are never closed");
        let (dir, idle) = (self.dir.clone(), self.idle.clone());
        let work = move || {
            let _permit = permit;
            let free = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let ledger = free.filter(Ledger::is_current).map_or_else(|| Ledger::open(&dir), Ok)?;
            let answer = read(&ledger)?;
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(ledger);
            Ok(answer)
        };
        let broken = || LedgerError::Unavailable {
            path: self.dir.join(super::super::FILE_NAME),
            trouble: Trouble::Io(std::io::ErrorKind::Interrupted),
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(broken()))
    }
}
