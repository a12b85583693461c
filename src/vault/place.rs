//! The vault's file as all who read it share it: connections follow it when it is taken away and put back. Another vault in
//! its place is never read: its keys and tokens are others. And what was copied over the open file is read only once it has
//! been found whole.

use super::doubt::Doubt;
use super::error::{Trouble, VaultError, store_error};
use super::keyring::{Keyring, VaultRow};
use super::mark::Mark;
use super::progress::{Moment, Opening, reached, version};
use super::sentry::{Closing, Fate, Sentry, Stamp};
use super::{reindex, store};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// How often a read is tried on a file that is another one each time.
const TRIES: usize = 3;

/// Where the vault lies, and which one it is.
pub struct Place {
    path: PathBuf,
    row: VaultRow,
    keys: Arc<Keyring>,
    mark: Arc<Mark>,
    // Held while the file is looked at, and while connections are closed and opened. Whoever holds it takes links one by one;
    // who holds a link never takes it.
    inner: Mutex<Inner>,
}

struct Inner {
    links: Vec<Weak<Link>>,
    standing: Standing,
    /// How often the connections were opened anew.
    openings: u64,
}

enum Standing {
    Closed,
    Open(Box<Sentry>),
    /// Every connection is closed until what lies there is known to be whole.
    Doubtful(Doubt),
}

/// A connection for reading, for one user at a time.
pub struct Link {
    // Held for one read.
    open: Mutex<Option<Open>>,
}

struct Open {
    db: Connection,
    opening: Opening,
    stamp: Stamp,
    version: i64,
}

/// What was read, and how far it may be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read<T> {
    Sure(T),
    /// What was not found may be there: the file is being written.
    Unsure(T),
}

/// What the relay's watch wants to know: these numbers differ whenever something else may be true than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    openings: u64,
    version: i64,
}

/// One read, before it is known what it is worth.
struct Attempt<T> {
    found: Result<T, VaultError>,
    stamp: Stamp,
    /// Something was committed since the last read.
    is_news: bool,
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, closing: Closing) {
        if let Some(open) = self.lock().take() {
            closing.close(open.db);
        }
    }
}

