//! The vault as its users see it: idempotent, and never serving what was altered.

use super::*;
use crate::job::Token;
use crate::person::Consent;
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::PermissionsExt;

mod altered;
mod left_behind;
mod markers;
mod overwritten;
mod put_back;
mod set_back;

pub(super) struct Fixture {
    pub settings: Settings,
    _dir: tempfile::TempDir,
}

impl Fixture {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            dir: dir.path().join("vault"),
            root_key: RootKey::random(),
            mark_dirs: vec![dir.path().to_owned()],
        };
        Self { settings, _dir: dir }
    }

    pub fn vault(&self) -> Vault {
        Vault::open_or_create(&self.settings).unwrap()
    }

    pub fn file(&self) -> PathBuf {
        self.settings.dir.join("vault.db")
    }

    pub fn raw(&self) -> Connection {
        Connection::open(self.file()).unwrap()
    }
}

pub(super) fn draft(values: &[(&str, &str)]) -> Draft {
    let mut draft = Draft::default();
    for (name, value) in values {
        draft.set_named(name, value).unwrap();
    }
    draft.checked().unwrap()
}

pub(super) fn put(writer: &mut Writer, values: &[(&str, &str)]) -> Stored {
    writer.put(&draft(values)).unwrap().unwrap()
}

fn refusal(writer: &mut Writer, values: &[(&str, &str)]) -> Cause {
    writer.put(&draft(values)).unwrap().unwrap_err().cause
}

pub(super) fn token_of(stored: &Stored) -> Token {
    stored.email_token.clone().or(stored.mobile_token.clone()).unwrap()
}

#[test]
fn a_change_by_another_connection_is_noticed_once_and_another_file_too() {
    let fixture = Fixture::new();
    let vault = fixture.vault();
    let mut watch = vault.watch().unwrap();
    assert!(!watch.has_changed().unwrap());
    let mut writer = vault.writer().unwrap();
    put(&mut writer, &[("email", "dana@example.test")]);
    writer.settle().unwrap();
    assert_eq!((watch.has_changed().unwrap(), watch.has_changed().unwrap()), (true, false));
    drop(writer);
    fs::rename(fixture.file(), fixture.settings.dir.join("away")).unwrap();
    assert!(watch.has_changed().is_err() && watch.has_changed().is_err());
    fs::rename(fixture.settings.dir.join("away"), fixture.file()).unwrap();
    assert_eq!((watch.has_changed().unwrap(), watch.has_changed().unwrap()), (true, false));
}

#[test]
fn c9_the_vault_is_followed_when_it_comes_back_and_another_one_is_not_read() {
    let fixture = Fixture::new();
    let vault = fixture.vault();
    let mut writer = vault.writer().unwrap();
    let dana = token_of(&put(&mut writer, &[("email", "dana@example.test")]));
    writer.settle().unwrap();
    drop(writer);
    let mut readers = [vault.reader().unwrap(), vault.reader().unwrap()];
    let mut watch = vault.watch().unwrap();
    let (away, copy) = (fixture.settings.dir.join("away"), fixture.settings.dir.join("copy"));
    fs::rename(fixture.file(), &away).unwrap();
    for reader in &mut readers {
        assert!(
            reader.read_batch(std::slice::from_ref(&dana)).unwrap_err().to_string().contains("not exist")
        );
    }
    assert!(watch.has_changed().is_err());
    // Another inode with the same vault in it.
    fs::copy(&away, &copy).unwrap();
    fs::rename(&copy, fixture.file()).unwrap();
    for reader in &mut readers {
        let found = reader.read_batch(std::slice::from_ref(&dana)).unwrap();
        assert!(found[0].as_ref().unwrap().is_some());
    }
    assert!(watch.has_changed().unwrap());
    fs::remove_file(fixture.file()).unwrap();
    fixture.vault();
    let error = readers[1].read_batch(&[dana]).unwrap_err().to_string();
    assert!(error.contains("another vault lies in its place"), "{error}");
    assert!(watch.has_changed().is_err());
}

