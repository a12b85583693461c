//! What a start makes of what it finds.

use super::*;

const BOOT: [u8; 36] = [b'7'; 36];

fn file(inode: u64) -> FileIdentity {
    FileIdentity { inode, born: Some(5), volume: None, is_lasting: true }
}

fn header() -> Header {
    Header { boot: BOOT, id: [1; 16], epoch: 9, clock: 500, base: 200, ..Header::default() }
}

fn here() -> Here {
    Here { boot: Some(BOOT), machine: Some([3; 16]), witnesses: Vec::new() }
}

struct Case {
    stamp: Stamp,
    file: FileIdentity,
    log: Option<Header>,
    here: Here,
    memory: Memory,
    told: Option<Told>,
    reach: Reach,
}

impl Case {
    /// Killed, and started again.
    fn new() -> Self {
        let stamp = Stamp { id: [1; 16], epoch: 9, file: file(7), machine: Some([3; 16]) };
        let log = Some(header());
        let reach = Reach { clock: 510, log: 400, file: Some(300) };
        Self { stamp, file: file(7), log, here: here(), memory: Memory::Kept, told: None, reach }
    }

    fn judged(change: impl FnOnce(&mut Self)) -> Provenance {
        let mut case = Self::new();
        change(&mut case);
        let Self { stamp, file, log, here, memory, told, reach } = &case;
        let evidence = Evidence {
            stamp: Stamped::By(stamp),
            reach: *reach,
            file: *file,
            log: log.as_ref(),
            memory: *memory,
            here,
            told: told.as_slice(),
        };
        evidence.judge()
    }
}

/// Right after that start.
fn told(epoch: u64, has_broken_down: bool) -> Option<Told> {
    Some(Told { has_broken_down, ..told_at(epoch, 0) })
}

fn told_at(epoch: u64, clock: i64) -> Told {
    Told { id: [1; 16], boot: Some(BOOT), mark: Mark { epoch, clock }, has_broken_down: false }
}

fn standing(standing: Standing) -> Option<Header> {
    Some(Header { standing, ..header() })
}

#[test]
fn c7_notes_are_trusted_only_when_nothing_broke_in_between() {
    assert_eq!(Case::judged(|_| {}), Provenance::Killed);
    assert_eq!(Case::judged(|case| case.log = standing(Standing::Ended)), Provenance::Ended);
    assert_eq!(Case::judged(|case| case.memory = Memory::Unclear), Provenance::Unsynced, "mounted anew");
    assert_eq!(Case::judged(|case| case.memory = Memory::Lost), Provenance::BrokeDown);
    assert_eq!(Case::judged(|case| case.log = standing(Standing::BrokenDown)), Provenance::BrokeDown);
    // The disk refused even that, and it was said elsewhere.
    assert_eq!(Case::judged(|case| case.told = told(9, true)), Provenance::BrokeDown);
    assert_eq!(Case::judged(|case| case.told = told(8, true)), Provenance::Killed, "dealt with since");
    assert_eq!(Case::judged(|case| case.log = None), Provenance::BrokeDown);
    let other_boot = |case: &mut Case| case.here.boot = Some([b'8'; 36]);
    assert_eq!(Case::judged(other_boot), Provenance::Unsynced);
    assert_eq!(Case::judged(|case| case.here.boot = None), Provenance::Unsynced);
    let ended_then_booted = |case: &mut Case| {
        case.log = standing(Standing::Ended);
        case.here.boot = Some([b'8'; 36]);
    };
    assert_eq!(Case::judged(ended_then_booted), Provenance::Ended);
}

#[test]
fn c12_a_copy_is_known_and_a_container_or_a_reboot_is_none() {
    let copied = Provenance::Copied(Sign::OtherFile);
    let set_back = Provenance::Copied(Sign::SetBack);
    assert_eq!(Case::judged(|case| case.file = file(8)), copied);
    assert_eq!(Case::judged(|case| case.file.born = Some(6)), copied);
    // A container with the same volume gets a new machine id at each start.
    assert_eq!(Case::judged(|case| case.here.machine = Some([4; 16])), Provenance::Killed);
    assert_eq!(Case::judged(|case| case.here.machine = None), Provenance::Killed);
    let only_number = |case: &mut Case| {
        (case.file.born, case.stamp.file.born) = (None, None);
        case.here.machine = Some([4; 16]);
    };
    assert_eq!(Case::judged(only_number), copied, "the same number on another machine's disk");
    // The numbers of such a file system change by themselves.
    let passing = |case: &mut Case| case.file = FileIdentity { is_lasting: false, ..file(8) };
    assert_eq!(Case::judged(passing), Provenance::Killed);
    let subvolume = |case: &mut Case| {
        (case.stamp.file.volume, case.file.volume) = (Some(1), Some(2));
    };
    assert_eq!(Case::judged(subvolume), copied, "a snapshot of btrfs keeps all numbers but this");
    assert_eq!(Case::judged(|case| case.log = Some(Header { epoch: 10, ..header() })), set_back);
    assert_eq!(Case::judged(|case| case.told = told(10, false)), set_back);
    assert_eq!(Case::judged(|case| case.told = told(9, false)), Provenance::Killed);
    let other_id =
        |case: &mut Case| case.told = Some(Told { id: [2; 16], has_broken_down: true, ..told_at(99, 0) });
    assert_eq!(Case::judged(other_id), Provenance::Killed);
}

