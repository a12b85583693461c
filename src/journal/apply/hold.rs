//! Jobs come in.

use super::{Batch, JobRow};
use crate::fault::State;
use crate::job::{Job, Repeat};
use crate::journal::body::Body;
use crate::journal::handoff::Note;
use crate::journal::ledger::change;
use crate::journal::order::{Draft, Ended};
use crate::journal::outcome::{MAYBE_OFFERED, Verdict};
use crate::journal::{Earlier, Held, How, Number, Offer, Resumed, WhenUnknown};
use crate::ticket::Outcome;
use rusqlite::{OptionalExtension, params};
use std::collections::HashSet;

/// What the ledger keeps of a job however it goes on.
struct Row<'a> {
    send: [u8; 16],
    engine: &'a str,
    job_id: Option<&'a str>,
    campaign: Option<&'a str>,
    token: &'a str,
    body: [u8; 16],
    repeat: Repeat,
}

impl<'a> Row<'a> {
    fn of(job: &'a Job, body: Body) -> Self {
        Self {
            send: job.send.bits(),
            engine: &job.engine.name,
            job_id: job.job_id.as_deref(),
            campaign: job.campaign.as_deref(),
            token: job.token.as_str(),
            body: body.0,
            repeat: job.repeat,
        }
    }
}

/// A row that was there before.
struct Before {
    number: i64,
    body: [u8; 16],
    is_held: bool,
    offer: Offer,
    /// Milliseconds of Unix time.
    changed: i64,
    row: JobRow,
}

/// How a job goes on that came before, now that it comes again with the same body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// From the start: its engine was told that nothing is held and to submit it again.
    Anew,
    /// What refused it may have been mended. The refusal stays, as one of its attempts.
    BehindRefusal,
    /// Not at all.
    Not,
}

impl Before {
    /// What its engine is told.
    fn into_outcome(self) -> Outcome {
        let JobRow { was, attempts, repeat, .. } = self.row;
        was.into_outcome(attempts, self.is_held).of_repeat(repeat)
    }

    fn again(&self) -> Again {
        let was = &self.row.was;
        if self.is_held {
            return Again::Not;
        }
        if was.state == State::Deferred {
            return Again::Anew;
        }
        let (outcome, body) = (was.clone().into_outcome(self.row.attempts, self.is_held), Body(self.body));
        let earlier = Earlier { body, outcome, offer: self.offer };
        if earlier.is_judged_anew() { Again::BehindRefusal } else { Again::Not }
    }
}

