//! The flight log as it lies on the disk: a header that says whose it is, and a note a message.

use super::super::origin::{BootId, Mark, Notes, peek};
use super::super::record::checksum;
use crate::fault::{Enhanced, ReplyCode};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of a note.
pub(super) const SEAT: usize = 64;
pub(super) const HEADER: usize = 128;
const MAGIC: &[u8; 8] = b"TKNFLT2\0";
/// The format before: a header of one seat, which names no journal.
const MAGIC_BEFORE: &[u8; 8] = b"TKNFLT1\0";
const BOOT_OCTETS: usize = 36;
const TARGET_OCTETS_MAX: usize = 39;
/// The header's word for "no commit has failed".
const NONE_REFUSED: i64 = i64::MAX;

pub(super) const NO_CODE: ReplyCode = ReplyCode { basic: 0, enhanced: None };

/// How the run that wrote the log goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It runs, or was killed.
    Running = 0,
    /// It has ended, and everything is on the disk.
    Ended = 1,
    /// A write has failed: nobody knows what the disk has.
    BrokenDown = 2,
}

/// Whose log it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub boot: [u8; BOOT_OCTETS],
    /// The journal, and which of its starts.
    pub id: [u8; 16],
    pub epoch: u64,
    /// The mount it was written through.
    pub mount: Option<u64>,
    pub standing: Standing,
    /// Jobs with higher numbers were refused to their engines because their commit failed, though the disk may have
    /// kept it.
    pub refused_above: Option<i64>,
    /// The last commit that was known to be on the disk, on the journal's clock.
    pub clock: i64,
    /// Likewise, the last that was known to be in the database's own file.
    pub base: i64,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            boot: [0; BOOT_OCTETS],
            id: [0; 16],
            epoch: 0,
            mount: None,
            standing: Standing::Running,
            refused_above: None,
            clock: 0,
            base: 0,
        }
    }
}

impl Header {
    pub fn of_boot(boot: BootId) -> Self {
        Self { boot: boot.unwrap_or([0; BOOT_OCTETS]), ..Self::default() }
    }

    /// How far the journal had come when it was written last.
    pub fn mark(&self) -> Mark {
        Mark { epoch: self.epoch, clock: self.clock }
    }

    pub fn write(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..44].copy_from_slice(&self.boot);
        header[44..52].copy_from_slice(&self.refused_above.unwrap_or(NONE_REFUSED).to_le_bytes());
        header[52..68].copy_from_slice(&self.id);
        header[68..76].copy_from_slice(&self.epoch.to_le_bytes());
        header[76..84].copy_from_slice(&self.mount.unwrap_or(0).to_le_bytes());
        header[84] = self.standing as u8;
        header[85..93].copy_from_slice(&self.clock.to_le_bytes());
        header[93..101].copy_from_slice(&self.base.to_le_bytes());
        seal(&mut header);
        header
    }

    /// The header of the log that lies there, looked at without leaving a trace.
    pub fn peek(path: &Path) -> Option<Self> {
        peek(path).as_ref().and_then(Self::read)
    }

    /// Says in a log that lies there how far its journal has come since, if it is of this run. Back when the disk has it.
    pub fn move_up(path: &Path, id: &[u8; 16], mark: Mark) -> io::Result<()> {
        let file = File::options().read(true).write(true).open(path)?;
        let mut octets = [0; HEADER];
        file.read_exact_at(&mut octets, 0)?;
        let Some(header) = Self::read(&octets).filter(|header| header.id == *id) else { return Ok(()) };
        if header.epoch != mark.epoch || header.clock >= mark.clock {
            return Ok(());
        }
        file.write_all_at(&Self { clock: mark.clock, ..header }.write(), 0)?;
        file.sync_data()
    }

    fn read(header: &[u8; HEADER]) -> Option<Self> {
        if !is_whole(header) || !header.starts_with(MAGIC) {
            return None;
        }
        let number = |at: usize| header[at..].first_chunk().map_or(0, |octets| u64::from_le_bytes(*octets));
        Some(Self {
            boot: *header[8..].first_chunk()?,
            refused_above: refused_above(number(44)),
            id: *header[52..].first_chunk()?,
            epoch: number(68),
            mount: Some(number(76)).filter(|mount| *mount != 0),
            standing: match header[84] {
                0 => Standing::Running,
                1 => Standing::Ended,
                _ => Standing::BrokenDown,
            },
            clock: number(85).cast_signed(),
            base: number(93).cast_signed(),
        })
    }

    fn read_before(header: &[u8; SEAT]) -> Option<Self> {
        if !is_whole(header) || !header.starts_with(MAGIC_BEFORE) {
            return None;
        }
        let refused = u64::from_le_bytes(*header[44..].first_chunk()?);
        Some(Self {
            boot: *header[8..].first_chunk()?,
            refused_above: refused_above(refused),
            ..Self::default()
        })
    }
}