impl Place {
    pub fn new(path: PathBuf, row: VaultRow, keys: Arc<Keyring>, mark: Arc<Mark>) -> Self {
        let inner = Inner { links: Vec::new(), standing: Standing::Closed, openings: 0 };
        Self { path, row, keys, mark, inner: Mutex::new(inner) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more connection; to a vault that a person has to decide about it is made once that is done.
    pub fn link(&self) -> Result<Arc<Link>, VaultError> {
        let mut inner = self.lock();
        if matches!(inner.standing, Standing::Closed) {
            match self.open_all(&mut inner) {
                Err(cause) if cause.awaits_a_person() => {}
                opened => opened?,
            }
        }
        let open = match &inner.standing {
            Standing::Open(sentry) => Some(self.open(sentry, Opening(inner.openings))?),
            Standing::Closed => None,
            Standing::Doubtful(_) => return Err(self.is_doubtful()),
        };
        let link = Arc::new(Link { open: Mutex::new(open) });
        inner.links.push(Arc::downgrade(&link));
        Ok(link)
    }

    /// Reads from the file that lies there now: an open file outlives its name, and what was removed must not be served. All
    /// that `read` sees is of one moment.
    pub fn read<T>(
        &self,
        link: &Link,
        read: impl Fn(&Connection, Moment) -> rusqlite::Result<T>,
    ) -> Result<Read<T>, VaultError> {
        for _ in 0..TRIES {
            let attempt = link.lock().as_mut().map(|open| self.attempt(open, &read));
            let now = Stamp::at(&self.path)?;
            let attempt = match attempt {
                Some(attempt) if attempt.stamp == now && !attempt.is_news => {
                    return attempt.found.map(Read::Sure);
                }
                other => other,
            };
            let mut inner = self.lock();
            let fate = self.look(&mut inner)?;
            let Some(attempt) = attempt else { continue };
            match (fate, &inner.standing) {
                (Fate::Sound, Standing::Open(sentry)) => {
                    if let Some(open) = link.lock().as_mut() {
                        open.stamp = sentry.stamp();
                    }
                    return attempt.found.map(Read::Sure);
                }
                (Fate::Unsure, _) => return attempt.found.map(Read::Unsure),
                _ => {}
            }
        }
        Err(self.is_doubtful())
    }

    fn attempt<T>(
        &self,
        open: &mut Open,
        read: impl Fn(&Connection, Moment) -> rusqlite::Result<T>,
    ) -> Attempt<T> {
        let seen = self.mark.seen();
        let mut is_news = false;
        let found = at_one_moment(&open.db, |db| {
            let now = version(db)?;
            is_news = now != open.version;
            if is_news && let Err(trouble) = self.recognise(db, seen)? {
                return Ok(Err(trouble));
            }
            open.version = now;
            read(db, Moment { opening: open.opening, version: now }).map(Ok)
        });
        let found = found.map_err(store_error(&self.path));
        let found = found.and_then(|found| found.map_err(|trouble| self.unavailable(trouble)));
        Attempt { found, stamp: open.stamp, is_news }
    }

    /// Another vault may be put there through SQLite too, or this one as it was earlier: a restore is a transaction like
    /// others. `seen` is how far the vault had been seen before this look.
    fn recognise(&self, db: &Connection, seen: i64) -> rusqlite::Result<Result<(), Trouble>> {
        if store::row(db)? != self.row {
            return Ok(Err(Trouble::Replaced));
        }
        Ok(self.mark.look(reached(db)?, seen))
    }

    /// What became of the file, and what follows from that for those who read it.
    fn look(&self, inner: &mut Inner) -> Result<Fate, VaultError> {
        let fate = match &mut inner.standing {
            Standing::Closed => Fate::Moved,
            Standing::Open(sentry) => sentry.look()?,
            Standing::Doubtful(doubt) => return Err(doubt.cause(&self.path)),
        };
        match fate {
            Fate::Sound | Fate::Unsure => {}
            Fate::Moved => {
                close_all(inner, Closing::Tidy, Standing::Closed);
                if store::is_younger_than_its_log(&self.path) {
                    // Another process has it open: a log of the file that lay here before.
                    inner.standing = Standing::Doubtful(Doubt::default());
                    return Err(self.is_doubtful());
                }
                self.open_all(inner)?;
            }
            Fate::Overwritten => {
                close_all(inner, Closing::HandsOff, Standing::Doubtful(Doubt::default()));
                return Err(self.is_doubtful());
            }
        }
        Ok(fate)
    }

    /// A look now and then, which is also what ends a doubt.
    ///
    /// # Errors
    /// Why nobody can be read.
    pub fn watch(&self) -> Result<Seen, VaultError> {
        let mut inner = self.lock();
        if let Standing::Doubtful(doubt) = &inner.standing {
            let doubt = doubt.clone();
            drop(inner);
            // It may take long, and who wants to read is told so meanwhile.
            let doubt = doubt.after_a_look(&self.path, &self.row, &self.keys);
            inner = self.lock();
            if let Some(doubt) = doubt {
                let cause = doubt.cause(&self.path);
                inner.standing = Standing::Doubtful(doubt);
                return Err(cause);
            }
            inner.standing = Standing::Closed;
        }
        let fate = match (self.look(&mut inner), &mut inner.standing) {
            (Ok(fate), _) => fate,
            (Err(cause), Standing::Doubtful(doubt)) => {
                doubt.begins_with(&self.path);
                return Err(cause);
            }
            (Err(cause), _) => return Err(cause),
        };
        let openings = inner.openings;
        let Standing::Open(sentry) = &mut inner.standing else { return Err(self.is_doubtful()) };
        if fate == Fate::Sound {
            let seen = self.mark.seen();
            if let Err(trouble) = self.recognise(sentry.db(), seen).map_err(store_error(&self.path))? {
                close_all(&mut inner, Closing::HandsOff, Standing::Doubtful(Doubt::default()));
                return Err(self.unavailable(trouble));
            }
            sentry.empty_log()?;
        }
        let version = sentry.version();
        drop(inner);
        self.mark.raise(self.mark.seen());
        Ok(Seen { openings, version })
    }

    fn open_all(&self, inner: &mut Inner) -> Result<(), VaultError> {
        let sentry = Sentry::post(&self.path, self.connect()?)?;
        inner.links.retain(|link| link.strong_count() > 0);
        for link in inner.links.iter().filter_map(Weak::upgrade) {
            let opened = self.open(&sentry, Opening(inner.openings + 1))?;
            *link.lock() = Some(opened);
        }
        inner.standing = Standing::Open(Box::new(sentry));
        inner.openings += 1;
        Ok(())
    }

    fn open(&self, sentry: &Sentry, opening: Opening) -> Result<Open, VaultError> {
        let db = self.connect()?;
        let version = version(&db).map_err(store_error(&self.path))?;
        Ok(Open { db, opening, stamp: sentry.stamp(), version })
    }

    /// With the checks of a start.
    fn connect(&self) -> Result<Connection, VaultError> {
        let failed = store_error(&self.path);
        let db = store::connect(&self.path, store::Use::Read)?;
        if store::row(&db).map_err(&failed)? != self.row {
            return Err(self.unavailable(Trouble::Replaced));
        }
        if store::format_of(&db).map_err(&failed)? < store::FORMAT {
            reindex::bring_up_to_date(&self.path, &self.keys, &self.mark)?;
        }
        let has = reached(&db).map_err(&failed)?;
        self.mark.judge(has).map_err(|trouble| self.unavailable(trouble))?;
        Ok(db)
    }

    fn unavailable(&self, trouble: Trouble) -> VaultError {
        VaultError::Unavailable { path: self.path.clone(), trouble }
    }

    fn is_doubtful(&self) -> VaultError {
        Doubt::default().cause(&self.path)
    }
}

/// Every connection is closed before one is opened: the locks that SQLite holds on the files beside the database are the
/// process's, and go with the first of its connections that is closed (fcntl(2)).
fn close_all(inner: &mut Inner, closing: Closing, then: Standing) {
    for link in inner.links.iter().filter_map(Weak::upgrade) {
        link.close(closing);
    }
    if let Standing::Open(sentry) = std::mem::replace(&mut inner.standing, then) {
        sentry.close(closing);
    }
}

/// One transaction around a read. Its statements are kept prepared: for a batch of one they would cost as much as the
/// record.
fn at_one_moment<T>(
    db: &Connection,
    read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    db.prepare_cached("BEGIN")?.execute([])?;
    let found = read(db);
    let ended = db.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
    if ended.is_err() && !db.is_autocommit() {
        db.execute_batch("ROLLBACK")?;
    }
    found
}
