//! Consent that is withdrawn in a row which is refused for something else.

use super::*;
use crate::job::Token;
use crate::person::{Consent, FIELD_VALUE_BYTES_MAX};
use crate::purpose::Known;

const PEOPLE: &[u8] = b"email,phone,token,first_name,consent\n\
    a@x.test,,e_aaaaaaaa,Ana,news service\n\
    b@x.test,+4915112345678,e_bbbbbbbb,Ben,news service\n\
    ,+4915187654321,m_cccccccc,Cem,news service\n";

struct House(Fixture);

impl House {
    fn new() -> Self {
        let fixture = Fixture::new();
        assert_eq!(run(&fixture, PEOPLE, &csv()).0.unwrap().created, 3);
        Self(fixture)
    }

    fn consent(&self, token: &str, purpose: &str) -> Consent {
        let token = Token::from_local(token).unwrap();
        let found = self.0.vault().reader().unwrap().read_batch(&[token]).unwrap().remove(0);
        found.unwrap().unwrap().consent(purpose)
    }

    fn name(&self, token: &str) -> String {
        let token = Token::from_local(token).unwrap();
        let found = self.0.vault().reader().unwrap().read_batch(&[token]).unwrap().remove(0);
        found.unwrap().unwrap().field("first_name").unwrap().to_owned()
    }

    /// The same figures without storing anything, and then with it.
    fn import(&self, file: &[u8], options: &Options) -> Summary {
        let mut seen = Seen::default();
        let rehearsal = Rehearsal::on(self.0.vault().writer().unwrap()).unwrap();
        let rehearsed = rehearse(rehearsal, file, options, &mut seen).unwrap();
        let (summary, stored) = run(&self.0, file, options);
        let summary = summary.unwrap();
        assert_eq!((rehearsed, &seen.refused), (summary, &stored.refused));
        summary
    }

    fn assert_withdrawn(&self, file: &[u8], options: &Options, token: &str) {
        let summary = self.import(file, options);
        let told = String::from_utf8_lossy(&file[..file.len().min(200)]);
        assert_eq!((summary.failed, summary.withdrew), (1, 1), "{told}");
        assert_eq!(self.consent(token, "news"), Consent::Refused, "{told}");
        assert_eq!(self.consent(token, "service"), Consent::Given, "{told}");
        assert!(["Ana", "Ben", "Cem"].contains(&self.name(token).as_str()), "{told}");
        assert!(self.0.vault().verify().unwrap().is_whole());
    }
}

#[test]
fn b6_a_withdrawal_is_stored_whatever_else_is_wrong_in_its_row() {
    let long = "x".repeat(FIELD_VALUE_BYTES_MAX + 1);
    for row in [
        "email,first_name,consent\na@x.test,NULL,-news\n",
        "email,consent,first_name\na@x.test,-news,J\u{c3}\u{b6}rg\n",
        "email,phone,consent\na@x.test,call me,-news\n",
        "token,email,consent\ne_aaaaaaaa,not an address,-news\n",
        "token,email,consent\ne_aaaaaaaa,other@x.test,-news\n",
        "email,retention,consent\na@x.test,31.12.2030,-news service\n",
        "email,consent\na@x.test,-news yes\n",
        "email,consent\na@x.test,news -news\n",
        &format!("email,note,consent\na@x.test,{long},-news\n"),
    ] {
        House::new().assert_withdrawn(row.as_bytes(), &csv(), "e_aaaaaaaa");
    }
    House::new().assert_withdrawn(
        b"email,first_name,consent\na@x.test,\xff\xfe,-news\n",
        &csv(),
        "e_aaaaaaaa",
    );
    for row in [
        "phone,first_name,consent\n+49 1511 2345678,None,-news\n",
        "phone,email,consent\n+4915112345678,b@@x,-news\n",
    ] {
        House::new().assert_withdrawn(row.as_bytes(), &csv(), "e_bbbbbbbb");
    }
    let asked = Options { consent_for: Some("news".into()), ..csv() };
    House::new().assert_withdrawn(b"token,city,consent\nm_cccccccc,None,nein\n", &asked, "m_cccccccc");
}