impl Batch<'_> {
    /// Bytes that these jobs would add, at most.
    pub fn weigh(&mut self, drafts: &[Draft]) -> rusqlite::Result<u64> {
        let mut seen = HashSet::new();
        let mut bytes = 0;
        for draft in drafts {
            bytes += draft.row_bytes();
            if let Some(content) = &draft.written.content
                && seen.insert(content.hash)
                && self.is_new_content(content.hash)?
            {
                bytes += content.octets.len() as u64;
            }
        }
        Ok(bytes)
    }

    /// Bytes held once this commit is done, without contents.
    pub fn held_bytes_change(&self) -> i64 {
        let contents: i64 = self.contents.values().map(super::content::Uses::bytes_new).sum();
        self.held_bytes + contents
    }

    pub fn hold(&mut self, draft: &Draft) -> rusqlite::Result<Held> {
        let (verdict, attempts) = match &draft.how {
            How::Queued | How::InFlight => (Verdict::plain(State::Journaled), 0),
            How::Failed(fault) => (Verdict::failed(fault).into_state(State::Journaled), 1),
            How::InDoubt(fault) if self.settings.unknown == WhenUnknown::Hold => (Verdict::failed(fault), 1),
            How::InDoubt(fault) => (Verdict::failed(fault).into_state(State::Journaled), 1),
        };
        let is_resent = matches!(draft.how, How::InDoubt(_)) && self.settings.unknown == WhenUnknown::Resend;
        if let Some(number) =
            self.insert(&Row::of(&draft.job, draft.body), &verdict, (attempts, is_resent))?
        {
            self.keep(number, draft, 0)?;
            return Ok(Held::New(Number(number)));
        }
        let mut before = self.before(draft.job.send.bits())?;
        if before.body != draft.body.0 {
            return Ok(Held::Other);
        }
        let is_in_doubt = matches!(draft.how, How::InDoubt(_)) && before.row.was.state == State::Unknown;
        let earlier = match before.again() {
            Again::Anew => 0,
            Again::BehindRefusal => self.put_behind(&before)?,
            // A handoff was left in doubt, and here is what it was made of.
            Again::Not if !before.is_held && is_in_doubt => 0,
            Again::Not => return Ok(Held::Before(before.into_outcome())),
        };
        before.row.attempts = earlier + attempts;
        before.row.is_resent |= is_resent;
        before.row.may_repeat(draft.job.repeat);
        self.update(before.number, &before.row, &verdict)?;
        self.keep(before.number, draft, earlier)?;
        Ok(Held::New(Number(before.number)))
    }

    /// A refusal becomes one of the job's attempts. How many there are now.
    fn put_behind(&mut self, before: &Before) -> rusqlite::Result<u32> {
        self.forget_kept(before.number)?;
        self.db.prepare_cached("DELETE FROM flight WHERE job = ?1")?.execute([before.number])?;
        change::put_behind(self.db, before.number)?;
        Ok(before.row.attempts)
    }

    /// Whether a job that comes again is to be attempted outside of the journal. Whoever is told so is the only one who may:
    /// until the attempt is over the job counts as in flight. What was kept of it stays until the ledger has the outcome.
    pub fn resume(&mut self, send: [u8; 16], body: Body) -> rusqlite::Result<Resumed<()>> {
        let Some(before) = self.before(send).optional()? else { return Ok(Resumed::Anew(())) };
        if before.body != body.0 {
            return Ok(Resumed::Other);
        }
        match before.again() {
            Again::Anew => Ok(Resumed::Anew(())),
            Again::BehindRefusal => {
                let mut put =
                    self.db.prepare_cached("INSERT OR IGNORE INTO flight (job, since) VALUES (?1, ?2)")?;
                put.execute([before.number, self.moment.clock])?;
                Ok(Resumed::Anew(()))
            }
            Again::Not => Ok(Resumed::Before(before.into_outcome())),
        }
    }

    fn is_in_flight(&self, number: i64) -> rusqlite::Result<bool> {
        self.db.prepare_cached("SELECT 1 FROM flight WHERE job = ?1")?.exists([number])
    }

    /// The attempt at a job that was resumed is over. Where the ledger has its outcome by now, there is nothing to do.
    pub fn end_resumed(&mut self, send: [u8; 16]) -> rusqlite::Result<()> {
        let mut end = self.db.prepare_cached(
            "DELETE FROM flight WHERE job = (SELECT id FROM job WHERE send = ?1)
                 AND NOT EXISTS (SELECT 1 FROM payload WHERE payload.job = flight.job)",
        )?;
        end.execute([send])?;
        Ok(())
    }

    /// The last run was stopped within such an attempt, of which nothing else is known. Where it may have come further a person
    /// must not have it sent in silence: it is its engine's, which has no answer, and flagged when it comes again.
    pub fn give_back_resumed(&mut self, number: i64, handed_off: Repeat) -> rusqlite::Result<()> {
        let given = self.db.prepare_cached("DELETE FROM flight WHERE job = ?1")?.execute([number])?;
        match (given, handed_off) {
            (0, _) | (_, Repeat::No) => Ok(()),
            (_, Repeat::Maybe) => self.forget_kept(number),
        }
    }

    /// What became of a job that came before and was not held, where it goes on at all.
    fn go_on(&mut self, mut before: Before, now: &Row<'_>, verdict: &Verdict) -> rusqlite::Result<bool> {
        if before.body != now.body {
            return Ok(false);
        }
        match before.again() {
            Again::Anew => {}
            Again::BehindRefusal => _ = self.put_behind(&before)?,
            Again::Not => return Ok(false),
        }
        before.row.attempts += 1;
        before.row.may_repeat(now.repeat);
        self.update(before.number, &before.row, verdict)?;
        self.event(before.number, verdict, before.row.attempts);
        Ok(true)
    }

    /// The outcome of a job that was never held.
    pub fn record(&mut self, ended: &Ended) -> rusqlite::Result<()> {
        let verdict = Verdict::of(&ended.outcome);
        let row = Row::of(&ended.job, ended.body);
        let number = match self.insert(&row, &verdict, (1, false))? {
            Some(number) => {
                self.event(number, &verdict, 1);
                number
            }
            None => {
                let before = self.before(ended.job.send.bits())?;
                let number = before.number;
                if !self.go_on(before, &row, &verdict)? {
                    return Ok(());
                }
                number
            }
        };
        match &ended.written {
            Some(written) => self.keep_written(number, &ended.job, written),
            None => Ok(()),
        }
    }

    /// A job that was on its way without being held when the relay was killed. Whether that is news to the ledger.
    pub fn note(&mut self, note: &Note) -> rusqlite::Result<bool> {
        let verdict = note.verdict();
        let row = Row {
            send: note.send,
            engine: &note.engine,
            job_id: note.job_id.as_deref(),
            campaign: note.campaign.as_deref(),
            token: &note.token,
            body: note.body,
            repeat: super::repeat(note.maybe_repeated),
        };
        let Some(number) = self.insert(&row, &verdict, (1, false))? else {
            let before = self.before(note.send)?;
            // An answer that stands in a place that was given back is older than what the ledger says, unless the job was
            // under way anew: then it is of that attempt, whatever was done to the clock since.
            if note.is_answered() && note.accepted <= before.changed && !self.is_in_flight(before.number)? {
                return Ok(false);
            }
            return self.go_on(before, &row, &verdict);
        };
        self.event(number, &verdict, 1);
        Ok(true)
    }

    /// A new row of the ledger; `None` when there is one of this job.
    fn insert(
        &mut self,
        job: &Row<'_>,
        verdict: &Verdict,
        (attempts, is_resent): (u32, bool),
    ) -> rusqlite::Result<Option<i64>> {
        let mut insert = self.db.prepare_cached(
            "INSERT INTO job (send, engine, job_id, campaign, token, body, accepted, changed,
                 state, reason, detail, target, code, enhanced, attempts, is_resent, maybe_repeated)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
                 ON CONFLICT (send) DO NOTHING",
        )?;
        let added = insert.execute(params![
            job.send,
            job.engine,
            job.job_id,
            job.campaign,
            job.token,
            job.body,
            self.moment.wall,
            verdict.state.as_str(),
            verdict.reason_word(),
            verdict.detail,
            verdict.target,
            verdict.code,
            verdict.enhanced_text(),
            attempts,
            is_resent,
            job.repeat == Repeat::Maybe
        ])?;
        drop(insert);
        if added == 0 {
            return Ok(None);
        }
        let number = self.db.last_insert_rowid();
        self.last_job = Some(number);
        self.count((job.engine, job.campaign.unwrap_or_default()), verdict, 1);
        Ok(Some(number))
    }

    fn before(&self, send: [u8; 16]) -> rusqlite::Result<Before> {
        let mut select = self.db.prepare_cached(&format!(
            "SELECT id, body, EXISTS (SELECT 1 FROM payload WHERE payload.job = job.id), {MAYBE_OFFERED}, changed
                 FROM job WHERE send = ?1"
        ))?;
        select.query_row([send], |row| {
            let number = row.get(0)?;
            Ok(Before {
                number,
                body: row.get(1)?,
                is_held: row.get(2)?,
                offer: if row.get(3)? { Offer::Maybe } else { Offer::Never },
                changed: row.get(4)?,
                row: self.job(number)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?,
            })
        })
    }

    /// Keeps what the job is made from, and puts it where it goes on from, behind so many attempts.
    fn keep(&mut self, number: i64, draft: &Draft, earlier: u32) -> rusqlite::Result<()> {
        let (written, target) = (&draft.written, draft.job.target.as_deref().unwrap_or_default());
        let at = match &draft.how {
            How::Queued | How::InFlight => self.moment.clock,
            How::Failed(_) | How::InDoubt(_) => self.next_attempt(1),
        };
        self.db
            .prepare_cached(
                "INSERT INTO payload (job, expires, target, due, content, record, checksum)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                number,
                draft.expires,
                target,
                at,
                written.content.as_ref().map(|content| content.hash),
                written.record,
                written.checksum
            ])?;
        self.note_deadline(number, draft.expires);
        self.held_bytes += draft.row_bytes() as i64;
        self.held_jobs += 1;
        if let Some(content) = &written.content {
            self.use_content(content.hash, Some(content))?;
        }
        let journaled = Verdict::plain(State::Journaled);
        match &draft.how {
            How::Queued => {
                self.event(number, &journaled, earlier);
                self.put_due(number, target, false, at)
            }
            How::InFlight => {
                self.event(number, &journaled, earlier);
                self.put_in_flight(number)
            }
            How::Failed(fault) => {
                self.event(number, &journaled, earlier + 1);
                self.attempt(number, earlier + 1, &Verdict::failed(fault))?;
                self.put_due(number, target, true, at)
            }
            How::InDoubt(fault) => {
                let verdict = Verdict::failed(fault);
                self.event(number, &verdict, earlier + 1);
                self.attempt(number, earlier + 1, &verdict)?;
                if self.settings.unknown == WhenUnknown::Hold {
                    return Ok(());
                }
                self.put_due(number, target, true, at)
            }
        }
    }
}
