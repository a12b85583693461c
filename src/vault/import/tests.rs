//! Rows good and bad, by line; headers, framings and the list of tokens.

use super::*;
use crate::table::RowFlaw;
use crate::vault::tests::Fixture;
use crate::vault::{Cause, Refusal, Stored, Unclearable};
use std::collections::BTreeMap;

mod rehearsals;
mod withdrawals;

/// Keeps everything it is told.
#[derive(Default)]
struct Seen {
    stored: BTreeMap<u64, (Stored, Option<String>)>,
    refused: BTreeMap<u64, Refusal>,
    bytes: u64,
}

impl Observer for Seen {
    fn stored(&mut self, line: u64, stored: &Stored, matched: Option<&str>) -> io::Result<()> {
        self.stored.insert(line, (stored.clone(), matched.map(String::from)));
        Ok(())
    }

    fn refused(&mut self, line: u64, refusal: &Refusal) {
        self.refused.insert(line, refusal.clone());
    }

    fn progress(&mut self, bytes: u64, _: &Summary) {
        self.bytes = bytes;
    }
}

fn csv() -> Options {
    Options::of(Format::Csv)
}

fn ndjson() -> Options {
    Options::of(Format::Ndjson)
}

fn run(fixture: &Fixture, input: &[u8], options: &Options) -> (Result<Summary, ImportError>, Seen) {
    let mut seen = Seen::default();
    let mut writer = fixture.vault().writer().unwrap();
    let summary = import(&mut writer, input, options, &mut seen);
    (summary, seen)
}

fn header_fault(input: &str) -> HeaderFault {
    match run(&Fixture::new(), input.as_bytes(), &csv()).0.unwrap_err() {
        ImportError::Header(fault) => fault,
        other => panic!("{other}"),
    }
}

#[test]
fn b6_the_column_of_addresses_of_other_programs_is_known_by_its_name() {
    let told = |file: &str| run(&Fixture::new(), file.as_bytes(), &csv()).0.unwrap_err().to_string();
    for (file, cause) in [
        (
            "\"Email Address\",\"First Name\"\na@x.test,Anna\n",
            "column 1 is \"Email Address\", which is not a name",
        ),
        ("E-Mail;Vorname\na@x.test;Anna\n", "column 1 is \"E-Mail\", which is not a name"),
        (
            "EmailAddress,first_name\na@x.test,Anna\n",
            "no column email, phone or token; column 1 is \"EmailAddress\"",
        ),
        ("first_name,mobile\nAnna,+4915112345678\n", "column 2 is \"mobile\""),
    ] {
        assert!(told(file).contains(cause), "{file}: {}", told(file));
    }
    // What may be a person's is never told.
    for file in [
        "email,city\u{85}dana@x.test,Dana\u{85}",
        "email,city\u{2028}Rom,Dana Ruth",
        "Anna Ruth,mobile,+4915112345678\n",
        "dana@x.test,Dana Ruth,email\n",
    ] {
        let told = told(file);
        assert!(!["dana@", "Dana", "Anna", "Rom"].iter().any(|value| told.contains(value)), "{told}");
    }
}

