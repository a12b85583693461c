//! Genuine rows of an earlier day, and rows that were taken away: found at the start, at each look-up and by `verify`, and never
//! served.

use super::*;
use crate::vault::keyring::{LookupHash, LookupOf};
use crate::vault::roll::{self, Stretch};

const PEOPLE: usize = 300;

/// A vault whose first person has refused since `old.db` was copied from it.
struct Since {
    fixture: Fixture,
    tokens: Vec<Token>,
}

impl Since {
    fn new() -> Self {
        let fixture = Fixture::new();
        let mut writer = fixture.vault().writer().unwrap();
        let tokens =
            (0..PEOPLE).map(|at| token_of(&put(&mut writer, &[("email", &email(at)), ("consent", "ads")])));
        let tokens: Vec<Token> = tokens.collect();
        writer.settle().unwrap();
        fs::copy(fixture.file(), fixture.settings.dir.join("old.db")).unwrap();
        put(&mut writer, &[("email", &email(0)), ("consent", "-ads")]);
        writer.settle().unwrap();
        drop(writer);
        let since = Self { fixture, tokens };
        assert!(since.vault().verify().unwrap().is_whole() && since.vault().audit().is_ok());
        assert_eq!(since.served(&since.vault()), PEOPLE);
        since
    }

    fn vault(&self) -> Vault {
        self.fixture.vault()
    }

    /// As whoever can write the file does it; `old` is the file of before.
    fn tamper(&self, statements: &str) {
        let raw = self.fixture.raw();
        let old = self.fixture.settings.dir.join("old.db");
        raw.execute("ATTACH ?1 AS old", [old.to_str().unwrap()]).unwrap();
        raw.execute_batch(statements).unwrap();
        raw.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    }

    /// How many are; the first never with what was true before.
    fn served(&self, vault: &Vault) -> usize {
        let found = vault.reader().unwrap().read_batch(&self.tokens).unwrap();
        let first = found[0].as_ref().ok().and_then(Option::as_ref);
        assert!(
            first.is_none_or(|first| first.consent("ads") == Consent::Refused),
            "an earlier record is served"
        );
        found.into_iter().filter(|found| matches!(found, Ok(Some(_)))).count()
    }

    fn first(&self, vault: &Vault) -> Withheld {
        vault.reader().unwrap().read_batch(&self.tokens[..1]).unwrap().remove(0).unwrap_err()
    }
}

fn email(at: usize) -> String {
    format!("person{at}@example.test")
}

const OLD_ROW: &str = "UPDATE person SET (vault_key, version, restricted, wrapped_key, record) =
    (SELECT vault_key, version, restricted, wrapped_key, record FROM old.person WHERE id = 1) WHERE id = 1;";
const OLD_NODES: &str = "INSERT OR REPLACE INTO roll SELECT * FROM old.roll WHERE node >= 0;";
const OLD_ROOT: &str = "INSERT OR REPLACE INTO roll SELECT * FROM old.roll WHERE node = -1;";
const OLD_NUMBER: &str = "UPDATE vault SET next_person = (SELECT next_person FROM old.vault);";

const EARLIER: Withheld = Withheld::Damaged(Damaged { person: 1, part: DamagedPart::Earlier });

#[test]
fn p5_an_earlier_row_is_not_served_nor_written_to_and_is_told_of() {
    let since = Since::new();
    let (open, mut watch) = (since.vault(), since.vault().watch().unwrap());
    let mut reader = open.reader().unwrap();
    assert!(reader.read_batch(&since.tokens).unwrap().iter().all(Result::is_ok));
    since.tamper(OLD_ROW);
    assert!(watch.has_changed().unwrap());
    // Beside the running relay, and at the next start.
    assert_eq!(reader.read_batch(&since.tokens[..1]).unwrap(), [Err(EARLIER)]);
    let vault = since.vault();
    assert_eq!((since.first(&vault), since.served(&vault)), (EARLIER, PEOPLE - 1));
    let verified = vault.verify().unwrap();
    assert!(!verified.is_whole());
    assert_eq!((verified.put_back, verified.damaged_people), (1, vec![1]));
    let told = vault.audit().unwrap_err().to_string();
    assert!(
        told.contains("of 1 people an earlier record was put back") && told.contains("vault verify"),
        "{told}"
    );
    // Nor does it become the latest by being changed.
    let mut writer = vault.writer().unwrap();
    for change in [vec![("city", "Haifa")], vec![("consent", "news")]] {
        let change: Vec<_> = [("email", "person0@example.test")].into_iter().chain(change).collect();
        assert!(matches!(refusal(&mut writer, &change), Cause::Damaged(Damaged { person: 1, .. })));
    }
    put(&mut writer, &[("email", &email(1)), ("city", "Haifa")]);
    assert_eq!((since.first(&vault), since.served(&vault)), (EARLIER, PEOPLE - 1));
}

