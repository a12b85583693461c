//! The vault commands as a person and a script see them: output, exit codes, and no value in any text.

use super::*;
use crate::vault::RootKey;
use clap::Parser;
use std::fs;
use std::path::PathBuf;

mod foreign;
mod refused;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    vault: VaultArgs,
}

struct Desk {
    dir: tempfile::TempDir,
    settings: Settings,
    /// That the configuration names.
    purposes: &'static [&'static str],
}

struct Said {
    result: Result<Exit, CliError>,
    out: String,
    errors: String,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("state")).unwrap();
        let settings = Settings {
            dir: dir.path().join("vault"),
            root_key: RootKey::random(),
            mark_dirs: vec![dir.path().join("state")],
        };
        Self { dir, settings, purposes: &[] }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, line: &[&str], mut input: &[u8]) -> Said {
        let args = Line::try_parse_from([&["vault"], line].concat()).unwrap().vault;
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let mut streams = Streams { input: &mut input, output: &mut out, errors: &mut errors };
        let known = || Known::of(self.purposes.iter().map(ToString::to_string));
        let result = run_on(args, &self.settings, &known, &mut streams);
        Said { result, out: String::from_utf8(out).unwrap(), errors: String::from_utf8(errors).unwrap() }
    }
}

fn exit(said: &Said) -> Exit {
    match &said.result {
        Ok(exit) => *exit,
        Err(error) => error.exit,
    }
}

#[test]
fn import_keeps_good_rows_lists_bad_ones_and_fails() {
    let desk = Desk::new();
    let people =
        desk.file("people.csv", "email,city,customer\ndana@x.test,Haifa,17\nsecret@@x.test,Akko,18\n");
    let tokens = desk.dir.path().join("tokens.csv");
    let (people, tokens) = (people.to_str().unwrap(), tokens.to_str().unwrap());
    let said = desk.run(&["import", people, "--tokens-out", tokens, "--tokens-with", "customer"], b"");
    assert_eq!(exit(&said), Exit::Failed);
    let error = said.result.unwrap_err().to_string();
    assert!(error.contains("1 of 2 rows failed; 1 row was kept"), "{error}");
    assert!(said.errors.starts_with("line 3: email: not an e-mail address"), "{}", said.errors);
    assert!(said.out.contains("created    1"), "{}", said.out);
    assert!(!format!("{error}{}{}", said.errors, said.out).contains("secret"));
    let list = fs::read_to_string(tokens).unwrap();
    assert!(
        list.starts_with("line,email_token,mobile_token,customer\n2,e_") && list.ends_with(",,17\n"),
        "{list}"
    );

    let said = desk.run(&["import", people, "--json"], b"");
    let value: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&value["unchanged"], &value["failed"]), (&1.into(), &1.into()));
    assert_eq!((&value["errors"][0]["line"], &value["errors"][0]["column"]), (&3.into(), &"email".into()));
    assert!(said.errors.is_empty());
}

#[test]
fn a_token_is_the_same_every_time_and_its_person_is_shown_masked() {
    let desk = Desk::new();
    let first = desk.run(&["token", "dana@example.test"], b"");
    let again = desk.run(&["token", "-"], b"DANA@example.test\r\n");
    assert_eq!(first.out, again.out);
    let token = first.out.trim();
    desk.run(&["put", "--field", &format!("token={token}"), "--field", "first_name=Dana"], b"")
        .result
        .unwrap();
    for line in [&["get", token][..], &["get", &format!("{token}@tokens.example")], &["get", token, "--json"]]
    {
        let said = desk.run(line, b"");
        assert_eq!(exit(&said), Exit::Ok);
        assert!(said.out.contains("D…") && said.out.contains(token), "{}", said.out);
        assert!(
            !said.out.to_lowercase().contains("ana") && !said.out.contains("example.test"),
            "{}",
            said.out
        );
    }
    assert_eq!(exit(&desk.run(&["get", "e_nobodyatall"], b"")), Exit::Failed);
    assert_eq!(exit(&desk.run(&["get", "dana@example.test"], b"")), Exit::Usage);
    let phone = desk.run(&["token", "+972-50-1234567", "--json"], b"");
    assert!(phone.out.contains("\"m_") && phone.out.contains("\"created\":true"), "{}", phone.out);
}