#[test]
fn b6_a_withdrawal_in_an_object_that_is_refused_is_stored() {
    let long = "x".repeat(ROW_BYTES_MAX);
    for line in [
        r#"{"email":"a@x.test","first_name":"undefined","consent":"-news"}"#,
        r#"{"consent":["service","-news"],"city":{"a":1},"email":"a@x.test"}"#,
        r#"{"email":"a@x.test","city":"Rom","city":"Bari","consent":"-news"}"#,
        r#"{"email":"a@x.test","consent":"service","consent":"-news"}"#,
        r#"{"email":"a@x.test","first name":"Ana","consent":"-news"}"#,
        r#"{"email":"a@x.test","consent":"-news","city":"Rom"#,
        &format!(r#"{{"email":"a@x.test","consent":"-news","city":"{long}"}}"#),
    ] {
        House::new().assert_withdrawn(line.as_bytes(), &ndjson(), "e_aaaaaaaa");
    }
}

#[test]
fn b6_a_row_that_is_refused_withdraws_nothing_else_and_gives_nothing() {
    let house = House::new();
    let known = Options { purposes: Known::of(["news", "service"].map(String::from)), ..csv() };
    // Nobody who is there, nothing that is withdrawn, a purpose with a slip in it, a phone that somebody else's mail goes with.
    let file = "email,phone,first_name,consent\nz@x.test,,NULL,-news\na@x.test,,NULL,polls\na@x.test,,NULL,-newss\n\
        z@x.test,+4915112345678,NULL,-news\n";
    let summary = house.import(file.as_bytes(), &known);
    assert_eq!((summary.failed, summary.withdrew, summary.created), (4, 0, 0));
    for token in ["e_aaaaaaaa", "e_bbbbbbbb"] {
        assert_eq!(
            [house.consent(token, "news"), house.consent(token, "polls")],
            [Consent::Given, Consent::Unstated]
        );
    }
}

#[test]
fn b6_what_a_person_says_last_counts_in_rows_that_are_refused_too() {
    let house = House::new();
    let file = "email,first_name,consent\na@x.test,NULL,-news\na@x.test,Anna,news\nb@x.test,Benno,news\nb@x.test,NULL,-news\n\
        new@x.test,Nea,news\nnew@x.test,NULL,-news\n";
    let summary = house.import(file.as_bytes(), &csv());
    assert_eq!((summary.updated, summary.created, summary.failed, summary.withdrew), (2, 1, 3, 3));
    assert_eq!(house.consent("e_aaaaaaaa", "news"), Consent::Given);
    assert_eq!(house.consent("e_bbbbbbbb", "news"), Consent::Refused);
    assert_eq!((house.name("e_aaaaaaaa"), house.name("e_bbbbbbbb")), ("Anna".into(), "Benno".into()));
}

#[test]
fn b6_what_is_said_about_consent_is_read_as_it_was_set() {
    for cell in [
        "\u{2013}news",
        "\u{2212}news",
        "'-news",
        "\u{a0}-news",
        "service\u{a0}-news",
        "\u{200b}-news",
        "\"service,-news\"",
        "service;-news",
        "service|\u{2014}news",
    ] {
        let row = format!("email,first_name,consent\na@x.test,NULL,{cell}\n");
        House::new().assert_withdrawn(row.as_bytes(), &csv(), "e_aaaaaaaa");
    }
    let asked = Options { consent_for: Some("news".into()), ..csv() };
    for cell in ["-news", "'-News", "service -news", "\u{200b}no"] {
        let row = format!("email,first_name,consent\na@x.test,NULL,{cell}\n");
        House::new().assert_withdrawn(row.as_bytes(), &asked, "e_aaaaaaaa");
    }
    let house = House::new();
    house.import(b"email,consent\na@x.test,-news\nb@x.test,news\n", &asked);
    let found = [house.consent("e_aaaaaaaa", "news"), house.consent("e_bbbbbbbb", "news")];
    assert_eq!(found, [Consent::Refused, Consent::Given]);
}

#[test]
fn b6_what_cannot_be_read_about_consent_is_told_before_all_else() {
    let known = Known::of(["news", "service"].map(String::from));
    for (options, cell, cause) in [
        (csv(), "no", Cause::Answer),
        (csv(), "- news", Cause::Purpose),
        (csv(), "news:mail", Cause::Purpose),
        (Options { purposes: known, ..csv() }, "-newss", Cause::NearPurpose("news".into())),
        (Options { consent_for: Some("news".into()), ..csv() }, "perhaps", Cause::NoAnswer),
    ] {
        for row in [
            format!("email,first_name,consent\na@x.test,NULL,{cell}\n"),
            format!("email,consent,first_name\na@x,{cell},NULL\n"),
        ] {
            let (_, seen) = run(&House::new().0, row.as_bytes(), &options);
            assert_eq!(seen.refused[&2], Refusal::of("consent", cause.clone()), "{row}");
        }
    }
    let latin = b"email,first_name,consent\na@x.test,NULL,\x96news\n";
    assert_eq!(run(&House::new().0, latin, &csv()).1.refused[&2], Refusal::of("consent", Cause::Utf8));
}

#[test]
fn b6_a_word_for_empty_cells_silences_no_answer() {
    let words = Words {
        empty: ["None", "0", "-", "NULL"].map(String::from).into(),
        of_list: true,
        ..Words::default()
    };
    let plain = Options { words, ..csv() };
    let asked = Options { consent_for: Some("news".into()), ..plain.clone() };
    for answer in ["None", "0"] {
        let house = House::new();
        let row = format!("email,first_name,consent\na@x.test,{answer},{answer}\n");
        let summary = house.import(row.as_bytes(), &asked);
        assert_eq!((summary.updated, house.consent("e_aaaaaaaa", "news")), (1, Consent::Refused), "{answer}");
        assert_eq!(
            run(&house.0, row.as_bytes(), &plain).1.refused[&2],
            Refusal::of("consent", Cause::Answer)
        );
    }
    let house = House::new();
    let summary = house.import(b"email,consent\na@x.test,-\nb@x.test,NULL\n", &asked);
    assert_eq!((summary.unchanged, house.consent("e_aaaaaaaa", "news")), (2, Consent::Given));
}

#[test]
fn b6_what_a_refused_row_withdraws_holds_for_whom_a_later_row_brings() {
    let (given, refused, unstated) = (Consent::Given, Consent::Refused, Consent::Unstated);
    for (rows, token, expected) in [
        ("z@x.test,,,NULL,-news\nz@x.test,,e_zzzzzzzz,Zoe,service\n", "e_zzzzzzzz", [refused, given]),
        // The order of the file counts.
        ("z@x.test,,,NULL,-news -service\nz@x.test,,e_zzzzzzzz,Zoe,news\n", "e_zzzzzzzz", [given, refused]),
        (
            "z@x.test,,,NULL,-news\nz@x.test,,,NULL,news\nz@x.test,,e_zzzzzzzz,,\n",
            "e_zzzzzzzz",
            [refused, unstated],
        ),
        (",,e_zzzzzzzz,NULL,-news\nz@x.test,,e_zzzzzzzz,Zoe,\n", "e_zzzzzzzz", [refused, unstated]),
        (",+49151000,,NULL,-news\n,+49151000,m_zzzzzzzz,Zoe,\n", "m_zzzzzzzz", [refused, unstated]),
        (",+49151000,,NULL,-news\nz@x.test,+49151000,e_zzzzzzzz,Zoe,\n", "e_zzzzzzzz", [refused, unstated]),
        // The phone goes with somebody else's address.
        (
            "y@x.test,+49151000,,NULL,-news\nz@x.test,+49151000,e_zzzzzzzz,Zoe,\n",
            "e_zzzzzzzz",
            [unstated, unstated],
        ),
        ("y@x.test,+49151000,,NULL,-news\n,+49151000,m_zzzzzzzz,Zoe,\n", "m_zzzzzzzz", [refused, unstated]),
        // Somebody who is there gets the address.
        ("z@x.test,,,NULL,-news\nz@x.test,,m_cccccccc,Cem,\n", "m_cccccccc", [refused, given]),
        ("y@x.test,,,NULL,-news\nz@x.test,,e_zzzzzzzz,Zoe,\n", "e_zzzzzzzz", [unstated, unstated]),
    ] {
        let house = House::new();
        house.import(format!("email,phone,token,first_name,consent\n{rows}").as_bytes(), &csv());
        assert_eq!([house.consent(token, "news"), house.consent(token, "service")], expected, "{rows}");
        assert!(house.0.vault().verify().unwrap().is_whole());
    }
    // Over batches, and not into the next import.
    let house = House::new();
    let others: String = (0..BATCH_ROWS_MAX).map(|n| format!("n{n}@x.test,,Nan,\n")).collect();
    let file =
        format!("email,token,first_name,consent\nz@x.test,,NULL,-news\n{others}z@x.test,e_zzzzzzzz,,\n");
    house.import(file.as_bytes(), &csv());
    assert_eq!(house.consent("e_zzzzzzzz", "news"), refused);
    let mut writer = house.0.vault().writer().unwrap();
    for file in ["email,first_name,consent\ny@x.test,NULL,-news\n", "email,token\ny@x.test,e_yyyyyyyy\n"] {
        import(&mut writer, file.as_bytes(), &csv(), &mut Seen::default()).unwrap();
    }
    assert_eq!(house.consent("e_yyyyyyyy", "news"), unstated);
}

#[test]
fn b6_a_value_that_is_no_json_hides_no_withdrawal_behind_it() {
    for value in ["NaN", "-Infinity", "True", "\"\\ud800\"", "\"a\tb\"", "{\"a\":[NaN,\"}\"]}", "01", "[1,]"]
    {
        let line = format!("{{\"email\":\"a@x.test\",\"city\":{value},\"consent\":\"-news\"}}\n");
        House::new().assert_withdrawn(line.as_bytes(), &ndjson(), "e_aaaaaaaa");
        let line = format!("{{\"city\" : {value} , \" consent\" : [\"-news\"], \"email\":\"a@x.test\"}}\n");
        House::new().assert_withdrawn(line.as_bytes(), &ndjson(), "e_aaaaaaaa");
    }
    let latin = b"{\"first_name\":\"J\xf6rg\",\"consent\":\"-news\",\"token\":\"e_aaaaaaaa\"}\n";
    House::new().assert_withdrawn(latin, &ndjson(), "e_aaaaaaaa");
    let told = |line: &[u8]| run(&House::new().0, line, &ndjson()).1.refused[&1].clone();
    let latin = b"{\"email\":\"a@x.test\",\"consent\":\"\x96news\"}\n";
    assert_eq!(told(latin), Refusal::of("consent", Cause::Utf8));
    assert!(matches!(
        told(b"{\"email\":\"a@x.test\",\"city\":\"a \"b\" c\",\"consent\":\"-news\"}\n").cause,
        Cause::Json(_)
    ));
    let house = House::new();
    assert_eq!(house.import(b"{\"email\":\"a@x.test\",\" Consent \":\"-news\"}\n", &ndjson()).updated, 1);
    assert_eq!(house.consent("e_aaaaaaaa", "news"), Consent::Refused);
}

#[test]
fn b6_a_phone_with_00_is_the_one_with_a_plus() {
    for (stored, given) in [("+491517777777", "0049 151 7777777"), ("00491517777777", "+491517777777")] {
        let house = House::new();
        let file = format!("phone,token,consent\n{stored},m_pppppppp,news\n{given},,-news\n");
        let summary = house.import(file.as_bytes(), &csv());
        assert_eq!((summary.created, house.consent("m_pppppppp", "news")), (1, Consent::Refused), "{stored}");
        let row = format!("phone,first_name,consent\n{given},NULL,-service\n");
        assert_eq!(house.import(row.as_bytes(), &csv()).withdrew, 1, "{given}");
        assert!(house.0.vault().verify().unwrap().is_whole());
    }
}

#[test]
fn b6_a_phone_with_00_that_was_stored_as_it_stands_is_found_and_leaves_the_index_with_its_number() {
    use crate::vault::keyring::LookupOf;
    let house = House::new();
    house.import(b"phone,token,consent\n00491517777777,m_pppppppp,news\n", &csv());
    let vault = house.0.vault();
    let hash = |phone: &str| vault.keys.lookup_hash(LookupOf::Phone, phone);
    let (now, before) = (hash("+491517777777"), hash("00491517777777"));
    let changed =
        house.0.raw().execute("UPDATE address SET hash = ?1 WHERE hash = ?2", [before, now]).unwrap();
    assert_eq!((changed, vault.verify().unwrap().is_whole()), (1, true));
    assert_eq!(house.import(b"phone,consent\n+491517777777,-news\n", &csv()).updated, 1);
    assert_eq!(house.consent("m_pppppppp", "news"), Consent::Refused);
    let moves = Options { address_change: AddressChange::Allowed, ..csv() };
    assert_eq!(house.import(b"phone,token\n+491518888888,m_pppppppp\n", &moves).updated, 1);
    assert!(vault.verify().unwrap().is_whole());
    assert_eq!(house.import(b"phone\n00491517777777\n", &csv()).created, 1);
}

/// A name that is nowhere is told, behind all the rows: those that meant none of it are in.
#[test]
fn b6_a_slip_that_only_the_last_row_shows_loses_no_withdrawal() {
    let house = House::new();
    let file =
        b"{\"email\":\"a@x.test\",\"first_name\":\"NULL\",\"consent\":\"-news\"}\n{\"email\":\"n@x.test\"}\n";
    let options = Options { words: Words { as_is: ["code".into()].into(), ..ndjson().words }, ..ndjson() };
    let (ended, seen) = run(&house.0, file, &options);
    assert!(matches!(ended, Err(ImportError::NoSuchColumn { .. })), "{ended:?}");
    assert_eq!((seen.stored.len(), seen.refused.len()), (1, 1));
    assert_eq!(house.consent("e_aaaaaaaa", "news"), Consent::Refused);
    // Of more names than are held nobody knows whether it is among them.
    let many: String = (0..1_000).map(|number| format!(",\"f{number:04}\":\"x\"")).collect();
    let wide = format!("{{\"email\":\"w@x.test\"{many},\"zcode\":\"None\"}}\n");
    let options = Options { words: Words { as_is: ["zcode".into()].into(), ..ndjson().words }, ..ndjson() };
    run(&house.0, wide.as_bytes(), &options).0.unwrap();
}
