//! What is in flight, and the flight log: a small file beside the database that says of each message how far it came. That a
//! message is armed is noted, and on the disk, before it may leave ([`super::arm`]); that its last bytes are about to leave,
//! and what the target answers, are plain writes, so that they are there after the process was killed, yet perhaps not
//! after a power cut.

mod note;

pub use note::{Fate, Header, Log, Standing};

use super::arm::Place;
use super::file;
use super::record::Hash;
use crate::ticket::Outcome;
use note::{HEADER, Kind, NO_CODE, Note, SEAT};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard};

pub const FILE_NAME: &str = "flight.log";

/// Messages that may be on the wire, or answered and not yet committed, at once. The file is this many times [`SEAT`].
const SEATS: u32 = 32_768;

/// Why a message must not be offered to a target.
#[derive(Debug)]
pub enum NoNote {
    /// The job is not in flight.
    NotInFlight,
    /// More messages are on the wire than the log has room for.
    Full,
    Io(io::Error),
}

/// How far an attempt has come is about to be noted, in this seat of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noting {
    number: i64,
    attempt: u32,
    seat: u32,
}

/// The jobs in flight, each with its attempt, and their notes.
#[derive(Debug)]
pub struct Flights {
    file: File,
    // Plain data, held for a line and one write.
    header: Mutex<Header>,
    /// The header's clock as it is in the file, and as it is sure to be on the disk.
    marked: AtomicI64,
    synced: AtomicI64,
    // Plain data, held for a few lines.
    seats: Mutex<Seats>,
}

#[derive(Debug)]
struct Seats {
    flying: HashMap<i64, Flying>,
    /// The lowest is used first, so that notes of the same moment are neighbours and one write for all.
    free: BinaryHeap<Reverse<u32>>,
    /// The lowest seat never used.
    next: u32,
}

#[derive(Debug)]
struct Flying {
    attempt: u32,
    seat: Option<Seat>,
    reached: Reached,
    row: Option<Box<RowThen>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seat {
    At(u32),
    /// A note is on its way into it. It is nobody else's until that is there, whatever becomes of the attempt: it would be
    /// written over what another one has noted.
    Busy(u32),
}

#[derive(Debug)]
enum Reached {
    Claimed,
    /// It may leave when the note is written. Its place among those that are about to leave is free again when it leaves, or is
    /// over.
    Armed(#[expect(dead_code, reason = "it is given back by being dropped")] Place),
    Offered,
}

/// What the row of a job said when it was claimed: what its end has to know need not be read again.
#[derive(Debug, Clone)]
pub struct RowThen {
    pub engine: Box<str>,
    /// Empty when it has none.
    pub campaign: Box<str>,
    pub attempts: u32,
    pub record_bytes: i64,
    pub content: Option<Hash>,
}

impl Flights {
    /// Starts an empty log; what the last run noted has been dealt with. Every byte of it is written, so that no
    /// later note finds the disk full.
    pub fn start(path: &Path, header: Header) -> io::Result<Self> {
        let file = file::lay_out(path, &header.write(), HEADER + SEAT * SEATS as usize)?;
        let seats = Seats { flying: HashMap::new(), free: BinaryHeap::new(), next: 0 };
        let [marked, synced] = [header.clock; 2].map(AtomicI64::new);
        Ok(Self { file, header: Mutex::new(header), marked, synced, seats: Mutex::new(seats) })
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().expect("no holder of this lock panics")
    }

    /// Back when all that was noted by now is on the disk.
    pub fn sync(&self) -> io::Result<()> {
        let marked = self.marked.load(SeqCst);
        self.file.sync_data()?;
        self.synced.fetch_max(marked, SeqCst);
        Ok(())
    }

    /// The last commit that the log is sure to know of after a power cut.
    pub fn knows_of(&self) -> i64 {
        self.synced.load(SeqCst)
    }

    pub fn take_off(&self, number: i64, attempt: u32, row: Option<Box<RowThen>>) {
        let flying = Flying { attempt, seat: None, reached: Reached::Claimed, row };
        self.lock().flying.insert(number, flying);
    }