#[test]
fn p5_rows_that_were_taken_away_are_missed() {
    for (taken, put_back, taken_away) in [
        ("DELETE FROM token WHERE person = 1", 0, 0),
        (
            "DELETE FROM token WHERE person = 1; DELETE FROM address WHERE person = 1; DELETE FROM person WHERE id = 1",
            0,
            1,
        ),
        ("UPDATE token SET hash = zeroblob(16) WHERE person = 1", 0, 0),
    ] {
        let since = Since::new();
        let open = since.vault();
        let mut reader = open.reader().unwrap();
        assert!(reader.read_batch(&since.tokens).unwrap().iter().all(Result::is_ok));
        since.tamper(taken);
        assert_eq!(reader.read_batch(&since.tokens[..1]).unwrap(), [Err(Withheld::IndexAltered)], "{taken}");
        let vault = since.vault();
        assert_eq!(
            (since.first(&vault), since.served(&vault)),
            (Withheld::IndexAltered, PEOPLE - 1),
            "{taken}"
        );
        let verified = vault.verify().unwrap();
        assert!(!verified.is_whole() && verified.altered_index_parts > 0, "{taken}: {verified:?}");
        assert_eq!((verified.put_back, verified.taken_away), (put_back, taken_away), "{taken}");
        assert!(vault.audit().is_err());
    }
}

#[test]
fn p5_a_person_whose_row_alone_is_gone_is_damaged() {
    let since = Since::new();
    since.tamper("DELETE FROM person WHERE id = 1");
    let vault = since.vault();
    let missing = Damaged { person: 1, part: DamagedPart::Missing };
    assert_eq!((since.first(&vault), since.served(&vault)), (missing.into(), PEOPLE - 1));
    assert_eq!(vault.verify().unwrap().taken_away, 1);
    assert!(vault.audit().unwrap_err().to_string().contains("those of 1 were taken away"));
}

#[test]
fn p5_who_is_unknown_is_told_so_for_good_where_nothing_is_missing() {
    let since = Since::new();
    let unknown: Vec<Token> =
        (0..200).map(|at| Token::from_local(&format!("e_nobody{at:010}")).unwrap()).collect();
    let mut reader = since.vault().reader().unwrap();
    for _ in 0..2 {
        assert!(reader.read_batch(&unknown).unwrap().iter().all(|found| *found == Ok(None)));
    }
    since.tamper("DELETE FROM token WHERE person <= 100");
    let found = reader.read_batch(&unknown).unwrap();
    let unsure = found.iter().filter(|found| **found == Err(Withheld::IndexAltered)).count();
    assert!(unsure < 30, "100 of 4,096 parts of the index miss something, {unsure} of 200 fell into them");
}

#[test]
fn p5_rows_of_two_people_exchanged_are_noticed() {
    let columns = "vault_key, version, restricted, wrapped_key, record";
    for statement in [
        format!(
            "CREATE TABLE kept AS SELECT * FROM person WHERE id IN (1, 2);
             UPDATE person SET ({columns}) = (SELECT {columns} FROM kept WHERE id = 3 - person.id) WHERE id IN (1, 2);"
        ),
        "UPDATE token SET person = 3 - person WHERE person IN (1, 2)".into(),
    ] {
        let since = Since::new();
        since.tamper(&statement);
        let vault = since.vault();
        assert_eq!(since.served(&vault), PEOPLE - 2, "{statement}");
        assert!(!vault.verify().unwrap().is_whole() && vault.audit().is_err(), "{statement}");
    }
}

