//! Lists as other programs write them: words of leaving in any column, backslashes of databases, names of columns.

use super::*;

fn told(desk: &Desk, name: &str, rows: &str, more: &[&str]) -> String {
    let file = desk.file(name, rows);
    let args: Vec<&str> =
        ["import", file.to_str().unwrap()].into_iter().chain(more.iter().copied()).collect();
    desk.run(&args, b"").errors
}

#[test]
fn b11_a_column_of_states_is_told_by_what_it_holds() {
    let desk = Desk::new();
    let rows =
        "email,last_name,Status\na@x.test,Held,Active\nb@x.test,Roth,Unsubscribed\nc@x.test,Roth,Cleaned\n";
    let said = told(&desk, "list.csv", rows, &[]);
    assert!(said.starts_with("warning: the column Status holds \"unsubscribed\", as lists do"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let rows = "{\"email\":\"a@x.test\",\"list_status\":\"opted-out\"}\n";
    let said = told(&desk, "list.ndjson", rows, &["--dry-run"]);
    assert!(said.contains("the column list_status holds \"optedout\""), "{said}");
    let said = told(&desk, "news.csv", "email,Status,consent\na@x.test,Unsubscribed,-news\n", &[]);
    assert!(!said.contains("the column Status"), "a column of consent says it: {said}");
}

#[test]
fn b6_backslashes_of_databases_are_told() {
    let desk = Desk::new();
    let said = told(&desk, "lf.csv", "email,note\na@x.test,\"A\\\nB\"\n", &[]);
    assert!(
        said.contains("line 2: a value holds \\n, \\t or \\r with a backslash, or a backslash before"),
        "{said}"
    );
    let share = "email,note,city\na@x.test,\\\\\\\\srv\\\\x,Bonn\n";
    assert_eq!(told(&desk, "share.csv", share, &[]), "", "nothing says that these are half as many");
    for (name, sign, more) in [("end.csv", "Bonn\\", &[][..]), ("null.csv", "\\N", &["--empty-word", "\\N"])]
    {
        let said = told(&desk, name, &format!("{share}b@x.test,A,{sign}\n"), more);
        assert!(said.contains("line 2: a value holds two backslashes"), "{name}: {said}");
        assert!(!said.contains("a cell is"), "{name}: {said}");
    }
}

#[test]
fn b11_better_names_are_a_first_line_as_the_file_would_have_it() {
    let desk = Desk::new();
    let file = desk.file("crm.csv", "Kunden Nr;Vor Name;E-Mail;Telefon\n1;Anna;a@x.test;\n");
    let error = desk.run(&["import", file.to_str().unwrap()], b"").result.unwrap_err();
    assert_eq!(error.fix.as_deref(), Some("name the columns kunden_nr;vor_name;email;phone"));
}

#[test]
fn b11_lists_of_other_programs_are_told_their_names_at_once_and_what_keeps_nobody_from_mail() {
    let desk = Desk::new();
    let file = desk.file("hubspot.csv", "Record ID,First Name,Email,Lead Status\n51,Anna,a@x.test,\n");
    let error = desk.run(&["import", file.to_str().unwrap()], b"").result.unwrap_err();
    assert_eq!(error.fix.as_deref(), Some("name the columns record_id,first_name,Email,lead_status"));
    let rows = "email,HasOptedOutOfEmail,OPTIN_TIME\na@x.test,true,\n";
    let file = desk.file("salesforce.csv", rows);
    let path = file.to_str().unwrap();
    let said = desk.run(&["import", path, "--dry-run"], b"");
    assert_eq!(said.errors.matches("reads as if it said who may be mailed").count(), 1, "{}", said.errors);
    assert!(said.errors.starts_with("warning: the column HasOptedOutOfEmail reads"), "{}", said.errors);
    let rows = rows.replace("OPTIN_TIME", "consent");
    let file = desk.file("both.csv", &rows);
    assert!(!desk.run(&["import", file.to_str().unwrap()], b"").errors.contains("reads as if"));
    let list = desk.file("people.json", "[]");
    assert!(
        desk.run(&["import", list.to_str().unwrap()], b"")
            .result
            .unwrap_err()
            .fix
            .unwrap()
            .contains("NDJSON")
    );
}
