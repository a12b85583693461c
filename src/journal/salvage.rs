//! What can be read of a damaged database file goes into a new one. Once that is whole, the damaged one is set aside.

use super::Settings;
use super::clock::{Clock, millis, wall_ms};
use super::error::{JournalError, Trouble, io_error, store_error};
use super::file;
use super::origin::{FileIdentity, Likeness};
use super::rescue;
use super::run::{self, Last};
use super::salvaged::Salvaged;
use super::schema::FORMAT_STAMPED;
use super::shared::DAMAGED_MARK;
use rusqlite::{Connection, TransactionBehavior};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder in which the new file is made.
const UNFINISHED: &str = "saving";
/// What a finished new file is called until it has its name: with all, or with a part of what there was.
const FINISHED: [(&str, bool); 2] = [("saved-", true), ("saved-in-part-", false)];

/// A new file that is whole and on the disk. From here on it counts, whatever stops this run.
struct Saved {
    at: PathBuf,
    number: i64,
    is_complete: bool,
}

/// Makes a new file from what can be read of this one, which stays where it is until the new one is whole. Stopped before, or
/// without room, it leaves everything to the next start.
pub fn salvage(settings: &Settings, path: &Path) -> Result<Salvaged, JournalError> {
    let cradle = beside(path, UNFINISHED);
    // What a run left that was stopped at it.
    clear(&cradle)?;
    let saved = save(settings, path, &cradle);
    let cleared = clear(&cradle);
    let saved = saved.map_err(|error| match error {
        JournalError::Unavailable { trouble: Trouble::DiskFull, .. } => JournalError::no_room(path),
        error => error,
    })?;
    cleared?;
    take_place(path, saved)
}

/// Goes on where a run was stopped that had finished the new file.
pub fn resume(path: &Path) -> Result<Option<Salvaged>, JournalError> {
    let failed = io_error(path);
    for found in path.parent().into_iter().map(fs::read_dir) {
        for entry in found.map_err(&failed)? {
            let at = entry.map_err(&failed)?.path();
            if let Some((number, is_complete)) = finished(path, &at) {
                return take_place(path, Saved { at, number, is_complete }).map(Some);
            }
        }
    }
    Ok(None)
}

fn finished(path: &Path, at: &Path) -> Option<(i64, bool)> {
    let name = at.file_name()?.to_str()?;
    let rest = name.strip_prefix(path.file_name()?.to_str()?)?.strip_prefix('.')?;
    let parse = |(prefix, is_complete)| Some((rest.strip_prefix(prefix)?.parse().ok()?, is_complete));
    FINISHED.into_iter().find_map(parse)
}

fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{what}"));
    PathBuf::from(name)
}

fn clear(cradle: &Path) -> Result<(), JournalError> {
    match fs::remove_dir_all(cradle) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error(cradle)(error)),
        _ => Ok(()),
    }
}

fn save(settings: &Settings, path: &Path, cradle: &Path) -> Result<Saved, JournalError> {
    let (failed, store_failed) = (io_error(path), store_error(path));
    let wall_ms = wall_ms();
    file::make_dir(cradle)?;
    let unborn = cradle.join(file::FILE_NAME);
    file::create_unborn(&unborn, wall_ms)?;
    let is_complete = fill(settings, path, &unborn).map_err(&store_failed)?;
    File::open(&unborn).and_then(|file| file.sync_all()).map_err(&failed)?;
    let number = unused(path, wall_ms / 1000);
    let [(whole, _), (part, _)] = FINISHED;
    let at = beside(path, &format!("{}{number}", if is_complete { whole } else { part }));
    fs::rename(&unborn, &at).map_err(&failed)?;
    file::sync_dir_of(path)?;
    Ok(Saved { at, number, is_complete })
}

/// Whether everything could be read.
fn fill(settings: &Settings, path: &Path, unborn: &Path) -> rusqlite::Result<bool> {
    let mut new = file::connect_unborn(unborn)?;
    // All at once: the new file is written a single time, and takes up no more than it needs.
    let all = new.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let is_complete = match reader(path)? {
        Some(old) => rescue::copy(&old, &all)?,
        None => false,
    };
    let is_stamped = file::format_of(path).is_none_or(|format| format >= FORMAT_STAMPED);
    let unsure = (!is_complete).then_some(settings.expires);
    keep_stamp(&all, is_stamped, unsure, [path, unborn])?;
    mend(&all)?;
    all.commit()?;
    file::finish_unborn(new)?;
    Ok(is_complete)
}

/// `None` where there is nothing to be read. That the log's index finds no room says nothing of the file.
fn reader(path: &Path) -> rusqlite::Result<Option<Connection>> {
    let Ok(old) = file::connect_to_damaged(path) else { return Ok(None) };
    match old.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())) {
        Err(error) if Trouble::of_store(&error).passes() => Err(error),
        _ => Ok(Some(old)),
    }
}

fn damaged(path: &Path, number: i64) -> PathBuf {
    beside(path, &format!("damaged-{number}"))
}

fn unused(path: &Path, mut number: i64) -> i64 {
    while damaged(path, number).exists() {
        number += 1;
    }
    number
}

