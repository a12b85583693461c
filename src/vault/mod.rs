//! The embedded vault: tokens to people, encrypted at rest in one SQLite file.
//!
//! The customer's root key wraps the vault's keys, a vault key wraps each person's key, and a record is sealed
//! under its person's key. Tokens and addresses are found by keyed hash only, so the file shows neither.

pub mod address;
mod batch_index;
mod cause;
mod cleared;
mod column;
mod consent_cell;
mod doubt;
pub mod draft;
mod envelope;
mod error;
mod field_names;
pub mod import;
mod keyring;
mod mark;
mod merge;
mod mojibake;
mod named;
mod person_row;
mod place;
mod progress;
mod purposes;
mod reader;
mod reindex;
mod roll;
mod root_key;
mod sentry;
mod stats;
mod store;
mod twins;
pub mod value;
mod verify;
mod watch;
mod writer;

#[cfg(test)]
mod tests;

pub use cause::{Cause, Refusal};
pub use cleared::{Cleared, Unclearable};
pub use column::Column;
pub use draft::Draft;
pub use error::{Damaged, DamagedPart, Trouble, VaultError, Withheld};
pub use purposes::Surveyed;
pub use reader::{Found, Reader};
pub use root_key::{BadRootKey, ROOT_KEY_BYTES, RootKey};
pub use stats::Stats;
pub use verify::Verified;
pub use watch::Watch;
pub use writer::{AddressChange, Change, Put, Rehearsal, Stored, Writer};

use crate::purpose::Known;
use error::{io_error, store_error};
use keyring::Keyring;
use mark::Mark;
use place::Place;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Where the vault lies and the key on top of it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The vault's own directory; made with mode 0700 when it is missing.
    pub dir: PathBuf,
    pub root_key: RootKey,
    /// Where it is noted how far the vault has come: the state folder, then places outside of it. None of them within `dir`,
    /// or it would be set back together with the vault.
    pub mark_dirs: Vec<PathBuf>,
}

/// An opened vault: its keys in memory. Cheap to clone; connections are made by [`Vault::reader`] and
/// [`Vault::writer`].
#[derive(Clone)]
pub struct Vault {
    place: Arc<Place>,
    mark: Arc<Mark>,
    keys: Arc<Keyring>,
    /// Seconds since 1970, UTC.
    created: i64,
}

impl Vault {
    /// Whether there is one in a folder, whatever its key.
    pub fn is_in(dir: &Path) -> bool {
        store::file_in(dir).exists()
    }

    /// Whether [`Vault::open`] would bring the one in a folder up to date, which writes and cannot be undone.
    ///
    /// # Errors
    /// [`VaultError`]: damaged, or of a newer format.
    pub fn is_of_older_format(dir: &Path) -> Result<bool, VaultError> {
        let path = store::file_in(dir);
        let db = store::connect(&path, store::Use::Read)?;
        Ok(store::format_of(&db).map_err(store_error(&path))? < store::FORMAT)
    }

    /// Opens the vault that is there. One of an older format is brought up to date first.
    ///
    /// # Errors
    /// [`VaultError`]: missing, wrong root key, damaged, or of a newer format.
    pub fn open(settings: &Settings) -> Result<Self, VaultError> {
        let path = store::file_in(&settings.dir);
        let (row, keys, format) = doubt::open_first(&path, &settings.root_key)?;
        let mark = Arc::new(Mark::of(&path, &row.id, &settings.mark_dirs));
        if format < store::FORMAT
            && let Err(cause) = reindex::bring_up_to_date(&path, &keys, &mark)
            && !cause.awaits_a_person()
        {
            return Err(cause);
        }
        let (created, keys) = (row.created, Arc::new(keys));
        let place = Arc::new(Place::new(path, row, keys.clone(), mark.clone()));
        Ok(Self { place, mark, keys, created })
    }

