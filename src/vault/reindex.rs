//! A vault of format 1 found people by their address in lower case; format 2 finds them by the form in which addresses are
//! compared ([`crate::address::comparable`]), and knows who shares one ([`super::twins`]); format 3 has the roll
//! ([`super::roll`]). Done once, when such a vault is opened, and in one transaction: where it is interrupted the vault is as it
//! was, and the next opening does it.

use super::error::{VaultError, store_error};
use super::keyring::{Keyring, LookupOf};
use super::mark::Mark;
use super::merge::in_common;
use super::person_row::{self, Opened};
use super::store::{self, FORMAT};
use super::{progress, roll, twins};
use crate::address::comparable;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::path::Path;
use zeroize::Zeroizing;

/// People whose numbers are held at once.
const PAGE_MAX: i64 = 1000;
/// The first format that compares addresses as they are compared today.
pub const FORMAT_OF_TWINS: i64 = 2;

/// Brings the vault to the format of today. Of several processes one does it, the others wait for its write lock.
///
/// # Errors
/// [`VaultError`] when the file cannot be read or written, or had that format before; it is as it was then.
pub fn bring_up_to_date(path: &Path, keys: &Keyring, mark: &Mark) -> Result<(), VaultError> {
    let mut db = store::connect(path, store::Use::Write)?;
    let has = progress::reached(&db).map_err(store_error(path))?;
    let unavailable = |trouble| VaultError::Unavailable { path: path.to_owned(), trouble };
    mark.judge_older().map_err(unavailable)?;
    let Some(twins) = rebuild(&mut db, keys).map_err(store_error(path))? else { return Ok(()) };
    mark.raise(has);
    tracing::info!(format = FORMAT, "the vault was brought up to the format of today");
    if twins > 0 {
        tracing::warn!(
            people = twins,
            "people have the same address as another one, spelled differently: they keep their tokens, and what one of them \
             refused holds for both"
        );
    }
    Ok(())
}

/// How many people share an address with an earlier one; `None` where all was up to date already.
fn rebuild(db: &mut Connection, keys: &Keyring) -> rusqlite::Result<Option<u64>> {
    let all = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let twins = match store::format_of(&all)? {
        FORMAT.. => return Ok(None),
        FORMAT_OF_TWINS.. => 0,
        _ => reindex_all(&all, keys)?,
    };
    roll::build(&all, keys, progress::reached(&all)?)?;
    all.pragma_update(None, "user_version", FORMAT)?;
    all.commit()?;
    Ok(Some(twins))
}

fn reindex_all(all: &Transaction<'_>, keys: &Keyring) -> rusqlite::Result<u64> {
    all.execute_batch(twins::TABLE)?;
    let (mut after, mut twins) = (i64::MIN, 0);
    loop {
        let ids: Vec<i64> = all
            .prepare_cached("SELECT id FROM person WHERE id > ?1 ORDER BY id LIMIT ?2")?
            .query_map(params![after, PAGE_MAX], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for id in &ids {
            twins += u64::from(reindex(all, keys, *id)? == Shares::WithAnother);
        }
        let Some(last) = ids.last() else { break };
        after = *last;
    }
    Ok(twins)
}

/// Whether somebody else has a person's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shares {
    Nothing,
    WithAnother,
}

/// As format 1 compared addresses.
pub fn form_before(address: &str) -> Zeroizing<String> {
    let mut lower = Zeroizing::new(String::with_capacity(address.len() * 2));
    lower.extend(address.chars().flat_map(char::to_lowercase));
    lower
}

/// A damaged row stays as it is: `vault verify` tells of it.
fn reindex(db: &Transaction<'_>, keys: &Keyring, id: i64) -> rusqlite::Result<Shares> {
    let Some(known) = open(db, keys, id)? else { return Ok(Shares::Nothing) };
    let Some(email) = known.person.email() else { return Ok(Shares::Nothing) };
    let (before, now) = (form_before(email), comparable(email));
    if before == now {
        return Ok(Shares::Nothing);
    }
    let hash = |form: &str| keys.lookup_hash(LookupOf::Email, form);
    db.prepare_cached("DELETE FROM address WHERE hash = ?1 AND person = ?2")?
        .execute(params![hash(&before), id])?;
    let owner = db
        .prepare_cached("SELECT person FROM address WHERE hash = ?1")?
        .query_row([hash(&now)], |row| row.get::<_, i64>(0))
        .optional()?;
    let Some(owner) = owner else {
        db.prepare_cached("INSERT INTO address (hash, person) VALUES (?1, ?2)")?
            .execute(params![hash(&now), id])?;
        return Ok(Shares::Nothing);
    };
    twins::add(db, &hash(&now), id)?;
    let mut group = Vec::new();
    for person in std::iter::once(owner).chain(twins::others(db, &hash(&now))?) {
        group.extend(open(db, keys, person)?);
    }
    for one in &group {
        let after = in_common(&one.person, group.iter().map(|other| &other.person));
        if after.record() != one.person.record() {
            person_row::update(db, one, &after)?;
        }
    }
    Ok(Shares::WithAnother)
}

