//! The vault's file as all who read it share it: connections follow it when it is taken away and put back. Another vault in
//! its place is never read: its keys and tokens are others.

use super::error::{Trouble, VaultError, io_error, store_error};
use super::keyring::VaultRow;
use super::store;
use rusqlite::Connection;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Where the vault lies, and which one it is.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    row: VaultRow,
    // Held while connections are closed and opened. Whoever holds it takes links one by one; who holds a link never takes it.
    links: Mutex<Vec<Weak<Link>>>,
}

/// A connection for reading, for one user at a time.
#[derive(Debug)]
pub struct Link {
    // Held for one read.
    open: Mutex<Option<Open>>,
}

#[derive(Debug)]
struct Open {
    db: Connection,
    file: FileId,
}

/// Device and inode: which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId(u64, u64);

impl FileId {
    pub fn at(path: &Path) -> Result<Self, VaultError> {
        let found = std::fs::metadata(path).map_err(io_error(path))?;
        Ok(Self(found.dev(), found.ino()))
    }
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub fn new(path: PathBuf, row: VaultRow) -> Self {
        Self { path, row, links: Mutex::default() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One more connection.
    pub fn link(&self) -> Result<Arc<Link>, VaultError> {
        let link = Arc::new(Link { open: Mutex::new(None) });
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        *link.lock() = Some(self.open()?);
        links.push(Arc::downgrade(&link));
        Ok(link)
    }

    /// Reads from the file that lies there now: an open file outlives its name, and what was removed must not be served.
    pub fn read<T>(
        &self,
        link: &Link,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, VaultError> {
        let file = FileId::at(&self.path)?;
        let mut open = link.lock();
        if open.as_ref().is_none_or(|open| open.file != file) {
            drop(open);
            self.follow(file)?;
            open = link.lock();
        }
        match &*open {
            Some(open) => read(&open.db).map_err(store_error(&self.path)),
            None => Err(self.replaced()),
        }
    }

    /// Every connection to another file is closed before one is opened: the locks that SQLite holds on the files beside the
    /// database are the process's, and go with the first of its connections that is closed (fcntl(2)).
    fn follow(&self, file: FileId) -> Result<(), VaultError> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.strong_count() > 0);
        let links: Vec<Arc<Link>> = links.iter().filter_map(Weak::upgrade).collect();
        for link in &links {
            link.lock().take_if(|open| open.file != file);
        }
        for link in &links {
            let mut open = link.lock();
            if open.is_none() {
                *open = Some(self.open()?);
            }
        }
        Ok(())
    }

    fn open(&self) -> Result<Open, VaultError> {
        // Before it is opened: a file put in its place meanwhile is then noticed at the first read.
        let file = FileId::at(&self.path)?;
        let db = store::connect(&self.path, store::Use::Read)?;
        if store::row(&db).map_err(store_error(&self.path))? != self.row {
            return Err(self.replaced());
        }
        Ok(Open { db, file })
    }

    fn replaced(&self) -> VaultError {
        VaultError::Unavailable { path: self.path.clone(), trouble: Trouble::Replaced }
    }
}