#[test]
fn p5_what_tells_of_a_row_cannot_be_put_back_with_it() {
    let since = Since::new();
    since.tamper(&[OLD_ROW, OLD_NODES].concat());
    let vault = since.vault();
    assert_eq!(since.served(&vault), 0, "they all stand under nodes that were put back");
    assert!(vault.verify().unwrap().roll_broken && vault.audit().is_err());
    let mut writer = vault.writer().unwrap();
    let change = [("email", "person1@example.test"), ("city", "Haifa")];
    assert!(matches!(refusal(&mut writer, &change), Cause::Damaged(Damaged { person: 2, .. })));
    let error = writer.put(&draft(&[("email", "new@example.test")])).unwrap_err();
    assert!(matches!(error, VaultError::RollAltered { .. }), "{error}");

    let since = Since::new();
    since.tamper(&[OLD_ROW, OLD_NODES, OLD_ROOT].concat());
    let vault = since.vault();
    let error = vault.reader().unwrap().read_batch(&since.tokens).unwrap_err();
    assert!(matches!(error, VaultError::RollAltered { .. }), "{error}");
    assert!(error.to_string().contains("which of its records are the latest"), "{error}");
    assert!(vault.verify().unwrap().roll_broken);

    let since = Since::new();
    since.tamper(&[OLD_ROW, OLD_NODES, OLD_ROOT, OLD_NUMBER].concat());
    let vault = since.vault();
    assert!(vault.is_latest().unwrap_err().awaits_a_person(), "what is noted outside of the vault");
    assert!(vault.reader().unwrap().read_batch(&since.tokens).unwrap_err().awaits_a_person());
}

#[test]
fn p5_there_is_no_way_back_to_a_format_that_cannot_tell() {
    let since = Since::new();
    since.tamper(&[OLD_ROW, "DROP TABLE roll; PRAGMA user_version = 2;"].concat());
    let vault = since.vault();
    assert!(vault.is_latest().unwrap_err().awaits_a_person());
    assert!(vault.reader().unwrap().read_batch(&since.tokens).unwrap_err().awaits_a_person());
    assert!(vault.writer().err().unwrap().awaits_a_person());
    vault.release().unwrap();
    assert!(since.vault().is_latest().is_ok(), "unless a person says so");
    assert!(since.vault().reader().unwrap().read_batch(&since.tokens).unwrap().iter().all(Result::is_ok));
}

#[test]
fn p5_a_vault_of_format_2_gets_its_roll_when_it_is_opened() {
    let since = Since::new();
    for mark in fs::read_dir(&since.fixture.settings.mark_dirs[0]).unwrap() {
        let mark = mark.unwrap().path();
        if mark.extension().is_some_and(|extension| extension == "mark") {
            fs::remove_file(mark).unwrap();
        }
    }
    since.tamper("DROP TABLE roll; PRAGMA user_version = 2;");
    let vault = since.vault();
    assert_eq!((since.served(&vault), vault.stats().unwrap().format), (PEOPLE, 3));
    assert!(vault.verify().unwrap().is_whole() && vault.audit().is_ok());
    put(&mut vault.writer().unwrap(), &[("email", &email(1)), ("city", "Haifa")]);
    since.tamper(OLD_ROW);
    assert_eq!(since.first(&vault), EARLIER);
}

#[test]
fn p5_the_roll_tells_the_same_however_it_was_written() {
    let since = Since::new();
    let written = since.vault();
    let mut raw = since.fixture.raw();
    let again = raw.transaction().unwrap();
    again.execute_batch("DROP TABLE roll").unwrap();
    roll::build(&again, &written.keys, progress::reached(&again).unwrap()).unwrap();
    again.commit().unwrap();
    assert!(written.audit().is_ok() && written.verify().unwrap().is_whole());
    assert_eq!(since.served(&written), PEOPLE);
}

#[test]
fn p5_a_roll_that_is_taken_away_beside_the_running_relay_ends_all_reading() {
    for statement in
        ["DROP TABLE roll; PRAGMA user_version = 2;", "DROP TABLE roll;", "DELETE FROM roll WHERE node = -1;"]
    {
        let since = Since::new();
        let vault = since.vault();
        let mut reader = vault.reader().unwrap();
        assert!(reader.read_batch(&since.tokens).unwrap().iter().all(Result::is_ok));
        since.tamper(&[OLD_ROW, statement].concat());
        assert!(reader.read_batch(&since.tokens).is_err(), "{statement}");
        assert!(since.vault().reader().and_then(|mut reader| reader.read_batch(&since.tokens)).is_err());
    }
}

/// A number that was raised leaves the roll behind, also where that was read before.
#[test]
fn p5_a_number_without_its_roll_is_noticed() {
    let since = Since::new();
    let vault = since.vault();
    let mut reader = vault.reader().unwrap();
    assert!(reader.read_batch(&since.tokens).is_ok());
    since.tamper("UPDATE vault SET next_person = next_person + 1000");
    for error in [reader.read_batch(&since.tokens), since.vault().reader().unwrap().read_batch(&since.tokens)]
    {
        assert!(matches!(error, Err(VaultError::RollAltered { .. })), "{error:?}");
    }
}

