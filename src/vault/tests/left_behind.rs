//! The log that a killed process has left beside a vault, and another file that came there afterwards.

use super::overwritten::add;
use super::*;

/// A vault as a killed import leaves it: its latest people are in the log only. With a copy of the file as it was when it was
/// empty, and one of people of before.
struct Left {
    fixture: Fixture,
    before: Vec<u8>,
}

impl Left {
    fn new() -> Self {
        let fixture = Fixture::new();
        let vault = fixture.vault();
        let mut writer = vault.writer().unwrap();
        let many = |range: std::ops::Range<usize>| -> Vec<Draft> {
            range.map(|n| draft(&[("email", &format!("p{n}@example.test"))])).collect()
        };
        writer.put_batch(&many(0..2_000), AddressChange::Refused).unwrap();
        writer.settle().unwrap();
        let before = fs::read(fixture.file()).unwrap();
        writer.put_batch(&many(2_000..4_000), AddressChange::Refused).unwrap();
        writer.settle().unwrap();
        writer.put_batch(&many(4_000..4_100), AddressChange::Refused).unwrap();
        // As the system leaves it behind SIGKILL: what closing would do is undone.
        let (file, log) = (fs::read(fixture.file()).unwrap(), fs::read(Self::log_of(&fixture)).unwrap());
        drop((writer, vault));
        fs::write(fixture.file(), file).unwrap();
        fs::write(Self::log_of(&fixture), log).unwrap();
        Self { fixture, before }
    }

    fn log_of(fixture: &Fixture) -> PathBuf {
        store::beside(&fixture.file(), "-wal")
    }

    /// The way of a person who puts a copy there while nothing runs.
    fn replace(&self, is_renamed: bool) {
        if !is_renamed {
            return fs::write(self.fixture.file(), &self.before).unwrap();
        }
        let copy = self.fixture.settings.dir.join("copy");
        fs::write(&copy, &self.before).unwrap();
        fs::rename(copy, self.fixture.file()).unwrap();
    }
}

#[test]
fn c9_the_log_that_a_killed_import_leaves_belongs_to_its_file() {
    let left = Left::new();
    let vault = left.fixture.vault();
    assert_eq!(vault.stats().unwrap().people, 4_100);
    assert!(vault.verify().unwrap().is_whole() && vault.is_latest().is_ok());
}

#[test]
fn c9_a_log_left_behind_is_not_put_into_a_copy_that_came_later() {
    for is_renamed in [false, true] {
        let left = Left::new();
        left.replace(is_renamed);
        for _ in 0..2 {
            let error = Vault::open(&left.fixture.settings).err().expect("it is no vault with that log");
            assert!(error.to_string().contains("move vault.db-wal"), "{error}");
            assert!(fs::read(left.fixture.file()).unwrap() == left.before, "the copy is as it was put there");
        }
        fs::remove_file(Left::log_of(&left.fixture)).unwrap();
        let _ = fs::remove_file(store::beside(&left.fixture.file(), "-shm"));
        let vault = left.fixture.vault();
        assert_eq!(vault.stats().unwrap().people, 2_000);
        assert!(vault.verify().unwrap().is_whole());
        assert!(vault.is_latest().unwrap_err().awaits_a_person(), "and it is an older one");
    }
}

#[test]
fn c9_a_new_vault_gets_nothing_of_the_log_of_one_that_was_removed() {
    let left = Left::new();
    fs::remove_file(left.fixture.file()).unwrap();
    let vault = left.fixture.vault();
    assert_eq!(vault.stats().unwrap().people, 0);
    add(&vault, 0..10);
    assert!(vault.verify().unwrap().is_whole());
    assert!(left.fixture.vault().is_latest().is_ok());
}

/// The files beside it lie where the file is, not where its name is.
#[test]
fn c9_a_vault_by_a_link_that_is_exchanged_is_followed() {
    let fixture = Fixture::new();
    let tokens = add(&fixture.vault(), 0..10);
    let dir = &fixture.settings.dir;
    fs::create_dir(dir.join("a")).unwrap();
    fs::rename(fixture.file(), dir.join("a/vault.db")).unwrap();
    std::os::unix::fs::symlink("a/vault.db", fixture.file()).unwrap();
    let vault = fixture.vault();
    let (mut reader, mut watch) = (vault.reader().unwrap(), vault.watch().unwrap());
    assert!(matches!(reader.read_batch(&tokens).unwrap()[9], Ok(Some(_))));
    fs::create_dir(dir.join("b")).unwrap();
    fs::copy(dir.join("a/vault.db"), dir.join("b/vault.db")).unwrap();
    let late = add(&vault, 10..20);
    assert!(watch.has_changed().unwrap());
    let exchange = |to: &str| {
        std::os::unix::fs::symlink(to, dir.join("next")).unwrap();
        fs::rename(dir.join("next"), fixture.file()).unwrap();
    };
    exchange("b/vault.db");
    assert!(reader.read_batch(&late).unwrap_err().awaits_a_person());
    assert!(watch.has_changed().unwrap_err().awaits_a_person());
    exchange("a/vault.db");
    assert!(matches!(reader.read_batch(&late).unwrap()[9], Ok(Some(_))));
    assert!(watch.has_changed().unwrap());
}
