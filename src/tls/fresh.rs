//! A value made from files, made again when one of them changes.

use aws_lc_rs::digest;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How often the files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a file holds, or `None` for one that cannot be read. Times and sizes say too little: a renewal may restore them.
type Content = Option<[u8; 32]>;

/// Keeps the last value that could be made: a bad renewal leaves the old certificate in use and is logged once.
pub struct Fresh<T> {
    files: Vec<PathBuf>,
    make: Box<dyn Fn() -> Result<T, super::TlsError> + Send + Sync>,
    // Plain data, held while the files are read, and never across an await.
    current: Mutex<Current<T>>,
}

struct Current<T> {
    value: Arc<T>,
    /// As it was tried last.
    contents: Vec<Content>,
    looked: Instant,
}

impl<T> Fresh<T> {
    pub fn new(
        files: Vec<PathBuf>,
        make: impl Fn() -> Result<T, super::TlsError> + Send + Sync + 'static,
    ) -> Result<Self, super::TlsError> {
        // Before they are used: what changes in between is then noticed.
        let contents = contents(&files);
        let value = Arc::new(make()?);
        let current = Mutex::new(Current { value, contents, looked: Instant::now() });
        Ok(Self { files, make: Box::new(make), current })
    }

    fn lock(&self) -> MutexGuard<'_, Current<T>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self) -> Arc<T> {
        let mut current = self.lock();
        if current.looked.elapsed() >= LOOK_EVERY {
            current.looked = Instant::now();
            self.follow(&mut current);
        }
        current.value.clone()
    }

    /// Makes it anew, whether a file has changed or not: a key may come from elsewhere.
    ///
    /// # Errors
    /// Why it cannot be made; the old value stays.
    pub fn read_again(&self) -> Result<(), super::TlsError> {
        let mut current = self.lock();
        current.contents = contents(&self.files);
        current.value = Arc::new((self.make)()?);
        Ok(())
    }

    fn follow(&self, current: &mut Current<T>) {
        let contents = contents(&self.files);
        if contents == current.contents {
            return;
        }
        current.contents = contents;
        let files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        let files = files.join(", ");
        match (self.make)() {
            Ok(value) => {
                current.value = Arc::new(value);
                tracing::info!(%files, "TLS files read again");
            }
            Err(cause) => {
                tracing::error!(%cause, %files, "changed TLS files cannot be used; the old ones stay");
            }
        }
    }
}

fn contents(files: &[PathBuf]) -> Vec<Content> {
    files.iter().map(|file| content(file)).collect()
}

fn content(file: &Path) -> Content {
    let bytes = Zeroizing::new(std::fs::read(file).ok()?);
    digest::digest(&digest::SHA256, &bytes).as_ref().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::TlsError;
    use std::fs::{self, File};

    fn fresh(file: &Path) -> Fresh<String> {
        let from = file.to_owned();
        let make = move || match fs::read_to_string(&from) {
            Ok(text) if text.starts_with("good") => Ok(text),
            _ => Err(TlsError::NoCertificate(from.clone())),
        };
        Fresh::new(vec![file.to_owned()], make).unwrap()
    }

    /// A look that is due.
    fn look<T>(fresh: &Fresh<T>) -> Arc<T> {
        fresh.lock().looked = Instant::now() - LOOK_EVERY;
        fresh.get()
    }

    /// Another content of the same length, with the time stamp of the one before.
    fn exchange(file: &Path, text: &str) {
        let before = fs::metadata(file).unwrap();
        fs::write(file, text).unwrap();
        File::options().write(true).open(file).unwrap().set_modified(before.modified().unwrap()).unwrap();
        assert_eq!(fs::metadata(file).unwrap().len(), before.len());
    }

    #[test]
    fn c5_content_decides_whatever_the_time_stamp_says() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cert.pem");
        fs::write(&file, "good 1").unwrap();
        let fresh = fresh(&file);
        exchange(&file, "good 2");
        assert_eq!(*look(&fresh), "good 2");
        exchange(&file, "bad  3");
        assert_eq!(*look(&fresh), "good 2", "a bad one leaves the old one");
        exchange(&file, "good 4");
        assert_eq!(*look(&fresh), "good 4");
        fs::remove_file(&file).unwrap();
        assert_eq!(*look(&fresh), "good 4");
    }

    #[test]
    fn c5_being_told_to_reads_in_any_case() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cert.pem");
        fs::write(&file, "good 1").unwrap();
        let fresh = fresh(&file);
        exchange(&file, "good 2");
        fresh.read_again().unwrap();
        assert_eq!(*fresh.get(), "good 2");
        exchange(&file, "bad  3");
        fresh.read_again().unwrap_err();
        assert_eq!((&**fresh.get(), &**look(&fresh)), ("good 2", "good 2"));
    }
}