fn refused_above(written: u64) -> Option<i64> {
    Some(written.cast_signed()).filter(|number| *number != NONE_REFUSED)
}

/// What the log of the last run says.
#[derive(Debug, Default)]
pub struct Log {
    /// `None` for a log that is not there, or not whole.
    pub header: Option<Header>,
    /// Likewise: nothing is known of what was in flight then.
    notes: Option<HashMap<i64, Note>>,
}

/// How far an attempt got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    NotOffered,
    InDoubt,
    Relayed { target: Box<str>, code: ReplyCode },
    Refused,
}

impl Log {
    pub fn read(path: &Path) -> Self {
        let Ok(octets) = std::fs::read(path) else { return Self::default() };
        if let Some(header) = octets.first_chunk().and_then(Header::read) {
            return Self { header: Some(header), notes: notes(&octets[HEADER..]) };
        }
        match octets.first_chunk().and_then(Header::read_before) {
            Some(header) => Self { header: Some(header), notes: notes(&octets[SEAT..]) },
            None => Self::default(),
        }
    }

    /// A log of the format before does not say how its run ended; that the database's own log was emptied does.
    pub fn end_if_of_before(&mut self) {
        if let Some(header) = self.header.as_mut().filter(|header| header.epoch == 0) {
            header.standing = Standing::Ended;
        }
    }

    /// How far an attempt got. `is_armed_first`: it left only after a note of it was on the disk.
    pub fn fate(&self, (number, attempt): (i64, u32), trust: Notes, is_armed_first: bool) -> Fate {
        let Some(notes) = self.notes.as_ref().filter(|_| trust != Notes::Foreign) else {
            return Fate::InDoubt;
        };
        let note = notes.get(&number).filter(|note| note.attempt == attempt);
        match (note.map(|note| note.kind), trust) {
            (Some(Kind::Relayed), _) => note
                .map_or(Fate::InDoubt, |note| Fate::Relayed { target: note.target.clone(), code: note.code }),
            (Some(Kind::Refused), Notes::Exact | Notes::Synced) => Fate::Refused,
            (Some(Kind::Armed) | None, Notes::Exact) => Fate::NotOffered,
            (None, Notes::Synced) if is_armed_first => Fate::NotOffered,
            (Some(Kind::Offered), _) | (_, Notes::Synced | Notes::Stray | Notes::Foreign) => Fate::InDoubt,
        }
    }
}

/// How far a message came. The larger counts where there are two notes of one attempt: that one was given back and
/// claimed anew, and stood in another place then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Refused = 3,
    Armed = 0,
    Offered = 1,
    Relayed = 2,
}

