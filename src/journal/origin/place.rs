//! Which file, which mount, which machine and which run of the kernel: what tells a state folder that was left alone
//! from one that something happened to.

use super::Memory;
use crate::outside;
use aws_lc_rs::digest;
use rustix::fs::{Advice, AtFlags, CWD, StatxFlags, StatxTimestamp, fadvise, statfs, statvfs, statx};
use rustix::io::{ReadWriteFlags, preadv2};
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub const BOOT_OCTETS: usize = 36;

pub type BootId = Option<[u8; BOOT_OCTETS]>;

/// `STATX_MNT_ID_UNIQUE` (Linux 6.8): a number that no other mount of this run of the kernel gets.
const MOUNT_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

// Magic numbers of statfs(2).
const TMPFS: u64 = 0x0102_1994;
const BTRFS: u64 = 0x9123_683e;
const ZFS: u64 = 0x2fc1_2fc1;
/// FUSE, 9p, SMB: numbers of files may be made up anew with each mount.
const PASSING: [u64; 4] = [0x6573_5546, 0x0102_1997, 0xff53_4d42, 0xfe53_4d42];

/// This machine, now.
#[derive(Debug, Clone, Default)]
pub struct Here {
    pub boot: BootId,
    /// Not the machine id itself, which is nobody's business (machine-id(5)).
    pub machine: Option<[u8; 16]>,
    /// Where to say what the state folder may not be able to say any more.
    pub witnesses: Vec<PathBuf>,
}

impl Here {
    pub fn of_this_machine() -> Self {
        Self { boot: boot_id(), machine: machine(), witnesses: outside::places() }
    }
}

/// Which run of the kernel this is; what a process has written survives it, but not the next boot.
fn boot_id() -> BootId {
    std::fs::read("/proc/sys/kernel/random/boot_id").ok()?.first_chunk().copied()
}

fn machine() -> Option<[u8; 16]> {
    const FOR_US: &[u8] = b"tokenrelay journal machine ";
    let id = std::fs::read("/etc/machine-id").ok()?;
    let id = id.trim_ascii();
    if id.is_empty() || id == b"uninitialized" {
        return None;
    }
    digest::digest(&digest::SHA256, &[FOR_US, id].concat()).as_ref().first_chunk().copied()
}

/// What a file keeps for as long as it is the same file, through reboots, mounts and renames, and no copy has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    pub inode: u64,
    /// When it was made, in nanoseconds of Unix time; nobody can set it. `None` where the file system does not say.
    pub born: Option<i64>,
    /// Where a snapshot has all numbers of what it was made from, but not this one.
    pub volume: Option<u64>,
    /// The file system gives its files numbers that last.
    pub is_lasting: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    Same,
    /// The number is the same, and the file system says no more.
    SameNumber,
    Other,
    Unclear,
}

impl FileIdentity {
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = statx(CWD, path, AtFlags::empty(), StatxFlags::INO | StatxFlags::BTIME)?;
        let has_birth = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::BTIME);
        let kind = kind_of(path)?;
        let has_volumes = [BTRFS, ZFS].contains(&kind);
        let volume = if has_volumes { statvfs(path).ok().map(|found| found.f_fsid) } else { None };
        Ok(Self {
            inode: found.stx_ino,
            born: has_birth.then(|| nanoseconds(found.stx_btime)),
            volume,
            is_lasting: !PASSING.contains(&kind),
        })
    }

    pub fn compare(&self, now: &Self) -> Likeness {
        if !self.is_lasting || !now.is_lasting {
            return Likeness::Unclear;
        }
        let is_other_volume = matches!((self.volume, now.volume), (Some(then), Some(now)) if then != now);
        match (self.born, now.born) {
            _ if self.inode != now.inode || is_other_volume => Likeness::Other,
            (Some(then), Some(now)) if then != now => Likeness::Other,
            (Some(_), Some(_)) => Likeness::Same,
            _ => Likeness::SameNumber,
        }
    }
}

fn nanoseconds(time: StatxTimestamp) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(i64::from(time.tv_nsec))
}

fn kind_of(path: &Path) -> io::Result<u64> {
    Ok((statfs(path)?.f_type as u64) & 0xffff_ffff)
}

