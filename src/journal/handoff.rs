//! The handoff log: what is on its way to a target without being held. Nobody waits for this file; it is written so
//! that a killed relay knows which messages it had let go of. Each becomes a row of the ledger at the next start,
//! `relayed` if the target's answer was noted and `unknown` otherwise, so that the same job, submitted again by an
//! engine that got no answer, is not sent again in silence. After a power cut some of them may be missing; one that is
//! there is true.

use super::body::Body;
use super::file;
use super::origin::Mark;
use super::outcome::Verdict;
use super::record::checksum;
use crate::fault::{Enhanced, Fault, Reason, State};
use crate::job::{Job, Repeat};
use crate::ticket::Outcome;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub const FILE_NAME: &str = "handoff.log";

/// Octets of a note: names of engine, job, campaign and target of their greatest lengths fit.
const SEAT: usize = 1024;
/// Length and checksum in front of a note.
const HEAD: usize = 8;
/// Handoffs under way, or ended and not yet in the ledger, at once.
const SEATS: u32 = 8_192;
const MAGIC: &[u8; 8] = b"TKNHND1\0";
/// Where the header says whose it is, and how far the journal had come. What lies before was of use to an earlier version.
const ID_AT: usize = 44;
const MARK_AT: usize = ID_AT + 16;
const DOUBT: &str = "the relay stopped while the message was on its way; it may have arrived";

/// A job that was on its way when the relay was killed, with what is known of its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    pub send: [u8; 16],
    pub body: [u8; 16],
    pub engine: Box<str>,
    pub job_id: Option<Box<str>>,
    pub campaign: Option<Box<str>>,
    pub token: Box<str>,
    /// Unix time in milliseconds.
    pub accepted: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maybe_repeated: bool,
    answer: Option<Answer>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Answer {
    state: Box<str>,
    reason: Option<Box<str>>,
    target: Option<Arc<str>>,
    code: Option<u16>,
    enhanced: Option<Box<str>>,
}

impl Note {
    fn of(job: &Job, body: Body) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            send: job.send.bits(),
            body: body.0,
            engine: job.engine.name.as_ref().into(),
            job_id: job.job_id.clone(),
            campaign: job.campaign.clone(),
            token: job.token.as_str().into(),
            accepted: i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
            maybe_repeated: job.repeat == Repeat::Maybe,
            answer: None,
        }
    }

    /// Whether what became of it was noted too.
    pub fn is_answered(&self) -> bool {
        self.answer.is_some()
    }

    /// What the ledger is to say of it.
    pub fn verdict(&self) -> Verdict {
        let Some(answer) = &self.answer else {
            return Verdict::failed(&Fault::in_doubt(DOUBT));
        };
        Verdict {
            reason: answer.reason.as_deref().and_then(Reason::parse),
            target: answer.target.clone(),
            code: answer.code,
            enhanced: answer.enhanced.as_deref().and_then(Enhanced::parse),
            ..Verdict::plain(State::parse(&answer.state).unwrap_or(State::Unknown))
        }
    }
}

impl Answer {
    fn of(outcome: &Outcome) -> Self {
        let verdict = Verdict::of(outcome);
        Self {
            state: verdict.state.as_str().into(),
            reason: verdict.reason_word().map(Box::from),
            code: verdict.code,
            enhanced: verdict.enhanced_text().map(Box::from),
            target: verdict.target,
        }
    }
}

/// Of which journal a log is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Header {
    pub id: [u8; 16],
    /// The last commit that it was told of, before the flight log was.
    pub mark: Mark,
}

/// What the last run has left.
#[derive(Debug, Default)]
pub struct LastLog {
    /// `None` where there is no log that can be read.
    header: Option<Header>,
    pub notes: Vec<Note>,
}

impl LastLog {
    /// Nothing when it is not whole.
    pub fn read(path: &Path) -> Self {
        let octets = std::fs::read(path).unwrap_or_default();
        let Some(header) = read_header(&octets) else { return Self::default() };
        Self {
            header: Some(header),
            notes: octets.chunks_exact(SEAT).skip(1).filter_map(read_seat).collect(),
        }
    }

    /// Whether what was handed off last may not be in it: it was set back alone, or is gone. `flights` is what the flight log
    /// says, which is told of a commit after this one, so that a kill never leaves this one behind.
    pub fn is_behind(&self, flights: Header) -> bool {
        let Some(header) = self.header else { return true };
        let says_nothing = header.id == Header::default().id;
        !says_nothing && (header.id != flights.id || header.mark < flights.mark)
    }
}

fn read_header(octets: &[u8]) -> Option<Header> {
    let header = octets.strip_prefix(MAGIC).and_then(|_| octets.get(..SEAT))?;
    let (epoch, clock) = (header[MARK_AT..].first_chunk()?, header[MARK_AT + 8..].first_chunk()?);
    let mark = Mark { epoch: u64::from_le_bytes(*epoch), clock: i64::from_le_bytes(*clock) };
    Some(Header { id: *header[ID_AT..].first_chunk()?, mark })
}

/// Says in a log that lies there how far its journal has come since, if it is of this run. Back when the disk has it.
pub fn move_up(path: &Path, to: Header) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut octets = [0; SEAT];
    file.read_exact_at(&mut octets, 0)?;
    let is_older = |header: &Header| {
        header.id == to.id && header.mark.epoch == to.mark.epoch && header.mark.clock < to.mark.clock
    };
    if read_header(&octets).as_ref().is_none_or(|header| !is_older(header)) {
        return Ok(());
    }
    file.write_all_at(&to.mark.clock.to_le_bytes(), (MARK_AT + 8) as u64)?;
    file.sync_data()
}

