//! What the last run left in flight is judged by its logs: what had left, and what has to be tried again.

use super::Settings;
use super::apply::{Batch, Moment};
use super::clock::{Clock, millis, wall_ms};
use super::flight::{Fate, Log};
use super::handoff::{LastLog, Note};
use super::order::End;
use super::origin::{Notes, Provenance};
use super::outcome::Verdict;
use super::recovered::Recovered;
use super::run::{self, Run};
use super::schedule::Chance;
use crate::fault::{Fault, State};
use crate::job::Repeat;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior};

/// What the judgement of the last run rests on.
pub struct Judging<'a> {
    pub settings: &'a Settings,
    pub clock: Clock,
    pub log: &'a Log,
    pub handoffs: &'a LastLog,
    pub before: Option<&'a Run>,
    pub run: &'a Run,
    pub provenance: Provenance,
    /// How much of the flight log can be believed.
    pub notes: Notes,
    /// Whether what was handed off may have come further than is noted.
    pub handed_off: Repeat,
}

impl Judging<'_> {
    /// Up to which number jobs may stand that were accepted, if a commit of the last run has failed.
    fn refused_above(&self) -> Option<i64> {
        let log = self.log.header.as_ref()?;
        let is_of_last_run = self.before.is_none_or(|run| {
            run.stamp.id == log.id && (run.stamp.epoch..=run.stamp.epoch + 1).contains(&(log.epoch + 1))
        });
        log.refused_above.filter(|_| is_of_last_run)
    }

    fn handoff_of(&self, db: &Connection, number: i64) -> rusqlite::Result<Option<&Note>> {
        let send: Option<[u8; 16]> =
            db.query_row("SELECT send FROM job WHERE id = ?1", [number], |row| row.get(0)).optional()?;
        Ok(self.handoffs.notes.iter().find(|note| Some(note.send) == send))
    }
}

/// A job that was in flight.
struct InFlight {
    number: i64,
    attempts: u32,
    is_armed_first: bool,
    /// It is not held: it was refused before, and attempted anew outside of the journal.
    is_resumed: bool,
}

pub fn judge(db: &mut Connection, judging: &Judging<'_>, chance: &mut Chance) -> rusqlite::Result<Recovered> {
    let mut recovered = Recovered::of(judging.provenance);
    let all = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Nothing that the flight log of before says is needed behind this commit.
    let moment = Moment { clock: judging.clock.now_ms(), wall: wall_ms(), before: 0, log: 0 };
    let mut batch = Batch::new(&all, judging.settings, moment, chance);
    if let Some(last) = judging.refused_above() {
        for number in refused(&all, last)? {
            recovered.refused += 1;
            batch.refuse(number)?;
        }
    }
    let (resumed, held): (Vec<_>, Vec<_>) =
        in_flight(&all)?.into_iter().partition(|flight| flight.is_resumed);
    for flight in held {
        let end = end_of(&all, judging, &flight, &mut recovered)?;
        batch.settle(flight.number, &end, None)?;
    }
    let oldest = moment.wall.saturating_sub(millis(judging.settings.retention));
    for note in judging.handoffs.notes.iter().filter(|note| note.accepted >= oldest) {
        recovered.handed_off += u64::from(batch.note(note)?);
    }
    // Of these no note says more.
    for flight in resumed {
        batch.give_back_resumed(flight.number, judging.handed_off)?;
    }
    batch.finish()?;
    if judging.provenance.sign().is_some() {
        run::park(&all)?;
    }
    recovered.parked = run::parked(&all)?;
    judging.run.write(&all)?;
    all.commit()?;
    Ok(recovered)
}

/// How the attempt ended that was under way when the last run did.
fn end_of(
    db: &Connection,
    judging: &Judging<'_>,
    flight: &InFlight,
    recovered: &mut Recovered,
) -> rusqlite::Result<End> {
    let InFlight { number, attempts, is_armed_first, is_resumed: _ } = *flight;
    // A job that was held while it was handed off was offered before the flight log knew of it.
    let was_handed_off = attempts == 0 && !is_armed_first;
    let noted = if was_handed_off { judging.handoff_of(db, number)? } else { None };
    let fate = judging.log.fate((number, attempts + 1), judging.notes, is_armed_first);
    if let (Fate::NotOffered | Fate::InDoubt, Some(note)) = (&fate, noted) {
        let verdict = note.verdict();
        recovered.in_doubt += u64::from(verdict.state == State::Unknown);
        recovered.relayed += u64::from(verdict.state == State::Relayed);
        return Ok(End::Known(verdict));
    }
    Ok(match fate {
        Fate::NotOffered | Fate::Refused => {
            recovered.given_back += 1;
            End::GivenBack
        }
        Fate::InDoubt => {
            recovered.in_doubt += 1;
            End::Known(Verdict::failed(&Fault::in_doubt(
                "the relay stopped while the message was on its way",
            )))
        }
        Fate::Relayed { target, code } => {
            recovered.relayed += 1;
            let target = Some(target).filter(|name| !name.is_empty()).map(|name| (&*name).into());
            End::Known(Verdict {
                target,
                code: Some(code.basic),
                enhanced: code.enhanced,
                ..Verdict::plain(State::Relayed)
            })
        }
    })
}

fn refused(db: &Connection, above: i64) -> rusqlite::Result<Vec<i64>> {
    let mut select = db.prepare("SELECT id FROM job WHERE id > ?1 AND state = 'journaled'")?;
    select.query_map([above], |row| row.get(0))?.collect()
}

fn in_flight(db: &Connection) -> rusqlite::Result<Vec<InFlight>> {
    let mut select = db.prepare(
        "SELECT flight.job, ifnull(job.attempts, 0), flight.is_armed_first, ifnull(job.state <> 'journaled'
                     AND NOT EXISTS (SELECT 1 FROM payload WHERE payload.job = job.id), 0)
             FROM flight LEFT JOIN job ON job.id = flight.job",
    )?;
    let read = |row: &Row<'_>| {
        Ok(InFlight {
            number: row.get(0)?,
            attempts: row.get(1)?,
            is_armed_first: row.get(2)?,
            is_resumed: row.get(3)?,
        })
    };
    select.query_map([], read)?.collect()
}
