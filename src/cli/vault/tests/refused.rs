//! What is told of rows that are refused.

use super::*;

#[test]
fn b6_a_withdrawal_in_a_row_that_is_refused_is_stored_and_told() {
    let desk = Desk::new();
    let people = desk.file("people.csv", "email,token,consent\na@x.test,e_aaaaaaaa,news\n");
    assert_eq!(exit(&desk.run(&["import", people.to_str().unwrap()], b"")), Exit::Ok);
    let file = desk.file("p.csv", "email,first_name,consent\na@x.test,NULL,-news\nb@x.test,NULL,-news\n");
    let path = file.to_str().unwrap();
    let rehearsed = desk.run(&["import", path, "--dry-run"], b"");
    let told = "2 of 2 rows would be refused (of which 1 withdrew a consent: the withdrawal would be stored)";
    assert!(rehearsed.result.unwrap_err().to_string().contains(told));
    assert!(desk.run(&["get", "e_aaaaaaaa"], b"").out.contains("consent      news\n"));
    let said = desk.run(&["import", path], b"");
    let told = "2 of 2 rows failed (of which 1 withdrew a consent: the withdrawal was stored)";
    assert!(said.result.unwrap_err().to_string().contains(told));
    let refused = "(the consent that the row withdraws is withdrawn)";
    let lines: Vec<bool> = said.errors.lines().map(|line| line.ends_with(refused)).collect();
    assert_eq!((lines, said.out.contains("withdrew   1\n")), (vec![true, false], true), "{}", said.errors);
    assert!(desk.run(&["get", "e_aaaaaaaa"], b"").out.contains("consent      -news\n"));
    let json: serde_json::Value =
        serde_json::from_str(&desk.run(&["import", path, "--json"], b"").out).unwrap();
    assert_eq!((&json["withdrew"], &json["errors"][0]["withdrew"]), (&1.into(), &true.into()));
}

#[test]
fn d_rows_that_are_alike_are_told_a_few_times_and_counted() {
    let desk = Desk::new();
    let rows: String = (0..1_000).map(|n| format!("a{n}@x.test,NULL\n")).collect();
    let file = desk.file("p.csv", &format!("email,first_name\nno address,Ana\n{rows}b@x.test,J&ouml;rg\n"));
    let said = desk.run(&["import", file.to_str().unwrap()], b"");
    let told: Vec<&str> = said.errors.lines().map(|line| line.split([';', ',']).next().unwrap()).collect();
    let null = "first_name: NULL is what programs write where there is no value";
    assert_eq!(
        told,
        [
            "line 2: email: not an e-mail address: it has no @",
            &format!("line 3: {null}"),
            &format!("line 4: {null}"),
            &format!("line 5: {null}"),
            "... and 997 more rows like this",
            "line 1003: first_name: holds an HTML entity (as in J&ouml",
        ]
    );
    let said = desk.run(&["import", file.to_str().unwrap(), "--errors-max", "50"], b"");
    assert_eq!(
        (said.errors.lines().count(), said.errors.contains("line 51: ")),
        (52, true),
        "{}",
        said.errors
    );
    assert!(said.errors.ends_with("... and 951 more rows like this\n... and 1 more (see --errors-max)\n"));
    let json: serde_json::Value =
        serde_json::from_str(&desk.run(&["import", file.to_str().unwrap(), "--json"], b"").out).unwrap();
    assert_eq!(json["errors"].as_array().unwrap().len(), 100);
}

