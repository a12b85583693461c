//! What is in flight, and the flight log: a small file beside the database that says of each message whether its last
//! octets were about to leave and whether the target has answered. A note is one plain write, so it is there after the
//! process was killed, yet not after a power cut; therefore the log names the boot it belongs to.

use super::file;
use super::record::{Hash, checksum};
use crate::fault::{Enhanced, ReplyCode};
use crate::ticket::Outcome;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

pub const FILE_NAME: &str = "flight.log";

/// Octets of a note and of the header.
const SEAT: usize = 64;
/// Messages that may be on the wire, or answered and not yet committed, at once. The file is this many times [`SEAT`].
const SEATS: u32 = 32_768;
const MAGIC: &[u8; 8] = b"TKNFLT1\0";
const BOOT_OCTETS: usize = 36;
const TARGET_OCTETS_MAX: usize = 39;
/// The header's word for "no commit has failed".
const NONE_REFUSED: i64 = i64::MAX;

/// Which run of the kernel this is; what a process has written survives it, but not the next boot.
pub fn boot_id() -> Option<[u8; BOOT_OCTETS]> {
    let text = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    text.first_chunk().copied()
}

pub type BootId = Option<[u8; BOOT_OCTETS]>;

/// What the log of the last run says.
#[derive(Debug, Default)]
pub struct Log {
    /// `None` when the log cannot be trusted: nothing is known of what was in flight then.
    notes: Option<HashMap<i64, Note>>,
    /// Jobs with higher numbers were refused to their engines because their commit failed, though the disk may have
    /// kept it.
    pub refused_above: Option<i64>,
}

/// How far an attempt got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    NotOffered,
    InDoubt,
    Relayed { target: Box<str>, code: ReplyCode },
    Refused,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Note {
    number: i64,
    attempt: u32,
    kind: Kind,
    code: ReplyCode,
    target: Box<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Offered = 1,
    Relayed = 2,
    Refused = 3,
}

const NO_CODE: ReplyCode = ReplyCode { basic: 0, enhanced: None };

impl Log {
    pub fn read(path: &Path, boot: BootId) -> Self {
        let mut octets = Vec::new();
        let read = File::open(path).and_then(|mut file| file.read_to_end(&mut octets));
        let Some(header) = octets.first_chunk::<SEAT>().filter(|header| read.is_ok() && is_whole(header))
        else {
            return Self::default();
        };
        let refused = i64::from_le_bytes(*header[44..].first_chunk().expect("64 octets"));
        let refused_above = Some(refused).filter(|number| *number != NONE_REFUSED);
        let is_ours = header.starts_with(MAGIC) && boot.is_some_and(|boot| header[8..44] == boot);
        Self { notes: is_ours.then(|| notes(&octets[SEAT..])).flatten(), refused_above }
    }

    pub fn fate(&self, number: i64, attempt: u32) -> Fate {
        let Some(notes) = &self.notes else { return Fate::InDoubt };
        match notes.get(&number).filter(|note| note.attempt == attempt) {
            None => Fate::NotOffered,
            Some(note) => match note.kind {
                Kind::Offered => Fate::InDoubt,
                Kind::Refused => Fate::Refused,
                Kind::Relayed => Fate::Relayed { target: note.target.clone(), code: note.code },
            },
        }
    }
}

/// The notes by job, the last attempt of each; `None` when one cannot be read, as it might be anybody's.
fn notes(octets: &[u8]) -> Option<HashMap<i64, Note>> {
    let mut found: HashMap<i64, Note> = HashMap::new();
    for seat in octets.chunks_exact(SEAT).filter(|seat| seat.iter().any(|octet| *octet != 0)) {
        let note = Note::read(seat.first_chunk().expect("a whole seat"))?;
        if found.get(&note.number).is_none_or(|other| other.attempt <= note.attempt) {
            found.insert(note.number, note);
        }
    }
    Some(found)
}

fn seal(seat: &mut [u8; SEAT]) {
    let sum = checksum(&seat[..SEAT - 4]);
    seat[SEAT - 4..].copy_from_slice(&sum.to_le_bytes());
}

fn is_whole(seat: &[u8; SEAT]) -> bool {
    seat[SEAT - 4..] == checksum(&seat[..SEAT - 4]).to_le_bytes()
}

