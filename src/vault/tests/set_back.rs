//! Earlier copies of the same vault: whole, with its id, and not what it should be.

use super::overwritten::{Open, PEOPLE, add};
use super::*;

fn trouble(error: &VaultError) -> Trouble {
    let VaultError::Unavailable { trouble, .. } = error else { panic!("{error}") };
    *trouble
}

#[test]
fn c9_an_older_copy_of_the_same_vault_is_not_read() {
    for way in ["cat copy.db > vault.db", "cp copy.db vault.db", "cp copy.db x; mv x vault.db"] {
        let mut open = Open::new();
        open.shell("cp vault.db copy.db");
        let late = add(&open.vault, PEOPLE..PEOPLE + 500);
        assert!(open.watch.has_changed().unwrap());
        assert!(open.reader.read_batch(&late).unwrap().iter().all(|found| matches!(found, Ok(Some(_)))));
        open.shell("cp vault.db latest.db");
        open.shell(way);
        for _ in 0..3 {
            assert!(open.reader.read_batch(&late).is_err(), "{way}: nobody is refused for good");
            assert_eq!(open.found(), 0, "{way}: nor mailed on what was true once");
            open.watch.has_changed().unwrap_err();
        }
        let error = open.watch.has_changed().unwrap_err();
        assert_eq!(trouble(&error), Trouble::SetBack { had: 3_501, has: 3_001 }, "{way}");
        assert!(error.to_string().contains("vault release --all --yes"));
        // The next start, and whoever looks beside it.
        let again = open.fixture.vault();
        assert!(again.is_latest().unwrap_err().awaits_a_person());
        let (mut reader, mut watch) = (again.reader().unwrap(), again.watch().unwrap());
        assert!(reader.read_batch(&late).unwrap_err().awaits_a_person());
        assert!(watch.has_changed().unwrap_err().awaits_a_person());
        // The latest is back, as by a careful person.
        open.shell("mv latest.db vault.db");
        assert!(reader.read_batch(&late).unwrap().iter().all(|found| matches!(found, Ok(Some(_)))));
        assert!(watch.has_changed().unwrap() && open.watch.has_changed().unwrap());
        assert_eq!(open.found(), PEOPLE, "{way}");
    }
}

#[test]
fn c9_an_older_copy_restored_through_sqlite_is_not_read() {
    let mut open = Open::new();
    open.shell("cp vault.db copy.db");
    let late = add(&open.vault, PEOPLE..PEOPLE + 1);
    open.watch.has_changed().unwrap();
    let mut db = open.fixture.raw();
    db.restore("main", open.fixture.settings.dir.join("copy.db"), None::<fn(_)>).unwrap();
    drop(db);
    assert_eq!(open.found(), 0);
    assert!(open.reader.read_batch(&late).unwrap_err().awaits_a_person());
    assert!(open.watch.has_changed().unwrap_err().awaits_a_person());
    for _ in 0..3 {
        assert!(open.watch.has_changed().is_err());
    }
    open.vault.release().unwrap();
    assert!(open.watch.has_changed().unwrap());
    assert_eq!(open.found(), PEOPLE);
}

#[test]
fn c9_a_person_may_take_the_older_copy_for_the_latest_beside_the_running_relay() {
    let mut open = Open::new();
    open.shell("cp vault.db copy.db");
    let late = add(&open.vault, PEOPLE..PEOPLE + 500);
    open.watch.has_changed().unwrap();
    open.shell("cp copy.db x; mv x vault.db");
    assert!(open.watch.has_changed().is_err());
    open.fixture.vault().release().unwrap();
    assert!(open.watch.has_changed().unwrap());
    assert_eq!(open.found(), PEOPLE);
    assert!(open.reader.read_batch(&late).unwrap().iter().all(|found| matches!(found, Ok(None))));
    // From here on this one is the measure.
    add(&open.vault, PEOPLE..PEOPLE + 1);
    assert!(open.watch.has_changed().unwrap());
    open.shell("cp copy.db x; mv x vault.db");
    assert!(open.watch.has_changed().unwrap_err().awaits_a_person());
}