/// The damaged file makes room for the new one. Every step may be the last of this run: while the new file has its own name, the
/// next one goes on. A log that were left beside the new file would be taken for its own, so all that is moved is on disk first.
fn take_place(path: &Path, saved: Saved) -> Result<Salvaged, JournalError> {
    let failed = io_error(path);
    let Saved { at, number, is_complete } = saved;
    // Moved already, unless somebody has put another file there since: that one is kept too.
    let number = if path.exists() { unused(path, number) } else { number };
    let moved_to = damaged(path, number);
    let counts = counts(&at);
    let moves = file::with_companions(path).into_iter().zip(file::with_companions(&moved_to));
    // The file itself comes last, so that what belongs to it finds the same number again.
    for (from, to) in moves.rev() {
        absent_or_done(fs::rename(from, to)).map_err(&failed)?;
    }
    absent_or_done(fs::remove_file(path.with_file_name(DAMAGED_MARK))).map_err(&failed)?;
    file::sync_dir_of(path)?;
    fs::rename(&at, path).map_err(&failed)?;
    // One that cannot be counted is damaged itself, which the next start finds.
    let (jobs, lost) = counts.map_err(store_error(path))?;
    let salvaged = Salvaged { moved_to, jobs, lost, is_complete };
    match file::sync_dir_of(path) {
        Ok(()) => Ok(salvaged),
        Err(cause) => Err(cause.behind(Some(salvaged))),
    }
}

/// The jobs that a new file holds, and those of which too little is left.
fn counts(at: &Path) -> rusqlite::Result<(u64, u64)> {
    let number = |row: &rusqlite::Row<'_>, at| row.get::<_, i64>(at).map(i64::cast_unsigned);
    file::connect_uri(at, "immutable=1")?.query_row("SELECT held_jobs, quarantined FROM journal", [], |row| {
        Ok((number(row, 0)?, number(row, 1)?))
    })
}

fn absent_or_done(done: io::Result<()>) -> io::Result<()> {
    done.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// What the damaged file said of its last run is said of the new one, if it was the file of that run. Where it did say so and
/// cannot any more, or not how far it had come, it is left as lost. Where rows of the ledger are gone, nobody knows which, it is
/// unsure for so long, also if this start goes no further.
fn keep_stamp(
    new: &Connection,
    is_stamped: bool,
    unsure: Option<Duration>,
    [from, to]: [&Path; 2],
) -> rusqlite::Result<()> {
    if is_stamped {
        new.execute("UPDATE journal SET log_clock = max(log_clock, 0)", [])?;
        if run::reach(new)?.clock == 0 {
            new.execute("DELETE FROM run", [])?;
        }
    }
    let (Last::Run(mut run), Ok(old), Ok(file)) =
        (Last::read(new)?, FileIdentity::of(from), FileIdentity::of(to))
    else {
        return Ok(());
    };
    if run.stamp.file.compare(&old) != Likeness::Other {
        run.stamp.file = file;
        if let Some(expires) = unsure {
            let until = Clock::start(run::reach(new)?.clock, wall_ms()).now_ms() + millis(expires);
            run.unsure.all_until = run.unsure.all_until.max(until);
        }
        run.write(new)?;
    }
    Ok(())
}

/// Makes the tables agree again, and counts the jobs held and those of which too little is left.
fn mend(all: &Connection) -> rusqlite::Result<()> {
    let orphans = all.execute("DELETE FROM payload WHERE job NOT IN (SELECT id FROM job)", [])?;
    all.execute_batch(
        "DELETE FROM due WHERE job NOT IN (SELECT job FROM payload);
         DELETE FROM flight WHERE job NOT IN (SELECT job FROM payload) AND job NOT IN (SELECT job FROM kept);
         DELETE FROM parked WHERE job NOT IN (SELECT job FROM payload);
         DELETE FROM due WHERE job IN (SELECT job FROM flight) OR job IN (SELECT job FROM parked);
         DELETE FROM parked WHERE job IN (SELECT job FROM flight);",
    )?;
    let bare = all.execute(
        "UPDATE job SET state = 'rejected', reason = 'bad-job', detail = 'the held record is damaged'
             WHERE state = 'journaled' AND id NOT IN (SELECT job FROM payload)",
        [],
    )?;
    // Neither waiting nor in flight: the flight log says whether it may have been offered.
    all.execute_batch(
        "INSERT OR IGNORE INTO flight (job, since)
             SELECT payload.job, 0 FROM payload JOIN job ON job.id = payload.job
             WHERE job.state = 'journaled' AND payload.job NOT IN (SELECT job FROM due)
                 AND payload.job NOT IN (SELECT job FROM parked);
         UPDATE payload SET due = due.at FROM due WHERE due.job = payload.job;
         DELETE FROM tally;
         INSERT INTO tally SELECT engine, ifnull(campaign, ''), state,
             iif(state = 'journaled', '', ifnull(reason, '')), count(*) FROM job GROUP BY 1, 2, 3, 4;
         INSERT INTO event (job, at, state, reason, target, code, enhanced, attempt)
             SELECT id, changed, state, reason, target, code, enhanced, attempts FROM job
             WHERE state <> 'journaled' AND (id, state, attempts) NOT IN (SELECT job, state, attempt FROM event);",
    )?;
    super::kept::count_uses(all, "payload", "content")?;
    super::kept::mend(all)?;
    super::apply::note_deadlines(all)?;
    let lost = orphans + bare;
    all.execute(
        "UPDATE journal SET quarantined = quarantined + ?1,
             held_jobs = (SELECT count(*) FROM payload),
             held_bytes = (SELECT ifnull(sum(length(record) + ?2), 0) FROM payload)
                 + (SELECT ifnull(sum(length(octets)), 0) FROM content)",
        [lost as i64, super::record::ROW_BYTES as i64],
    )?;
    Ok(())
}
