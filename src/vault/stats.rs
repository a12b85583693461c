//! What can be said about the vault as a whole.

use super::batch_index::kind_number;
use super::error::{VaultError, store_error};
use super::keyring::Keyring;
use super::store;
use crate::job::TokenKind;
use rusqlite::Connection;
use serde::Serialize;
use std::path::Path;

/// Counts and sizes of a vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stats {
    pub people: u64,
    pub email_tokens: u64,
    pub mobile_tokens: u64,
    pub restricted: u64,
    /// The file, its write-ahead log and the log's index.
    pub bytes_on_disk: u64,
    /// Versions of the vault key, oldest first; the last one seals.
    pub vault_keys: Vec<i64>,
    pub format: i64,
    /// RFC 3339, UTC.
    pub created: String,
}

pub(super) fn read(path: &Path, keys: &Keyring, created: i64) -> Result<Stats, VaultError> {
    let db = store::connect(path, store::Use::Read)?;
    let count = |query: &str| count(&db, query).map_err(store_error(path));
    let tokens = |kind| count(&format!("SELECT count(*) FROM token WHERE kind = {}", kind_number(kind)));
    Ok(Stats {
        people: count("SELECT count(*) FROM person")?,
        email_tokens: tokens(TokenKind::Email)?,
        mobile_tokens: tokens(TokenKind::Mobile)?,
        restricted: count("SELECT count(*) FROM person WHERE restricted <> 0")?,
        bytes_on_disk: store::bytes_on_disk(path)?,
        vault_keys: keys.version_numbers(),
        format: store::format_of(&db).map_err(store_error(path))?,
        created: jiff::Timestamp::from_second(created).map(|at| at.to_string()).unwrap_or_default(),
    })
}

fn count(db: &Connection, query: &str) -> rusqlite::Result<u64> {
    db.query_row(query, [], |row| row.get::<_, i64>(0)).map(|count| count.unsigned_abs())
}
