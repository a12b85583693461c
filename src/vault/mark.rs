//! How far the vault had come, kept outside of its folder. A file that was set back to an earlier time, as by a restored backup
//! or a snapshot, is whole and has its own id; only this tells that people were added and consent was withdrawn since.
//!
//! What counts is `next_person`: it moves with every commit that changes anybody, and never goes back. Where a person took an older
//! copy for the latest, what is changed from then on is numbered beyond all that was noted before: of two vaults that have come
//! from one copy, only one has a number.

use super::error::Trouble;
use super::store::FORMAT;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};

/// What is written of one vault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Noted {
    /// How often a person took an older one for the latest. What was noted before that does not count.
    #[serde(default)]
    releases: u64,
    reached: i64,
    /// How far any copy had come when one was taken for the latest. Up to here a number may be that of another one.
    #[serde(default)]
    beyond: i64,
    /// It was written to while it stood behind, so that the number alone does not tell any more.
    #[serde(default)]
    set_back: Option<SetBack>,
    /// The format it had. One of before the roll cannot tell what was put back in it, so there is no way back to it unseen.
    #[serde(default)]
    format: i64,
}

impl Noted {
    /// Whether a vault that has come this far is not the one this tells of.
    fn tells_apart(&self, has: i64) -> Option<SetBack> {
        let had = if has < self.reached { self.reached } else { self.beyond };
        (has < self.reached || (has > self.reached && has <= self.beyond)).then_some(SetBack { had, has })
    }

    fn furthest(&self) -> i64 {
        let set_back = self.set_back.map_or(0, |set_back| set_back.had);
        self.reached.max(self.beyond).max(set_back)
    }
}

/// From where it was set back, and to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct SetBack {
    had: i64,
    has: i64,
}

impl From<SetBack> for Trouble {
    fn from(SetBack { had, has }: SetBack) -> Self {
        Self::SetBack { had, has }
    }
}

#[derive(Serialize, Deserialize)]
struct Written {
    /// Whose it is, for whoever takes away what belongs to nothing any more.
    dir: PathBuf,
    #[serde(flatten)]
    noted: Noted,
}

/// The mark of one vault.
#[derive(Debug)]
pub struct Mark {
    vault: PathBuf,
    /// Where it is kept. The first is within the state folder; the others outlive that when it is set back as a whole, and
    /// are written as well as may be.
    files: Vec<PathBuf>,
    /// The furthest that this process has seen the vault at.
    seen: AtomicI64,
    /// As it was noted.
    beyond: AtomicI64,
    /// What the files say at least.
    noted: AtomicI64,
    /// Whether they say its format.
    tells_format: AtomicBool,
}

impl Mark {
    pub fn of(vault: &Path, id: &[u8; 16], dirs: &[PathBuf]) -> Self {
        let dir = dirs.first().map(|dir| fs::canonicalize(dir).unwrap_or_else(|_| dir.clone()));
        let owner = dir.unwrap_or_default();
        let files = dirs.iter().enumerate().map(|(at, dir)| match at {
            0 => dir.join(format!("vault-{}.mark", hex(id))),
            // Copies of one vault may have relays of their own on one machine.
            _ => dir.join(format!("vault-{}", hex(&digest_of(&owner, id)))),
        });
        Self {
            vault: vault.to_owned(),
            files: files.collect(),
            seen: AtomicI64::new(0),
            beyond: AtomicI64::new(0),
            noted: AtomicI64::new(0),
            tells_format: AtomicBool::new(false),
        }
    }

    /// To be asked before a look at the vault: what another reader sees meanwhile is no measure for it.
    pub fn seen(&self) -> i64 {
        self.seen.load(SeqCst)
    }

    /// A look that began when the vault had been seen at `seen` finds it at `has`.
    ///
    /// # Errors
    /// It was further before.
    pub fn look(&self, has: i64, seen: i64) -> Result<(), Trouble> {
        let looked = Noted { reached: seen, beyond: self.beyond.load(SeqCst), ..Noted::default() };
        // What this process has not seen yet was judged by nobody.
        match looked.tells_apart(has).filter(|_| seen > 0) {
            Some(set_back) => Err(set_back.into()),
            None => {
                self.seen.fetch_max(has, SeqCst);
                Ok(())
            }
        }
    }

    /// Holds a vault that is opened against what was noted by whomever. Nothing is written.
    ///
    /// # Errors
    /// It was further before, or nobody can say.
    pub fn judge(&self, has: i64) -> Result<(), Trouble> {
        let Some(noted) = self.read()? else { return self.look(has, self.seen()) };
        self.remember(&noted);
        match noted.set_back.or_else(|| noted.tells_apart(has)) {
            Some(set_back) => Err(set_back.into()),
            None => {
                // Not the greater of both: somebody may have released it since.
                self.seen.store(has, SeqCst);
                Ok(())
            }
        }
    }