    /// What the row said when the job took off; for its end, so it is given out once.
    pub fn row_then(&self, number: i64) -> Option<Box<RowThen>> {
        self.lock().flying.get_mut(&number)?.row.take()
    }

    /// The attempt is over and the disk knows.
    pub fn land(&self, number: i64) {
        let mut seats = self.lock();
        // A busy one is given back by whoever writes the note.
        if let Some(Flying { seat: Some(Seat::At(seat)), .. }) = seats.flying.remove(&number) {
            seats.free.push(Reverse(seat));
        }
    }

    pub fn count(&self) -> usize {
        self.lock().flying.len()
    }

    /// A message is about to be allowed to leave. It may once the note is written, and on the disk.
    pub fn begin_arm(&self, number: i64, place: Place) -> Result<Noting, NoNote> {
        self.lock().begin_note(number, Reached::Armed(place))
    }

    /// Writes these notes, those of neighbouring seats together.
    pub fn write_arms(&self, arms: &mut [Noting]) -> io::Result<()> {
        arms.sort_unstable_by_key(|arm| arm.seat);
        for run in arms.chunk_by(|a, b| a.seat + 1 == b.seat) {
            let notes: Vec<u8> = run.iter().flat_map(|arm| arm.note(Kind::Armed).write()).collect();
            self.file.write_all_at(&notes, place_of(run[0].seat))?;
        }
        let mut seats = self.lock();
        arms.iter().for_each(|arm| seats.end_note(arm));
        Ok(())
    }

    /// Notes that its last bytes are about to leave.
    pub fn offered(&self, number: i64) -> Result<(), NoNote> {
        let noting = self.begin_offer(number)?;
        self.write(&noting, &noting.note(Kind::Offered)).map_err(NoNote::Io)
    }

    fn begin_offer(&self, number: i64) -> Result<Noting, NoNote> {
        self.lock().begin_note(number, Reached::Offered)
    }

    pub fn was_offered(&self, number: i64) -> bool {
        let reached = |flying: &Flying| matches!(flying.reached, Reached::Offered);
        self.lock().flying.get(&number).is_some_and(reached)
    }

    /// Notes the answer of the target to what was offered to it. An outcome in doubt is no answer.
    pub fn answered(&self, number: i64, outcome: &Outcome) -> io::Result<()> {
        let (kind, code, target) = match outcome {
            Outcome::Relayed(relayed) => (Kind::Relayed, relayed.code, &*relayed.target),
            Outcome::Failed(fault) if fault.state() != crate::fault::State::Unknown => {
                (Kind::Refused, fault.reply.unwrap_or(NO_CODE), "")
            }
            _ => return Ok(()),
        };
        let Some(noting) = self.begin_answer(number) else { return Ok(()) };
        self.write(&noting, &Note { code, target: target.into(), ..noting.note(kind) })
    }

    fn begin_answer(&self, number: i64) -> Option<Noting> {
        let (attempt, seat) = self.lock().flying.get_mut(&number)?.end()?;
        Some(Noting { number, attempt, seat })
    }

    /// Notes that jobs above this number were refused, whatever the disk says after a failed commit.
    pub fn refuse_above(&self, number: i64) -> io::Result<()> {
        self.say(|header| header.refused_above = Some(number))
    }

    /// Notes how the run goes on. Back when the disk has it.
    pub fn stand(&self, standing: Standing) -> io::Result<()> {
        self.say(|header| header.standing = standing)
    }

    /// Notes the last commit that is known to be on the disk. Not waited for: a kill leaves it, and a power cut no later one.
    pub fn mark(&self, clock: i64) -> io::Result<()> {
        self.put(|header| header.clock = clock)
    }

    /// Likewise the last that the database's own file holds.
    pub fn rest_on(&self, clock: i64) -> io::Result<()> {
        self.put(|header| header.base = clock)
    }

    fn say(&self, change: impl FnOnce(&mut Header)) -> io::Result<()> {
        self.put(change)?;
        self.sync()
    }

