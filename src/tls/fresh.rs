//! A value made from files, made again when one of them changes. Whoever wants it gets what there is: a file that does not
//! answer (a mount that hangs) is waited for by a thread of its own.

use super::{FILE_BYTES_MAX, TlsError};
use crate::plain_file;
use aws_lc_rs::digest;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often the files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a look is waited for before the value from before is given out: much longer than it takes.
const LOOK_WAIT: Duration = Duration::from_millis(50);
/// A look that takes so long is spoken of.
const LOOK_HANGS: Duration = Duration::from_secs(2);

/// What a file holds, or `None` for one that cannot be read. Times and sizes say too little: a renewal may restore them.
type Content = Option<[u8; 32]>;

/// Keeps the last value that could be made: a bad renewal leaves the old certificate in use and is logged once.
pub struct Fresh<T>(Arc<Inner<T>>);

struct Inner<T> {
    files: Vec<PathBuf>,
    make: Box<dyn Fn() -> Result<T, TlsError> + Send + Sync>,
    // Plain data, held for a few lines. Nothing is read under it.
    current: Mutex<Current<T>>,
    looked: Condvar,
}

struct Current<T> {
    value: Arc<T>,
    /// As it was tried last.
    contents: Vec<Content>,
    look: Look,
    /// Why what lay there at the last look is not what is in use.
    trouble: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Ended(Instant),
    Began(Instant),
    /// It began, takes long, and that was said.
    Hangs,
}

impl<T: Send + Sync + 'static> Fresh<T> {
    pub fn new(
        files: Vec<PathBuf>,
        make: impl Fn() -> Result<T, TlsError> + Send + Sync + 'static,
    ) -> Result<Self, TlsError> {
        // Before they are used: what changes in between is then noticed.
        let contents = contents(&files);
        let value = Arc::new(make()?);
        let look = Look::Ended(Instant::now());
        let current = Mutex::new(Current { value, contents, look, trouble: None });
        Ok(Self(Arc::new(Inner { files, make: Box::new(make), current, looked: Condvar::new() })))
    }

    pub fn get(&self) -> Arc<T> {
        self.0.current().value.clone()
    }

    /// Why what lies there is not what is in use.
    pub fn trouble(&self) -> Option<String> {
        let current = self.0.current();
        match current.look {
            Look::Hangs => {
                Some(format!("reading {} takes long; the old ones stay in use meanwhile", self.0.names()))
            }
            Look::Ended(_) | Look::Began(_) => current.trouble.clone(),
        }
    }

    /// Makes it anew, whether a file has changed or not: a key may come from elsewhere. Blocks. What was made is not in use yet.
    ///
    /// # Errors
    /// Why it cannot be made; the old value stays.
    pub fn read_again(&self) -> Result<Reread<T>, TlsError> {
        let contents = contents(&self.0.files);
        let value = Arc::new((self.0.make)()?);
        Ok(Reread { inner: self.0.clone(), contents, value })
    }
}

/// A value made anew, with what it was made from.
pub struct Reread<T> {
    inner: Arc<Inner<T>>,
    contents: Vec<Content>,
    value: Arc<T>,
}

impl<T: Send + Sync + 'static> Reread<T> {
    pub fn put_in_use(self) {
        let mut current = self.inner.lock();
        (current.contents, current.value, current.trouble) = (self.contents, self.value, None);
    }
}

impl<T: Send + Sync + 'static> Inner<T> {
    fn lock(&self) -> MutexGuard<'_, Current<T>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// After a look, if one is due and does not take long.
    fn current(self: &Arc<Self>) -> MutexGuard<'_, Current<T>> {
        let mut current = self.lock();
        match current.look {
            Look::Ended(at) if at.elapsed() >= LOOK_EVERY && !self.files.is_empty() => {
                let now = Instant::now();
                let inner = self.clone();
                let looking =
                    std::thread::Builder::new().name("tls-files".into()).spawn(move || inner.follow());
                // Without a thread to be had it is tried again the next time.
                current.look = if looking.is_ok() { Look::Began(now) } else { Look::Ended(now) };
                let is_looking = |current: &mut Current<T>| matches!(current.look, Look::Began(_));
                let waited = self.looked.wait_timeout_while(current, LOOK_WAIT, is_looking);
                current = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            Look::Began(at) if at.elapsed() >= LOOK_HANGS => {
                let files = self.names();
                tracing::error!(%files, "reading TLS files takes long; the old ones stay in use meanwhile");
                current.look = Look::Hangs;
            }
            Look::Ended(_) | Look::Began(_) | Look::Hangs => {}
        }
        current
    }

    fn follow(&self) {
        let contents = contents(&self.files);
        // In a line of its own: the lock goes with it.
        let is_changed = contents != self.lock().contents;
        let made = is_changed.then(|| (self.make)());
        let files = self.names();
        let mut current = self.lock();
        let hung = current.look == Look::Hangs;
        match made {
            None if hung => tracing::info!(%files, "TLS files can be read again"),
            None => {}
            Some(Ok(value)) => {
                (current.value, current.trouble) = (Arc::new(value), None);
                tracing::info!(%files, "TLS files read again");
            }
            Some(Err(cause)) => {
                tracing::error!(%cause, %files, "changed TLS files cannot be used; the old ones stay");
                current.trouble = Some(format!("{cause}; the old files stay in use"));
            }
        }
        current.contents = contents;
        current.look = Look::Ended(Instant::now());
        self.looked.notify_all();
    }

    fn names(&self) -> String {
        let files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        files.join(", ")
    }
}

