//! The rule of conservation, held against three records that know nothing of each other: the engines' of their answers,
//! the first MTA's of what arrived, and the ledger's. To be asked when everything is drained.

use crate::engine::{Answer, Told};
use crate::ledger::{Ledger, Row};
use std::collections::BTreeMap;

const FINAL: [&str; 6] = ["relayed", "rejected", "suppressed", "expired", "cancelled", "unknown"];
const SHOWN_MAX: usize = 4;

/// A message that the first MTA has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    pub send: String,
    pub recipients: Vec<String>,
}

/// All there is to judge by.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    pub told: Vec<Told>,
    pub arrivals: Vec<Arrival>,
    pub ledger: Ledger,
    /// What is in doubt is not to be sent again at all.
    pub holds_in_doubt: bool,
}

/// What contradicts the rule; nothing, of a good relay.
pub fn problems(evidence: &Evidence) -> Vec<String> {
    let mut found = Found::default();
    check_ledger(&evidence.ledger, &mut found);
    let case = Case::of(evidence);
    for told in &evidence.told {
        case.check_job(told, &mut found);
    }
    case.check_arrivals(&mut found);
    if evidence.holds_in_doubt {
        case.check_held(&mut found);
    }
    found.note(!evidence.arrivals.is_empty(), "nothing arrived, which proves nothing", "");
    check_sums(evidence, &mut found);
    found.lines()
}

#[derive(Default)]
struct Found(BTreeMap<&'static str, Vec<String>>);

impl Found {
    fn note(&mut self, holds: bool, what: &'static str, which: impl Into<String>) {
        if !holds {
            self.0.entry(what).or_default().push(which.into());
        }
    }

    fn lines(self) -> Vec<String> {
        let line = |(what, cases): (&str, Vec<String>)| {
            format!("{} x {what}: {}", cases.len(), cases[..cases.len().min(SHOWN_MAX)].join(", "))
        };
        self.0.into_iter().map(line).collect()
    }
}

/// What the ledger says by itself.
fn check_ledger(ledger: &Ledger, found: &mut Found) {
    for row in &ledger.rows {
        let which = || format!("{row:?}");
        found.note(FINAL.contains(&row.state.as_str()), "no final state", which());
        found.note(!row.is_due, "waits in a drained journal", which());
        found.note(!row.is_in_flight, "in flight in a drained journal", which());
        found.note(!row.has_payload || row.state == "unknown", "held with nothing to be done", which());
        found.note(
            row.last_event.as_deref() == Some(&row.state),
            "its last event tells another state",
            which(),
        );
    }
    let payloads = ledger.rows.iter().filter(|row| row.has_payload).count() as i64;
    let is_counted = ledger.held_jobs == payloads && (payloads > 0) == (ledger.held_bytes > 0);
    let counted = format!("{} jobs, {} octets, {payloads} rows", ledger.held_jobs, ledger.held_bytes);
    found.note(is_counted, "what is held is counted wrongly", counted);
    found.note(ledger.orphans == 0, "rows of no job", ledger.orphans.to_string());
    found.note(ledger.quarantined == 0, "records found corrupt", ledger.quarantined.to_string());
    found.note(ledger.integrity == "ok", "the database is damaged", &*ledger.integrity);
}

/// The evidence by job and by send number.
struct Case<'a> {
    rows: BTreeMap<&'a str, Vec<&'a Row>>,
    arrivals: BTreeMap<&'a str, Vec<&'a Arrival>>,
    /// By the send numbers that answers and rows give them.
    jobs: BTreeMap<&'a str, &'a Told>,
}

impl<'a> Case<'a> {
    fn of(evidence: &'a Evidence) -> Self {
        let mut rows: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in &evidence.ledger.rows {
            rows.entry(row.job_id.as_deref().unwrap_or_default()).or_default().push(row);
        }
        let mut arrivals: BTreeMap<&str, Vec<&Arrival>> = BTreeMap::new();
        for arrival in &evidence.arrivals {
            arrivals.entry(&arrival.send).or_default().push(arrival);
        }
        let mut jobs = BTreeMap::new();
        for told in &evidence.told {
            let answered = told.answers.iter().filter_map(|answer| answer.send.as_deref());
            let kept = rows.get(told.job_id.as_str()).into_iter().flatten().map(|row| row.send.as_str());
            jobs.extend(answered.chain(kept).map(|send| (send, told)));
        }
        Self { rows, arrivals, jobs }
    }

