//! The thread that writes log lines. It alone waits for who reads them: a pipe that nobody empties, a terminal that is
//! held, a disk. A line that cannot be written is counted, and the count is said before the next one that can.

use super::line::line;
use super::queue::{LineQueue, Next};
use super::repeats::Repeats;
use crate::config::LogFormat;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Level;

/// `PIPE_BUF` (pipe(7)): a pipe that says it is writable takes so many bytes without blocking, and in one piece.
const PIECE_BYTES: usize = 4096;
/// How soon something that is still to be said is looked at again; and how soon a descriptor that was ready and took
/// nothing.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const NOT_YET: Duration = Duration::from_millis(10);
/// While nothing is to be said.
const LONG: Duration = Duration::from_secs(3600);

pub struct Pen {
    pub queue: Arc<LineQueue>,
    pub repeats: Arc<Repeats>,
    pub format: LogFormat,
    pub page: Page,
    /// Lines that could not be written, and were not spoken of yet.
    pub unsaid: u64,
}

/// What is written on.
pub struct Page {
    descriptor: OwnedFd,
    /// The last write broke off within a line.
    is_mid_line: bool,
}

impl Pen {
    /// For as long as the process lives.
    pub fn run(mut self) {
        loop {
            let something_is_due = self.unsaid > 0 || !self.repeats.is_empty();
            let patience = if something_is_due { LOOK_AGAIN } else { LONG };
            match self.queue.next(PIECE_BYTES, patience) {
                Next::Lines(lines) => self.put(&lines),
                Next::LeftOut(lines) => {
                    self.unsaid += lines;
                    self.say_what_is_unsaid();
                }
                Next::Idle => {
                    self.say_what_is_unsaid();
                }
            }
            for text in self.repeats.ended(Instant::now()) {
                self.queue.push(&line(self.format, text.level, &text.to_string()));
            }
        }
    }

    fn put(&mut self, lines: &[u8]) {
        let written = if self.say_what_is_unsaid() { self.page.write(lines) } else { 0 };
        let lost = memchr::memchr_iter(b'\n', &lines[written..]).count() as u64;
        self.queue.lost(lost);
        self.unsaid += lost;
    }

    /// Whether there is nothing of the kind any more.
    fn say_what_is_unsaid(&mut self) -> bool {
        if self.unsaid == 0 {
            return true;
        }
        let text = format!("{} log lines were left out here: the log could not be written", self.unsaid);
        let notice = line(self.format, Level::WARN, &text);
        if self.page.write(&notice) == notice.len() {
            self.unsaid = 0;
        }
        self.unsaid == 0
    }
}

impl Page {
    pub fn new(descriptor: OwnedFd) -> Self {
        Self { descriptor, is_mid_line: false }
    }

    /// Waits for as long as it takes; returns how much was written before an error.
    fn write(&mut self, lines: &[u8]) -> usize {
        if self.is_mid_line && self.write_through(b"\n") == 0 {
            return 0;
        }
        self.is_mid_line = false;
        let written = self.write_through(lines);
        self.is_mid_line = lines[..written].last().is_some_and(|last| *last != b'\n');
        written
    }

    fn write_through(&self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            // A reader that is gone makes it ready too: the write says so.
            let _ = poll(&mut [PollFd::new(&self.descriptor, PollFlags::OUT)], None);
            let rest = &bytes[written..];
            match rustix::io::write(&self.descriptor, &rest[..rest.len().min(PIECE_BYTES)]) {
                Ok(0) => break,
                Ok(count) => written += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => std::thread::sleep(NOT_YET),
                Err(_) => break,
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, PipeReader};

    fn pen(descriptor: OwnedFd) -> (Arc<LineQueue>, Pen) {
        let queue = Arc::new(LineQueue::default());
        let repeats = Arc::default();
        let page = Page::new(descriptor);
        (queue.clone(), Pen { queue, repeats, format: LogFormat::Text, page, unsaid: 0 })
    }

    fn on_a_pipe() -> (Arc<LineQueue>, BufReader<PipeReader>) {
        let (reader, writer) = std::io::pipe().unwrap();
        let (queue, pen) = pen(writer.into());
        std::thread::spawn(|| pen.run());
        (queue, BufReader::new(reader))
    }

    /// More than a pipe and the queue take together.
    fn overflow(queue: &LineQueue) -> u64 {
        let mut pushed = 0;
        while queue.dropped() == 0 {
            queue.push(format!("line {pushed} {}\n", "x".repeat(1_000)).as_bytes());
            pushed += 1;
        }
        pushed
    }

    #[test]
    fn c1_nobody_waits_for_a_pipe_that_nobody_reads_and_the_gap_is_said_in_its_place() {
        let (queue, mut reader) = on_a_pipe();
        let pushed = overflow(&queue);
        let mut line = String::new();
        for number in 0..pushed - 1 {
            line.clear();
            reader.read_line(&mut line).unwrap();
            assert!(line.starts_with(&format!("line {number} ")), "{line}");
        }
        line.clear();
        reader.read_line(&mut line).unwrap();
        assert!(line.contains(" WARN 1 log lines were left out here"), "{line}");
        queue.push(b"behind it\n");
        line.clear();
        reader.read_line(&mut line).unwrap();
        assert_eq!(line, "behind it\n");
        queue.wait_until_done(LONG);
    }

    #[test]
    fn c1_lines_that_cannot_be_written_are_counted() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        for descriptor in [full.into(), writer.into()] {
            let (queue, mut pen) = pen(descriptor);
            pen.put(b"one\ntwo\n");
            pen.put(b"three\n");
            assert_eq!((queue.dropped(), pen.unsaid), (3, 3));
            let (mut reader, writer) = std::io::pipe().unwrap();
            pen.page = Page { descriptor: writer.into(), is_mid_line: true };
            pen.put(b"four\n");
            assert_eq!((queue.dropped(), pen.unsaid), (3, 0));
            drop(pen);
            let mut all = String::new();
            std::io::Read::read_to_string(&mut reader, &mut all).unwrap();
            let lines: Vec<&str> = all.lines().collect();
            assert!(lines[0].is_empty() && lines[1].contains("3 log lines were left out"), "{all}");
            assert_eq!(lines[2], "four");
        }
    }

    #[test]
    fn c1_a_descriptor_that_does_not_block_is_waited_for() {
        let (reader, writer) = std::io::pipe().unwrap();
        let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
        rustix::fs::fcntl_setfl(&writer, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
        let (queue, mut pen) = pen(writer.into());
        let lines = "a line\n".repeat(20_000);
        let reading = std::thread::spawn(move || std::io::read_to_string(reader).unwrap());
        pen.put(lines.as_bytes());
        drop(pen);
        assert_eq!(reading.join().unwrap(), lines);
        assert_eq!(queue.dropped(), 0);
    }
}