#[test]
fn put_reads_people_from_standard_input() {
    let desk = Desk::new();
    let input = b"{\"email\":\"dana@x.test\"}\n{\"email\":\"secret\"}\n{\"phone\":\"+81312345678\"}\n";
    let said = desk.run(&["put", "-", "--json"], input);
    assert_eq!(exit(&said), Exit::Failed);
    let lines: Vec<serde_json::Value> = said.out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["line"], &lines[0]["result"]), (&1.into(), &"created".into()));
    assert!(lines[1]["mobile_token"].as_str().unwrap().starts_with("m_"));
    assert!(said.errors.starts_with("line 2: email: ") && !said.errors.contains("secret"), "{}", said.errors);
}

#[test]
fn stats_and_verify_tell_about_the_whole() {
    let desk = Desk::new();
    desk.run(&["token", "dana@example.test"], b"").result.unwrap();
    let stats = desk.run(&["stats", "--json"], b"");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&stats.out).unwrap()["people"], 1);
    assert!(desk.run(&["stats"], b"").out.contains("e-mail tokens  1\n"));
    assert_eq!(exit(&desk.run(&["verify"], b"")), Exit::Ok);
}

#[test]
fn what_cannot_be_done_says_why_and_what_to_do() {
    let desk = Desk::new();
    let xml = desk.file("people.xml", "<people/>");
    let plain = desk.file("people.txt", "email\n");
    let people = desk.file("people.csv", "email\na@x.test\n");
    let error = |line: &[&str]| desk.run(line, b"").result.unwrap_err();
    assert_eq!(error(&["stats"]).exit, Exit::Failed);
    assert!(error(&["stats"]).to_string().contains("vault import"));
    assert!(error(&["import", xml.to_str().unwrap()]).cause.contains("not available in this version"));
    assert_eq!(error(&["import", plain.to_str().unwrap()]).exit, Exit::Usage);
    assert_eq!(error(&["import", "-"]).exit, Exit::Usage);
    let people = people.to_str().unwrap();
    let as_list = error(&["import", people, "--tokens-out", "t.csv", "--tokens-with", "Email"]);
    assert_eq!(as_list.exit, Exit::Usage);
    for verb in
        ["export", "erase", "restrict", "consent", "rotate", "rekey", "seal", "unseal", "backup", "restore"]
    {
        let error = error(&[verb, "e_12345678", "--force"]);
        assert_eq!(error.exit, Exit::Failed);
        assert_eq!(error.cause, format!("vault {verb} is not available in this version"));
    }
    let one = error(&["release", "e_12345678"]);
    assert_eq!(one.cause, "vault release TOKEN is not available in this version");
    desk.run(&["import", people], b"").result.unwrap();
    let other = Desk { settings: Settings { root_key: RootKey::random(), ..desk.settings.clone() }, ..desk };
    let wrong = other.run(&["stats"], b"").result.unwrap_err();
    assert_eq!(wrong.exit, Exit::Config);
    assert!(wrong.cause.contains("root key does not fit") && wrong.fix.unwrap().contains("[vault] key"));
}

#[test]
fn c9_an_older_copy_of_the_vault_is_told_until_it_is_released() {
    let desk = Desk::new();
    let file = desk.settings.dir.join("vault.db");
    let import = |name: &str| {
        let people = desk.file("people.csv", &format!("email\n{name}@x.test\n"));
        desk.run(&["import", people.to_str().unwrap()], b"")
    };
    import("dana").result.unwrap();
    let nothing = desk.run(&["release", "--all", "--yes", "--json"], b"");
    assert_eq!((exit(&nothing), nothing.out.trim()), (Exit::Ok, "{\"released\":false}"));
    let copy = fs::read(&file).unwrap();
    assert_eq!(import("eve").errors, "");
    fs::write(&file, &copy).unwrap();
    let set_back = |said: &Said| {
        let error = said.result.as_ref().unwrap_err();
        assert!(error.cause.contains("set back to an earlier time, from change 3 to change 2"), "{error}");
        assert!(error.fix.as_ref().unwrap().contains("tokenrelay vault release --all --yes"), "{error}");
    };
    set_back(&desk.run(&["verify"], b""));
    set_back(&desk.run(&["get", "e_12345678"], b""));
    let imported = import("noa");
    assert_eq!(exit(&imported), Exit::Ok, "what has changed since is imported before anybody is read");
    assert!(imported.errors.starts_with("warning: ") && imported.errors.contains("set back"));
    let shown = desk.run(&["release", "--all"], b"");
    assert!(shown.errors.contains("Nothing was changed") && shown.out.contains("no"), "{}", shown.errors);
    set_back(&desk.run(&["verify"], b""));
    assert!(desk.run(&["release", "--all", "--yes"], b"").out.contains("yes"));
    assert_eq!(exit(&desk.run(&["verify"], b"")), Exit::Ok);
    assert_eq!(import("ruth").errors, "");
}

