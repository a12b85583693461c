//! Searches files and byte strings for values that must not be there, in every form they are likely to take.
//!
//! One automaton holds every value in every form of `forms`. Content is searched as it lies, with line breaks and
//! soft line breaks taken out (so that folded base64 and quoted-printable are seen), and with every gzip member
//! and zlib stream in it inflated. Not seen: values inside encrypted or otherwise compressed content, and inside
//! a compressed stream inside a compressed stream.

mod forms;
mod window;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use flate2::read::{GzDecoder, ZlibDecoder};
pub use forms::Form;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use window::{Compression, Unfolded, Window};

/// Shorter values, and forms of a value that come to less, occur by accident in what is encrypted; they are not
/// searched for. (Two characters of Chinese are six octets of UTF-8 and four of UTF-16: once in 4 GiB of noise.)
pub const VALUE_BYTES_MIN: usize = 6;
/// Of a longer value only the beginning is searched for, cut between characters.
pub const VALUE_BYTES_MAX: usize = 64;
/// No more hits than this are collected from one file.
pub const HITS_PER_FILE_MAX: usize = 1000;
/// Most bytes inflated from one file; a file that wants more is an error, never a silent pass.
pub const INFLATED_BYTES_MAX: u64 = 256 << 20;

/// What an attempt to inflate counts at least, so that false magic numbers are bounded too.
const ATTEMPT_BYTES: u64 = 512;

/// A value found where it must not be. Says where and in what form, never the value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// The file, with parts of its name that hold a value replaced by `[personal]`; empty for a byte string.
    pub path: PathBuf,
    /// In bytes from the start of the file, or of the inflated stream.
    pub offset: u64,
    pub form: Form,
    pub place: Place,
    /// Index into the values given to [`LeakSearch::new`].
    pub value_index: usize,
}

/// What part of a file a value was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Name,
    Content,
    /// In a compressed stream that starts at this byte of the file.
    Inflated {
        from: u64,
    },
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: value {} as {}", self.path.display(), self.value_index, self.form)?;
        match self.place {
            Place::Name => f.write_str(" in the file's name"),
            Place::Content => write!(f, " at byte {}", self.offset),
            Place::Inflated { from } => {
                write!(f, " at byte {} of what is compressed at byte {from}", self.offset)
            }
        }
    }
}

/// A prepared search for many values at once.
pub struct LeakSearch {
    automaton: AhoCorasick,
    /// What each pattern of the automaton stands for.
    meanings: Vec<(Form, usize)>,
    skipped: Vec<usize>,
    overlap: usize,
    inflated_bytes_max: u64,
}

impl LeakSearch {
    /// Prepares the search; values shorter than [`VALUE_BYTES_MIN`] bytes are left out, see [`Self::skipped`].
    pub fn new(values: &[&str]) -> Self {
        let mut patterns = BTreeSet::new();
        let mut skipped = Vec::new();
        for (index, value) in values.iter().enumerate() {
            if value.len() < VALUE_BYTES_MIN {
                skipped.push(index);
                continue;
            }
            let beginning = &value[..value.floor_char_boundary(VALUE_BYTES_MAX)];
            forms::each(beginning, &mut |form, bytes| {
                if bytes.len() >= VALUE_BYTES_MIN {
                    patterns.insert((bytes.to_ascii_lowercase(), form, index));
                }
            });
        }
        // One pattern for one byte string: the first form in their order says best what it is.
        let mut kept: Vec<Vec<u8>> = Vec::new();
        let mut meanings = Vec::new();
        for (bytes, form, index) in patterns {
            if kept.last() != Some(&bytes) {
                kept.push(bytes);
                meanings.push((form, index));
            }
        }
        let overlap = 2 * kept.iter().map(Vec::len).max().unwrap_or(0);
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .ascii_case_insensitive(true)
            .build(&kept)
            .expect("memory ends long before the automaton's two thousand million states");
        Self { automaton, meanings, skipped, overlap, inflated_bytes_max: INFLATED_BYTES_MAX }
    }

    /// Indexes of the values that were too short to be searched for.
    pub fn skipped(&self) -> &[usize] {
        &self.skipped
    }

    /// Searches every regular file below `dir`, and the names of everything in it. `skip` leaves out files and
    /// whole directories. Links are not followed; what vanishes during the search is passed over.
    ///
    /// # Errors
    /// When something cannot be read, or holds more compressed content than [`INFLATED_BYTES_MAX`].
    pub fn search_dir(&self, dir: &Path, skip: &dyn Fn(&Path) -> bool) -> io::Result<Vec<Hit>> {
        let mut hits = Vec::new();
        let mut open = vec![(dir.to_path_buf(), dir.to_path_buf())];
        while let Some((dir, shown_dir)) = open.pop() {
            let Some(entries) = unless_gone(fs::read_dir(&dir))? else { continue };
            for entry in entries {
                let entry = entry?;
                let path = entry.path();
                if skip(&path) {
                    continue;
                }
                let shown = self.search_name(&entry.file_name(), &shown_dir, &mut hits);
                let Some(kind) = unless_gone(entry.file_type())? else { continue };
                if kind.is_dir() {
                    open.push((path, shown));
                } else if kind.is_file() {
                    hits.extend(self.search_file(&path, shown)?);
                }
            }
        }
        hits.sort();
        Ok(hits)
    }