    fn put(&self, change: impl FnOnce(&mut Header)) -> io::Result<()> {
        let mut header = self.header.lock().expect("no holder of this lock panics");
        change(&mut header);
        self.file.write_all_at(&header.write(), 0)?;
        self.marked.store(header.clock, SeqCst);
        Ok(())
    }

    fn write(&self, noting: &Noting, note: &Note) -> io::Result<()> {
        let written = self.file.write_all_at(&note.write(), place_of(noting.seat));
        self.lock().end_note(noting);
        written
    }
}

fn place_of(seat: u32) -> u64 {
    HEADER as u64 + u64::from(seat) * SEAT as u64
}

impl Noting {
    fn note(&self, kind: Kind) -> Note {
        Note { number: self.number, attempt: self.attempt, kind, code: NO_CODE, target: "".into() }
    }
}

impl Flying {
    /// It has an answer. Its attempt and seat, if anything of it is noted, and no note of it is on its way: that would be
    /// written over what is said now, and nothing has answered it.
    fn end(&mut self) -> Option<(u32, u32)> {
        let Some(Seat::At(seat)) = self.seat else { return None };
        self.seat = Some(Seat::Busy(seat));
        // What ends without having left, as its person may not be written to, makes room for others at once.
        if matches!(self.reached, Reached::Armed(_)) {
            self.reached = Reached::Claimed;
        }
        Some((self.attempt, seat))
    }
}

impl Seats {
    /// A job in flight has come so far, which is to be noted in its seat, or in one that is free. Not while another note of it is
    /// on its way.
    fn begin_note(&mut self, number: i64, reached: Reached) -> Result<Noting, NoNote> {
        let seat = match self.flying.get(&number).ok_or(NoNote::NotInFlight)?.seat {
            Some(Seat::Busy(_)) => return Err(NoNote::NotInFlight),
            Some(Seat::At(seat)) => seat,
            None => self.find_free().ok_or(NoNote::Full)?,
        };
        let flying = self.flying.get_mut(&number).ok_or(NoNote::NotInFlight)?;
        (flying.seat, flying.reached) = (Some(Seat::Busy(seat)), reached);
        Ok(Noting { number, attempt: flying.attempt, seat })
    }

    /// Its note is written. Where its attempt is over by now, the seat is free.
    fn end_note(&mut self, noting: &Noting) {
        let busy = Some(Seat::Busy(noting.seat));
        match self.flying.get_mut(&noting.number).filter(|flying| flying.seat == busy) {
            Some(flying) => flying.seat = Some(Seat::At(noting.seat)),
            None => self.free.push(Reverse(noting.seat)),
        }
    }