#[test]
fn b11_a_column_is_taken_as_it_is_where_that_is_asked_for() {
    let desk = Desk::new();
    let file = desk.file("p.csv", "email,token,allergy,code\na@x.test,e_aaaaaaaa,None,{vip}\n");
    let path = file.to_str().unwrap();
    let said = desk.run(&["import", path], b"");
    assert!(said.errors.contains("where it is right as it stands, add --as-is allergy"), "{}", said.errors);
    let asked = |names: &[&str]| {
        let names = names.iter().flat_map(|name| ["--as-is", name]);
        desk.run(&["import", path].into_iter().chain(names).collect::<Vec<_>>(), b"")
    };
    assert_eq!(exit(&asked(&["allergy"])), Exit::Failed);
    let slip = asked(&["alergy", "code"]);
    let error = slip.result.unwrap_err();
    assert_eq!(
        (error.exit, error.cause.contains("did you mean allergy?; nothing was stored")),
        (Exit::Usage, true),
        "{error}"
    );
    assert_eq!(exit(&asked(&["email"])), Exit::Usage);
    assert_eq!(exit(&asked(&["allergy", "code"])), Exit::Ok);
    assert!(desk.run(&["get", "e_aaaaaaaa"], b"").out.contains("{…"));
    let put = |asked: &[&str]| {
        desk.run(&[&["put", "--field", "token=e_aaaaaaaa", "--field", "code=%vip%"], asked].concat(), b"")
    };
    assert!(put(&[]).result.unwrap_err().to_string().contains("add --as-is code"));
    assert!(put(&["--as-is", "cod"]).result.unwrap_err().to_string().contains("there is no --field cod="));
    assert_eq!(exit(&put(&["--as-is", "code"])), Exit::Ok);
    let line = b"{\"token\":\"e_aaaaaaaa\",\"code\":\"[[vip]]\"}\n";
    assert_eq!(exit(&desk.run(&["put", "-", "--as-is", "code"], line)), Exit::Ok);
    assert_eq!(exit(&desk.run(&["put", "-", "--as-is", "coed"], line)), Exit::Usage);
}

#[test]
fn a4_an_older_list_of_tokens_stays_until_the_new_one_is_whole() {
    let desk = Desk::new();
    let older = "line,email_token,mobile_token\n9,e_older000,\n";
    let list = desk.file("tokens.csv", older);
    let import = |text: &str| {
        let file = desk.file("p.csv", text);
        desk.run(&["import", file.to_str().unwrap(), "--tokens-out", list.to_str().unwrap()], b"")
    };
    for broken in ["", "name,city\nAna,Rom\n", "email,city\na@x.test,\"Rom\n", "email,email\na@x.test,a\n"] {
        let said = import(broken);
        assert!(
            said.result.is_err() && said.errors.contains("an older one is as it was"),
            "{broken}: {}",
            said.errors
        );
        assert_eq!(fs::read_to_string(&list).unwrap(), older, "{broken}");
    }
    let said = import("email,city\nno address,Rom\n");
    assert!(said.errors.contains("no row was stored, so the older list is as it was"), "{}", said.errors);
    assert_eq!(fs::read_to_string(&list).unwrap(), older);
    assert_eq!(exit(&import("email,city\na@x.test,Rom\nb@x,NULL\n")), Exit::Failed);
    assert_eq!(fs::read_to_string(&list).unwrap().lines().count(), 2, "of the rows that were kept");
    use std::os::unix::fs::{PermissionsExt, symlink};
    assert_eq!(fs::metadata(&list).unwrap().permissions().mode() & 0o777, 0o600);
    let left = fs::read_dir(desk.dir.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".tokens"));
    assert_eq!(left.count(), 0);
    // A link and a device are written to, not replaced.
    let link = desk.dir.path().join("link.csv");
    symlink(&list, &link).unwrap();
    let people = desk.file("p.csv", "email\nc@x.test\nd@x.test\n");
    let to = |out: &str| exit(&desk.run(&["import", people.to_str().unwrap(), "--tokens-out", out], b""));
    assert_eq!((to(link.to_str().unwrap()), to("/dev/null")), (Exit::Ok, Exit::Ok));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&list).unwrap().lines().count(), 3);
    let phone = desk
        .run(&["import", people.to_str().unwrap(), "--tokens-out", "t", "--tokens-with", "work_phone"], b"");
    assert!(phone.result.unwrap_err().cause.contains("never holds addresses"));
}

#[test]
fn b11_keys_of_objects_that_say_who_may_be_mailed_are_told_too() {
    let desk = Desk::new();
    let file = desk.file(
        "p.ndjson",
        "{\"email\":\"a@x.test\",\"accepts_email_marketing\":\"no\",\"consent_ip\":\"::1\"}\n",
    );
    let said = desk.run(&["import", file.to_str().unwrap()], b"");
    assert_eq!(said.errors.matches("reads as if it said who may be mailed").count(), 1, "{}", said.errors);
    assert!(said.errors.starts_with("warning: the column accepts_email_marketing reads"), "{}", said.errors);
}