    /// Opens the vault, making an empty one first when there is none.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub fn open_or_create(settings: &Settings) -> Result<Self, VaultError> {
        store::create_if_missing(&settings.dir, &settings.root_key, jiff::Timestamp::now().as_second())?;
        Self::open(settings)
    }

    /// The file that holds it.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// A connection for reading people by token.
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be opened.
    pub fn reader(&self) -> Result<Reader, VaultError> {
        Reader::open(self.place.clone(), self.keys.clone())
    }

    /// Something that notices changes.
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be opened.
    pub fn watch(&self) -> Result<Watch, VaultError> {
        Watch::new(self.place.clone())
    }

    /// A connection for storing people.
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be opened for writing.
    pub fn writer(&self) -> Result<Writer, VaultError> {
        Writer::open(self.path(), self.keys.clone(), self.mark.clone())
    }

    /// Whether it is the vault that was there last, and not an earlier copy of it. Of an earlier one nobody is read, so that
    /// nobody is refused who was added since, and nobody mailed who consents no more.
    ///
    /// # Errors
    /// [`VaultError`] that says so, or when the file cannot be read.
    pub fn is_latest(&self) -> Result<(), VaultError> {
        let path = self.path().to_owned();
        let db = store::connect(&path, store::Use::Read)?;
        let has = progress::reached(&db).map_err(store_error(&path))?;
        let format = store::format_of(&db).map_err(store_error(&path))?;
        let judged = if format < store::FORMAT { self.mark.judge_older() } else { Ok(()) };
        judged
            .and_then(|()| self.mark.judge(has))
            .map_err(|trouble| VaultError::Unavailable { path, trouble })
    }

    /// Takes it as it stands for the latest, which is for a person to say. Of a file that is the latest, and was altered, the
    /// records that are there.
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be read, or that cannot be noted.
    pub fn release(&self) -> Result<(), VaultError> {
        let failed = store_error(self.path());
        let db = store::connect(self.path(), store::Use::Read)?;
        let has = progress::reached(&db).map_err(&failed)?;
        let format = store::format_of(&db).map_err(&failed)?;
        if self.is_latest().is_ok() && matches!(self.audit(), Err(VaultError::PutBack { .. })) {
            let mut db = store::connect(self.path(), store::Use::Write)?;
            roll::renew(&mut db, &self.keys).map_err(&failed)?;
        }
        self.mark.release(has, format).map_err(io_error(self.path()))
    }

    /// A key for another use of this installation, such as stable send numbers: always the same for the same
    /// purpose, and of no use against the vault's other keys.
    pub fn derive_key(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        self.keys.derive(purpose)
    }

    /// Counts, sizes and key versions; nothing about any one person.
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be read.
    pub fn stats(&self) -> Result<Stats, VaultError> {
        stats::read(self.path(), &self.keys, self.created)
    }

    /// Looks at the consents of so many people, the latest first.
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be read.
    pub fn survey_purposes(&self, known: &Known, people_max: u64) -> Result<Surveyed, VaultError> {
        let db = store::connect(self.path(), store::Use::Read)?;
        purposes::survey(&db, &self.keys, known, people_max).map_err(store_error(self.path()))
    }

    /// Holds every record and every index row against what tells which are the latest, without opening them.
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be read, or says that it was altered or put back, in part or as a whole.
    pub fn audit(&self) -> Result<(), VaultError> {
        let db = store::connect(self.path(), store::Use::Read)?;
        let audit = db.unchecked_transaction().and_then(|moment| roll::audit(&moment, &self.keys));
        let audit = audit.map_err(store_error(self.path()))?;
        match audit.what() {
            None => Ok(()),
            Some(altered) => Err(VaultError::PutBack { path: self.path().to_owned(), altered }),
        }
    }

    /// Opens every record and checks every index row against it.
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be read to its end.
    pub fn verify(&self) -> Result<Verified, VaultError> {
        let mut db = store::connect(self.path(), store::Use::Read)?;
        verify::verify(self.path(), &mut db, &self.keys)
    }
}