#[test]
fn what_was_put_is_read_by_token_in_the_order_asked() {
    let fixture = Fixture::new();
    let vault = fixture.vault();
    let mut writer = vault.writer().unwrap();
    let dana = put(
        &mut writer,
        &[
            ("email", "Dana@Example.test"),
            ("first_name", "דנה"),
            ("phone", "+972 50 1234567"),
            ("consent", "-ads"),
        ],
    );
    let yuki = put(&mut writer, &[("email", "yuki@example.test"), ("first_name", "雪")]);
    let mobile = dana.mobile_token.clone().unwrap();
    let nobody = Token::from_local("e_nobodyatall").unwrap();
    let asked = [token_of(&yuki), nobody, mobile, token_of(&dana), token_of(&yuki)];
    let found = vault.reader().unwrap().read_batch(&asked).unwrap();
    let names: Vec<_> = found
        .iter()
        .map(|found| found.as_ref().unwrap().as_ref().and_then(|person| person.field("first_name")))
        .collect();
    assert_eq!(names, [Some("雪"), None, Some("דנה"), Some("דנה"), Some("雪")]);
    let dana = found[3].as_ref().unwrap().as_ref().unwrap();
    assert_eq!(dana.email(), Some("Dana@example.test"));
    assert_eq!(dana.consent("ads"), Consent::Refused);
    assert!(vault.verify().unwrap().is_whole());
}

#[test]
fn the_same_address_is_the_same_person_and_keeps_its_token() {
    let fixture = Fixture::new();
    let mut writer = fixture.vault().writer().unwrap();
    let first = put(&mut writer, &[("email", "dana@bücher.example"), ("city", "Haifa")]);
    assert_eq!(first.change, Change::Created);
    assert!(first.email_token.as_ref().unwrap().as_str().len() >= 2 + 26);
    let again = put(&mut writer, &[("email", "DANA@xn--bcher-kva.example")]);
    assert_eq!((again.id, &again.email_token), (first.id, &first.email_token));
    let same = put(&mut writer, &[("email", "DANA@xn--bcher-kva.example"), ("city", "Haifa")]);
    assert_eq!(same.change, Change::Unchanged);
    let by_token = token_of(&first);
    let updated = put(&mut writer, &[("token", by_token.as_str()), ("city", "Akko")]);
    assert_eq!((updated.id, updated.change), (first.id, Change::Updated));
    assert_eq!(fixture.vault().stats().unwrap().people, 1);
}

#[test]
fn a_batch_sees_its_own_earlier_rows() {
    let fixture = Fixture::new();
    let mut writer = fixture.vault().writer().unwrap();
    let drafts = [
        draft(&[("email", "dana@example.test"), ("token", "e_given_one")]),
        draft(&[("email", "DANA@example.test"), ("city", "Haifa")]),
        draft(&[("email", "eve@example.test"), ("token", "E_GIVEN_ONE")]),
        draft(&[("token", "e_given_one"), ("email", "ruth@example.test")]),
        draft(&[("email", "dana@example.test")]),
    ];
    let answers = writer.put_batch(&drafts, AddressChange::Allowed).unwrap();
    let changes: Vec<_> =
        answers.iter().map(|a| a.as_ref().map(|s| (s.id, s.change)).map_err(|r| r.cause.clone())).collect();
    assert_eq!(changes[0], Ok((1, Change::Created)));
    assert_eq!(changes[1], Ok((1, Change::Updated)));
    assert_eq!(changes[2], Ok((1, Change::Updated)));
    assert_eq!(changes[3], Ok((1, Change::Updated)));
    assert_eq!(changes[4], Ok((2, Change::Created)));
    assert!(fixture.vault().verify().unwrap().is_whole());
}

#[test]
fn tokens_never_change_hands() {
    let fixture = Fixture::new();
    let mut writer = fixture.vault().writer().unwrap();
    put(&mut writer, &[("email", "dana@example.test"), ("token", "e_dana_0001")]);
    put(&mut writer, &[("email", "eve@example.test"), ("token", "e_eve_00001")]);
    let both = [("email", "eve@example.test"), ("token", "e_dana_0001")];
    assert_eq!(refusal(&mut writer, &both), Cause::AddressTaken);
    let other = [("email", "eve@example.test"), ("token", "e_eve_00002")];
    assert_eq!(refusal(&mut writer, &other), Cause::OtherToken);
    let no_phone = [("email", "noa@example.test"), ("token", "m_noa_00001")];
    assert_eq!(refusal(&mut writer, &no_phone), Cause::TokenWithoutAddress);
    assert_eq!(refusal(&mut writer, &[("token", "e_nobody_01"), ("city", "Haifa")]), Cause::NoAddress);
    assert_eq!(fixture.vault().stats().unwrap().people, 2);
}

