//! Files altered behind the vault's back: every change is noticed and nothing of it is served.

use super::*;

/// Two people, of whom the first is altered.
struct Pair {
    fixture: Fixture,
    tokens: [Token; 2],
}

impl Pair {
    fn new() -> Self {
        let fixture = Fixture::new();
        let mut writer = fixture.vault().writer().unwrap();
        let tokens = ["dana", "eve"].map(|name| {
            let email = format!("{name}@example.test");
            token_of(&put(&mut writer, &[("email", &email), ("first_name", name)]))
        });
        writer.settle().unwrap();
        drop(writer);
        Self { fixture, tokens }
    }

    /// Whether the damage is noticed by opening, by reading, or at the latest by verifying; panics when the
    /// first token is answered with anything but Dana.
    fn noticed(&self) -> &'static str {
        let Ok(vault) = Vault::open(&self.fixture.settings) else { return "open" };
        let found = match vault.reader().and_then(|mut reader| reader.read_batch(&self.tokens)) {
            Ok(found) => found,
            Err(VaultError::DamagedFile { .. } | VaultError::RollAltered { .. }) => return "read",
            Err(cause) if cause.awaits_a_person() => return "read",
            Err(other) => panic!("{other}"),
        };
        let name = |at: usize| found[at].as_ref().ok()?.as_ref()?.field("first_name").map(String::from);
        assert!([None, Some("dana".into())].contains(&name(0)), "served {:?}", name(0));
        assert!([None, Some("eve".into())].contains(&name(1)), "served {:?}", name(1));
        if found.iter().any(|found| found.is_err()) {
            return "read";
        }
        match vault.verify() {
            Ok(verified) if verified.is_whole() => "nowhere",
            _ => "verify",
        }
    }
}

/// Adds one bit to a number or to the middle of a blob.
fn flip(db: &Connection, table: &str, column: &str, key: &str) {
    let read = format!("SELECT {column} FROM {table} WHERE {key}");
    let value: rusqlite::types::Value = db.query_row(&read, [], |row| row.get(0)).unwrap();
    let flipped = match value {
        rusqlite::types::Value::Integer(number) => rusqlite::types::Value::Integer(number ^ 4),
        rusqlite::types::Value::Blob(mut bytes) => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            rusqlite::types::Value::Blob(bytes)
        }
        other => panic!("{other:?}"),
    };
    db.execute(&format!("UPDATE {table} SET {column} = ?1 WHERE {key}"), [flipped]).unwrap();
}

#[test]
fn a_flipped_bit_in_any_column_is_noticed() {
    let first = "rowid = 1";
    for (table, column, key, by) in [
        ("vault", "id", "1", "open"),
        ("vault", "created", "1", "open"),
        ("vault", "key_check", "1", "open"),
        ("vault_key", "role", "role = 2", "open"),
        ("vault_key", "version", "role = 1", "open"),
        ("vault_key", "created", "role = 3", "open"),
        ("vault_key", "wrapped", "role = 1", "open"),
        ("person", "id", first, "read"),
        ("person", "vault_key", first, "read"),
        ("person", "version", first, "read"),
        ("person", "restricted", first, "read"),
        ("person", "wrapped_key", first, "read"),
        ("person", "record", first, "read"),
        ("token", "person", "person = 1", "read"),
        ("token", "hash", "person = 1", "read"),
        ("token", "kind", "person = 1", "verify"),
        ("address", "hash", "person = 1", "verify"),
        ("address", "person", "person = 1", "verify"),
    ] {
        let pair = Pair::new();
        assert_eq!(pair.noticed(), "nowhere");
        flip(&pair.fixture.raw(), table, column, key);
        assert_eq!(pair.noticed(), by, "{table}.{column}");
    }
}

#[test]
fn a_restriction_cannot_be_lifted_from_outside() {
    let pair = Pair::new();
    pair.fixture.raw().execute("UPDATE person SET restricted = 1 WHERE id = 1", []).unwrap();
    assert_eq!(pair.noticed(), "read");
}

#[test]
fn a_number_given_twice_is_noticed() {
    let mut pair = Pair::new();
    pair.fixture.raw().execute("UPDATE vault SET next_person = 2", []).unwrap();
    assert_eq!(pair.noticed(), "read");
    pair.fixture.settings.mark_dirs.clear();
    assert_eq!(pair.noticed(), "read");
    let mut writer = pair.fixture.vault().writer().unwrap();
    let error = writer.put(&draft(&[("email", "noa@example.test")])).unwrap_err();
    assert!(matches!(error, VaultError::RollAltered { .. }), "{error}");
}

#[test]
fn rows_put_under_another_person_are_noticed() {
    for statement in [
        "UPDATE person SET record = (SELECT record FROM person WHERE id = 2) WHERE id = 1",
        "UPDATE person SET (wrapped_key, record) = (SELECT wrapped_key, record FROM person WHERE id = 2) WHERE id = 1",
        "UPDATE person SET (vault_key, version, wrapped_key, record) =
            (SELECT vault_key, version, wrapped_key, record FROM person WHERE id = 2) WHERE id = 1",
        "UPDATE token SET person = 3 - person",
        "DELETE FROM person WHERE id = 1",
    ] {
        let pair = Pair::new();
        pair.fixture.raw().execute(statement, []).unwrap();
        assert_eq!(pair.noticed(), "read", "{statement}");
    }
}

