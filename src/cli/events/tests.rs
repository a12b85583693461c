//! The events commands on a journal written by hand.

use super::*;
use crate::fault::State;
use crate::journal::ledger::tests::{Book, Stand};
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    events: EventsArgs,
}

fn run(book: &Book, words: &[&str]) -> Vec<String> {
    let args = Line::try_parse_from([&["events"], words].concat()).unwrap().events;
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let place =
        Place { journal_dir: book.dir.path().to_owned(), numbers: None, tried_for: Default::default() };
    let exit = run_on(&args, &place, &mut Output { out: &mut out, errors: &mut errors }).unwrap();
    assert_eq!((exit, errors.is_empty()), (Exit::Ok, true));
    String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
}

const RELAYED: Stand = Stand::Ended(State::Relayed, None);

#[test]
fn a_replay_tells_what_happened_once() {
    let mut book = Book::new();
    for campaign in ["c1", "c2", "c1"] {
        book.add("shop", Some(campaign), RELAYED);
        book.add("news", None, Stand::Doubt);
    }
    assert_eq!(run(&book, &["replay"]).len(), 6);
    assert_eq!(run(&book, &["replay", "--after", "4"]).len(), 2);
    assert_eq!(run(&book, &["replay", "--engine", "news", "--limit", "2"]).len(), 2);
    let lines = run(&book, &["replay", "--campaign", "c1", "--json"]);
    let events: Vec<serde_json::Value> =
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.iter().map(|event| &event["seq"]).collect::<Vec<_>>(), [1, 5]);
    assert_eq!((&events[0]["state"], &events[0]["job_id"]), (&"relayed".into(), &"j1".into()));
}

#[test]
fn a_tail_follows_what_happens() {
    let mut book = Book::new();
    book.add("shop", None, RELAYED);
    let (told, follow) = std::sync::mpsc::channel();
    let dir = book.dir.path().to_owned();
    let tail = std::thread::spawn(move || {
        let args = Line::try_parse_from(["events", "tail", "--after", "1", "--limit", "2"]).unwrap().events;
        let place = Place { journal_dir: dir, numbers: None, tried_for: Default::default() };
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        told.send(()).unwrap();
        run_on(&args, &place, &mut Output { out: &mut out, errors: &mut errors }).unwrap();
        String::from_utf8(out).unwrap()
    });
    follow.recv().unwrap();
    book.add("shop", None, RELAYED);
    book.add("shop", None, Stand::Doubt);
    let text = tail.join().unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("unknown target-unavailable"), "{text}");
}

#[test]
fn without_a_follow_up_a_tail_starts_at_the_end() {
    let mut book = Book::new();
    book.add("shop", None, RELAYED);
    assert!(run(&book, &["tail", "--limit", "0"]).is_empty());
}
