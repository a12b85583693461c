//! The jobs commands as a person and a script see them.

use super::*;
use crate::fault::{Reason, State};
use crate::journal::Number;
use crate::journal::ledger::tests::{Book, Stand};
use clap::Parser;
use serde_json::Value;

#[derive(Parser, Debug)]
struct Line {
    #[command(flatten)]
    jobs: JobsArgs,
}

const TRIED_FOR: Duration = Duration::from_secs(3600);

#[derive(Debug)]
struct Said {
    result: Result<Exit, CliError>,
    out: String,
    errors: String,
}

impl Said {
    fn exit(&self) -> Exit {
        self.result.as_ref().map_or_else(|error| error.exit, |exit| *exit)
    }

    /// What was told, whatever the lines.
    fn flat(&self) -> (String, String) {
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        (flat(&self.out), flat(&self.errors))
    }

    fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn run(book: &Book, words: &[&str]) -> Said {
    let args = Line::try_parse_from([&["jobs"], words].concat()).unwrap().jobs;
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let place = Place { journal_dir: book.dir.path().to_owned(), numbers: None, tried_for: TRIED_FOR };
    let result = run_on(args, &place, &mut Output { out: &mut out, errors: &mut errors });
    let said =
        Said { result, out: String::from_utf8(out).unwrap(), errors: String::from_utf8(errors).unwrap() };
    let told = if words[0] == "export" || words.contains(&"--json") { "" } else { &said.out };
    for line in told.lines().chain(said.errors.lines()).filter(|line| !line.contains('/')) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    said
}

fn send(job: Number) -> String {
    Book::send(job.0).to_string()
}

const RELAYED: Stand = Stand::Ended(State::Relayed, None);

/// Jobs 1 to 5: ended, in doubt, in flight, waiting, of another engine.
fn book() -> Book {
    let mut book = Book::new();
    for stand in [RELAYED, Stand::Doubt, Stand::Flight, Stand::Retry { at: 61_000 }] {
        book.add("shop", Some("c1"), stand);
    }
    book.add("news", Some("c2"), Stand::Ended(State::Suppressed, Some(Reason::NoConsent)));
    book
}

#[test]
fn a_list_is_filtered_and_is_a_table_or_json() {
    let book = book();
    let table = run(&book, &["list"]);
    assert_eq!((table.exit(), table.out.lines().count(), table.errors.as_str()), (Exit::Ok, 6, ""));
    assert!(table.out.starts_with("CHANGED") && table.out.contains("no-consent"), "{}", table.out);
    let sends = |words: &[&str]| -> Vec<i64> {
        let said = run(&book, &[&["list", "--json"], words].concat());
        said.json().iter().map(|job| job["number"].as_i64().unwrap()).collect()
    };
    assert_eq!(sends(&["--state", "unknown,journaled"]), [4, 3, 2]);
    assert_eq!(sends(&["--campaign", "c1", "--limit", "2", "--after", "4"]), [3, 2]);
    assert_eq!(sends(&["--reason", "no-consent", "--engine", "news", "--target", "mta1"]), [5]);
    assert_eq!(sends(&["--token", "E_token000004@tokens.example"]), [4]);
    assert_eq!(sends(&["--since", "1970-01-01T00:00:02Z", "--until", "1970-01-01T00:00:04Z"]), [3, 2]);
    let first = &run(&book, &["list", "--json", "--limit", "1", "--after", "2"]).json()[0];
    assert_eq!(
        (&first["send"], &first["accepted"]),
        (&send(Number(1)).into(), &"1970-01-01T00:00:01.000Z".into())
    );
    assert_eq!(run(&book, &["list", "--since", "soon"]).exit(), Exit::Usage);
    for words in [["--state", "foo"], ["--reason", "zzzzzzz"]] {
        let error = Line::try_parse_from([&["jobs", "list"][..], &words].concat()).unwrap_err().to_string();
        assert!(error.contains("it is one of\n  "), "{error}");
        assert!(error.lines().all(|line| line.chars().count() <= 80), "{error}");
    }
}

#[test]
fn d_a_list_begins_with_the_newest_and_says_how_many_more_there_are() {
    let mut book = book();
    for _ in 0..60 {
        book.add("shop", Some("long"), Stand::Ended(State::Rejected, Some(Reason::TargetUnavailable)));
    }
    let list = run(&book, &["list", "--json"]);
    let numbers: Vec<i64> = list.json().iter().map(|job| job["number"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (16..=65).rev().collect::<Vec<_>>());
    assert_eq!(list.errors, "... and 15 more: --after 16, or --limit N\n");
    let rest = run(&book, &["list", "--after", "16"]);
    assert_eq!((rest.out.lines().count(), rest.errors.as_str()), (16, ""));
    let few = run(&book, &["list", "--campaign", "long", "--limit", "59"]);
    assert_eq!(few.errors, "... and 1 more: --after 7, or --limit N\n");
    assert_eq!(run(&book, &["list", "--campaign", "long", "--limit", "60"]).errors, "");
    assert_eq!(run(&book, &["list", "--limit", "0"]).out.lines().count(), 1);
    for words in [&["list"][..], &["list", "--detail"]] {
        let table = run(&book, words).out;
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    }
    let detailed = run(&book, &["list", "--detail", "--limit", "1"]).out;
    for word in ["job_id j65, campaign long, engine shop", "by mta1"] {
        assert!(detailed.contains(word), "{detailed}");
    }
}

#[test]
fn d_a_campaign_is_summed_up_in_words_and_numbers() {
    let mut book = book();
    book.add("news", Some("c1"), Stand::Ended(State::Suppressed, Some(Reason::NoConsent)));
    let text = run(&book, &["summary", "c1"]).out;
    for words in [
        "campaign c1: 5 jobs\n",
        "1  relayed\n",
        "2  journaled",
        "1  unknown (target-unavailable)\n",
        "1  suppressed (no-consent)\n",
        "from 1970-01-01T00:00:01.000Z to 1970-01-01T00:00:06.000Z (5 s, 1 a second)",
        "not finished: 2 jobs still to be delivered\nunknown ones may have arrived: ",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let json = run(&book, &["summary", "c1", "--json", "--engine", "shop"]).json().remove(0);
    assert_eq!((&json["jobs"], &json["finished"], &json["seconds"]), (&4.into(), &false.into(), &3.0.into()));
    assert_eq!(json["counts"].as_array().unwrap().len(), 3);
    // The counts stay when the jobs are forgotten.
    book.db.execute("DELETE FROM job WHERE campaign = 'c2'", []).unwrap();
    let kept = run(&book, &["summary", "c2"]).out;
    assert!(kept.contains("campaign c2: 1 job") && kept.contains("finished: nothing"), "{kept}");
    for (words, fix) in [
        (&["summary", "c3"][..], "did you mean 'c"),
        (&["summary", "winter"], "the ledger knows c1, c2"),
        (&["summary", ""], "the ledger knows"),
        (&["summary", "c1", "--engine", "nobody"], "set 'campaign'"),
    ] {
        let error = run(&book, words).result.unwrap_err();
        assert_eq!(error.exit, Exit::Failed);
        assert!(error.fix.as_deref().unwrap().contains(fix), "{words:?}: {:?}", error.fix);
    }
}

/// A person had one tried again, long after the others.
#[test]
fn d_what_was_tried_again_later_is_not_in_the_rate() {
    let mut book = Book::new();
    for _ in 0..4 {
        book.add("shop", Some("c1"), RELAYED);
    }
    book.db.execute("UPDATE job SET attempts = 2, changed = 9000000 WHERE id = 4", []).unwrap();
    let text = run(&book, &["summary", "c1"]).out;
    assert!(text.contains("(8999 s, 1.5 a second)\nthe rate leaves out 1 job with"), "{text}");
    let json = run(&book, &["summary", "c1", "--json"]).json().remove(0);
    assert_eq!((&json["seconds"], &json["per_second"]), (&8999.0.into(), &1.5.into()));
}

#[test]
fn d_a_name_that_was_mistyped_is_told_where_no_job_is_found() {
    let book = book();
    for (words, told) in [
        (
            &["list", "--engine", "shpo"][..],
            "the ledger has no job of the engine 'shpo'; did you mean 'shop'?\n",
        ),
        (
            &["list", "--json", "--campaign", "winter"],
            "no job of the campaign 'winter'; the ledger knows c1, c2\n",
        ),
        (&["list", "--target", "mta"], "the ledger has no job of the target 'mta'; did you mean 'mta1'?\n"),
        (&["export", "--engine", "shpo"], "did you mean 'shop'?\n"),
        (&["retry", "--engine", "shpo"], "did you mean 'shop'?\n"),
        (&["cancel", "--yes", "--engine", "shpo"], "did you mean 'shop'?\n"),
        (&["list", "--engine", "shop", "--campaign", "c2"], ""),
        (&["list", "--engine", "shop", "--token", "e_none"], ""),
    ] {
        let said = run(&book, words);
        assert_eq!(said.exit(), Exit::Ok, "{words:?}");
        let is_told = if told.is_empty() { said.errors.is_empty() } else { said.errors.contains(told) };
        assert!(is_told, "{words:?}: {}", said.errors);
    }
}

#[test]
fn one_job_is_shown_by_either_of_its_names_and_says_where_it_is() {
    let book = book();
    book.attempt(Number(4), 1, State::Deferred, Some(Reason::TargetRejected));
    let shown = run(&book, &["show", &send(Number(4))]);
    assert!(shown.out.contains("now       waiting; due in about 60 s"), "{}", shown.out);
    assert!(shown.flat().0.contains("deferred target-rejected 451 4.3.0 by mta1 - busy"), "{}", shown.out);
    let json = run(&book, &["show", "--json", "--engine", "shop", "j4"]).json();
    assert_eq!((&json[0]["standing"], &json[0]["due_in_seconds"]), (&"waiting".into(), &60.into()));
    assert_eq!(json[0]["attempts"][0]["code"], 451);
    assert!(run(&book, &["show", &send(Number(2))]).flat().0.contains("held in doubt"));
    assert!(run(&book, &["show", &send(Number(3))]).flat().0.contains("in flight"));
    for words in [&["show", "--engine", "news", "j4"][..], &["show", &send(Number(99))]] {
        let error = run(&book, words).result.unwrap_err();
        assert_eq!((error.exit, error.fix.is_some()), (Exit::Failed, true));
    }
    assert_eq!(run(&book, &["show", "j4"]).exit(), Exit::Usage);
}

#[test]
fn a_named_job_is_found_by_its_keyed_number() {
    let book = book();
    let numbers = SendNumbers::new(&[7; 32]);
    let place = Place {
        journal_dir: book.dir.path().to_owned(),
        numbers: Some(numbers.clone()),
        tried_for: TRIED_FOR,
    };
    // The number of another name leads nowhere, and the name is looked for.
    assert_eq!(place.named("shop", "j2").unwrap()[0].number, Number(2));
    rusqlite::Connection::open(book.dir.path().join(crate::journal::FILE_NAME))
        .unwrap()
        .execute("UPDATE job SET send = ?1, job_id = NULL WHERE id = 2", [numbers.of("shop", "j2").bits()])
        .unwrap();
    assert_eq!(place.named("shop", "j2").unwrap()[0].number, Number(2));
}

#[test]
fn an_export_runs_no_formulas_and_writes_over_nothing() {
    let mut book = book();
    book.add("shop", Some("=HYPERLINK(\"http://x\")"), RELAYED);
    let path = book.dir.path().join("jobs.csv");
    let words = ["export", "--engine", "shop", "--out", path.to_str().unwrap()];
    let said = run(&book, &words);
    assert_eq!((said.exit(), said.errors.starts_with("5 jobs written to ")), (Exit::Ok, true));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut sheet = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = sheet.records().map(Result::unwrap).collect();
    assert_eq!((rows.len(), &rows[4][4]), (5, "'=HYPERLINK(\"http://x\")"));
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = run(&book, &words).result.unwrap_err();
    assert!(again.fix.unwrap().contains("not there yet"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let lines = run(&book, &["export", "--state", "unknown"]);
    assert_eq!(lines.json()[0]["send"], send(Number(2)));
    assert_eq!(run(&book, &["export", "--format", "csv", "--limit", "2"]).out.lines().count(), 3);
}

#[test]
fn a_change_by_number_says_what_it_did_and_what_it_left() {
    let book = book();
    let all: Vec<String> = (1..=4).chain([99]).map(|job| send(Number(job))).collect();
    let words: Vec<&str> = ["cancel"].into_iter().chain(all.iter().map(String::as_str)).collect();
    let said = run(&book, &words);
    assert_eq!((said.exit(), said.out.matches("cancelled: ").count()), (Exit::Failed, 2));
    for left in ["an attempt is under way", "it has ended (relayed)", "no such job"] {
        assert!(said.flat().1.contains(left), "{}", said.errors);
    }
    book.audit();
    assert_eq!(book.entry(Number(2)).verdict.state, State::Cancelled);
    assert_eq!(run(&book, &["cancel"]).exit(), Exit::Usage);
    assert_eq!(run(&book, &["cancel", &all[0], "--campaign", "c1"]).exit(), Exit::Usage);
    assert_eq!(run(&book, &["retry", "--state", "relayed"]).exit(), Exit::Usage);
    assert_eq!(run(&book, &["cancel", "--state", "rejected"]).exit(), Exit::Usage);
}

#[test]
fn a_change_by_filter_is_only_shown_before_yes() {
    let book = book();
    let asked = ["retry", "--state", "unknown"];
    let shown = run(&book, &asked);
    assert_eq!((shown.exit(), shown.out.lines().count()), (Exit::Ok, 1));
    assert!(shown.flat().1.contains("1 job would be attempted now") && shown.errors.contains("--yes"));
    assert_eq!(book.entry(Number(2)).verdict.state, State::Unknown);
    let done = run(&book, &[&asked[..], &["--yes", "--json"]].concat());
    assert_eq!((done.exit(), &done.json()[0]["sent-again"]), (Exit::Ok, &1.into()));
    assert!(book.entry(Number(2)).resent);
    // One of them is in flight.
    let rest = run(&book, &["cancel", "--campaign", "c1", "--yes"]);
    assert_eq!((rest.exit(), rest.out.contains("cancelled   2")), (Exit::Failed, true), "{}", rest.out);
    assert!(rest.flat().1.contains("in flight was left"));
    assert_eq!(run(&book, &["cancel", "--campaign", "none", "--yes"]).exit(), Exit::Ok);
    book.audit();
}

#[test]
fn b10_what_was_refused_is_judged_anew_as_long_as_it_is_kept() {
    let mut book = Book::new();
    let missing = Some(Reason::MissingField);
    for stand in [Stand::Kept, Stand::Kept, Stand::Ended(State::Rejected, missing), Stand::Kept] {
        book.add("shop", Some("c1"), stand);
    }
    book.add("shop", Some("c1"), Stand::Ended(State::Rejected, Some(Reason::TargetRejected)));
    book.add("shop", Some("c2"), Stand::Kept);
    let list = run(&book, &["show", &send(Number(1))]);
    assert!(list.flat().0.contains("refused, and kept for a while"), "{}", list.out);
    let asked = ["retry", "--reason", "missing-field", "--campaign", "c1"];
    let shown = run(&book, &asked);
    assert_eq!((shown.exit(), shown.out.lines().count()), (Exit::Ok, 3), "{}", shown.out);
    for said in ["3 jobs would be attempted now", "1 refused job would be left", "under the same job_id"] {
        assert!(shown.flat().1.contains(said), "{}", shown.errors);
    }
    let one = run(&book, &["retry", &send(Number(1)), &send(Number(3))]);
    assert!(one.flat().0.contains("due now, and judged anew") && one.flat().1.contains("not kept any more"));
    let done = run(&book, &[&asked[..], &["--yes"]].concat());
    assert_eq!(done.exit(), Exit::Failed, "one is left");
    assert!(done.out.contains("judged-anew 2") && done.out.contains("not-kept    1"), "{}", done.out);
    let told = done.flat().1;
    assert!(told.contains("left: 1 refused job: ") && told.contains("under the same job_id"), "{told}");
    book.audit();
    // What a target has answered is not among them, whatever is asked; what waits is.
    let rest = run(&book, &["retry", "--campaign", "c1", "--yes", "--json"]);
    assert_eq!(rest.json()[0], serde_json::json!({"due-now": 3, "not-kept": 1}));
    assert_eq!(run(&book, &["retry", "--state", "rejected", "--campaign", "c2", "--yes"]).exit(), Exit::Ok);
    let none = run(&book, &["retry", "--reason", "target-rejected", "--yes"]);
    assert!(none.out.contains("no job is meant") && none.flat().1.contains("keeps its result"), "{none:?}");
    assert_eq!(book.entry(Number(5)).verdict.state, State::Rejected);
    book.audit();
}

#[test]
fn a_relay_without_a_journal_says_so() {
    let book = Book::new();
    let place = Place { journal_dir: book.dir.path().join("other"), numbers: None, tried_for: TRIED_FOR };
    let args = Line::try_parse_from(["jobs", "list"]).unwrap().jobs;
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let error = run_on(args, &place, &mut Output { out: &mut out, errors: &mut errors }).unwrap_err();
    assert!(error.fix.unwrap().contains("handoff"));
    assert_eq!(error.exit, Exit::Failed);
}

#[test]
fn what_others_chose_does_not_act_on_the_terminal() {
    assert_eq!(plain("c\u{1b}[2J\r\n1"), "c\u{fffd}[2J\u{fffd}\u{fffd}1");
}