/// The first bytes of a file, read so that they are in memory afterwards only if they were before ([`Probe`]).
pub fn peek<const LENGTH: usize>(path: &Path) -> Option<[u8; LENGTH]> {
    let file = File::open(path).ok()?;
    let mut bytes = [0; LENGTH];
    let read = preadv2(&file, &mut [IoSliceMut::new(&mut bytes)], 0, ReadWriteFlags::NOWAIT);
    if read != Ok(LENGTH) {
        file.read_exact_at(&mut bytes, 0).ok()?;
        // The advice may be ignored; then the start takes what was not synced for kept.
        let _ = fadvise(&file, 0, None, Advice::DontNeed);
    }
    Some(bytes)
}

/// The mount that a file is reached through; `None` where the kernel has no number for it that never comes again.
pub fn mount_of(path: &Path) -> Option<u64> {
    let found = statx(CWD, path, AtFlags::empty(), MOUNT_UNIQUE).ok()?;
    StatxFlags::from_bits_retain(found.stx_mask).contains(MOUNT_UNIQUE).then_some(found.stx_mnt_id)
}

/// What is found out about a file before it is read.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    mount: Option<u64>,
    is_in_memory: bool,
    is_lost: bool,
}

impl Probe {
    /// For the start.
    pub fn of(path: &Path) -> Self {
        // What the system could not write since the last fsync is told by the next (errseq_t, Linux 4.13), and only once.
        let is_lost = |file: &File| file.sync_all().is_err();
        Self::with(path, is_lost)
    }

    /// For whoever only looks, and leaves the start what it has to know.
    pub fn look(path: &Path) -> Self {
        Self::with(path, |_| false)
    }

    fn with(path: &Path, is_lost: impl FnOnce(&File) -> bool) -> Self {
        let Ok(file) = File::open(path) else {
            return Self { mount: None, is_in_memory: false, is_lost: false };
        };
        let mut octet = [0];
        // RWF_NOWAIT (Linux 4.14): only what need not be fetched.
        let read = preadv2(&file, &mut [IoSliceMut::new(&mut octet)], 0, ReadWriteFlags::NOWAIT);
        // Of a file system in memory nothing is left when it goes.
        let is_memory = kind_of(path).is_ok_and(|kind| kind == TMPFS);
        Self { mount: mount_of(path), is_in_memory: read == Ok(1) || is_memory, is_lost: is_lost(&file) }
    }

    /// Whether what was written to it through that mount, and not synced, is still there. Through the same mount it is. A
    /// service or container that is started again comes to the same file system through another one; then the file's
    /// first page is still in memory, which it is not when the file system was mounted anew.
    pub fn memory(self, mount_then: Option<u64>) -> Memory {
        let is_same_mount = mount_then.is_some() && self.mount == mount_then;
        match self.is_lost {
            true => Memory::Lost,
            false if is_same_mount || self.is_in_memory => Memory::Kept,
            false => Memory::Unclear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c12_a_file_is_itself_when_renamed_or_written_and_no_copy_is() {
        let dir = tempfile::tempdir().unwrap();
        let (one, moved, copy) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("c"));
        std::fs::write(&one, "x").unwrap();
        let then = FileIdentity::of(&one).unwrap();
        std::fs::write(&one, "other").unwrap();
        std::fs::rename(&one, &moved).unwrap();
        std::fs::copy(&moved, &copy).unwrap();
        let now = FileIdentity::of(&moved).unwrap();
        assert!(matches!(then.compare(&now), Likeness::Same | Likeness::SameNumber), "{now:?}");
        assert_eq!(then.compare(&FileIdentity::of(&copy).unwrap()), Likeness::Other);
    }

    #[test]
    fn c7_a_file_just_written_is_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "x").unwrap();
        assert_eq!(Probe::of(&path).memory(mount_of(&path)), Memory::Kept);
        assert_eq!(Probe::of(&dir.path().join("none")).memory(None), Memory::Unclear);
        let other = Probe { mount: Some(1), is_in_memory: false, is_lost: false };
        assert_eq!(other.memory(Some(2)), Memory::Unclear);
        assert_eq!(other.memory(None), Memory::Unclear);
        assert_eq!(
            Probe { is_in_memory: true, ..other }.memory(Some(2)),
            Memory::Kept,
            "a service started again"
        );
        assert_eq!(Probe { is_lost: true, ..other }.memory(Some(1)), Memory::Lost);
    }
}
