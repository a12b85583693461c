//! How far a journal has come, marked for one that was changed while no relay has it: should it be set back to what it was before
//! the change, that is noticed as if a relay had made it. What was called off then stays so until a person says otherwise.

use super::file::Lock;
use super::flight::{self, Header};
use super::handoff;
use super::origin::{Mark, Witness};
use super::run::{self, Run};
use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// Moves the marks up to what the database on the disk says. A relay that has it does so with its next commit. As well as may be:
/// a mark that is behind says nothing wrong.
pub fn move_up(dir: &Path, db: &Connection, witnesses: &[PathBuf]) {
    let Some(_lock) = Lock::take_if_free(dir) else { return };
    let (Ok(Some(run)), Ok(reach)) = (Run::read(db), run::reach(db)) else { return };
    let mark = Mark { epoch: run.stamp.epoch, clock: reach.clock };
    let header = handoff::Header { id: run.stamp.id, mark };
    // In the order in which a relay marks it: none is ahead of the one before.
    let moved = handoff::move_up(&dir.join(handoff::FILE_NAME), header)
        .and_then(|()| Header::move_up(&dir.join(flight::FILE_NAME), &run.stamp.id, mark));
    match moved {
        Ok(()) => Witness::of(dir, witnesses).move_up(&run.stamp.id, mark),
        Err(error) => tracing::warn!(%error, "how far the journal has come could not be marked"),
    }
}
