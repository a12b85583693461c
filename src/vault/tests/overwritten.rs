//! The vault's file written in place while it is open, and the files beside it taken away. By other programs, as it
//! happens: a file that this process closes would end SQLite's locks on it.

use super::*;
use std::process::Command;

/// So many that a look-up takes pages of several levels.
pub(super) const PEOPLE: usize = 3_000;

pub(super) struct Open {
    pub fixture: Fixture,
    pub vault: Vault,
    pub reader: Reader,
    pub watch: Watch,
    tokens: Vec<Token>,
}

impl Open {
    pub fn new() -> Self {
        let fixture = Fixture::new();
        let vault = fixture.vault();
        let tokens = add(&vault, 0..PEOPLE);
        let (reader, watch) = (vault.reader().unwrap(), vault.watch().unwrap());
        Self { fixture, vault, reader, watch, tokens }
    }

    /// One after another, so that each look-up walks by itself.
    fn read_all(&mut self) -> Vec<Result<Found, VaultError>> {
        let one = |token: &Token| {
            self.reader.read_batch(std::slice::from_ref(token)).map(|mut found| found.remove(0))
        };
        self.tokens.iter().map(one).collect()
    }

    pub fn found(&mut self) -> usize {
        let all = self.read_all();
        all.iter().filter(|found| matches!(found, Ok(Ok(Some(_))))).count()
    }

    /// Nobody may be told for good that a token is unknown.
    pub fn assert_nobody_is_refused(&mut self) {
        let refused = self.read_all().iter().filter(|found| matches!(found, Ok(Ok(None)))).count();
        assert_eq!(refused, 0, "of {PEOPLE} people that are in both copies");
    }

    pub fn shell(&self, script: &str) {
        let ran = Command::new("sh").args(["-ec", script]).current_dir(&self.fixture.settings.dir).status();
        assert!(ran.unwrap().success(), "{script}");
    }

    /// A copy with twice as many people, most pages of which differ.
    fn larger_copy(&self) {
        self.shell("cp vault.db copy.db");
        let other = Fixture::new();
        let settings = Settings { dir: other.settings.dir.clone(), ..self.fixture.settings.clone() };
        fs::create_dir(&settings.dir).unwrap();
        fs::copy(self.fixture.settings.dir.join("copy.db"), settings.dir.join("vault.db")).unwrap();
        let larger = Vault::open(&settings).unwrap();
        add(&larger, PEOPLE..2 * PEOPLE);
        drop(larger);
        fs::copy(settings.dir.join("vault.db"), self.fixture.settings.dir.join("copy.db")).unwrap();
    }
}

pub(super) fn add(vault: &Vault, numbers: std::ops::Range<usize>) -> Vec<Token> {
    let mut writer = vault.writer().unwrap();
    let drafts: Vec<Draft> =
        numbers.map(|number| draft(&[("email", &format!("p{number}@example.test"))])).collect();
    let stored = writer.put_batch(&drafts, AddressChange::Refused).unwrap();
    writer.settle().unwrap();
    stored.into_iter().map(|stored| token_of(&stored.unwrap())).collect()
}

#[test]
fn c9_a_copy_written_over_the_open_file_is_read_once_it_is_known_to_be_whole() {
    for way in [
        "cat copy.db > vault.db",
        "cp copy.db vault.db",
        "dd if=copy.db of=vault.db conv=notrunc status=none",
    ] {
        let mut open = Open::new();
        open.larger_copy();
        assert_eq!(open.found(), PEOPLE);
        open.shell(way);
        open.assert_nobody_is_refused();
        assert_eq!(open.found(), 0, "{way}: it is not known to be whole yet");
        let error = open.watch.has_changed().unwrap_err().to_string();
        assert!(error.contains("overwritten") && error.contains("rename"), "{error}");
        assert!(open.watch.has_changed().unwrap(), "{way}: what was remembered is to be forgotten");
        assert_eq!((open.found(), open.watch.has_changed().unwrap()), (PEOPLE, false), "{way}");
        assert_eq!(open.vault.stats().unwrap().people, 2 * PEOPLE as u64);
    }
}

#[test]
fn c9_half_a_copy_refuses_nobody_however_long_it_stands_there() {
    let mut open = Open::new();
    open.larger_copy();
    let half = fs::metadata(open.fixture.file()).unwrap().len() / 8192;
    open.shell(&format!("dd if=copy.db of=vault.db bs=4096 count={half} conv=notrunc status=none"));
    for _ in 0..4 {
        open.assert_nobody_is_refused();
        assert!(open.watch.has_changed().is_err());
    }
    assert!(open.watch.has_changed().unwrap_err().to_string().contains("damaged"));
    open.shell(&format!("head -c {} copy.db > vault.db", half * 4096));
    open.assert_nobody_is_refused();
    let errors: Vec<String> = (0..3).map(|_| open.watch.has_changed().unwrap_err().to_string()).collect();
    assert!(errors[0].contains("overwritten") && errors[1].contains("damaged"), "{errors:?}");
    assert_eq!(errors[1], errors[2]);
    open.shell("cat copy.db > vault.db");
    assert!(open.watch.has_changed().is_err());
    assert!(open.watch.has_changed().unwrap());
    assert_eq!(open.found(), PEOPLE);
}