#[test]
fn good_rows_are_kept_and_bad_ones_told_by_their_line() {
    let fixture = Fixture::new();
    let mut input = b"\xef\xbb\xbfemail,first_name,address,consent,retention,phone,token\r\n".to_vec();
    for row in [
        "dana@example.test,Dana,\"1 Port Rd\nHaifa\n\"\"Lower\"\" town\",service -marketing,2030-01-01,,",
        "not-an-address,Eve,,,,,",
        "",
        "noam@example.test,Noam,\"two\r\nlines\",,,,e_noam_00001",
        "ruth@example.test,Ruth,,,,,e_noam_00001",
        "yuki@example.test,Yuki,,,31.12.2030,,",
        "short@example.test,Short",
        "many@example.test,Many,,,,,,,",
        "words@example.test,W,,\"service:ads\",,,",
        ",Nobody,,,,,",
        ",Only phone,,,,+972-50-1234567,",
        "DANA@EXAMPLE.TEST,Dana,,,,,",
        "dana@example.test,Dana Ruth,,,,,",
    ] {
        input.extend_from_slice(row.as_bytes());
        input.extend_from_slice(b"\r\n");
    }
    input.extend_from_slice(b"bytes@example.test,\xff\xfe,,,,,\n");
    input.extend_from_slice(b"last@example.test,Last,,,,,");
    let (summary, seen) = run(&fixture, &input, &csv());
    let causes: Vec<_> = seen.refused.iter().map(|(line, refusal)| (*line, refusal.cause.clone())).collect();
    let no_at = Cause::Email(crate::vault::address::AddressFault::NoAt);
    let columns = |found| Cause::ColumnCount { found, expected: 7 };
    let expected = [
        (5, no_at),
        (9, Cause::TokenTaken),
        (10, Cause::Day),
        (11, columns(2)),
        (12, columns(9)),
        (13, Cause::Purpose),
        (14, Cause::NoAddress),
        (18, Cause::Utf8),
    ];
    assert_eq!(causes, expected);
    assert_eq!(seen.stored.keys().copied().collect::<Vec<_>>(), [2, 7, 15, 16, 17, 19]);
    let summary = summary.unwrap();
    assert_eq!(summary, Summary { read: 14, created: 4, updated: 2, unchanged: 0, failed: 8, withdrew: 0 });
    assert_eq!(seen.bytes, input.len() as u64);
    let vault = fixture.vault();
    let token = seen.stored[&2].0.email_token.clone().unwrap();
    let found = vault.reader().unwrap().read_batch(&[token]).unwrap();
    let dana = found[0].as_ref().unwrap().as_ref().unwrap();
    assert_eq!(dana.field("address"), Some("1 Port Rd\nHaifa\n\"Lower\" town"));
    assert_eq!(dana.field("first_name"), Some("Dana Ruth"));
    assert_eq!(dana.keep_until(), Some("2030-01-01"));
    assert!(vault.verify().unwrap().is_whole());
}

#[test]
fn an_address_changes_by_token_only_when_asked() {
    let fixture = Fixture::new();
    let first = b"email,token\nold@x.test,e_moving_01\n";
    let second = b"email,token\nnew@x.test,e_moving_01\n";
    run(&fixture, first, &csv()).0.unwrap();
    assert_eq!(run(&fixture, second, &csv()).0.unwrap().failed, 1);
    let asked = Options { address_change: AddressChange::Allowed, ..csv() };
    assert_eq!(run(&fixture, second, &asked).0.unwrap().updated, 1);
    assert_eq!(run(&fixture, second, &csv()).0.unwrap().unchanged, 1);
}

#[test]
fn d_what_is_cleared_is_what_the_file_says_and_nothing_else() {
    let fixture = Fixture::new();
    let first = b"email,token,first_name,city,consent\na@x.test,e_aaaaaaaa,Ana,Haifa,-news\nb@x.test,e_bbbbbbbb,Ben,Yafo,\nc@x.test,e_cccccccc,Cem,Izmir,\n";
    run(&fixture, first, &csv()).0.unwrap();
    let field = |token: &str, name: &str| {
        let token = crate::job::Token::from_local(token).unwrap();
        let found = fixture.vault().reader().unwrap().read_batch(&[token]).unwrap().remove(0);
        found.unwrap().unwrap().field(name).map(str::to_owned)
    };
    let clearing = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Options { cleared: Cleared::of(&names).unwrap(), ..csv() }
    };
    // An empty cell leaves what is known, where nothing else is said.
    assert_eq!(run(&fixture, b"token,city\ne_aaaaaaaa,\n", &csv()).0.unwrap().unchanged, 1);
    // Where the column is cleared, an empty cell is empty, and a value is one.
    let summary =
        run(&fixture, b"token,city\ne_aaaaaaaa,\ne_bbbbbbbb,Akko\n", &clearing(&["city"])).0.unwrap();
    assert_eq!((summary.updated, summary.failed), (2, 0));
    assert_eq!(
        [field("e_aaaaaaaa", "city"), field("e_bbbbbbbb", "city"), field("e_cccccccc", "city")],
        [None, Some("Akko".into()), Some("Izmir".into()),]
    );
    // A file that has no such column clears it of everybody in it; the rest of a person stays.
    run(&fixture, b"token\ne_bbbbbbbb\n", &clearing(&["city"])).0.unwrap();
    assert_eq!((field("e_bbbbbbbb", "city"), field("e_bbbbbbbb", "first_name")), (None, Some("Ben".into())));
    let ndjson = Options { format: Format::Ndjson, ..clearing(&["first_name"]) };
    run(&fixture, b"{\"token\":\"e_cccccccc\",\"first_name\":\"\"}\n", &ndjson).0.unwrap();
    assert_eq!(
        (field("e_cccccccc", "first_name"), field("e_cccccccc", "city")),
        (None, Some("Izmir".into()))
    );
    let refused = |name: &str| Cleared::of(&[name.to_owned()]).unwrap_err();
    assert_eq!(
        ["email", "Token", "consent", "retention", "no such"].map(refused),
        [
            Unclearable::Address,
            Unclearable::Address,
            Unclearable::Consent,
            Unclearable::Retention,
            Unclearable::NoName
        ]
    );
    assert!(Cleared::of(&[]).unwrap().is_none());
}