impl Note {
    fn write(&self) -> [u8; SEAT] {
        let mut seat = [0; SEAT];
        seat[..8].copy_from_slice(&self.number.to_le_bytes());
        seat[8..12].copy_from_slice(&self.attempt.to_le_bytes());
        seat[12..14].copy_from_slice(&self.code.basic.to_le_bytes());
        if let Some(Enhanced(class, subject, detail)) = self.code.enhanced {
            seat[14] = class;
            seat[15..17].copy_from_slice(&subject.to_le_bytes());
            seat[17..19].copy_from_slice(&detail.to_le_bytes());
        }
        // A longer name is left out: the ledger then does not know which target it was.
        let target = Some(self.target.as_bytes()).filter(|name| name.len() <= TARGET_OCTETS_MAX);
        let target = target.unwrap_or_default();
        seat[19] = self.kind as u8 | (target.len() as u8) << 2;
        seat[20..20 + target.len()].copy_from_slice(target);
        seal(&mut seat);
        seat
    }

    fn read(seat: &[u8; SEAT]) -> Option<Self> {
        if !is_whole(seat) {
            return None;
        }
        let short = |at: usize| u16::from_le_bytes([seat[at], seat[at + 1]]);
        let kind = match seat[19] & 3 {
            1 => Kind::Offered,
            2 => Kind::Relayed,
            3 => Kind::Refused,
            _ => return None,
        };
        let enhanced = (seat[14] != 0).then(|| Enhanced(seat[14], short(15), short(17)));
        Some(Self {
            number: i64::from_le_bytes(*seat.first_chunk()?),
            attempt: u32::from_le_bytes(*seat[8..].first_chunk()?),
            kind,
            code: ReplyCode { basic: short(12), enhanced },
            target: std::str::from_utf8(seat.get(20..20 + usize::from(seat[19] >> 2))?).ok()?.into(),
        })
    }
}

/// Why a message must not be offered to a target.
#[derive(Debug)]
pub enum NoNote {
    /// The job is not in flight.
    NotInFlight,
    /// More messages are on the wire than the log has room for.
    Full,
    Io(io::Error),
}

/// The jobs in flight, each with its attempt, and their notes.
#[derive(Debug)]
pub struct Flights {
    file: File,
    boot: BootId,
    // Plain data, held for a few lines.
    seats: Mutex<Seats>,
}

#[derive(Debug)]
struct Seats {
    flying: HashMap<i64, Flying>,
    free: Vec<u32>,
    /// The lowest seat never used.
    next: u32,
}