    fn check_job(&self, told: &Told, found: &mut Found) {
        let rows = self.rows.get(told.job_id.as_str()).map_or(&[][..], Vec::as_slice);
        let sends: Vec<&str> = told.answers.iter().filter_map(|answer| answer.send.as_deref()).collect();
        let which = || format!("{told:?} {rows:?} arrived {:?}", sends.iter().map(|s| self.count(s)).max());
        found.note(!told.answers.is_empty(), "never answered", which());
        found.note(rows.len() <= 1, "two rows of one job", which());
        let of_rows = rows.iter().map(|row| row.send.as_str());
        let is_one = sends.iter().copied().chain(of_rows).all(|send| Some(&send) == sends.first());
        found.note(is_one || sends.is_empty(), "one job under two send numbers", which());
        let was_told = |state: &str| told.answers.iter().any(|answer| answer.state == state);
        let arrived = sends.first().map_or(0, |send| self.count(send));
        if was_told("relayed") {
            found.note(arrived > 0, "told as relayed, and nothing arrived", which());
            found.note(
                rows.iter().all(|row| row.state == "relayed"),
                "told as relayed, kept as another",
                which(),
            );
        }
        if told.answers.iter().any(Answer::is_positive) {
            found.note(rows.len() == 1, "accepted and not in the ledger", which());
        } else {
            let is_in_doubt = rows.iter().any(|row| row.state == "unknown" || row.is_resent);
            found.note(arrived == 0 || is_in_doubt, "refused, and arrived all the same", which());
        }
    }

    fn check_arrivals(&self, found: &mut Found) {
        for row in self.rows.values().flatten() {
            let (arrived, which) = (self.count(&row.send), || format!("{row:?}"));
            let is_flagged = row.is_resent || row.state == "unknown";
            found.note(
                row.state != "relayed" || arrived > 0,
                "LOST: kept as relayed, never arrived",
                which(),
            );
            found.note(arrived < 2 || is_flagged, "DOUBLED, and the ledger says nothing of it", which());
            let may_have = is_flagged || row.state == "relayed";
            found.note(arrived == 0 || may_have, "arrived, and the ledger says it did not", which());
            found.note(self.jobs.contains_key(row.send.as_str()), "a row nobody submitted", which());
        }
        let kept: Vec<&str> = self.rows.values().flatten().map(|row| row.send.as_str()).collect();
        for (send, arrivals) in &self.arrivals {
            let which = || format!("{send} {} times", arrivals.len());
            found.note(kept.contains(send), "arrived, and the ledger does not know it", which());
            let wanted = self.jobs.get(send).and_then(|told| told.email.clone());
            let is_theirs = arrivals
                .iter()
                .all(|arrival| Some(&arrival.recipients[..]) == wanted.as_ref().map(std::slice::from_ref));
            found.note(is_theirs, "arrived for somebody else", which());
        }
    }

    fn check_held(&self, found: &mut Found) {
        for row in self.rows.values().flatten() {
            let is_once = self.count(&row.send) < 2 && !row.is_resent;
            found.note(is_once, "sent again, although in doubt is to be held", format!("{row:?}"));
        }
    }

    fn count(&self, send: &str) -> usize {
        self.arrivals.get(send).map_or(0, Vec::len)
    }
}