#[test]
fn d_in_ndjson_what_is_cleared_may_come_behind_the_first_batch() {
    let fixture = Fixture::new();
    let options = |name: &str| Options { cleared: Cleared::of(&[name.to_owned()]).unwrap(), ..ndjson() };
    let mut lines: String =
        (0..super::BATCH_ROWS_MAX + 1).map(|n| format!("{{\"email\":\"p{n}@x.test\"}}\n")).collect();
    lines.push_str("{\"email\":\"last@x.test\",\"city\":\"Akko\"}\n");
    let summary = run(&fixture, lines.as_bytes(), &options("city")).0.unwrap();
    assert_eq!((summary.read, summary.failed), (super::BATCH_ROWS_MAX as u64 + 2, 0));
    let told = run(&fixture, lines.as_bytes(), &options("citty")).0.unwrap_err().to_string();
    assert!(told.contains("there is no field citty") && told.contains("city"), "{told}");
}

#[test]
fn a4_a_field_that_is_nowhere_is_not_cleared_but_asked_for() {
    let fixture = Fixture::new();
    run(&fixture, b"token,email,first_name,city\ne_aaaaaaaa,a@x.test,Ana,Haifa\n", &csv()).0.unwrap();
    let clearing = |name: &str, options: Options| Options {
        cleared: Cleared::of(&[name.to_owned()]).unwrap(),
        ..options
    };
    let file = b"token,city\ne_aaaaaaaa,Akko\n";
    for (name, meant) in [("cty", "city"), ("First_Name", "first_name"), ("frist_name", "first_name")] {
        let told = run(&fixture, file, &clearing(name, csv())).0.unwrap_err().to_string();
        let expected = format!(
            "--clear: there is no field {name}, neither in the file nor of anybody in the vault; did you mean {meant}?"
        );
        assert_eq!(told, expected);
    }
    // Nothing of it was stored.
    assert_eq!(run(&fixture, b"token,city\ne_aaaaaaaa,Haifa\n", &csv()).0.unwrap().unchanged, 1);
    // What only the file has, without a value, is no slip.
    for (file, options) in [
        (&b"token,title\ne_aaaaaaaa,\n"[..], csv()),
        (&b"{\"token\":\"e_aaaaaaaa\",\"title\":\"\"}\n"[..], ndjson()),
    ] {
        assert_eq!(run(&fixture, file, &clearing("title", options)).0.unwrap().unchanged, 1);
    }
    let line = b"{\"token\":\"e_aaaaaaaa\"}\n";
    assert!(run(&fixture, line, &clearing("titel", ndjson())).0.is_err());
    assert_eq!(run(&fixture, line, &clearing("city", ndjson())).0.unwrap().updated, 1);
}

#[test]
fn a_refusal_names_line_column_and_cause_but_no_value() {
    let input = "email,birthday,retention\nsecret.marker@@x.test,a,\nok@x.test,b,secret-day\n";
    let (_, seen) = run(&Fixture::new(), input.as_bytes(), &csv());
    let texts: Vec<_> = seen.refused.values().map(Refusal::to_string).collect();
    assert!(texts[0].starts_with("email: ") && texts[1].starts_with("retention: "), "{texts:?}");
    assert!(texts.iter().all(|text| !text.contains("secret")), "{texts:?}");
}