#[derive(Debug)]
struct Flying {
    attempt: u32,
    seat: Option<u32>,
    row: Option<Box<RowThen>>,
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
    /// Starts an empty log; what the last run noted has been dealt with. Every octet of it is written, so that no
    /// later note finds the disk full.
    pub fn start(path: &Path, boot: BootId) -> io::Result<Self> {
        let file = file::lay_out(path, &header(boot, NONE_REFUSED), SEAT * (SEATS as usize + 1))?;
        Ok(Self {
            file,
            boot,
            seats: Mutex::new(Seats { flying: HashMap::new(), free: Vec::new(), next: 0 }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().expect("no holder of this lock panics")
    }

    pub fn take_off(&self, number: i64, attempt: u32, row: Option<Box<RowThen>>) {
        self.lock().flying.insert(number, Flying { attempt, seat: None, row });
    }

    /// What the row said when the job took off; for its end, so it is given out once.
    pub fn row_then(&self, number: i64) -> Option<Box<RowThen>> {
        self.lock().flying.get_mut(&number)?.row.take()
    }

    /// The attempt is over and the disk knows.
    pub fn land(&self, number: i64) {
        let mut seats = self.lock();
        if let Some(seat) = seats.flying.remove(&number).and_then(|flying| flying.seat) {
            seats.free.push(seat);
        }
    }

    pub fn count(&self) -> usize {
        self.lock().flying.len()
    }

    pub fn offered(&self, number: i64) -> Result<(), NoNote> {
        let (attempt, seat) = {
            let mut seats = self.lock();
            let flying = seats.flying.get(&number).ok_or(NoNote::NotInFlight)?;
            let (attempt, taken) = (flying.attempt, flying.seat);
            let seat = match taken {
                Some(seat) => seat,
                None => seats.find_free().ok_or(NoNote::Full)?,
            };
            seats.flying.entry(number).and_modify(|flying| flying.seat = Some(seat));
            (attempt, seat)
        };
        let note = Note { number, attempt, kind: Kind::Offered, code: NO_CODE, target: "".into() };
        self.write(seat, &note).map_err(NoNote::Io)
    }

    pub fn was_offered(&self, number: i64) -> bool {
        self.lock().flying.get(&number).is_some_and(|flying| flying.seat.is_some())
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
        let offered = self.lock().flying.get(&number).map(|flying| (flying.attempt, flying.seat));
        let Some((attempt, Some(seat))) = offered else { return Ok(()) };
        self.write(seat, &Note { number, attempt, kind, code, target: target.into() })
    }

    /// Notes that jobs above this number were refused, whatever the disk says after a failed commit.
    pub fn refuse_above(&self, number: i64) -> io::Result<()> {
        self.file.write_all_at(&header(self.boot, number), 0)?;
        self.file.sync_data()
    }

    fn write(&self, seat: u32, note: &Note) -> io::Result<()> {
        self.file.write_all_at(&note.write(), (u64::from(seat) + 1) * SEAT as u64)
    }
}

impl Seats {
    fn find_free(&mut self) -> Option<u32> {
        self.free.pop().or_else(|| {
            let seat = self.next;
            (seat < SEATS).then(|| {
                self.next += 1;
                seat
            })
        })
    }
}

fn header(boot: BootId, refused_above: i64) -> [u8; SEAT] {
    let mut header = [0; SEAT];
    header[..8].copy_from_slice(MAGIC);
    header[8..44].copy_from_slice(&boot.unwrap_or([0; BOOT_OCTETS]));
    header[44..52].copy_from_slice(&refused_above.to_le_bytes());
    seal(&mut header);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::tests::{BOOT, busy, relayed};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_note_reads_as_written_and_no_bit_of_it_may_flip(
            number: i64, attempt: u32, kind in 1..4u8, basic in 0..1000u16,
            enhanced in proptest::option::of((1..6u8, 0..1000u16, 0..1000u16)),
            target in "[a-z0-9-]{0,39}", flip in 0..SEAT * 8,
        ) {
            let kind = [Kind::Offered, Kind::Relayed, Kind::Refused][usize::from(kind) - 1];
            let enhanced = enhanced.map(|(class, subject, detail)| Enhanced(class, subject, detail));
            let code = ReplyCode { basic, enhanced };
            let note = Note { number, attempt, kind, code, target: target.into() };
            let mut seat = note.write();
            prop_assert_eq!(Note::read(&seat), Some(note));
            seat[flip / 8] ^= 1 << (flip % 8);
            prop_assert_eq!(Note::read(&seat), None);
        }
    }

    #[test]
    fn seats_are_used_again_and_a_full_log_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let flights = Flights::start(&path, BOOT).unwrap();
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
        let log = Log::read(&path, BOOT);
        assert_eq!(log.fate(last, 1), Fate::InDoubt);
        assert_eq!(log.fate(8, 1), Fate::InDoubt);
        assert_eq!(log.fate(8, 2), Fate::NotOffered, "that was the attempt before");
        assert_eq!(log.fate(7, 1), Fate::NotOffered);
        assert_eq!(log.refused_above, None);
    }

    #[test]
    fn offered_again_it_is_in_doubt_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let flights = Flights::start(&path, BOOT).unwrap();
        flights.take_off(1, 1, None);
        flights.answered(1, &relayed()).unwrap();
        assert_eq!(Log::read(&path, BOOT).fate(1, 1), Fate::NotOffered, "no answer without an offer");
        flights.offered(1).unwrap();
        flights.answered(1, &Outcome::Failed(busy())).unwrap();
        assert_eq!(Log::read(&path, BOOT).fate(1, 1), Fate::Refused);
        flights.offered(1).unwrap();
        assert_eq!(Log::read(&path, BOOT).fate(1, 1), Fate::InDoubt);
        assert_eq!(Log::read(&path, Some([b'9'; 36])).fate(1, 1), Fate::InDoubt);
    }
}