#[test]
fn a_shared_phone_does_not_make_two_people_one() {
    let fixture = Fixture::new();
    let vault = fixture.vault();
    let mut writer = vault.writer().unwrap();
    let dana = put(&mut writer, &[("email", "dana@example.test"), ("phone", "+972-50-1234567")]);
    let noam = put(&mut writer, &[("email", "noam@example.test"), ("phone", "+972501234567")]);
    assert_ne!(dana.id, noam.id);
    assert_ne!(dana.mobile_token, noam.mobile_token);
    let by_phone = put(&mut writer, &[("phone", "+972 (50) 1234567")]);
    assert_eq!(by_phone.id, dana.id);
    let moved = put(&mut writer, &[("email", "dana@example.test"), ("phone", "+972507654321")]);
    assert_eq!((moved.id, &moved.mobile_token), (dana.id, &dana.mobile_token));
    assert!(vault.verify().unwrap().is_whole());
    let found = vault.reader().unwrap().read_batch(&[noam.mobile_token.unwrap()]).unwrap();
    assert_eq!(found[0].as_ref().unwrap().as_ref().unwrap().email(), Some("noam@example.test"));
}

#[test]
fn a_new_address_by_token_frees_the_old_one() {
    let fixture = Fixture::new();
    let vault = fixture.vault();
    let mut writer = vault.writer().unwrap();
    let dana = put(&mut writer, &[("email", "dana@example.test"), ("token", "e_dana_0001")]);
    put(&mut writer, &[("token", "e_dana_0001"), ("email", "dana@new.example")]);
    let other = put(&mut writer, &[("email", "dana@example.test")]);
    assert_ne!(other.id, dana.id);
    assert_eq!(put(&mut writer, &[("email", "dana@new.example")]).id, dana.id);
    assert!(vault.verify().unwrap().is_whole());
}

#[test]
fn people_outlive_a_restart_and_files_are_the_owners_only() {
    let fixture = Fixture::new();
    let stored = put(&mut fixture.vault().writer().unwrap(), &[("email", "dana@example.test")]);
    let vault = fixture.vault();
    let _writer = vault.writer().unwrap();
    assert!(vault.reader().unwrap().read_batch(&[token_of(&stored)]).unwrap()[0].as_ref().unwrap().is_some());
    assert_eq!(fs::metadata(&fixture.settings.dir).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&fixture.settings.dir).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
    assert_eq!(vault.derive_key("send"), fixture.vault().derive_key("send"));
    assert_ne!(vault.derive_key("send"), vault.derive_key("dedupe"));
}

#[test]
fn stats_count_without_reading_anybody() {
    let fixture = Fixture::new();
    let vault = fixture.vault();
    let mut writer = vault.writer().unwrap();
    put(&mut writer, &[("email", "dana@example.test"), ("phone", "+972501234567")]);
    put(&mut writer, &[("phone", "+81312345678")]);
    let stats = vault.stats().unwrap();
    assert_eq!((stats.people, stats.email_tokens, stats.mobile_tokens), (2, 1, 2));
    assert_eq!((stats.restricted, stats.vault_keys.as_slice(), stats.format), (0, [1].as_slice(), 3));
    assert!(stats.bytes_on_disk > 4096 && stats.created.starts_with("20"));
}

#[test]
fn a_missing_vault_is_not_made_by_opening() {
    let fixture = Fixture::new();
    let error = Vault::open(&fixture.settings).err().unwrap();
    assert!(matches!(error, VaultError::Unavailable { trouble: Trouble::Missing, .. }), "{error}");
    assert!(!fixture.settings.dir.exists());
}

#[test]
fn c9_what_lies_in_the_place_of_a_vault_is_said() {
    use crate::obstacle::Obstacle;
    let fixture = Fixture::new();
    drop(fixture.vault());
    let told = || match Vault::open(&fixture.settings).err().unwrap() {
        VaultError::Unavailable { trouble, .. } => trouble,
        other => panic!("{other}"),
    };
    let (file, away) = (fixture.file(), fixture.file().with_extension("away"));
    fs::rename(&file, &away).unwrap();
    assert_eq!(told(), Trouble::Missing);
    fs::create_dir(&file).unwrap();
    assert_eq!(told(), Trouble::Obstacle(Obstacle::Folder));
    fs::remove_dir(&file).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(&file).unwrap();
    assert_eq!(told(), Trouble::Obstacle(Obstacle::NotAFile));
    fs::remove_file(&file).unwrap();
    let dir = fixture.settings.dir.clone();
    fs::rename(&dir, dir.with_extension("away")).unwrap();
    fs::write(&dir, "x").unwrap();
    assert_eq!(told(), Trouble::NotAFolder);
    let made = Vault::open_or_create(&fixture.settings).err().unwrap().to_string();
    assert!(made.contains("a part of its path is no folder"), "{made}");
    fs::remove_file(&dir).unwrap();
    fs::rename(dir.with_extension("away"), &dir).unwrap();
    fs::rename(&away, &file).unwrap();
    // Its log cannot be opened.
    fs::create_dir(dir.join("vault.db-wal")).unwrap();
    let error = Vault::open(&fixture.settings).err().unwrap().to_string();
    assert!(!error.contains("does not exist"), "{error}");
}
