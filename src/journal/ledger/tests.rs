//! The ledger and the desk on a journal written by hand.

mod book;

pub(crate) use book::{Book, Stand};

use super::*;
use crate::fault::{Reason, State};
use rusqlite::params;

const RELAYED: Stand = Stand::Ended(State::Relayed, None);
const RETRY: Ask = Ask::Retry { tried_for: Duration::from_secs(3600) };
const REFUSED: Stand = Stand::Ended(State::Rejected, Some(Reason::TargetRejected));

#[test]
fn a_job_is_found_by_its_send_number_and_says_where_it_is() {
    let mut book = Book::new();
    let jobs = [
        (book.add("a", None, Stand::Retry { at: 31_000 }), Standing::Waiting, Some(30_000)),
        (book.add("a", None, Stand::Fresh), Standing::Waiting, Some(0)),
        (book.add("a", Some("c"), Stand::Flight), Standing::InFlight, None),
        (book.add("a", None, Stand::Doubt), Standing::HeldInDoubt, None),
        (book.add("a", None, REFUSED), Standing::Ended, None),
    ];
    let ledger = book.ledger();
    for (job, standing, due_in) in jobs {
        let found = ledger.by_send(&Book::send(job.0)).unwrap().unwrap();
        assert_eq!((found.number, found.job_id), (job, Some(format!("j{}", job.0))));
        let whereabouts = ledger.whereabouts(job).unwrap();
        assert_eq!(whereabouts, Whereabouts { standing, due_in: due_in.map(Duration::from_millis) });
    }
    assert_eq!(ledger.by_send(&Book::send(99)).unwrap(), None);
    book.attempt(jobs[0].0, 1, State::Deferred, Some(Reason::TargetRejected));
    book.attempt(jobs[0].0, 2, State::Deferred, Some(Reason::TargetUnavailable));
    let attempts = ledger.attempts(jobs[0].0).unwrap();
    assert_eq!(attempts.iter().map(|attempt| attempt.attempt).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(attempts[0].verdict.enhanced.as_deref(), Some("4.3.0"));
    book.audit();
}

#[test]
fn a_list_has_what_is_meant_in_the_order_of_arrival() {
    let mut book = Book::new();
    for _ in 0..1500 {
        book.add("a", Some("c1"), RELAYED);
        book.add("b", Some("c2"), REFUSED);
    }
    let ledger = book.ledger();
    let list = |filter: &Filter, from, limit| {
        let mut told = Vec::new();
        let from = (from, limit);
        let note = |entry: Entry| {
            told.push(entry.number.0);
            Ok::<_, LedgerError>(())
        };
        ledger.for_each(filter, from, note).unwrap();
        told
    };
    let all = Filter::default();
    assert_eq!(list(&all, None, None), (1..=3000).collect::<Vec<_>>());
    assert_eq!(list(&all, Some(Number(2997)), None), [2998, 2999, 3000]);
    assert_eq!(list(&all, None, Some(1001)).len(), 1001);
    let told = |filter: Filter| list(&filter, None, None);
    let text = |text: &str| Some(text.to_owned());
    let odd: Vec<i64> = (1..=3000).step_by(2).collect();
    assert_eq!(told(Filter { engine: text("a"), ..all.clone() }), odd);
    assert_eq!(told(Filter { campaign: text("c1"), ..all.clone() }), odd);
    assert_eq!(told(Filter { states: vec![State::Relayed, State::Unknown], ..all.clone() }), odd);
    assert_eq!(told(Filter { reasons: vec![Reason::TargetRejected], ..all.clone() }).len(), 1500);
    assert_eq!(told(Filter { token: text("e_token000007"), ..all.clone() }), [7]);
    assert_eq!(told(Filter { job_id: text("j9"), engine: text("b"), ..all.clone() }), [0; 0]);
    assert_eq!(told(Filter { target: text("' OR 1 --"), ..all.clone() }), [0; 0]);
    let span = Filter { since: Some(At(5000)), until: Some(At(8000)), ..all };
    assert_eq!(list(&span, None, None), [5, 6, 7]);
}

#[test]
fn d_what_ends_behind_a_cursor_is_found_behind_it() {
    let mut book = Book::new();
    let early = book.add("a", Some("c"), Stand::Fresh);
    let doubt = book.add("a", Some("c"), Stand::Doubt);
    book.add("a", Some("d"), RELAYED);
    book.add("b", Some("c"), REFUSED);
    let late = book.add("a", Some("c"), REFUSED);
    let ledger = book.ledger();
    let of_c = Whose { engine: Some("a"), campaign: Some("c") };
    let read = |whose, after, limit| {
        let Results { results, next, is_end } = ledger.results(whose, after, limit).unwrap();
        let told =
            results.iter().map(|(seq, entry)| (*seq, entry.number, entry.verdict.state)).collect::<Vec<_>>();
        (told, next, is_end)
    };
    let (first, next, is_end) = read(of_c, 0, 2);
    assert_eq!(first, [(1, early, State::Journaled), (2, doubt, State::Unknown)]);
    assert_eq!((next, is_end), (2, false));
    // One that was listed ends, and so does one before the cursor that comes again in doubt.
    book.change(&[early], Ask::Cancel);
    book.change(&[doubt], RETRY);
    let (rest, next, is_end) = read(of_c, next, 10);
    let expected = [(5, late, State::Rejected), (6, early, State::Cancelled), (7, doubt, State::Journaled)];
    assert_eq!((rest.as_slice(), next, is_end), (&expected[..], 7, true));
    assert_eq!(read(of_c, 7, 10), (vec![], 7, true));
    // From the beginning each job stands where its last result stands, once.
    assert_eq!(read(of_c, 0, 10).0, expected);
    assert_eq!(read(Whose { engine: Some("b"), ..of_c }, 0, 10).0.len(), 1);
    assert_eq!(read(Whose { campaign: None, ..of_c }, 0, 10).0.len(), 4);
    assert_eq!(read(Whose::default(), 0, 10).0.len(), 5);
    assert_eq!(read(Whose { engine: Some("' OR 1 --"), campaign: None }, 0, 10).0, []);
}

#[test]
fn a_campaign_counts_by_state_and_reason_and_is_finished_when_nothing_is_held() {
    let mut book = Book::new();
    for stand in [RELAYED, RELAYED, REFUSED, Stand::Doubt] {
        book.add("a", Some("c"), stand);
    }
    book.add("b", Some("c"), Stand::Fresh);
    let ledger = book.ledger();
    let of_a = ledger.campaign(Some("a"), "c").unwrap();
    assert_eq!((of_a.jobs(), of_a.of(State::Relayed), of_a.of(State::Unknown)), (4, 2, 1));
    assert!(of_a.is_finished());
    let rejected = Count { state: State::Rejected, reason: Some(Reason::TargetRejected), jobs: 1 };
    assert!(of_a.0.contains(&rejected), "{of_a:?}");
    let of_all = ledger.campaign(None, "c").unwrap();
    assert_eq!((of_all.jobs(), of_all.is_finished()), (5, false));
    assert_eq!(ledger.campaign(Some("a"), "other").unwrap(), Counts::default());
    book.audit();
}

#[test]
fn events_go_on_behind_their_cursor_and_belong_to_one_engine() {
    let mut book = Book::new();
    assert_eq!(book.ledger().last_event().unwrap(), 0);
    for _ in 0..5 {
        book.add("a", Some("c"), RELAYED);
        book.add("b", None, REFUSED);
    }
    let ledger = book.ledger();
    let of_b = ledger.events(Some("b"), 0, 2).unwrap();
    assert_eq!(of_b.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [2, 4]);
    assert_eq!((of_b.next, of_b.is_end), (4, false));
    let rest = ledger.events(Some("a"), of_b.next, 100).unwrap();
    assert_eq!(rest.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [5, 7, 9]);
    assert_eq!((rest.next, rest.is_end), (10, true));
    assert!(rest.events.iter().all(|event| event.engine == "a" && event.campaign.as_deref() == Some("c")));
    assert_eq!(ledger.last_event().unwrap(), 10);
    // What the ledger no longer keeps is passed over.
    book.db.execute("DELETE FROM job WHERE id = 1", []).unwrap();
    assert_eq!(ledger.events(None, 0, 100).unwrap().events.len(), 9);
}

#[test]
fn what_waits_or_is_in_doubt_can_be_cancelled_and_nothing_else() {
    let mut book = Book::new();
    let jobs = [
        book.add("a", Some("c"), Stand::Fresh),
        book.add("a", Some("c"), Stand::Retry { at: 99_000 }),
        book.add("a", Some("c"), Stand::Doubt),
        book.add("a", Some("c"), Stand::Flight),
        book.add("a", Some("c"), RELAYED),
        Number(77),
    ];
    let done = book.change(&jobs, Ask::Cancel);
    let left = [Done::InFlight, Done::Ended(State::Relayed), Done::NotThere];
    assert_eq!(done, [[Done::Cancelled; 3], left].concat());
    book.audit();
    let cancelled = book.entry(jobs[2]);
    assert_eq!(cancelled.verdict.state, State::Cancelled);
    assert_eq!(
        (cancelled.changed, cancelled.verdict.reason),
        (At(5_000_000), Some(Reason::TargetUnavailable))
    );
    // The flight still holds the content; once it ends, nothing of it stays.
    change::end(
        &book.db,
        jobs[3].0,
        &change::News {
            state: State::Relayed,
            reason: None,
            detail: None,
            target: Some("mta2"),
            reply: None,
            at: 1,
        },
    )
    .unwrap();
    book.audit();
    let left: i64 = book.db.query_row("SELECT count(*) FROM content", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
    assert_eq!(book.change(&jobs[..1], Ask::Cancel), [Done::Ended(State::Cancelled)]);
}

#[test]
fn a_retry_makes_due_what_waits_and_flags_what_was_in_doubt() {
    let mut book = Book::new();
    let jobs = [
        book.add("a", Some("c"), Stand::Retry { at: 99_000 }),
        book.add("a", Some("c"), Stand::Doubt),
        book.add("a", Some("c"), Stand::Flight),
        book.add("a", Some("c"), REFUSED),
    ];
    let expected = [Done::DueNow, Done::SentAgain, Done::InFlight, Done::Ended(State::Rejected)];
    assert_eq!(book.change(&jobs, RETRY), expected);
    book.audit();
    let ledger = book.ledger();
    for job in &jobs[..2] {
        let whereabouts = ledger.whereabouts(*job).unwrap();
        let now = Whereabouts { standing: Standing::Waiting, due_in: Some(Duration::ZERO) };
        assert_eq!(whereabouts, now);
    }
    assert_eq!(jobs.map(|job| book.entry(job).resent), [false, true, false, false]);
    // Asking twice changes nothing more.
    assert_eq!(book.change(&jobs[..2], RETRY), [Done::DueNow; 2]);
    book.audit();
}

#[test]
fn many_are_changed_in_several_transactions() {
    let mut book = Book::new();
    let jobs: Vec<Number> = (0..2500).map(|_| book.add("a", None, Stand::Fresh)).collect();
    assert_eq!(book.change(&jobs, Ask::Cancel), [Done::Cancelled; 2500]);
    book.audit();
    assert!(book.ledger().campaign(Some("a"), "").unwrap().is_finished());
}

#[test]
fn a_reader_sees_a_hot_log_and_cannot_write() {
    let mut book = Book::new();
    book.add("a", None, RELAYED);
    // What a killed relay leaves: the log beside the file, and nothing checkpointed.
    let left = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("{}{suffix}", crate::journal::FILE_NAME);
        std::fs::copy(book.dir.path().join(&name), left.path().join(&name)).unwrap();
    }
    let ledger = Ledger::open(left.path()).unwrap();
    assert_eq!(ledger.page(&Filter::default(), None, 10).unwrap().len(), 1);
    assert!(ledger.db.execute("DELETE FROM job", []).is_err());
}

#[test]
fn no_ledger_and_another_file_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Ledger::open(dir.path()).err().unwrap();
    assert!(
        missing.to_string().contains("there is none; ") && missing.to_string().contains("handoff"),
        "{missing}"
    );
    std::fs::write(dir.path().join(crate::journal::FILE_NAME), "not a journal, not a journal").unwrap();
    assert!(matches!(Ledger::open(dir.path()), Err(LedgerError::Damaged { .. })));
    let book = Book::new();
    book.db.pragma_update(None, "user_version", 99).unwrap();
    let newer = Ledger::open(book.dir.path()).err().unwrap();
    assert!(newer.to_string().contains("newer tokenrelay"), "{newer}");
}