/// Where nobody was added the number of people says nothing.
#[test]
fn c9_a_copy_of_before_a_withdrawn_consent_is_an_older_one() {
    let fixture = Fixture::new();
    let mut writer = fixture.vault().writer().unwrap();
    let dana = [("email", "dana@example.test"), ("consent", "ads")];
    put(&mut writer, &dana);
    writer.settle().unwrap();
    let copy = fs::read(fixture.file()).unwrap();
    assert_eq!(put(&mut writer, &dana).change, Change::Unchanged);
    drop(writer);
    fs::write(fixture.file(), &copy).unwrap();
    assert!(fixture.vault().is_latest().is_ok(), "nothing is lost");
    put(&mut fixture.vault().writer().unwrap(), &[("email", "dana@example.test"), ("consent", "-ads")]);
    let latest = fs::read(fixture.file()).unwrap();
    fs::write(fixture.file(), &copy).unwrap();
    let error = fixture.vault().is_latest().unwrap_err();
    assert_eq!(trouble(&error), Trouble::SetBack { had: 3, has: 2 });
    fs::write(fixture.file(), &latest).unwrap();
    assert!(fixture.vault().is_latest().is_ok());
}

#[test]
fn c9_an_older_copy_that_was_imported_into_waits_for_a_person_whatever_its_number() {
    let fixture = Fixture::new();
    add(&fixture.vault(), 0..10);
    let copy = fs::read(fixture.file()).unwrap();
    add(&fixture.vault(), 10..20);
    fs::write(fixture.file(), &copy).unwrap();
    let late = add(&fixture.vault(), 20..60);
    let vault = fixture.vault();
    assert_eq!(trouble(&vault.is_latest().unwrap_err()), Trouble::SetBack { had: 21, has: 11 });
    assert!(vault.reader().unwrap().read_batch(&late).unwrap_err().awaits_a_person());
    vault.release().unwrap();
    assert!(matches!(vault.reader().unwrap().read_batch(&late).unwrap()[0], Ok(Some(_))));
    assert!(fixture.vault().is_latest().is_ok());
}

#[test]
fn c9_another_vault_has_a_mark_of_its_own() {
    let fixture = Fixture::new();
    add(&fixture.vault(), 0..10);
    let copy = fs::read(fixture.file()).unwrap();
    add(&fixture.vault(), 10..20);
    fs::remove_file(fixture.file()).unwrap();
    let stored = add(&fixture.vault(), 0..1);
    let vault = fixture.vault();
    assert!(vault.is_latest().is_ok(), "it begins anew");
    assert!(matches!(vault.reader().unwrap().read_batch(&stored).unwrap()[0], Ok(Some(_))));
    fs::write(fixture.file(), &copy).unwrap();
    assert!(fixture.vault().is_latest().unwrap_err().awaits_a_person(), "the first one is still known");
}

/// Whoever writes without a mark, as an import on another machine.
#[test]
fn c9_the_relay_marks_what_it_sees_others_write() {
    let fixture = Fixture::new();
    add(&fixture.vault(), 0..10);
    let copy = fs::read(fixture.file()).unwrap();
    let mut watch = fixture.vault().watch().unwrap();
    let elsewhere = Settings { mark_dirs: Vec::new(), ..fixture.settings.clone() };
    add(&Vault::open(&elsewhere).unwrap(), 10..20);
    assert!(watch.has_changed().unwrap());
    drop(watch);
    fs::write(fixture.file(), &copy).unwrap();
    assert!(fixture.vault().is_latest().unwrap_err().awaits_a_person());
}

/// Both have come from one copy, and only one of them is the vault.
#[test]
fn p5_what_was_there_before_another_copy_was_taken_for_the_latest_is_not_read() {
    for changes in 0..3 {
        let fixture = Fixture::new();
        add(&fixture.vault(), 0..10);
        let copy = fs::read(fixture.file()).unwrap();
        add(&fixture.vault(), 10..20);
        let before = fs::read(fixture.file()).unwrap();
        fs::write(fixture.file(), &copy).unwrap();
        fixture.vault().release().unwrap();
        for at in 0..changes {
            add(&fixture.vault(), 20 + 12 * at..32 + 12 * at);
        }
        let latest = fixture.vault();
        assert!(latest.is_latest().is_ok());
        let (mut reader, mut watch) = (latest.reader().unwrap(), latest.watch().unwrap());
        let nobody = Token::from_local("e_nobody00000000001").unwrap();
        assert!(reader.read_batch(std::slice::from_ref(&nobody)).is_ok());
        let mut db = fixture.raw();
        let other = fixture.settings.dir.join("before");
        fs::write(&other, &before).unwrap();
        db.restore("main", other, None::<fn(_)>).unwrap();
        drop(db);
        assert!(reader.read_batch(&[nobody]).unwrap_err().awaits_a_person(), "{changes}");
        assert!(watch.has_changed().unwrap_err().awaits_a_person());
        assert_eq!(
            trouble(&fixture.vault().is_latest().unwrap_err()),
            Trouble::SetBack { had: if changes == 0 { 21 } else { 21 + 12 * changes as i64 }, has: 21 }
        );
    }
}