    /// Searches a log line, a reply, a metrics page: anything already in memory.
    ///
    /// # Errors
    /// When it holds more compressed content than [`INFLATED_BYTES_MAX`].
    pub fn search_bytes(&self, bytes: &[u8]) -> io::Result<Vec<Hit>> {
        Pass::new(self, PathBuf::new()).all(Cursor::new(bytes)).map(Vec::from_iter)
    }

    /// The path as it may be shown.
    fn search_name(&self, name: &OsStr, shown_dir: &Path, hits: &mut Vec<Hit>) -> PathBuf {
        let matches: Vec<_> = self.automaton.find_overlapping_iter(name.as_encoded_bytes()).collect();
        let shown = if matches.is_empty() { shown_dir.join(name) } else { shown_dir.join("[personal]") };
        hits.extend(matches.into_iter().map(|found| {
            let (form, value_index) = self.meanings[found.pattern().as_usize()];
            Hit { path: shown.clone(), offset: found.start() as u64, form, place: Place::Name, value_index }
        }));
        shown
    }

    fn search_file(&self, path: &Path, shown: PathBuf) -> io::Result<BTreeSet<Hit>> {
        let Some(file) = unless_gone(File::open(path))? else { return Ok(BTreeSet::new()) };
        Pass::new(self, shown).all(file)
    }
}

/// `None` for something that is no longer there.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// One walk over one file.
struct Pass<'a> {
    search: &'a LeakSearch,
    path: PathBuf,
    found: BTreeSet<Hit>,
    inflated: u64,
}

impl<'a> Pass<'a> {
    fn new(search: &'a LeakSearch, path: PathBuf) -> Self {
        Self { search, path, found: BTreeSet::new(), inflated: 0 }
    }

    fn all(mut self, mut source: impl Read + Seek) -> io::Result<BTreeSet<Hit>> {
        let mut window = Window::new(self.search.overlap);
        loop {
            let (fresh, read) = window.advance(&mut source);
            read?;
            if fresh == 0 {
                return Ok(self.found);
            }
            self.look_at(&window, Place::Content);
            for (compression, from) in window.compressed_streams() {
                source.seek(SeekFrom::Start(from))?;
                self.inflate(&mut source, compression, from)?;
            }
            source.seek(SeekFrom::Start(window.end()))?;
        }
    }

    /// A stream that breaks off, or was none, is searched as far as it goes.
    fn inflate(&mut self, source: &mut impl Read, compression: Compression, from: u64) -> io::Result<()> {
        let source = BufReader::with_capacity(4096, source);
        match compression {
            Compression::Gzip => self.inflated(&mut GzDecoder::new(source), from),
            Compression::Zlib => self.inflated(&mut ZlibDecoder::new(source), from),
        }
    }

    fn inflated(&mut self, inflated: &mut dyn Read, from: u64) -> io::Result<()> {
        let mut window = Window::new(self.search.overlap);
        self.inflated += ATTEMPT_BYTES;
        loop {
            let (fresh, read) = window.advance(inflated);
            if fresh > 0 {
                self.look_at(&window, Place::Inflated { from });
            }
            self.inflated += fresh as u64;
            if self.inflated > self.search.inflated_bytes_max {
                let text = format!("{}: holds more compressed content than is searched", self.path.display());
                return Err(io::Error::other(text));
            }
            if fresh == 0 || read.is_err() {
                return Ok(());
            }
        }
    }

    fn look_at(&mut self, window: &Window, place: Place) {
        self.collect(window.bytes(), place, |at| window.start() + at as u64);
        if let Some(unfolded) = Unfolded::of(window.bytes()) {
            self.collect(&unfolded.bytes, place, |at| window.start() + unfolded.folded_offset(at) as u64);
        }
    }

    fn collect(&mut self, bytes: &[u8], place: Place, offset: impl Fn(usize) -> u64) {
        for found in self.search.automaton.find_overlapping_iter(bytes) {
            if self.found.len() >= HITS_PER_FILE_MAX {
                return;
            }
            let (form, value_index) = self.search.meanings[found.pattern().as_usize()];
            let offset = offset(found.start());
            self.found.insert(Hit { path: self.path.clone(), offset, form, place, value_index });
        }
    }
}

#[cfg(test)]
mod tests;
