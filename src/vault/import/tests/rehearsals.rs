//! What is told of a file before it is imported is what becomes of it.

use super::*;
use proptest::prelude::*;

/// People who come again, with tokens and phones that are sometimes somebody else's.
fn row() -> impl Strategy<Value = String> {
    let email = prop_oneof![4 => (0..6u8).prop_map(|n| format!("p{n}@x.test")), 1 => Just(String::new())];
    let token = prop_oneof![4 => Just(String::new()), 1 => (0..4u8).prop_map(|n| format!("e_token_00{n}"))];
    let phone =
        prop_oneof![3 => Just(String::new()), 1 => (0..3u8).prop_map(|n| format!("+4915112345{n}00"))];
    let name = prop_oneof![Just("Ana"), Just("Ben"), Just(""), Just("NULL")];
    let consent = prop_oneof![2 => Just(""), 1 => Just("news"), 1 => Just("-news"), 1 => Just("no")];
    (email, token, phone, name, consent).prop_map(|(email, token, phone, name, consent)| {
        format!("{email},{token},{phone},{name},{consent}\n")
    })
}

fn file(rows: &[String]) -> String {
    format!("email,token,phone,first_name,consent\n{}", rows.concat())
}

/// What became of each row.
fn told(
    summary: Summary,
    seen: &Seen,
) -> (Summary, BTreeMap<u64, crate::vault::Change>, BTreeMap<u64, Refusal>) {
    let changes = seen.stored.iter().map(|(line, (stored, _))| (*line, stored.change)).collect();
    (summary, changes, seen.refused.clone())
}

fn assert_same(fixture: &Fixture, rehearsal: Rehearsal, file: &str, options: &Options) {
    let mut seen = Seen::default();
    let summary = rehearse(rehearsal, file.as_bytes(), options, &mut seen).unwrap();
    let (stored, stored_seen) = run(fixture, file.as_bytes(), options);
    assert_eq!(told(summary, &seen), told(stored.unwrap(), &stored_seen));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn b11_a_rehearsal_tells_of_each_row_what_the_import_does(
        before in proptest::collection::vec(row(), 0..8),
        rows in proptest::collection::vec(row(), 1..25),
        changes_addresses: bool,
    ) {
        let address_change = if changes_addresses { AddressChange::Allowed } else { AddressChange::Refused };
        let options = Options { address_change, ..csv() };
        assert_same(&Fixture::new(), Rehearsal::without_vault().unwrap(), &file(&rows), &options);
        let fixture = Fixture::new();
        run(&fixture, file(&before).as_bytes(), &options).0.unwrap();
        let rehearsal = Rehearsal::on(fixture.vault().writer().unwrap()).unwrap();
        assert_same(&fixture, rehearsal, &file(&rows), &options);
        prop_assert!(fixture.vault().verify().unwrap().is_whole());
    }
}

#[test]
fn b11_a_rehearsal_remembers_who_came_in_an_earlier_batch() {
    let person = |n: usize| format!("p{n}@x.test,,,Ana,\n");
    let mut rows: Vec<String> = (0..BATCH_ROWS_MAX).map(person).collect();
    // The same again, another name, and a withdrawal in a row that is refused.
    rows.extend(["p0@x.test,,,Ana,\n", "p1@x.test,,,Anna,\n", "p2@x.test,,,NULL,-news\n"].map(String::from));
    let fixture = Fixture::new();
    assert_same(&fixture, Rehearsal::without_vault().unwrap(), &file(&rows), &csv());
    let again: Vec<String> = rows.iter().map(|row| row.replace("Ana", "Eva")).collect();
    let rehearsal = Rehearsal::on(fixture.vault().writer().unwrap()).unwrap();
    assert_same(&fixture, rehearsal, &file(&again), &csv());
    assert_eq!(run(&fixture, file(&again).as_bytes(), &csv()).0.unwrap().withdrew, 1);
}