impl Kind {
    fn rank(self) -> u8 {
        match self {
            Self::Refused => 0,
            Self::Armed => 1,
            Self::Offered => 2,
            Self::Relayed => 3,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub number: i64,
    pub attempt: u32,
    pub kind: Kind,
    pub code: ReplyCode,
    pub target: Box<str>,
}

/// The notes by job, the last attempt of each; `None` when one cannot be read, as it might be anybody's.
fn notes(octets: &[u8]) -> Option<HashMap<i64, Note>> {
    let mut found: HashMap<i64, Note> = HashMap::new();
    for seat in octets.chunks_exact(SEAT).filter(|seat| seat.iter().any(|octet| *octet != 0)) {
        let note = Note::read(seat.first_chunk()?)?;
        let order = |note: &Note| (note.attempt, note.kind.rank());
        if found.get(&note.number).is_none_or(|other| order(other) <= order(&note)) {
            found.insert(note.number, note);
        }
    }
    Some(found)
}

fn seal(octets: &mut [u8]) {
    let end = octets.len() - 4;
    let sum = checksum(&octets[..end]);
    octets[end..].copy_from_slice(&sum.to_le_bytes());
}

fn is_whole(octets: &[u8]) -> bool {
    let (sealed, sum) = octets.split_at(octets.len() - 4);
    sum == checksum(sealed).to_le_bytes()
}

impl Note {
    pub fn write(&self) -> [u8; SEAT] {
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
            0 => Kind::Armed,
            1 => Kind::Offered,
            2 => Kind::Relayed,
            _ => Kind::Refused,
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [Kind; 4] = [Kind::Armed, Kind::Offered, Kind::Relayed, Kind::Refused];

    proptest! {
        #[test]
        fn a_note_reads_as_written_and_no_bit_of_it_may_flip(
            number: i64, attempt: u32, kind in 0..4usize, basic in 0..1000u16,
            enhanced in proptest::option::of((1..6u8, 0..1000u16, 0..1000u16)),
            target in "[a-z0-9-]{0,39}", flip in 0..SEAT * 8,
        ) {
            let enhanced = enhanced.map(|(class, subject, detail)| Enhanced(class, subject, detail));
            let code = ReplyCode { basic, enhanced };
            let note = Note { number, attempt, kind: KINDS[kind], code, target: target.into() };
            let mut seat = note.write();
            prop_assert_eq!(Note::read(&seat), Some(note));
            seat[flip / 8] ^= 1 << (flip % 8);
            prop_assert_eq!(Note::read(&seat), None);
        }

        #[test]
        fn a_header_reads_as_written_and_no_bit_of_it_may_flip(
            id: [u8; 16], epoch: u64, mount in proptest::option::of(1u64..), refused in proptest::option::of(0..i64::MAX),
            standing in 0..3usize, clock: i64, base: i64, flip in 0..HEADER * 8,
        ) {
            let standing = [Standing::Running, Standing::Ended, Standing::BrokenDown][standing];
            let boot = [b'7'; 36];
            let header = Header { boot, id, epoch, mount, standing, refused_above: refused, clock, base };
            let mut written = header.write();
            prop_assert_eq!(Header::read(&written), Some(header));
            written[flip / 8] ^= 1 << (flip % 8);
            prop_assert_eq!(Header::read(&written), None);
        }
    }

    fn log(kinds: &[Kind]) -> Log {
        let note =
            |kind: &Kind| Note { number: 1, attempt: 2, kind: *kind, code: NO_CODE, target: "".into() };
        let octets: Vec<u8> = kinds.iter().flat_map(|kind| note(kind).write()).collect();
        Log { header: None, notes: notes(&octets) }
    }

    fn told(log: &Log, trust: Notes, is_armed_first: bool) -> Fate {
        log.fate((1, 2), trust, is_armed_first)
    }

    #[test]
    fn c8_what_was_not_armed_on_the_disk_never_left() {
        let (none, armed, offered) = (log(&[]), log(&[Kind::Armed]), log(&[Kind::Offered]));
        assert_eq!(told(&none, Notes::Synced, true), Fate::NotOffered);
        assert_eq!(told(&none, Notes::Synced, false), Fate::InDoubt, "it left before the log knew of it");
        assert_eq!(told(&armed, Notes::Synced, true), Fate::InDoubt);
        assert_eq!(told(&armed, Notes::Exact, true), Fate::NotOffered, "killed before it left");
        assert_eq!(told(&offered, Notes::Exact, true), Fate::InDoubt);
        assert_eq!(told(&offered, Notes::Synced, true), Fate::InDoubt);
        assert_eq!(
            log(&[Kind::Armed]).fate((1, 3), Notes::Synced, true),
            Fate::NotOffered,
            "of another attempt"
        );
    }

    #[test]
    fn c7_after_a_breakdown_only_an_answer_counts() {
        let relayed = Fate::Relayed { target: "".into(), code: NO_CODE };
        assert_eq!(told(&log(&[Kind::Relayed]), Notes::Stray, true), relayed);
        for kinds in [&[][..], &[Kind::Armed], &[Kind::Offered], &[Kind::Refused]] {
            assert_eq!(told(&log(kinds), Notes::Stray, true), Fate::InDoubt);
        }
        assert_eq!(Log::default().fate((1, 2), Notes::Exact, true), Fate::InDoubt);
    }

    #[test]
    fn c12_notes_of_another_journal_say_nothing_of_a_job_with_the_same_number() {
        for kind in KINDS {
            assert_eq!(told(&log(&[kind]), Notes::Foreign, true), Fate::InDoubt);
        }
    }

    #[test]
    fn of_two_notes_of_one_attempt_the_one_that_came_further_counts_wherever_it_stands() {
        for kinds in [[Kind::Refused, Kind::Offered], [Kind::Offered, Kind::Refused]] {
            assert_eq!(told(&log(&kinds), Notes::Exact, true), Fate::InDoubt);
        }
        for kinds in [[Kind::Relayed, Kind::Armed], [Kind::Armed, Kind::Relayed]] {
            assert!(matches!(told(&log(&kinds), Notes::Synced, true), Fate::Relayed { .. }));
        }
    }
}