#[test]
fn c9_garbage_nothing_and_another_vault_are_never_read() {
    let mut open = Open::new();
    open.shell("cp vault.db copy.db");
    let other = Fixture::new();
    drop(add(&other.vault(), 0..PEOPLE));
    fs::copy(other.file(), open.fixture.settings.dir.join("other.db")).unwrap();
    for (way, cause) in [
        ("head -c 100000 /dev/urandom > vault.db", "is damaged"),
        (": > vault.db", "the file is empty"),
        ("cat other.db > vault.db", "another vault lies in its place"),
    ] {
        open.shell(way);
        for _ in 0..3 {
            assert_eq!(open.found(), 0);
            open.assert_nobody_is_refused();
            open.watch.has_changed().unwrap_err();
        }
        let error = open.watch.has_changed().unwrap_err().to_string();
        assert!(error.contains(cause), "{way}: {error}");
        open.shell("cat copy.db > vault.db");
        open.watch.has_changed().unwrap_err();
        assert!(open.watch.has_changed().unwrap());
        assert_eq!(open.found(), PEOPLE);
    }
}

#[test]
fn c9_another_vault_restored_through_sqlite_is_not_read_and_the_first_one_is_again() {
    let mut open = Open::new();
    open.shell("cp vault.db copy.db");
    let other = Fixture::new();
    drop(add(&other.vault(), 0..10));
    let mut db = open.fixture.raw();
    db.restore("main", other.file(), None::<fn(_)>).unwrap();
    assert_eq!(open.found(), 0);
    open.assert_nobody_is_refused();
    db.restore("main", open.fixture.settings.dir.join("copy.db"), None::<fn(_)>).unwrap();
    assert_eq!(open.found(), PEOPLE);
    assert!(open.watch.has_changed().unwrap());
}

#[test]
fn c9_who_writes_through_sqlite_is_never_in_the_way() {
    let mut open = Open::new();
    let mut writer = open.vault.writer().unwrap();
    let unknown = [Token::from_local("e_nobodyatall").unwrap()];
    for turn in 0..20 {
        let email = format!("late{turn}@example.test");
        put(&mut writer, &[("email", &email)]);
        if turn % 3 == 0 {
            writer.settle().unwrap();
        }
        assert!(open.watch.has_changed().unwrap());
        assert!(matches!(open.reader.read_batch(&unknown).unwrap()[0], Ok(None)));
        assert!(!open.watch.has_changed().unwrap());
        let first = std::slice::from_ref(&open.tokens[turn]);
        assert!(matches!(open.reader.read_batch(first).unwrap()[0], Ok(Some(_))));
    }
    assert_eq!(open.found(), PEOPLE);
}

#[test]
fn c9_what_was_committed_does_not_stay_in_the_log_to_be_put_on_top_of_a_copy() {
    let mut open = Open::new();
    open.shell("cp vault.db copy.db");
    let mut writer = open.vault.writer().unwrap();
    put(&mut writer, &[("email", "late@example.test")]);
    let log = open.fixture.settings.dir.join("vault.db-wal");
    assert!(fs::metadata(&log).unwrap().len() > 0);
    assert!(open.watch.has_changed().unwrap());
    assert!(!open.watch.has_changed().unwrap());
    assert_eq!(fs::metadata(&log).unwrap().len(), 0);
    open.shell("cat copy.db > vault.db");
    assert!(open.watch.has_changed().is_err());
    assert!(open.watch.has_changed().unwrap_err().awaits_a_person(), "it is whole, and the older one");
    assert_eq!(open.vault.stats().unwrap().people, PEOPLE as u64);
}

#[test]
fn c9_a_mode_a_time_or_a_link_that_changes_stops_nothing() {
    let mut open = Open::new();
    for way in ["chmod 640 vault.db", "ln vault.db backup", "rm backup", "chmod 600 vault.db"] {
        open.shell(way);
        assert_eq!(open.found(), PEOPLE, "{way}");
        open.watch.has_changed().unwrap();
    }
}

#[test]
fn c9_files_beside_the_vault_that_go_or_are_replaced_take_nobody_along() {
    for way in [
        "rm vault.db-wal",
        "rm vault.db-shm",
        "rm vault.db-wal vault.db-shm",
        "cp vault.db x; mv x vault.db-wal",
    ] {
        let mut open = Open::new();
        let late = put(&mut open.vault.writer().unwrap(), &[("email", "late@example.test")]);
        open.shell(way);
        assert_eq!(open.found(), PEOPLE, "{way}");
        assert!(open.watch.has_changed().unwrap(), "{way}");
        let found = open.reader.read_batch(&[token_of(&late)]).unwrap();
        assert!(matches!(found[0], Ok(Some(_))), "{way}: what was committed is kept");
        let more = put(&mut open.vault.writer().unwrap(), &[("email", "more@example.test")]);
        assert!(open.watch.has_changed().unwrap(), "{way}: a later writer is seen");
        assert!(matches!(open.reader.read_batch(&[token_of(&more)]).unwrap()[0], Ok(Some(_))), "{way}");
        assert!(open.vault.verify().unwrap().is_whole(), "{way}");
    }
}