    fn find_free(&mut self) -> Option<u32> {
        self.free.pop().map(|Reverse(seat)| seat).or_else(|| {
            let seat = self.next;
            (seat < SEATS).then(|| {
                self.next += 1;
                seat
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::origin::Notes;
    use crate::journal::tests::{busy, relayed};

    fn fate(path: &Path, number: i64, attempt: u32) -> Fate {
        Log::read(path).fate((number, attempt), Notes::Exact, false)
    }

    #[test]
    fn seats_are_used_again_and_a_full_log_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let flights = Flights::start(&path, Header::default()).unwrap();
        let size = std::fs::metadata(&path).unwrap().len();
        for number in 0..i64::from(SEATS) + 1 {
            flights.take_off(number, 1, None);
        }
        for number in 0..i64::from(SEATS) {
            flights.offered(number).unwrap();
        }
        let last = i64::from(SEATS);
        assert!(matches!(flights.offered(last), Err(NoNote::Full)));
        assert!(matches!(flights.offered(last + 1), Err(NoNote::NotInFlight)));
        flights.answered(7, &relayed()).unwrap();
        flights.land(7);
        flights.offered(last).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), size, "it never grows");
        assert_eq!(fate(&path, last, 1), Fate::InDoubt);
        assert_eq!(fate(&path, 8, 1), Fate::InDoubt);
        assert_eq!(fate(&path, 8, 2), Fate::NotOffered, "that was the attempt before");
        assert_eq!(fate(&path, 7, 1), Fate::NotOffered);
        assert_eq!(Log::read(&path).header.unwrap().refused_above, None);
    }

    fn a_place() -> Place {
        Place::of(&crate::journal::arm::Gate::new(std::sync::Arc::default()))
    }

    #[tokio::test]
    async fn c8_the_notes_of_a_batch_are_written_together() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let flights = Flights::start(&path, Header::default()).unwrap();
        (0..100).for_each(|number| flights.take_off(number, 1, None));
        let mut arms: Vec<Noting> =
            (0..100).map(|number| flights.begin_arm(number, a_place()).unwrap()).collect();
        let seats = |number: i64| Log::read(&path).fate((number, 1), Notes::Synced, true);
        assert!((0..100).all(|number| seats(number) == Fate::NotOffered), "none is there yet");
        // In no order, and with gaps between them.
        arms.reverse();
        arms.retain(|arm| arm.seat % 7 != 3);
        flights.write_arms(&mut arms).unwrap();
        for number in 0..100 {
            let expected = if number % 7 == 3 { Fate::NotOffered } else { Fate::InDoubt };
            assert_eq!(seats(number), expected, "{number}");
        }
        assert!(
            (0..100).all(|number| fate(&path, number, 1) == Fate::NotOffered),
            "after a kill it is exact"
        );
    }

    #[tokio::test]
    async fn c8_a_seat_is_nobody_elses_until_the_note_that_is_on_its_way_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let flights = Flights::start(&path, Header::default()).unwrap();
        flights.take_off(1, 1, None);
        let arm = flights.begin_arm(1, a_place()).unwrap();
        assert!(
            matches!(flights.offered(1), Err(NoNote::NotInFlight)),
            "it may not leave before it is noted"
        );
        assert!(matches!(flights.begin_arm(1, a_place()), Err(NoNote::NotInFlight)));
        flights.answered(1, &Outcome::Failed(busy())).unwrap();
        // Its attempt was given up, and it is claimed anew.
        flights.land(1);
        flights.take_off(1, 1, None);
        flights.take_off(2, 1, None);
        for number in [1, 2] {
            flights.offered(number).unwrap();
        }
        flights.write_arms(&mut [arm]).unwrap();
        assert_eq!([1, 2].map(|number| fate(&path, number, 1)), [Fate::InDoubt, Fate::InDoubt]);
        flights.take_off(3, 1, None);
        assert_eq!(flights.begin_arm(3, a_place()).unwrap().seat, arm.seat, "now it is free");
    }

    /// An attempt that was dropped is settled while its session is about to note that it leaves; or notes an answer late.
    #[test]
    fn c8_a_note_that_comes_late_is_not_written_over_what_another_one_has_noted() {
        type Begin = fn(&Flights) -> Noting;
        let begun: [Begin; 2] =
            [|flights| flights.begin_offer(1).unwrap(), |flights| flights.begin_answer(1).unwrap()];
        for begin in begun {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(FILE_NAME);
            let flights = Flights::start(&path, Header::default()).unwrap();
            flights.take_off(1, 1, None);
            flights.offered(1).unwrap();
            let late = begin(&flights);
            flights.land(1);
            flights.take_off(2, 1, None);
            flights.offered(2).unwrap();
            flights.write(&late, &late.note(Kind::Refused)).unwrap();
            assert_eq!(fate(&path, 2, 1), Fate::InDoubt, "what has left is known to have left");
            flights.take_off(3, 1, None);
            assert_eq!(flights.begin_offer(3).unwrap().seat, late.seat, "now it is free");
        }
    }

    #[test]
    fn offered_again_it_is_in_doubt_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let flights = Flights::start(&path, Header::default()).unwrap();
        flights.take_off(1, 1, None);
        flights.answered(1, &relayed()).unwrap();
        assert_eq!(fate(&path, 1, 1), Fate::NotOffered, "no answer without an offer");
        flights.offered(1).unwrap();
        flights.answered(1, &Outcome::Failed(busy())).unwrap();
        assert_eq!(fate(&path, 1, 1), Fate::Refused);
        flights.offered(1).unwrap();
        assert_eq!(fate(&path, 1, 1), Fate::InDoubt);
    }
}