#[test]
fn a_header_that_cannot_be_used_is_told_by_position() {
    assert_eq!(header_fault(""), HeaderFault::Empty);
    assert_eq!(header_fault("dana@example.test,Dana\n"), HeaderFault::Name(1));
    assert_eq!(header_fault("Dana,Levi,Dana\nemail,a,b\n"), HeaderFault::Twice(1, 3));
    for (header, cause) in [
        ("email,first\u{a0}name", "column 2 is \"first\\u{a0}name\", which is not a name"),
        ("\u{200b}city,email", "column 1 is \"\\u{200b}city\", which is not a name"),
        ("email,city,Town,city", "columns 2 and 4 have the same name, city"),
        ("email,Email Address,city", "columns 1 and 2 both hold the email by their names"),
        ("Mobile Number,email,phone", "columns 3 and 1 both hold the phone by their names"),
    ] {
        assert!(header_fault(&format!("{header}\n")).to_string().starts_with(cause), "{header}");
    }
    assert_eq!(header_fault("first_name,last_name\nDana,Levi\n"), HeaderFault::NoAddress);
    let twice = HeaderFault::NamedTwice { first: 1, second: 2, name: "email".into() };
    assert_eq!(header_fault("email,Email\n"), twice);
}

/// The files of people's own programs, one reader for all of them.
#[test]
fn b6_what_excel_saves_is_imported() {
    let utf_16: Vec<u8> =
        "\u{feff}email\tfirst_name\tcity\r\nana@x.test\tZoë\tKöln\r\nben@x.test\tBen\tGraz\r\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
    for file in [
        "sep=;\r\nemail;first_name;city\r\nana@x.test;Zoë;Köln\r\nben@x.test;Ben;Graz\r\n".as_bytes(),
        "email;first_name;city;;\r\nana@x.test;Zoë;Köln;;\r\nben@x.test;Ben;Graz;;\r\n;;;;\r\n".as_bytes(),
        "email,first_name,city\rana@x.test,Zoë,Köln\rben@x.test,Ben,Graz".as_bytes(),
        &utf_16,
    ] {
        let fixture = Fixture::new();
        let (summary, seen) = run(&fixture, file, &csv());
        let summary = summary.unwrap();
        assert_eq!((summary.created, summary.failed), (2, 0), "{}", file.escape_ascii());
        let token = seen.stored.values().next().unwrap().0.email_token.clone().unwrap();
        let found = fixture.vault().reader().unwrap().read_batch(&[token]).unwrap();
        let ana = found[0].as_ref().unwrap().as_ref().unwrap();
        assert_eq!((ana.field("first_name"), ana.field("city")), (Some("Zoë"), Some("Köln")));
    }
}

#[test]
fn b6_nobody_is_stored_with_other_peoples_rows() {
    let open = "email,first_name\nana@x.test,Ana\nben@x.test,\"Ben\ncid@x.test,Cid\n";
    let (summary, seen) = run(&Fixture::new(), open.as_bytes(), &csv());
    assert!(matches!(summary, Err(ImportError::Table(TableFault::QuoteOpen { line: 3 }))), "{summary:?}");
    assert_eq!(seen.stored.keys().copied().collect::<Vec<_>>(), [2]);
    let closed_late =
        "email,first_name,city\nana@x.test,\"Ana,Rome\nben@x.test,Ben\",Graz\ncid@x.test,Cid,Bern\n";
    let (summary, seen) = run(&Fixture::new(), closed_late.as_bytes(), &csv());
    assert_eq!(
        (summary.unwrap().failed, seen.refused[&2].cause.clone()),
        (1, Cause::Row(RowFlaw::HoldsRows { line: 2 }))
    );
    assert_eq!(seen.stored.keys().copied().collect::<Vec<_>>(), [4]);
}

#[test]
fn b6_numbers_keep_their_digits_in_the_vault() {
    let fixture = Fixture::new();
    let row =
        br#"{"email":"a@x.test","customer":420941119400111899223197428099,"price":10.50,"n":-0,"e":1e+3}"#;
    let (_, seen) = run(&fixture, row, &ndjson());
    let token = seen.stored[&1].0.email_token.clone().unwrap();
    let found = fixture.vault().reader().unwrap().read_batch(&[token]).unwrap();
    let person = found[0].as_ref().unwrap().as_ref().unwrap();
    let fields = ["customer", "price", "n", "e"].map(|name| person.field(name).unwrap().to_owned());
    assert_eq!(fields, ["420941119400111899223197428099", "10.50", "-0", "1e+3"]);
}