/// Accepted is the sum of the outcomes.
fn check_sums(evidence: &Evidence, found: &mut Found) {
    let mut states: BTreeMap<String, i64> = BTreeMap::new();
    for row in &evidence.ledger.rows {
        *states.entry(row.state.clone()).or_default() += 1;
    }
    let tally = &evidence.ledger.tally;
    found.note(states == *tally, "counts do not add up", format!("rows {states:?}, counts {tally:?}"));
    let accepted =
        evidence.told.iter().filter(|told| told.answers.iter().any(Answer::is_positive)).count() as i64;
    let ended: i64 = states.values().sum();
    found.note(accepted <= ended, "more accepted than ended", format!("{accepted} and {ended}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(state: &str, send: &str) -> Answer {
        Answer { state: state.to_owned(), send: Some(send.to_owned()) }
    }

    fn row(job: &str, state: &str) -> Row {
        Row {
            send: format!("s_{job}"),
            job_id: Some(job.to_owned()),
            state: state.to_owned(),
            is_resent: false,
            has_payload: state == "unknown",
            is_due: false,
            is_in_flight: false,
            last_event: Some(state.to_owned()),
        }
    }

    /// A relayed, a rejected and a doubtful job, and one of the journal.
    fn good() -> Evidence {
        let states = [("a", "relayed"), ("b", "rejected"), ("c", "unknown"), ("d", "relayed")];
        let told = |(job, state): (&str, &str)| Told {
            job_id: job.to_owned(),
            email: Some(format!("{job}@x.test")),
            submissions: 2,
            answers: vec![answer(if job == "d" { "journaled" } else { state }, &format!("s_{job}"))],
        };
        let arrival =
            |job: &str| Arrival { send: format!("s_{job}"), recipients: vec![format!("{job}@x.test")] };
        Evidence {
            holds_in_doubt: false,
            told: states.map(told).into(),
            arrivals: ["a", "c", "c", "d"].map(arrival).into(),
            ledger: Ledger {
                rows: states.map(|(job, state)| row(job, state)).into(),
                tally: [("relayed", 2), ("rejected", 1), ("unknown", 1)]
                    .map(|(state, jobs)| (state.to_owned(), jobs))
                    .into(),
                held_jobs: 1,
                held_bytes: 100,
                integrity: "ok".to_owned(),
                ..Ledger::default()
            },
        }
    }

    /// The evidence with one thing forged has to be found out.
    #[track_caller]
    fn finds(what: &str, forge: impl FnOnce(&mut Evidence)) {
        let mut evidence = good();
        forge(&mut evidence);
        let found = problems(&evidence);
        assert!(found.iter().any(|line| line.contains(what)), "{what} is not in {found:#?}");
    }

    #[test]
    fn good_evidence_is_good() {
        assert_eq!(problems(&good()), Vec::<String>::new());
    }

    #[test]
    fn a_missing_arrival_is_found() {
        finds("LOST", |evidence| drop(evidence.arrivals.remove(3)));
        finds("told as relayed, and nothing arrived", |evidence| drop(evidence.arrivals.remove(0)));
    }

    #[test]
    fn a_double_is_found_unless_it_is_flagged() {
        let double = |evidence: &mut Evidence| evidence.arrivals.push(evidence.arrivals[3].clone());
        finds("DOUBLED", double);
        let mut flagged = good();
        double(&mut flagged);
        flagged.ledger.rows[3].is_resent = true;
        assert_eq!(problems(&flagged), Vec::<String>::new());
    }

    #[test]
    fn rows_that_are_missing_or_too_many_are_found() {
        finds("accepted and not in the ledger", |evidence| drop(evidence.ledger.rows.remove(3)));
        finds("the ledger does not know it", |evidence| drop(evidence.ledger.rows.remove(0)));
        finds("counts do not add up", |evidence| drop(evidence.ledger.rows.remove(1)));
        finds("two rows of one job", |evidence| evidence.ledger.rows.push(row("a", "relayed")));
        finds("a row nobody submitted", |evidence| evidence.ledger.rows.push(row("z", "relayed")));
        finds("rows of no job", |evidence| evidence.ledger.orphans = 1);
    }

    #[test]
    fn states_that_contradict_are_found() {
        finds("refused, and arrived all the same", |evidence| {
            evidence.arrivals.push(Arrival { send: "s_b".into(), recipients: vec!["b@x.test".into()] });
        });
        finds("no final state", |evidence| evidence.ledger.rows[3].state = "journaled".into());
        finds("told as relayed, kept as another", |evidence| {
            evidence.ledger.rows[0].state = "unknown".into()
        });
        finds("its last event", |evidence| evidence.ledger.rows[0].last_event = None);
        finds("one job under two", |evidence| evidence.told[0].answers.push(answer("relayed", "s_q")));
        finds("never answered", |evidence| evidence.told[1].answers.clear());
    }

    #[test]
    fn what_is_left_over_is_found() {
        finds("waits in a drained journal", |evidence| evidence.ledger.rows[3].is_due = true);
        finds("in flight in a drained", |evidence| evidence.ledger.rows[3].is_in_flight = true);
        finds("held with nothing to be done", |evidence| evidence.ledger.rows[0].has_payload = true);
        finds("counted wrongly", |evidence| evidence.ledger.held_jobs = 2);
        finds("although in doubt is to be held", |evidence| evidence.holds_in_doubt = true);
        finds("proves nothing", |evidence| evidence.arrivals.clear());
        finds("somebody else", |evidence| evidence.arrivals[0].recipients[0] = "b@x.test".into());
    }
}
