//! A value made from files, made again when one of them changes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

/// How often the files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Keeps the last value that could be made: a bad renewal leaves the old certificate in use and is logged.
pub struct Fresh<T> {
    files: Vec<PathBuf>,
    make: Box<dyn Fn() -> Result<T, super::TlsError> + Send + Sync>,
    // Plain data, held for a few lines and never across an await.
    current: Mutex<Current<T>>,
}

struct Current<T> {
    value: Arc<T>,
    stamps: Vec<Option<SystemTime>>,
    looked: Instant,
}

impl<T> Fresh<T> {
    pub fn new(
        files: Vec<PathBuf>,
        make: impl Fn() -> Result<T, super::TlsError> + Send + Sync + 'static,
    ) -> Result<Self, super::TlsError> {
        let stamps = stamps(&files);
        let value = Arc::new(make()?);
        let current = Mutex::new(Current { value, stamps, looked: Instant::now() });
        Ok(Self { files, make: Box::new(make), current })
    }

    pub fn get(&self) -> Arc<T> {
        let mut current = self.current.lock().expect("no holder of this lock panics");
        if current.looked.elapsed() >= LOOK_EVERY {
            current.looked = Instant::now();
            self.renew(&mut current);
        }
        current.value.clone()
    }

    fn renew(&self, current: &mut Current<T>) {
        let stamps = stamps(&self.files);
        if stamps == current.stamps {
            return;
        }
        match (self.make)() {
            Ok(value) => {
                current.value = Arc::new(value);
                tracing::info!(files = ?self.files, "TLS files read again");
            }
            Err(cause) => tracing::error!(%cause, "changed TLS files cannot be used; the old ones stay"),
        }
        current.stamps = stamps;
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<SystemTime>> {
    files.iter().map(|file| std::fs::metadata(file).and_then(|meta| meta.modified()).ok()).collect()
}
