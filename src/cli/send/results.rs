//! The results file: one line of JSON a result, appended and made durable as it grows, and read again to resume.

use crate::load::client::ResultText;
use crate::wire::ndjson::{Frame, Framer};
use bytes::BytesMut;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const LINE_BYTES_MAX: usize = 64 * 1024;
const SYNC_AFTER: Duration = Duration::from_secs(1);

/// What an earlier run came to: the last state of every job in its results file.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// By digest, so ten million jobs fit in memory.
    jobs: HashMap<[u8; 16], Last>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Relayed,
    /// Held by the relay, which has answered for it.
    Journaled,
    /// It may have been delivered.
    Unknown,
    /// Kept back as the person wants it.
    Suppressed,
    Failed,
    /// Deferred or lost: it is submitted again.
    Open,
}

impl Earlier {
    /// Whether the job has a final state, or the relay holds it: submitting it again could only repeat it.
    pub fn is_done(&self, job_id: &str) -> bool {
        !self.jobs.is_empty() && self.jobs.get(&digest(job_id)).is_some_and(|last| *last != Last::Open)
    }

    /// Jobs whose last state was this.
    pub fn count(&self, last: Last) -> u64 {
        self.jobs.values().filter(|found| **found == last).count() as u64
    }

    fn note(&mut self, result: &ResultText<'_>) {
        let Some(job_id) = &result.job_id else { return };
        let last = match result.state.as_ref() {
            "relayed" => Last::Relayed,
            "journaled" => Last::Journaled,
            "unknown" => Last::Unknown,
            "suppressed" => Last::Suppressed,
            "deferred" | "lost" => Last::Open,
            _ => Last::Failed,
        };
        self.jobs.insert(digest(job_id), last);
    }
}

fn digest(job_id: &str) -> [u8; 16] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, job_id.as_bytes());
    digest.as_ref().first_chunk().copied().expect("SHA-256 has 32 bytes")
}

/// Where results go: a file, made durable about every second, or standard output.
pub(super) struct ResultsFile {
    sink: Sink,
    synced: Instant,
}

enum Sink {
    File(BufWriter<File>),
    Stream(Box<dyn Write + Send>),
}

impl ResultsFile {
    /// Starts a new file; an empty one, as a run leaves that reached no relay, is as good.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] rather than writing over the results of another run.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        if file.metadata()?.len() > 0 {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(Self::over(Sink::File(BufWriter::new(file))))
    }

    /// Reads what an earlier run wrote and goes on behind it. A last line that was cut off is removed.
    pub fn resume(path: &Path) -> io::Result<(Self, Earlier)> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let (earlier, whole_bytes) = read_earlier(&mut file)?;
        file.set_len(whole_bytes)?;
        file.seek(SeekFrom::Start(whole_bytes))?;
        Ok((Self::over(Sink::File(BufWriter::new(file))), earlier))
    }

    pub fn stream(out: Box<dyn Write + Send>) -> Self {
        Self::over(Sink::Stream(out))
    }

    fn over(sink: Sink) -> Self {
        Self { sink, synced: Instant::now() }
    }

    /// Adds one result, which stays in memory until [`ResultsFile::settle`].
    pub fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let out = self.sink.out();
        out.write_all(line)?;
        out.write_all(b"\n")
    }

    /// Gives what was added to the system, so that it outlives this process, and about once a second to the disk. Call
    /// it also when no result comes.
    pub fn settle(&mut self) -> io::Result<()> {
        self.sink.out().flush()?;
        let now = Instant::now();
        if now - self.synced >= SYNC_AFTER {
            self.sink.sync()?;
            self.synced = now;
        }
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<()> {
        self.sink.sync()
    }
}

impl Sink {
    fn out(&mut self) -> &mut dyn Write {
        match self {
            Self::File(file) => file,
            Self::Stream(stream) => stream,
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.out().flush()?;
        match self {
            Self::File(file) => file.get_ref().sync_data(),
            Self::Stream(_) => Ok(()),
        }
    }
}

/// The earlier results and the length of the file up to its last whole line.
fn read_earlier(file: &mut File) -> io::Result<(Earlier, u64)> {
    let mut earlier = Earlier::default();
    let mut framer = Framer::new(LINE_BYTES_MAX);
    let (mut length, mut whole_bytes) = (0u64, 0u64);
    loop {
        let mut chunk = BytesMut::zeroed(LINE_BYTES_MAX);
        let count = file.read(&mut chunk)?;
        if count == 0 {
            return Ok((earlier, whole_bytes));
        }
        chunk.truncate(count);
        if let Some(end) = memchr::memrchr(b'\n', &chunk) {
            whole_bytes = length + end as u64 + 1;
        }
        length += count as u64;
        framer.push(chunk.freeze());
        while let Some(frame) = framer.next_frame() {
            if let Frame::Line { bytes, .. } = frame
                && let Ok(result) = ResultText::read(&bytes)
            {
                earlier.note(&result);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_state_of_a_job_counts_and_a_torn_line_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.ndjson");
        let mut file = ResultsFile::create(&path).unwrap();
        for line in [
            r#"{"job_id":"a","state":"relayed"}"#,
            r#"{"job_id":"b","state":"deferred"}"#,
            r#"{"job_id":"c","state":"deferred"}"#,
            r#"{"job_id":"c","state":"rejected"}"#,
            r#"{"job_id":"d","state":"lost"}"#,
            r#"{"job_id":"e","state":"unknown"}"#,
        ] {
            file.append(line.as_bytes()).unwrap();
        }
        file.finish().unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], br#"{"job_id":"f","state":"rela"#].concat()).unwrap();

        assert_eq!(ResultsFile::create(&path).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        let (mut file, earlier) = ResultsFile::resume(&path).unwrap();
        let done = |id| earlier.is_done(id);
        assert_eq!(["a", "b", "c", "d", "e", "f"].map(done), [true, false, true, false, true, false]);
        let count = |last| earlier.count(last);
        assert_eq!([Last::Relayed, Last::Failed, Last::Unknown, Last::Open].map(count), [1, 1, 1, 2]);
        file.append(br#"{"job_id":"f","state":"relayed"}"#).unwrap();
        file.finish().unwrap();
        let expected = [&whole[..], b"{\"job_id\":\"f\",\"state\":\"relayed\"}\n"].concat();
        assert_eq!(std::fs::read(&path).unwrap(), expected);
    }
}