#[test]
fn b11_a_refused_consent_is_never_taken_for_one_given() {
    let desk = Desk { purposes: &["marketing", "service"], ..Desk::new() };
    let words = [
        "no",
        "0",
        "FALSE",
        "none",
        "nein",
        "opt-out",
        "unsubscribed",
        "-all",
        "-marketting",
        "TRUE",
        "1",
        "yes",
        "לא",
        "marketing no",
        "no-marketing",
        "2024-05-01",
        "x",
        "Not subscribed",
    ];
    for word in words {
        let file = desk.file("p.csv", &format!("email,consent\na@x.example,{word}\n"));
        let said = desk.run(&["import", file.to_str().unwrap()], b"");
        assert_eq!(exit(&said), Exit::Failed, "{word}: {}", said.out);
        assert!(said.errors.starts_with("line 2: consent: "), "{word}: {}", said.errors);
    }
    for json in ["true", "false", "0", "1", "[\"no\"]", "[\"service\", \"NO\"]", "\"opt out\""] {
        let line = format!("{{\"email\":\"a@x.example\",\"consent\":{json}}}\n");
        let said = desk.run(&["put", "-"], line.as_bytes());
        assert!(
            exit(&said) == Exit::Failed && said.errors.contains("says yes or no, and not to what"),
            "{json}"
        );
    }
    let said = desk.run(&["put", "--field", "email=a@x.example", "--field", "consent=FALSE"], b"");
    assert!(said.result.unwrap_err().to_string().contains("--consent-for marketing"));
    let said = desk.run(&["put", "--field", "email=a@x.example", "--field", "consent=-marketting"], b"");
    assert!(said.result.unwrap_err().to_string().contains("did you mean marketing?"));
}

#[test]
fn b11_the_words_of_a_column_count_for_the_purpose_that_is_named() {
    let desk = Desk { purposes: &["marketing", "service"], ..Desk::new() };
    let rows = "email,consent\na@x.example,TRUE\nb@x.example,0\nc@x.example,Nein\nd@x.example,\ne@x.example,perhaps\n";
    let file = desk.file("p.csv", rows);
    let said = desk.run(&["import", file.to_str().unwrap(), "--consent-for", "Marketing"], b"");
    assert_eq!(said.errors.lines().count(), 1, "{}", said.errors);
    assert!(said.errors.starts_with("line 6: consent: neither yes nor no"), "{}", said.errors);
    for (email, consent) in [("a", "marketing"), ("b", "-marketing"), ("c", "-marketing"), ("d", "")] {
        let token = desk.run(&["token", &format!("{email}@x.example")], b"").out;
        let shown = desk.run(&["get", token.trim(), "--json"], b"").out;
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let said: Vec<&str> = if consent.is_empty() { vec![] } else { vec![consent] };
        assert_eq!(shown["consent"], serde_json::json!(said), "{email}");
    }
    for (purpose, told) in
        [("no", "no purpose"), ("-marketing", "no purpose"), ("marketting", "did you mean marketing?")]
    {
        let file = desk.file("p.csv", rows);
        let said = desk.run(&["import", file.to_str().unwrap(), &format!("--consent-for={purpose}")], b"");
        assert!(
            exit(&said) == Exit::Usage && said.result.unwrap_err().to_string().contains(told),
            "{purpose}"
        );
    }
}

#[test]
fn b11_a_purpose_that_nobody_mails_for_is_told_without_its_word() {
    let desk = Desk { purposes: &["marketing", "service"], ..Desk::new() };
    let file =
        desk.file("p.csv", "email,consent\na@x.example,Service\nb@x.example,-Roth\nc@x.example,polls news\n");
    let said = desk.run(&["import", file.to_str().unwrap()], b"");
    assert_eq!(exit(&said), Exit::Ok);
    assert!(said.errors.contains("2 rows, the first in line 3: consent names a purpose"), "{}", said.errors);
    assert!(said.errors.contains("marketing, service") && !said.errors.contains("oth"), "{}", said.errors);
}

