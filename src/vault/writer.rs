//! The write path: drafts to people, a batch a transaction, on the one connection that writes.

mod batch;
mod likeness;
mod unplaced;

pub use batch::{AddressChange, Change, Put, Stored};

use super::draft::Draft;
use super::error::{VaultError, io_error, store_error};
use super::keyring::Keyring;
use super::mark::Mark;
use super::{field_names, progress, reindex, store};
use batch::{Order, Outcome};
use rusqlite::{Connection, TransactionBehavior};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use unplaced::Unplaced;

/// Writes people. One at a time over all processes: the others wait for the file's write lock.
pub struct Writer {
    path: PathBuf,
    keys: Arc<Keyring>,
    mark: Arc<Mark>,
    db: Connection,
    unplaced: Unplaced,
    /// Whether there was anybody when it was opened.
    had_people: bool,
}

impl Writer {
    pub(super) fn open(path: &Path, keys: Arc<Keyring>, mark: Arc<Mark>) -> Result<Self, VaultError> {
        let db = store::connect(path, store::Use::Write)?;
        // A backup of an older format may have been put in the place of the file that was opened.
        if store::format_of(&db).map_err(store_error(path))? < store::FORMAT {
            reindex::bring_up_to_date(path, &keys, &mark)?;
        }
        let had_people = progress::reached(&db).map_err(store_error(path))? > 1;
        Ok(Self { path: path.to_owned(), keys, mark, db, unplaced: Unplaced::default(), had_people })
    }

    /// Stores one person: the one whose token or address the draft names, otherwise a new one. On disk when it
    /// returns.
    ///
    /// # Errors
    /// [`VaultError`] when nothing could be written; the inner [`Refusal`](super::Refusal) when this draft cannot be.
    pub fn put(&mut self, draft: &Draft) -> Result<Put, VaultError> {
        let mut answers = self.put_batch(std::slice::from_ref(draft), AddressChange::Allowed)?;
        Ok(answers.pop().expect("one draft has one answer"))
    }

    /// Stores a batch in one transaction. Refused drafts leave the others alone.
    ///
    /// # Errors
    /// [`VaultError`] when the batch as a whole could not be written: then nothing of it is.
    pub fn put_batch(&mut self, drafts: &[Draft], change: AddressChange) -> Result<Vec<Put>, VaultError> {
        let failed = store_error(&self.path);
        let has = progress::reached(&self.db).map_err(&failed)?;
        let beyond = self.mark.before_write(has).map_err(io_error(&self.path))?;
        let all = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let order = Order { drafts, address_change: change, had_people: self.had_people };
        let Outcome { answers, reached } =
            batch::put_all(&all, &self.keys, order, beyond, &mut self.unplaced).map_err(&failed)?;
        all.commit().map_err(&failed)?;
        self.mark.raise(reached);
        Ok(answers)
    }

    /// Names of people's fields: these, where anybody has them, and those of everybody who was looked at to find out.
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be read.
    pub fn field_names(&self, wanted: &[&str]) -> Result<BTreeSet<String>, VaultError> {
        field_names::find(&self.db, &self.keys, wanted).map_err(store_error(&self.path))
    }

    /// Addresses and tokens of people who are not there of which it is not known any more what a refused row has withdrawn.
    pub fn withdrawals_forgotten(&self) -> u64 {
        self.unplaced.forgotten()
    }

    /// Moves the write-ahead log into the file and empties it. After an import: what its refused rows have withdrawn of people who are not
    /// there is forgotten.
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be written.
    pub fn settle(&mut self) -> Result<(), VaultError> {
        self.unplaced = Unplaced::default();
        store::checkpoint(&self.db).map_err(store_error(&self.path))
    }
}

/// Answers as a [`Writer`] would, batch for batch, and stores nothing: all of it is one transaction that ends with this value. Meanwhile
/// other writers wait.
pub struct Rehearsal(Writer);

impl Rehearsal {
    /// On the people of a vault.
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be read, or another process writes to it.
    pub fn on(writer: Writer) -> Result<Self, VaultError> {
        writer.db.execute_batch("BEGIN IMMEDIATE").map_err(store_error(&writer.path))?;
        Ok(Self(writer))
    }

    /// As into a new vault.
    ///
    /// # Errors
    /// [`VaultError`] when there is no room for one.
    pub fn without_vault() -> Result<Self, VaultError> {
        let path = PathBuf::from("a temporary file");
        let (db, row, keys) = store::scratch().map_err(store_error(&path))?;
        let mark = Mark::of(&path, &row.id, &[]);
        Self::on(Writer {
            path,
            keys: Arc::new(keys),
            mark: Arc::new(mark),
            db,
            unplaced: Unplaced::default(),
            had_people: false,
        })
    }

    /// What [`Writer::put_batch`] would answer, had it been given all that came before.
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be read.
    pub fn put_batch(&mut self, drafts: &[Draft], change: AddressChange) -> Result<Vec<Put>, VaultError> {
        let Writer { db, keys, path, unplaced, had_people, .. } = &mut self.0;
        let order = Order { drafts, address_change: change, had_people: *had_people };
        let outcome = batch::put_all(db, keys, order, 0, unplaced).map_err(store_error(path))?;
        Ok(outcome.answers)
    }

    /// As [`Writer::withdrawals_forgotten`].
    pub fn withdrawals_forgotten(&self) -> u64 {
        self.0.withdrawals_forgotten()
    }

    /// As [`Writer::field_names`].
    ///
    /// # Errors
    /// [`VaultError`] when the file cannot be read.
    pub fn field_names(&self, wanted: &[&str]) -> Result<BTreeSet<String>, VaultError> {
        self.0.field_names(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixture, draft, put, token_of};

    #[test]
    fn a_second_writer_waits_its_turn_and_a_reader_does_not() {
        let fixture = Fixture::new();
        let vault = fixture.vault();
        let stored = put(&mut vault.writer().unwrap(), &[("email", "dana@example.test")]);
        let blocker = fixture.raw();
        blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
        let found = vault.reader().unwrap().read_batch(&[token_of(&stored)]).unwrap();
        assert!(found[0].as_ref().unwrap().is_some());
        let mut writer = vault.writer().unwrap();
        writer.db.busy_timeout(std::time::Duration::ZERO).unwrap();
        let error = writer.put(&draft(&[("email", "eve@example.test")])).unwrap_err();
        assert!(error.is_transient(), "{error}");
        blocker.execute_batch("COMMIT").unwrap();
        assert!(writer.put(&draft(&[("email", "eve@example.test")])).unwrap().is_ok());
    }
}