#[test]
fn a_campaigns_list_does_not_walk_through_all_jobs() {
    let book = Book::new();
    let filter = Filter { campaign: Some("c".into()), ..Filter::default() };
    let (conditions, _) = filter.conditions();
    let sql = format!(
        "EXPLAIN QUERY PLAN SELECT {ENTRY_COLUMNS} FROM job WHERE id > ?{conditions} ORDER BY id LIMIT ?"
    );
    let plan: String = book.db.query_row(&sql, params![0, "c", 10], |row| row.get(3)).unwrap();
    assert!(plan.contains("job_campaign"), "{plan}");
}

#[tokio::test]
async fn readers_share_their_connections_and_open_again_after_an_error() {
    let mut book = Book::new();
    let readers = Readers::new(book.dir.path().join("later"), 2);
    assert!(readers.read(|ledger| ledger.last_event()).await.is_err());
    book.add("a", None, RELAYED);
    std::os::unix::fs::symlink(book.dir.path(), book.dir.path().join("later")).unwrap();
    let reads = (0..20).map(|_| readers.read(|ledger| ledger.last_event()));
    for answer in futures_util::future::join_all(reads).await {
        assert_eq!(answer.unwrap(), 1);
    }
    // Another journal under the same name is read from then on.
    let other = Book::new();
    std::fs::remove_file(book.dir.path().join("later")).unwrap();
    std::os::unix::fs::symlink(other.dir.path(), book.dir.path().join("later")).unwrap();
    assert_eq!(readers.read(|ledger| ledger.last_event()).await.unwrap(), 0);
}