#[test]
fn b6_a_list_of_tokens_takes_the_place_of_nothing_but_an_older_one() {
    let desk = Desk::new();
    let file = desk.file("p.csv", "line,email_token,email\n1,e_aaaaaaaa,a@x.test\n");
    let people = file.to_str().unwrap();
    assert_eq!(exit(&desk.run(&["import", people], b"")), Exit::Ok);
    fs::hard_link(&file, desk.dir.path().join("same.csv")).unwrap();
    std::os::unix::fs::symlink(desk.dir.path().join("state"), desk.dir.path().join("link")).unwrap();
    desk.file("key", "00112233");
    desk.file("tokenrelay.toml", "state_dir = \"state\"\n");
    for (name, cause) in [
        ("vault/vault.db", "lies in the relay's own folder"),
        ("vault/vault.db-wal", "lies in the relay's own folder"),
        ("state/new.csv", "lies in the relay's own folder"),
        ("link/new.csv", "lies in the relay's own folder"),
        ("p.csv", "is the file that is imported"),
        ("same.csv", "is the file that is imported"),
        ("key", "is no list of tokens"),
        ("tokenrelay.toml", "is no list of tokens"),
    ] {
        let place = desk.dir.path().join(name);
        let before = fs::read(&place).ok();
        let said = desk.run(&["import", people, "--tokens-out", place.to_str().unwrap()], b"");
        let error = said.result.expect_err(name);
        assert_eq!((error.exit, error.cause.contains(cause)), (Exit::Usage, true), "{name}: {error}");
        assert_eq!((fs::read(&place).ok(), said.out.as_str()), (before, ""), "{name}");
    }
    assert!(desk.run(&["verify"], b"").result.is_ok());
    let empty = desk.file("empty.csv", "");
    assert_eq!(exit(&desk.run(&["import", people, "--tokens-out", empty.to_str().unwrap()], b"")), Exit::Ok);
    let slip =
        desk.run(&["import", people, "--tokens-out", empty.to_str().unwrap(), "--tokens-with", "lyne"], b"");
    assert!(slip.result.unwrap_err().cause.contains("did you mean line?"));
}

#[test]
fn b6_what_is_put_by_hand_withdraws_consent_whatever_else_is_wrong() {
    let desk = Desk::new();
    let people = desk.file("people.csv", "email,token,consent\na@x.test,e_aaaaaaaa,news\n");
    assert_eq!(exit(&desk.run(&["import", people.to_str().unwrap()], b"")), Exit::Ok);
    let put = |fields: &[&str]| {
        let fields = fields.iter().flat_map(|field| ["--field", field]);
        desk.run(&["put"].into_iter().chain(fields).collect::<Vec<_>>(), b"").result.unwrap_err().to_string()
    };
    assert!(!put(&["token=e_aaaaaaaa", "first_name={{x}}"]).contains("withdrawn"));
    assert!(!put(&["token=e_aaaaaaaa", "consent=-news", "first_name"]).contains("withdrawn"));
    assert!(desk.run(&["get", "e_aaaaaaaa"], b"").out.contains("consent      news\n"));
    let told = put(&["token=e_aaaaaaaa", "first_name={{x}}", "consent=-news"]);
    assert!(told.contains("first_name: a placeholder") && told.contains("is withdrawn"), "{told}");
    assert!(desk.run(&["get", "e_aaaaaaaa"], b"").out.contains("consent      -news\n"));
}

#[test]
fn b6_a_withdrawal_by_a_phone_without_its_country_that_nobody_has_is_warned_of() {
    let desk = Desk::new();
    let import = |rows: &str| {
        let file = desk.file("p.csv", &format!("phone,consent\n{rows}"));
        desk.run(&["import", file.to_str().unwrap()], b"").errors
    };
    assert_eq!(import("+4915112345678,news\n01517777777,news\n004915166666,-news\n"), "");
    let told = import("0151 12345678,-news\n01517777777,-news\n");
    assert!(
        told.starts_with("warning: 1 row, the first in line 2: withdraws a consent by a phone"),
        "{told}"
    );
}