#[test]
fn p5_rows_of_the_index_that_are_none_are_the_fault_of_their_part_only() {
    let since = Since::new();
    since.tamper("INSERT INTO token SELECT substr(hash, 1, 3), kind, person FROM token WHERE person = 1");
    let vault = since.vault();
    assert_eq!(since.served(&vault), PEOPLE);
    let Err(VaultError::PutBack { altered, .. }) = vault.audit() else { panic!("not told of") };
    assert_eq!((altered.index_parts, altered.taken_away, altered.put_back), (1, 0, 0));
}

/// Page by page: two rows exchanged within a page, of which a look-up finds only one and a walk both.
#[test]
fn p5_rows_out_of_order_are_not_taken_for_all_there_are() {
    let fixture = Fixture::new();
    let mut writer = fixture.vault().writer().unwrap();
    let drafts: Vec<Draft> = (0..3_000).map(|at| draft(&[("email", &email(at))])).collect();
    let stored = writer.put_batch(&drafts, AddressChange::Allowed).unwrap();
    let tokens: Vec<Token> = stored.into_iter().map(|stored| token_of(&stored.unwrap())).collect();
    writer.settle().unwrap();
    drop(writer);
    let mut file = fs::read(fixture.file()).unwrap();
    let neighbours =
        file.chunks_exact_mut(4096).find_map(exchanged_in).expect("two in one part, side by side");
    fs::write(fixture.file(), &file).unwrap();
    let vault = fixture.vault();
    let of = |token: &Token| vault.keys.lookup_hash(LookupOf::Token, token.as_str());
    let tokens: Vec<Token> = tokens.into_iter().filter(|token| neighbours.contains(&of(token))).collect();
    let found = vault.reader().unwrap().read_batch(&tokens).unwrap();
    assert!(tokens.len() == 2 && !found.contains(&Ok(None)), "{found:?}");
    assert!(found.contains(&Err(Withheld::IndexAltered)), "{found:?}");
    assert!(vault.audit().is_err());
}

/// Exchanges two neighbours of one part in a leaf of the index of tokens (SQLite's file format, 1.6), and says which.
fn exchanged_in(page: &mut [u8]) -> Option<[LookupHash; 2]> {
    const LEAF_OF_AN_INDEX: u8 = 0x0a;
    // Bytes of payload, of the header, and a header of three columns: blob of 16, a number of one byte (constant 1), one of two.
    let row = |page: &[u8], at: usize| -> Option<LookupHash> {
        let cell = usize::from(u16::from_be_bytes([page[8 + 2 * at], page[9 + 2 * at]]));
        let [_, 4, 44, 9, ..] = page.get(cell..)? else { return None };
        page[cell + 5..cell + 5 + 16].try_into().ok()
    };
    if page[0] != LEAF_OF_AN_INDEX {
        return None;
    }
    let rows = usize::from(u16::from_be_bytes([page[3], page[4]]));
    let at = (1..rows).find(|at| {
        let pair = [row(page, at - 1), row(page, *at)];
        matches!(pair, [Some(one), Some(other)] if Stretch::of(&one) == Stretch::of(&other))
    })?;
    let pair = [row(page, at - 1)?, row(page, at)?];
    for byte in 0..2 {
        page.swap(8 + 2 * (at - 1) + byte, 8 + 2 * at + byte);
    }
    Some(pair)
}

#[test]
fn p5_a_person_may_take_what_lies_there_as_it_stands() {
    for statement in [OLD_ROW, "DELETE FROM token WHERE person = 1", "DELETE FROM roll WHERE node = -1"] {
        let since = Since::new();
        since.tamper(statement);
        let vault = since.vault();
        let told = vault.audit().unwrap_err().to_string();
        assert!(told.contains("vault release --all --yes"), "{told}");
        vault.release().unwrap();
        assert!(vault.audit().is_ok() && vault.is_latest().is_ok(), "{statement}");
        let found = vault.reader().unwrap().read_batch(&since.tokens).unwrap();
        assert!(found.iter().all(Result::is_ok), "{statement}");
        put(&mut vault.writer().unwrap(), &[("email", &email(1)), ("city", "Haifa")]);
        assert!(since.vault().audit().is_ok());
    }
}