#[test]
fn an_older_record_in_a_newer_row_is_noticed() {
    let pair = Pair::new();
    let db = pair.fixture.raw();
    let old: Vec<u8> = db.query_row("SELECT record FROM person WHERE id = 1", [], |row| row.get(0)).unwrap();
    let mut writer = pair.fixture.vault().writer().unwrap();
    put(&mut writer, &[("email", "dana@example.test"), ("consent", "-ads")]);
    db.execute("UPDATE person SET record = ?1 WHERE id = 1", [old]).unwrap();
    assert_eq!(pair.noticed(), "read");
}

#[test]
fn damage_of_one_person_leaves_the_others_served() {
    let pair = Pair::new();
    flip(&pair.fixture.raw(), "person", "record", "id = 1");
    let vault = pair.fixture.vault();
    let found = vault.reader().unwrap().read_batch(&pair.tokens).unwrap();
    assert_eq!(found[0].as_ref().unwrap_err(), &Damaged { person: 1, part: DamagedPart::Record }.into());
    assert_eq!(found[1].as_ref().unwrap().as_ref().unwrap().field("first_name"), Some("eve"));
    let verified = vault.verify().unwrap();
    assert_eq!(
        (verified.people, verified.damaged, verified.damaged_people.as_slice()),
        (2, 1, [1].as_slice())
    );
    let refusal =
        vault.writer().unwrap().put(&draft(&[("email", "dana@example.test")])).unwrap().unwrap_err();
    assert!(matches!(refusal.cause, Cause::Damaged(Damaged { person: 1, .. })));
}

#[test]
fn a_wrong_key_is_said_plainly_and_changes_nothing() {
    let pair = Pair::new();
    let before = fs::read(pair.fixture.file()).unwrap();
    let wrong = Settings { root_key: RootKey::random(), ..pair.fixture.settings.clone() };
    for error in [Vault::open(&wrong).err().unwrap(), Vault::open_or_create(&wrong).err().unwrap()] {
        assert!(matches!(error, VaultError::WrongKey { .. }), "{error}");
        assert!(error.to_string().contains("[vault] key"));
    }
    assert_eq!(fs::read(pair.fixture.file()).unwrap(), before);
    assert_eq!(pair.noticed(), "nowhere");
}

#[test]
fn a_cut_file_is_noticed_at_any_length() {
    let whole = {
        let pair = Pair::new();
        fs::read(pair.fixture.file()).unwrap().len()
    };
    let cuts = (0..whole).step_by(1024).chain([1, 99, 4095, 4097, whole - 1]);
    for length in cuts {
        let pair = Pair::new();
        let bytes = fs::read(pair.fixture.file()).unwrap();
        if bytes[length..].iter().all(|byte| *byte == 0) {
            // SQLite reads what is missing of a page as zeros, so nothing was lost.
            continue;
        }
        fs::write(pair.fixture.file(), &bytes[..length]).unwrap();
        assert_ne!(pair.noticed(), "nowhere", "cut to {length}");
        // An importing command must not take the rest for a new vault either.
        let _ = Vault::open_or_create(&pair.fixture.settings);
        assert_ne!(pair.noticed(), "nowhere", "cut to {length} and opened for writing");
    }
}

#[test]
fn random_flips_anywhere_in_the_file_never_serve_a_wrong_value() {
    let pair = Pair::new();
    let whole = fs::read(pair.fixture.file()).unwrap();
    for at in (0..whole.len()).step_by(61) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x21;
        fs::write(pair.fixture.file(), &bytes).unwrap();
        // Bytes that nothing uses may flip unnoticed; what counts is that no wrong value comes out.
        pair.noticed_or_harmless();
        for beside in ["vault.db-wal", "vault.db-shm"] {
            let _ = fs::remove_file(pair.fixture.settings.dir.join(beside));
        }
    }
}

impl Pair {
    fn noticed_or_harmless(&self) {
        let Ok(vault) = Vault::open(&self.fixture.settings) else { return };
        let Ok(found) = vault.reader().and_then(|mut reader| reader.read_batch(&self.tokens)) else { return };
        for (found, name) in found.iter().zip(["dana", "eve"]) {
            if let Ok(Some(person)) = found {
                assert_eq!(person.field("first_name"), Some(name));
            }
        }
    }
}

#[test]
fn a_newer_format_and_foreign_files_are_refused() {
    let pair = Pair::new();
    pair.fixture.raw().execute_batch("PRAGMA user_version = 4").unwrap();
    let error = Vault::open(&pair.fixture.settings).err().unwrap();
    assert!(matches!(error, VaultError::NewerFormat { found: 4, known: 3, .. }), "{error}");
    fs::write(pair.fixture.file(), "not a vault at all, just some text that is long enough".repeat(100))
        .unwrap();
    let error = Vault::open(&pair.fixture.settings).err().unwrap();
    assert!(matches!(error, VaultError::DamagedFile { .. }), "{error}");
}