fn open(db: &Transaction<'_>, keys: &Keyring, id: i64) -> rusqlite::Result<Option<Opened>> {
    let mut select = person_row::select(db)?;
    Ok(person_row::fetch(&mut select, keys, id)?.ok())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixture, put, token_of};
    use super::*;
    use crate::job::Token;
    use crate::person::Consent;
    use crate::vault::{Stored, Vault};

    /// What format 1 took for five people, of whom the third and the fourth are the first.
    const SPELLINGS: [&str; 5] = [
        "vi\u{1ec7}t@x.example",
        "plain@x.example",
        "vi\u{ea}\u{323}t@x.example",
        "VIE\u{323}\u{302}T@x.example",
        "jose\u{301}@z.example",
    ];

    /// A vault as format 1 left it: a person for each spelling, and the index in lower case only. The first and the second
    /// refused marketing, the fourth refused news.
    fn old_vault() -> (Fixture, Vec<Stored>) {
        let fixture = Fixture::new();
        let vault = fixture.vault();
        let mut writer = vault.writer().unwrap();
        let said = ["-marketing", "-marketing", "service marketing", "-news service", "service"];
        let stored: Vec<Stored> = said
            .iter()
            .enumerate()
            .map(|(at, said)| put(&mut writer, &[("email", &format!("{at}@x.example")), ("consent", said)]))
            .collect();
        drop(writer);
        let (mut raw, keys) = (fixture.raw(), vault.keys.clone());
        let old = raw.transaction().unwrap();
        old.execute_batch("DELETE FROM address; DROP TABLE twin; DROP TABLE roll").unwrap();
        for mark in std::fs::read_dir(&fixture.settings.mark_dirs[0]).unwrap().map(Result::unwrap) {
            if mark.file_type().unwrap().is_file() {
                std::fs::remove_file(mark.path()).unwrap();
            }
        }
        let mut forms = std::collections::HashSet::new();
        for (stored, email) in stored.iter().zip(SPELLINGS) {
            let known = open(&old, &keys, stored.id).unwrap().unwrap();
            let mut after = crate::person::PersonBuilder::default();
            after.email_token(known.person.email_token().unwrap()).field("email", email);
            for (purpose, said) in known.person.consents() {
                after.consent(purpose, said);
            }
            person_row::update(&old, &known, &after.build()).unwrap();
            let form = form_before(email);
            assert!(forms.insert(form.to_string()), "one form a spelling");
            old.execute(
                "INSERT INTO address VALUES (?1, ?2)",
                params![keys.lookup_hash(LookupOf::Email, &form), stored.id],
            )
            .unwrap();
        }
        old.pragma_update(None, "user_version", 1).unwrap();
        old.commit().unwrap();
        (fixture, stored)
    }

    fn consents(vault: &Vault, tokens: &[Token], purpose: &str) -> Vec<Consent> {
        let found = vault.reader().unwrap().read_batch(tokens).unwrap();
        found.into_iter().map(|person| person.unwrap().unwrap().consent(purpose)).collect()
    }

    #[test]
    fn b8_an_old_vault_is_reindexed_when_it_is_opened() {
        let (fixture, stored) = old_vault();
        let mut raw = fixture.raw();
        let (_, keys) = store::unlock(&fixture.file(), &raw, &fixture.settings.root_key).unwrap();
        assert!(
            super::super::verify::verify(&fixture.file(), &mut raw, &keys).unwrap().is_whole(),
            "as it was"
        );
        drop(raw);
        let vault = fixture.vault();
        assert_eq!(store::format_of(&fixture.raw()).unwrap(), FORMAT);
        let tokens: Vec<Token> = stored.iter().map(token_of).collect();
        let refused = Consent::Refused;
        assert_eq!(
            consents(&vault, &tokens[..4], "marketing"),
            [refused; 4],
            "what one refused, all refused"
        );
        assert_eq!(
            consents(&vault, &tokens[..4], "news"),
            [refused, Consent::Unstated, refused, refused],
            "and whoever else has the address"
        );
        assert_eq!(consents(&vault, &tokens[4..], "marketing"), [Consent::Unstated]);
        let mut writer = vault.writer().unwrap();
        let again = put(&mut writer, &[("email", "JOSÉ@z.example"), ("city", "Lyon")]);
        assert_eq!(again.id, stored[4].id);
        assert_eq!(put(&mut writer, &[("email", "vie\u{302}\u{323}t@x.example")]).id, stored[0].id);
        assert!(vault.verify().unwrap().is_whole());
    }

    #[test]
    fn b8_what_is_said_later_reaches_everybody_with_the_address() {
        let (fixture, stored) = old_vault();
        let vault = fixture.vault();
        let tokens: Vec<Token> = stored.iter().map(token_of).collect();
        let shared = [tokens[0].clone(), tokens[2].clone(), tokens[3].clone()];
        let mut writer = vault.writer().unwrap();
        put(&mut writer, &[("email", "VI\u{1ec6}T@x.example"), ("consent", "-service")]);
        assert_eq!(consents(&vault, &shared, "service"), [Consent::Refused; 3]);
        put(&mut writer, &[("token", tokens[3].as_str()), ("consent", "-surveys")]);
        assert_eq!(consents(&vault, &shared, "surveys"), [Consent::Refused; 3]);
        let both =
            [("token", tokens[2].as_str()), ("email", "vi\u{1ec7}t@x.example"), ("consent", "service")];
        assert_eq!(
            put(&mut writer, &both).id,
            stored[2].id,
            "a list with each person's token is taken as before"
        );
        assert_eq!(consents(&vault, &shared, "service"), [Consent::Given; 3]);
        assert_eq!(consents(&vault, &tokens[1..2], "service"), [Consent::Unstated]);
        assert!(vault.verify().unwrap().is_whole());
    }

    #[test]
    fn b8_who_moves_away_shares_no_longer() {
        let (fixture, stored) = old_vault();
        let vault = fixture.vault();
        let tokens: Vec<Token> = stored.iter().map(token_of).collect();
        let mut writer = vault.writer().unwrap();
        put(&mut writer, &[("token", tokens[2].as_str()), ("email", "third@x.example")]);
        put(&mut writer, &[("token", tokens[0].as_str()), ("email", "first@x.example")]);
        assert!(vault.verify().unwrap().is_whole());
        assert_eq!(
            put(&mut writer, &[("email", "vi\u{1ec7}t@x.example"), ("consent", "-polls")]).id,
            stored[3].id
        );
        let polls = consents(&vault, &[tokens[0].clone(), tokens[2].clone(), tokens[3].clone()], "polls");
        assert_eq!(polls, [Consent::Unstated, Consent::Unstated, Consent::Refused]);
        assert!(vault.verify().unwrap().is_whole());
    }

    /// As when the process is killed in it: nothing of it is there.
    #[test]
    fn b8_a_reindexing_that_was_cut_short_is_done_again() {
        let (fixture, stored) = old_vault();
        let index = || -> Vec<(Vec<u8>, i64)> {
            let raw = fixture.raw();
            let mut rows = raw.prepare("SELECT hash, person FROM address ORDER BY hash").unwrap();
            rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
        };
        let before = index();
        let stop = format!(
            "CREATE TRIGGER stop BEFORE INSERT ON address WHEN NEW.person = {} BEGIN SELECT RAISE(ABORT, 'stop'); END",
            stored[4].id
        );
        fixture.raw().execute_batch(&stop).unwrap();
        assert!(Vault::open(&fixture.settings).is_err());
        assert_eq!((store::format_of(&fixture.raw()).unwrap(), index()), (1, before));
        fixture.raw().execute_batch("DROP TRIGGER stop").unwrap();
        let vault = fixture.vault();
        assert_eq!(put(&mut vault.writer().unwrap(), &[("email", "josé@z.example")]).id, stored[4].id);
        assert!(vault.verify().unwrap().is_whole());
    }

    #[test]
    fn b8_a_backup_of_the_old_format_in_its_place_is_brought_up_to_date_before_it_is_written() {
        let (fixture, stored) = old_vault();
        let backup = fixture.settings.dir.join("backup");
        std::fs::copy(fixture.file(), &backup).unwrap();
        let vault = fixture.vault();
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(fixture.settings.dir.join(format!("vault.db{suffix}")));
        }
        std::fs::rename(&backup, fixture.file()).unwrap();
        assert!(vault.writer().err().unwrap().awaits_a_person(), "what was put back in it cannot be told");
        vault.release().unwrap();
        let mut writer = vault.writer().unwrap();
        assert_eq!(put(&mut writer, &[("email", "josé@z.example")]).id, stored[4].id);
    }
}