#[test]
fn c12_what_was_set_back_within_one_run_is_known_by_any_of_the_others() {
    let set_back = Provenance::Copied(Sign::SetBack);
    let log_set_back = Provenance::Copied(Sign::LogSetBack);
    // The database alone, or with its log of commits; also after a clean end, and after a boot.
    let database = |case: &mut Case| case.reach = Reach { clock: 499, log: 300, file: Some(250) };
    assert_eq!(Case::judged(database), set_back);
    let ended = |case: &mut Case| {
        case.log = Some(Header { standing: Standing::Ended, clock: 510, ..header() });
        (case.here.boot, case.reach.clock) = (Some([b'8'; 36]), 509);
    };
    assert_eq!(Case::judged(ended), set_back);
    // Its file alone, below a log of commits that goes on from a later one.
    assert_eq!(Case::judged(|case| case.reach.file = Some(199)), set_back);
    assert_eq!(Case::judged(|case| case.reach.file = None), Provenance::Killed, "nobody can say");
    // The flight log alone: within this run, of a run before; known by the database, and by what was said elsewhere.
    let log_at = |epoch, clock| move |case: &mut Case| case.log = Some(Header { epoch, clock, ..header() });
    assert_eq!(Case::judged(log_at(9, 399)), log_set_back);
    assert_eq!(Case::judged(log_at(8, 450)), log_set_back);
    let said = |case: &mut Case| case.told = Some(told_at(9, 501));
    assert_eq!(Case::judged(said), log_set_back);
    // Everything in the folder: only what was said elsewhere knows.
    let said_later = |case: &mut Case| case.told = Some(told_at(9, 511));
    assert_eq!(Case::judged(said_later), set_back);
}

#[test]
fn c12_neither_a_kill_nor_a_power_cut_looks_like_a_set_back() {
    let with = |clock, log, said, memory| {
        Case::judged(|case| {
            (case.reach, case.memory) = (Reach { clock, log, ..case.reach }, memory);
            case.log = Some(Header { clock: 500, ..header() });
            case.told = Some(told_at(9, said));
        })
    };
    // Killed with commits that were not told to the flight log, and one that was not said elsewhere.
    assert_eq!(with(500, 500, 500, Memory::Kept), Provenance::Killed);
    assert_eq!(with(900, 450, 490, Memory::Kept), Provenance::Killed);
    // The flight log's last writes went with the mount, those elsewhere did not.
    assert_eq!(with(900, 500, 800, Memory::Unclear), Provenance::Unsynced);
    assert_eq!(with(900, 500, 800, Memory::Lost), Provenance::BrokeDown);
    // They went with the power, and elsewhere is a place that lasts.
    let other_boot = |case: &mut Case| {
        case.here.boot = Some([b'8'; 36]);
        (case.reach.clock, case.told) = (900, Some(told_at(9, 800)));
    };
    assert_eq!(Case::judged(other_boot), Provenance::Unsynced);
    // The start had dealt with the log of before, and was killed before it had begun a new one; twice.
    for epoch in [10, 11] {
        let cut_short = |case: &mut Case| {
            case.stamp.epoch = epoch;
            case.reach = Reach { clock: 600, log: 0, file: Some(300) };
            case.told = Some(told_at(9, 490));
        };
        let expected = if epoch == 10 { Provenance::Killed } else { Provenance::BrokeDown };
        assert_eq!(Case::judged(cut_short), expected);
    }
}

#[test]
fn c12_a_stamp_that_cannot_be_read_may_be_anybodys() {
    let case = Case::new();
    let evidence = |stamp| Evidence {
        stamp,
        reach: case.reach,
        file: case.file,
        log: case.log.as_ref(),
        memory: case.memory,
        here: &case.here,
        told: &[],
    };
    let lost = evidence(Stamped::Lost);
    assert_eq!(lost.judge(), Provenance::Copied(Sign::Unreadable));
    assert_eq!(lost.notes(lost.judge()), Notes::Foreign);
    let ours = evidence(Stamped::By(&case.stamp));
    assert_eq!(ours.notes(ours.judge()), Notes::Exact);
    let other = Stamp { id: [2; 16], ..case.stamp.clone() };
    let other = evidence(Stamped::By(&other));
    assert_eq!(other.notes(other.judge()), Notes::Foreign, "the numbers are of other jobs");
    let new = evidence(Stamped::New);
    assert_eq!(new.judge(), Provenance::Emptied, "its flight log is there");
    assert_eq!((new.notes(new.judge()), new.judge().forgotten()), (Notes::Foreign, Forgotten::All));
    assert_eq!(Evidence { log: None, ..new.clone() }.judge(), Provenance::New);
    let told = [told_at(9, 490)];
    assert_eq!(Evidence { log: None, told: &told, ..new }.judge(), Provenance::Emptied);
    assert_eq!(evidence(Stamped::Before).judge(), Provenance::Killed);
}

#[test]
fn a_start_that_was_cut_short_is_no_breakdown() {
    let at = |epoch| {
        move |case: &mut Case| {
            case.log = Some(Header { epoch, ..header() });
            case.reach.log = 0;
        }
    };
    assert_eq!(Case::judged(at(8)), Provenance::Killed);
    assert_eq!(Case::judged(at(7)), Provenance::BrokeDown, "the notes of the last run are gone");
}