    /// Notes how far the vault has come; on the disk when it returns. As well as may be: a vault that is not marked is
    /// still the right one.
    pub fn raise(&self, has: i64) {
        if has <= self.noted.load(SeqCst) && self.tells_format.load(SeqCst) {
            return;
        }
        let raised = self.update(|noted| Noted { reached: noted.reached.max(has), format: FORMAT, ..noted });
        if let Err(error) = raised {
            let path = self.files.first().map(|path| path.display().to_string()).unwrap_or_default();
            tracing::warn!(%error, path, "it cannot be noted how far the vault has come");
        }
    }

    /// Somebody is about to write to the vault. One that stands behind may have caught up afterwards, and has still lost what
    /// came in between. What is written has to be numbered beyond what this answers.
    ///
    /// # Errors
    /// That could not be noted, so nothing may be written.
    pub fn before_write(&self, has: i64) -> io::Result<i64> {
        match self.judge(has) {
            Err(Trouble::SetBack { had, has }) => {
                self.update(|noted| Noted {
                    set_back: noted.set_back.or(Some(SetBack { had, has })),
                    ..noted
                })?;
                Ok(had.max(self.beyond.load(SeqCst)))
            }
            // Nobody knows it for the latest before a person has said so, whatever is written.
            Ok(()) | Err(_) => Ok(self.beyond.load(SeqCst)),
        }
    }

    /// A person says that the vault as it stands, in this format, is the latest there is.
    pub fn release(&self, has: i64, format: i64) -> io::Result<()> {
        self.seen.store(has, SeqCst);
        self.write(|noted| Noted {
            releases: noted.releases + 1,
            reached: has,
            beyond: noted.furthest().max(has),
            set_back: None,
            format,
        })
    }

    fn remember(&self, noted: &Noted) {
        self.noted.store(noted.reached, SeqCst);
        self.beyond.store(noted.beyond, SeqCst);
        self.tells_format.store(noted.format == FORMAT, SeqCst);
    }

    /// Whether a vault of an older format may be brought up to date.
    ///
    /// # Errors
    /// It had the format of today before, or nobody can say.
    pub fn judge_older(&self) -> Result<(), Trouble> {
        match self.read()? {
            Some(noted) if noted.format >= FORMAT => Err(Trouble::OlderFormat),
            Some(_) | None => Ok(()),
        }
    }

    /// What was noted last. One place that can be read is enough.
    fn read(&self) -> Result<Option<Noted>, Trouble> {
        let read: Vec<_> = self.files.iter().filter_map(|path| read(path).transpose()).collect();
        let best = read.iter().filter_map(|noted| noted.as_ref().ok());
        match best.max_by_key(|noted| (noted.releases, noted.reached)) {
            Some(best) => Ok(Some(*best)),
            None if read.is_empty() => Ok(None),
            None => Err(Trouble::MarkUnreadable),
        }
    }

    /// What cannot be read is left: it would be forgotten that it was there.
    fn update(&self, change: impl FnOnce(Noted) -> Noted) -> io::Result<()> {
        if self.read().is_err() {
            return Ok(());
        }
        self.write(change)
    }

    fn write(&self, change: impl FnOnce(Noted) -> Noted) -> io::Result<()> {
        let Some(dir) = self.files.first().and_then(|path| path.parent()) else { return Ok(()) };
        // One at a time over all processes, where the file system can do that.
        let lock = File::open(dir)?;
        let _ = flock(&lock, FlockOperation::LockExclusive);
        let noted = change(self.read().ok().flatten().unwrap_or_default());
        let text = serde_json::to_vec(&Written { dir: fs::canonicalize(dir)?, noted })?;
        let written = self.files.iter().map(|path| write(path, &text, &self.vault));
        let written: Vec<io::Result<()>> = written.collect();
        written.into_iter().next().unwrap_or(Ok(()))?;
        // The name too: after a power cut the mark before would say that an older vault is the latest.
        lock.sync_all()?;
        self.remember(&noted);
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<Option<Noted>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(serde_json::from_slice::<Written>(&text)?.noted)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whole or not at all. It belongs to whom the vault belongs to, as the files that SQLite makes beside it: a command that was run
/// by root must not leave one that the relay cannot read.
fn write(path: &Path, text: &[u8], vault: &Path) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text)?;
    let (ours, owner) = (file.metadata()?, fs::metadata(vault)?);
    if (ours.uid(), ours.gid()) != (owner.uid(), owner.gid()) {
        // Only root can.
        let _ = fchown(&file, Some(owner.uid()), Some(owner.gid()));
    }
    file.sync_data()?;
    fs::rename(&new, path)
}