#[test]
fn b11_what_is_no_value_is_refused_with_what_to_do() {
    let desk = Desk::new();
    let rows = "email,first_name,last_name\na@x.test,Anna,NULL\nb@x.test,Zo\u{fffd},B\nNone,C,C\nd@x.test,J\u{c3}\u{b6}rg,D\ne@x.test,'t,Hart\nf@x.test,A\\nB,F\n'g@x.test,G,G\nh@x.test,'+49170,H\n";
    let file = desk.file("p.csv", rows);
    let path = file.to_str().unwrap();
    let said = desk.run(&["import", path], b"");
    let lines: Vec<&str> = said.errors.lines().collect();
    for (at, told) in [
        "warning: 1 row, the first in line 6: a value begins with an apostrophe",
        "warning: 1 row, the first in line 7: a value holds \\n",
        "line 2: last_name: NULL is what programs write where there is no value; leave the cell empty, or import with --empty-word 'NULL'",
        "line 3: first_name: holds the sign U+FFFD",
        "line 4: email: None is what programs write",
        "line 5: first_name: UTF-8 that was read in another encoding",
        "line 8: email: begins with the apostrophe",
        "line 9: first_name: begins with the apostrophe",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(lines[at].starts_with(told), "{}", said.errors);
    }
    let said = desk.run(&["import", path, "--empty-word", "None", "--literal-word", "NULL"], b"");
    assert!(!said.errors.contains("line 2:"), "{}", said.errors);
    assert!(said.errors.contains("line 4: has neither email nor phone"), "{}", said.errors);
    let typed = desk.run(&["put", "--field", "email=null@x.test", "--field", "last_name=Null"], b"");
    assert_eq!(exit(&typed), Exit::Ok, "what a person types is what it says");
    let typed =
        desk.run(&["put", "--field", "email=null@x.test", "--field", "last_name={{person.last_name}}"], b"");
    assert!(typed.result.unwrap_err().to_string().contains("a placeholder instead of a value"));
}

#[test]
fn b11_a_dry_run_brings_no_vault_up_to_date() {
    let desk = Desk::new();
    let file = desk.file("p.csv", "email,city\na@x.test,Haifa\n");
    let path = file.to_str().unwrap();
    assert_eq!(exit(&desk.run(&["import", path], b"")), Exit::Ok);
    let db = rusqlite::Connection::open(desk.settings.dir.join("vault.db")).unwrap();
    db.pragma_update(None, "user_version", 2).unwrap();
    let error = desk.run(&["import", path, "--dry-run"], b"").result.unwrap_err().to_string();
    assert!(error.contains("has an older format"), "{error}");
    let format: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(format, 2);
}

#[test]
fn b11_a_dry_run_counts_and_stores_nothing() {
    let desk = Desk::new();
    let file = desk.file("p.csv", "email,city\na@x.test,Haifa\nb@x.test,Akko\nsecret@@x.test,Akko\n");
    let path = file.to_str().unwrap();
    let said = desk.run(&["import", path, "--dry-run"], b"");
    assert!(exit(&said) == Exit::Failed && !desk.settings.dir.exists());
    let error = said.result.unwrap_err().to_string();
    assert!(error.contains("1 of 3 rows would be refused; nothing was stored"), "{error}");
    let one = desk.file("one.csv", "email,city\na@x.test,Haifa\n");
    assert_eq!(exit(&desk.run(&["import", one.to_str().unwrap()], b"")), Exit::Ok);
    let two = desk.file("two.csv", "email,city\na@x.test,Akko\nb@x.test,Akko\nb@x.test,Lod\n");
    let said = desk.run(&["import", two.to_str().unwrap(), "--dry-run", "--json"], b"");
    let told: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (&told["created"], &told["updated"]),
        (&serde_json::json!(1), &serde_json::json!(2)),
        "{}",
        said.out
    );
    let stats = desk.run(&["stats", "--json"], b"").out;
    assert!(stats.contains("\"people\":1"), "{stats}");
    let again = desk.run(&["import", one.to_str().unwrap(), "--dry-run", "--json"], b"").out;
    assert!(again.contains("\"unchanged\":1"), "what is there was not changed: {again}");
}

#[test]
fn b11_a_file_that_is_no_table_is_told_for_what_it_is() {
    let desk = Desk::new();
    for (name, text, cause, fix) in [
        ("p.csv.gz", "x", "compressed", "unpack it"),
        ("p.xls", "<table></table>", "HTML", "save it as CSV"),
        ("p.csv", "[{\"email\":1}]", "JSON", "NDJSON"),
        ("p.csv", ",email\n0,a@x.test\n", "numbers of the rows", "index=False"),
        ("p.csv", " email | name\n-------+-----\n a@x.test | A\n", "drawn", "--csv"),
    ] {
        let file = desk.file(name, text);
        let error = desk.run(&["import", file.to_str().unwrap()], b"").result.unwrap_err();
        assert!(error.cause.contains(cause), "{name}: {}", error.cause);
        assert!(error.fix.as_ref().unwrap().contains(fix), "{name}: {:?}", error.fix);
    }
}