fn contents(files: &[PathBuf]) -> Vec<Content> {
    files.iter().map(|file| content(file)).collect()
}

fn content(file: &Path) -> Content {
    let bytes = plain_file::read(file, FILE_BYTES_MAX).ok()?;
    digest::digest(&digest::SHA256, &bytes).as_ref().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::super::error::Content;
    use super::*;
    use std::fs::{self, File};
    use std::sync::mpsc;

    fn fresh(file: &Path) -> Fresh<String> {
        let from = file.to_owned();
        let make = move || match fs::read_to_string(&from) {
            Ok(text) if text.starts_with("good") => Ok(text),
            _ => Err(TlsError::NoCertificate { path: from.clone(), found: Content::Nothing }),
        };
        Fresh::new(vec![file.to_owned()], make).unwrap()
    }

    /// A look that is due, and that is waited for.
    fn look<T: Send + Sync + 'static>(fresh: &Fresh<T>) -> Arc<T> {
        fresh.0.lock().look = Look::Ended(Instant::now() - LOOK_EVERY);
        fresh.get();
        let looking = |current: &mut Current<T>| !matches!(current.look, Look::Ended(_));
        drop(fresh.0.looked.wait_while(fresh.0.lock(), looking).unwrap());
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
        let reread = fresh.read_again().unwrap();
        assert_eq!(*fresh.get(), "good 1", "not in use yet");
        reread.put_in_use();
        assert_eq!(*fresh.get(), "good 2");
        exchange(&file, "bad  3");
        assert!(fresh.read_again().is_err());
        assert_eq!((&**fresh.get(), &**look(&fresh)), ("good 2", "good 2"));
    }

    #[test]
    fn c5_a_fifo_in_the_place_of_a_file_holds_nobody_up_and_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cert.pem");
        fs::write(&file, "good 1").unwrap();
        let from = file.clone();
        let make = move || match plain_file::read(&from, 100) {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(_) => Err(TlsError::NoCertificate { path: from.clone(), found: Content::Nothing }),
        };
        let fresh = Fresh::new(vec![file.clone()], make).unwrap();
        fs::remove_file(&file).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &file, rustix::fs::Mode::RUSR).unwrap();
        assert_eq!(*look(&fresh), b"good 1");
        assert!(fresh.trouble().unwrap().contains("the old files stay in use"));
        fs::remove_file(&file).unwrap();
        fs::write(&file, "good 2").unwrap();
        assert_eq!((&**look(&fresh), fresh.trouble()), (&b"good 2"[..], None));
    }

    #[test]
    fn c5_a_disk_that_answers_again_mends_no_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cert.pem");
        fs::write(&file, "good 1").unwrap();
        let fresh = fresh(&file);
        fs::write(&file, "bad").unwrap();
        assert_eq!(&**look(&fresh), "good 1");
        fresh.0.lock().look = Look::Began(Instant::now() - LOOK_HANGS);
        assert!(fresh.trouble().unwrap().contains("takes long"));
        fresh.0.follow();
        assert!(fresh.trouble().unwrap().contains("the old files stay in use"));
    }

    #[test]
    fn c5_a_file_that_does_not_answer_holds_nobody_up_and_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cert.pem");
        fs::write(&file, "1").unwrap();
        let (answer, answers) = mpsc::channel();
        let answers = Mutex::new(answers);
        answer.send(1).unwrap();
        let fresh =
            Fresh::new(vec![file.clone()], move || Ok(answers.lock().unwrap().recv().unwrap())).unwrap();
        fs::write(&file, "2").unwrap();
        fresh.0.lock().look = Look::Ended(Instant::now() - LOOK_EVERY);
        let began = Instant::now();
        (0..1000).for_each(|_| assert_eq!(*fresh.get(), 1));
        assert!(began.elapsed() < LOOK_HANGS, "waited for once");
        assert_eq!(fresh.trouble(), None);
        fresh.0.lock().look = Look::Began(Instant::now() - LOOK_HANGS);
        assert!(fresh.trouble().unwrap().contains("takes long"));
        answer.send(2).unwrap();
        let looking = |current: &mut Current<i32>| !matches!(current.look, Look::Ended(_));
        drop(fresh.0.looked.wait_while(fresh.0.lock(), looking).unwrap());
        assert_eq!((*fresh.get(), fresh.trouble()), (2, None));
    }
}