proptest::proptest! {
    /// What the doors keep of a number (accept::data), the vault keeps.
    #[test]
    fn b6_any_number_keeps_its_digits_in_the_vault(
        number in "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?(e[+-][0-9]{1,3})?",
    ) {
        let row = format!("{{\"email\":\"a@x.test\",\"n\":{number}}}");
        let options = Options { match_column: Some("n".into()), ..ndjson() };
        let mut rows = NdjsonRows::open(row.as_bytes(), &options);
        let row = rows.next().unwrap().unwrap();
        let draft = row.draft;
        proptest::prop_assert_eq!(draft.field("n"), Some(number.as_str()));
        proptest::prop_assert_eq!(row.matched.as_ref().map(|value| value.as_str()), Some(number.as_str()));
    }
}

#[test]
fn semicolons_and_tabs_separate_too() {
    for text in ["email;city\ndana@x.test;\"Haifa; IL\"\n", "email\tcity\ndana@x.test\tHaifa; IL\n"] {
        let fixture = Fixture::new();
        let (summary, seen) = run(&fixture, text.as_bytes(), &csv());
        assert_eq!(summary.unwrap().created, 1);
        let token = seen.stored[&2].0.email_token.clone().unwrap();
        let found = fixture.vault().reader().unwrap().read_batch(&[token]).unwrap();
        assert_eq!(found[0].as_ref().unwrap().as_ref().unwrap().field("city"), Some("Haifa; IL"));
    }
}

#[test]
fn a_row_without_end_stops_the_import_and_names_its_line() {
    let fixture = Fixture::new();
    let mut input = b"email,note\na@x.test,fine\n\nb@x.test,\"never closed\n".to_vec();
    input.resize(input.len() + 3 * ROW_BYTES_MAX, b'x');
    let (summary, seen) = run(&fixture, &input, &csv());
    assert!(matches!(summary, Err(ImportError::Table(TableFault::RowLength { line: 4 }))), "{summary:?}");
    assert_eq!(seen.stored.len(), 1, "the good row before it is kept");
}

#[test]
fn ndjson_rows_are_read_and_refused_line_by_line() {
    let fixture = Fixture::new();
    let mut lines: Vec<Vec<u8>> = [
        r#"{"email":"dana@x.test","first_name":"\u05d3\u05e0\u05d4","age":41,"vip":true,"note":null}"#,
        r#"{"email":"secret@x.test","first_name":"#,
        r#"["secret@x.test"]"#,
        r#""secret@x.test""#,
        r#"{"email":"a@x.test","email":"b@x.test"}"#,
        r#"{"email":"a@x.test","address":{"street":"secret"}}"#,
        r#"{"email":"a@x.test","first name":"secret"}"#,
        "",
        r#"{"email":"a@x.test","consent":["service","-ads"],"city":"Haifa"}"#,
        r#"{"email":"a@x.test"} secret"#,
        r#"{"email":"a@x.test","x":"\ud800"}"#,
        r#"{"phone":"+81 3 1234 5678"}"#,
        r#"{"email":7}"#,
        r#"{"email":"a@x.test","customer":123456789012345678901}"#,
    ]
    .map(|line| line.as_bytes().to_vec())
    .into();
    lines.push(b"{\"email\":\"a@x.test\",\"x\":\"\xff\"}".to_vec());
    lines.push(format!("{{\"email\":\"a@x.test\",\"x\":\"{}\"}}", "y".repeat(ROW_BYTES_MAX)).into_bytes());
    lines.push(br#"{"email":"last@x.test"}"#.to_vec());
    let (summary, seen) = run(&fixture, &lines.join(&b"\r\n"[..]), &ndjson());
    assert_eq!(seen.stored.keys().copied().collect::<Vec<_>>(), [1, 9, 12, 14, 17]);
    assert_eq!(seen.refused.keys().copied().collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7, 10, 11, 13, 15, 16]);
    let cause = |line| seen.refused[&line].cause.clone();
    assert!(matches!(cause(2), Cause::Json(_)) && matches!(cause(10), Cause::Json(_)));
    assert_eq!([cause(3), cause(4)], [Cause::NotAnObject, Cause::NotAnObject]);
    assert_eq!([cause(5), cause(6), cause(7)], [Cause::Twice, Cause::Nested, Cause::ColumnName]);
    assert_eq!([cause(15), cause(16)], [Cause::Utf8, Cause::LineLength]);
    assert!(seen.refused.values().all(|refusal| !refusal.to_string().contains("secret")));
    assert_eq!(summary.unwrap().failed, 11);
    let tokens: Vec<_> = [1, 9].map(|line| seen.stored[&line].0.email_token.clone().unwrap()).into();
    let found = fixture.vault().reader().unwrap().read_batch(&tokens).unwrap();
    let dana = found[0].as_ref().unwrap().as_ref().unwrap();
    assert_eq!(
        (dana.field("first_name"), dana.field("age"), dana.field("vip")),
        (Some("דנה"), Some("41"), Some("true"))
    );
    let other = found[1].as_ref().unwrap().as_ref().unwrap();
    assert_eq!(other.consent("ads"), crate::person::Consent::Refused);
}