fn read_seat(seat: &[u8]) -> Option<Note> {
    let (head, rest) = seat.split_at(HEAD);
    let length = u32::from_le_bytes(*head.first_chunk()?) as usize;
    let text = rest.get(..length).filter(|text| !text.is_empty())?;
    let is_whole = head[4..] == checksum(text).to_le_bytes();
    is_whole.then(|| serde_json::from_slice(text).ok()).flatten()
}

fn written(Header { id, mark }: Header) -> [u8; SEAT] {
    let mut header = [0; SEAT];
    header[..MAGIC.len()].copy_from_slice(MAGIC);
    header[ID_AT..MARK_AT].copy_from_slice(&id);
    header[MARK_AT..MARK_AT + 8].copy_from_slice(&mark.epoch.to_le_bytes());
    header[MARK_AT + 8..MARK_AT + 16].copy_from_slice(&mark.clock.to_le_bytes());
    header
}

#[derive(Debug)]
pub struct HandoffLog {
    file: File,
    // Plain data, held for a line.
    free: Mutex<Free>,
    /// As many permits as there are places.
    places: Arc<Semaphore>,
    /// Nothing more leaves: what became of it could not be written.
    is_stopped: AtomicBool,
}

#[derive(Debug, Default)]
struct Free {
    seats: Vec<u32>,
    /// The lowest seat never used.
    next: u32,
}

impl HandoffLog {
    /// Starts an empty log. Every octet of it is written, so that no later note finds the disk full.
    pub fn start(path: &Path, header: Header) -> io::Result<Self> {
        let file = file::lay_out(path, &written(header), SEAT * (SEATS as usize + 1))?;
        let places = Arc::new(Semaphore::new(SEATS as usize));
        Ok(Self { file, free: Mutex::default(), places, is_stopped: AtomicBool::new(false) })
    }

    /// Notes the last commit that is known to be on the disk. Not waited for: only a kill is judged by it.
    pub fn mark(&self, clock: i64) -> io::Result<()> {
        self.file.write_all_at(&clock.to_le_bytes(), (MARK_AT + 8) as u64)
    }

    /// From here on no message is let go of.
    pub fn stop(&self) {
        self.is_stopped.store(true, SeqCst);
    }

    /// Nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.places.available_permits() == SEATS as usize
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Free> {
        self.free.lock().expect("no holder of this lock panics")
    }

    fn take_seat(&self) -> Option<u32> {
        let mut free = self.free();
        free.seats.pop().or_else(|| {
            let seat = free.next;
            (seat < SEATS).then(|| {
                free.next += 1;
                seat
            })
        })
    }

    fn write(&self, seat: u32, note: Option<&Note>) -> io::Result<()> {
        let mut octets = vec![0; HEAD];
        if let Some(note) = note {
            serde_json::to_writer(&mut octets, note).map_err(io::Error::other)?;
            let length = octets.len() - HEAD;
            if length > SEAT - HEAD {
                return Err(io::Error::other("a note is longer than its place"));
            }
            let sum = checksum(&octets[HEAD..]);
            octets[..4].copy_from_slice(&(length as u32).to_le_bytes());
            octets[4..HEAD].copy_from_slice(&sum.to_le_bytes());
        }
        self.file.write_all_at(&octets, (u64::from(seat) + 1) * SEAT as u64)
    }
}

/// One job on its way without being held. Its place in the log is free again when this is dropped, which is when the
/// ledger has its outcome; what stands in a free place is known to the ledger already.
#[derive(Debug)]
pub struct Handoff {
    log: Arc<HandoffLog>,
    job: Arc<Job>,
    body: Body,
    // Plain data, held for a line and one write.
    seat: Mutex<Option<u32>>,
    /// Given back behind the place.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Handoff {
    /// Waits for a place: while the disk is slow, so are the doors.
    pub(super) async fn new(log: Arc<HandoffLog>, job: Arc<Job>, body: Body) -> Self {
        // Nobody closes it.
        let permit = log.places.clone().acquire_owned().await.ok();
        Self { log, job, body, seat: Mutex::new(None), _permit: permit }
    }

    pub(super) fn job(&self) -> (Arc<Job>, Body) {
        (self.job.clone(), self.body)
    }

    fn seat(&self) -> std::sync::MutexGuard<'_, Option<u32>> {
        self.seat.lock().expect("no holder of this lock panics")
    }

    /// To be called right before the content of the message leaves. False: that could not be noted, so the message
    /// must not leave.
    pub fn offered(&self) -> bool {
        if self.log.is_stopped.load(SeqCst) {
            return false;
        }
        let mut seat = self.seat();
        let Some(taken) = seat.or_else(|| self.log.take_seat()) else { return false };
        *seat = Some(taken);
        self.log.write(taken, Some(&Note::of(&self.job, self.body))).is_ok()
    }

    /// Notes how it ended. What may be tried again is as if it had never been offered; in doubt it stays.
    pub fn ended(&self, outcome: &Outcome) {
        let Some(seat) = *self.seat() else { return };
        let written = match outcome.state() {
            State::Unknown | State::Lost => return,
            State::Deferred | State::Journaled => self.log.write(seat, None),
            _ => {
                let answer = Some(Answer::of(outcome));
                self.log.write(seat, Some(&Note { answer, ..Note::of(&self.job, self.body) }))
            }
        };
        if let Err(error) = written {
            tracing::warn!(%error, "a note of the handoff log could not be written");
        }
    }
}

impl Drop for Handoff {
    fn drop(&mut self) {
        if let Some(seat) = self.seat().take() {
            self.log.free().seats.push(seat);
        }
    }
}