fn digest_of(dir: &Path, id: &[u8; 16]) -> [u8; 16] {
    use aws_lc_rs::digest::{SHA256, digest};
    let digest = digest(&SHA256, &[dir.as_os_str().as_encoded_bytes(), id].concat());
    *digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Places {
        dirs: Vec<PathBuf>,
        vault: PathBuf,
        _dir: tempfile::TempDir,
    }

    impl Places {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let dirs = ["state", "run"].map(|name| dir.path().join(name)).to_vec();
            dirs.iter().for_each(|dir| fs::create_dir(dir).unwrap());
            let vault = dir.path().join("vault.db");
            fs::write(&vault, "").unwrap();
            Self { dirs, vault, _dir: dir }
        }

        fn mark(&self) -> Mark {
            Mark::of(&self.vault, &[7; 16], &self.dirs)
        }

        fn file(&self) -> PathBuf {
            self.mark().files[0].clone()
        }
    }

    const SET_BACK: Trouble = Trouble::SetBack { had: 150, has: 100 };

    #[test]
    fn c9_what_stood_further_before_is_known_and_only_a_person_says_that_it_counts() {
        let places = Places::new();
        let mark = places.mark();
        assert_eq!(mark.judge(150), Ok(()), "nobody has seen it yet");
        mark.raise(150);
        assert_eq!((places.mark().judge(150), places.mark().judge(151)), (Ok(()), Ok(())));
        assert_eq!(places.mark().judge(100), Err(SET_BACK));
        assert_eq!(places.mark().judge(150), Ok(()), "the right one is back");
        places.mark().release(100, FORMAT).unwrap();
        assert_eq!((places.mark().judge(100), mark.judge(100)), (Ok(()), Ok(())));
        assert_eq!(mark.judge(99), Err(Trouble::SetBack { had: 100, has: 99 }));
    }

    #[test]
    fn c9_one_that_has_caught_up_by_being_written_to_is_still_the_older_one() {
        let places = Places::new();
        places.mark().raise(150);
        let writer = places.mark();
        for has in [100, 120, 160] {
            writer.before_write(has).unwrap();
            writer.raise(has + 1);
        }
        assert_eq!(places.mark().judge(161), Err(SET_BACK));
        places.mark().release(161, FORMAT).unwrap();
        assert_eq!(places.mark().judge(161), Ok(()));
    }

    #[test]
    fn c9_a_state_folder_that_was_set_back_with_its_vault_is_known_by_what_lies_outside() {
        let places = Places::new();
        places.mark().raise(100);
        let before = fs::read(places.file()).unwrap();
        places.mark().raise(150);
        fs::write(places.file(), &before).unwrap();
        assert_eq!(places.mark().judge(100), Err(SET_BACK));
        fs::remove_file(places.file()).unwrap();
        assert_eq!(places.mark().judge(100), Err(SET_BACK));
        // A command that has fewer places than the relay.
        let few = Mark::of(&places.vault, &[7; 16], &places.dirs[..1]);
        few.raise(100);
        places.mark().release(100, FORMAT).unwrap();
        few.release(90, FORMAT).unwrap();
        assert_eq!(places.mark().judge(90), Ok(()), "what was said last counts, wherever");
    }

    #[test]
    fn c9_a_mark_that_cannot_be_read_is_no_leave() {
        let places = Places::new();
        places.mark().raise(150);
        fs::write(places.file(), "{").unwrap();
        assert_eq!(places.mark().judge(100), Err(SET_BACK), "the other place can be");
        fs::remove_dir_all(&places.dirs[1]).unwrap();
        for has in [100, 200] {
            let mark = places.mark();
            assert_eq!(mark.judge(has), Err(Trouble::MarkUnreadable));
            mark.before_write(has).unwrap();
            mark.raise(has);
        }
        assert_eq!(places.mark().judge(200), Err(Trouble::MarkUnreadable), "until somebody says so");
        places.mark().release(200, FORMAT).unwrap();
        assert_eq!(places.mark().judge(200), Ok(()));
    }

    #[test]
    fn c9_what_another_reader_sees_meanwhile_is_no_measure() {
        let mark = Mark::of(Path::new("vault.db"), &[7; 16], &[]);
        let before = mark.seen();
        mark.look(105, mark.seen()).unwrap();
        assert_eq!(mark.look(104, before), Ok(()));
        assert_eq!(mark.look(104, mark.seen()), Err(Trouble::SetBack { had: 105, has: 104 }));
    }

    #[test]
    fn c9_vaults_and_states_have_marks_of_their_own() {
        let places = Places::new();
        places.mark().raise(150);
        assert_eq!(Mark::of(&places.vault, &[8; 16], &places.dirs).judge(1), Ok(()));
        let other = [places.vault.parent().unwrap().to_owned(), places.dirs[1].clone()];
        assert_eq!(Mark::of(&places.vault, &[7; 16], &other).judge(1), Ok(()));
    }
}