#[test]
fn rows_are_the_same_however_the_file_arrives() {
    struct OneByte<'a>(&'a [u8]);
    impl Read for OneByte<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(buffer.len()).min(1);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }
    for (input, options) in [
        ("email,city\na@x.test,\"x\ny\"\nbad,\nb@x.test,z\n", csv()),
        ("{\"email\":\"a@x.test\"}\n\nbad\n{\"email\":\"b@x.test\"}", ndjson()),
    ] {
        let fixture = Fixture::new();
        let mut seen = Seen::default();
        let mut writer = fixture.vault().writer().unwrap();
        let summary = import(&mut writer, OneByte(input.as_bytes()), &options, &mut seen).unwrap();
        assert_eq!((summary.created, summary.failed), (2, 1), "{input}");
        assert_eq!(
            seen.stored.keys().copied().last(),
            Some(if options.format == Format::Csv { 5 } else { 4 })
        );
    }
}

#[test]
fn the_token_list_matches_rows_by_the_chosen_column_and_holds_no_address() {
    let fixture = Fixture::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokens.csv");
    std::fs::write(&path, "older, readable by all").unwrap();
    struct Listing(TokensOut);
    impl Observer for Listing {
        fn stored(&mut self, line: u64, stored: &Stored, matched: Option<&str>) -> io::Result<()> {
            self.0.write(line, stored, matched)
        }
        fn refused(&mut self, _: u64, _: &Refusal) {}
    }
    let input = "email,customer,phone\ndana@x.test,C-17,+972501234567\nnoam@x.test,noam@x.test,\neve@x.test,=1+1,\n\
         a@x.test,-17,\nb@x.test,+17,\nc@x.test,@17,\nd@x.test,+4915112345678,\n";
    let options = Options { match_column: Some("customer".into()), ..csv() };
    let mut listing = Listing(TokensOut::create(&path, Some("customer")).unwrap());
    import(&mut fixture.vault().writer().unwrap(), input.as_bytes(), &options, &mut listing).unwrap();
    assert_eq!(listing.0.amiss(), Amiss { left_out: 2, marked: 4 });
    listing.0.finish().unwrap();
    let list = std::fs::read_to_string(&path).unwrap();
    let rows: Vec<Vec<&str>> = list.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["line", "email_token", "mobile_token", "customer"]);
    assert!(rows[1][1].starts_with("e_") && rows[1][2].starts_with("m_"));
    let matched: Vec<&str> = rows[1..].iter().map(|row| row[3]).collect();
    assert_eq!(matched, ["C-17", "", "'=1+1", "'-17", "'+17", "'@17", ""]);
    assert!(!list.contains("x.test"));
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let missing = Options { match_column: Some("nope".into()), ..csv() };
    let (result, _) = run(&fixture, input.as_bytes(), &missing);
    assert!(matches!(result, Err(ImportError::Header(HeaderFault::NoMatchColumn { .. }))));
}
