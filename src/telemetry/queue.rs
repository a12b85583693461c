//! Log lines that wait to be written: whoever logs leaves a line here and never waits. Bounded; what does not fit is
//! counted in its place, so that the order of what is written stays true.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most bytes of lines that wait.
const WAITING_BYTES_MAX: usize = 512 * 1024;

#[derive(Debug, Default)]
pub struct LineQueue {
    // Plain data, held for a few lines that neither wait nor fail; std's, because the writer is a thread that blocks.
    waiting: Mutex<Waiting>,
    more: Condvar,
    done: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// Lines that did not fit behind these. While there are some no line is taken on: it would stand before them.
    left_out: u64,
    writer: Writer,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Writer {
    #[default]
    Waits,
    Writes,
}

/// What the writer has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Whole lines, in their order.
    Lines(Vec<u8>),
    /// So many were left out at this place.
    LeftOut(u64),
    /// Nothing came in time.
    Idle,
}

impl LineQueue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves one line, or counts it.
    pub fn push(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.left_out > 0 || waiting.bytes + line.len() > WAITING_BYTES_MAX {
            waiting.left_out += 1;
            self.dropped.fetch_add(1, Relaxed);
            return self.more.notify_one();
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line.into());
        if waiting.lines.len() == 1 {
            self.more.notify_one();
        }
    }

    /// What comes next, lines together as far as they fit into `bytes_max` (or one, if it is longer). For one thread.
    pub fn next(&self, bytes_max: usize, patience: Duration) -> Next {
        let give_up = Instant::now() + patience;
        let mut waiting = self.lock();
        waiting.writer = Writer::Waits;
        loop {
            if !waiting.lines.is_empty() {
                waiting.writer = Writer::Writes;
                return Next::Lines(waiting.take(bytes_max));
            }
            if waiting.left_out > 0 {
                waiting.writer = Writer::Writes;
                return Next::LeftOut(std::mem::take(&mut waiting.left_out));
            }
            self.done.notify_all();
            let left = give_up.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Next::Idle;
            }
            waiting = self.more.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Lines that were taken and could not be written.
    pub fn lost(&self, lines: u64) {
        self.dropped.fetch_add(lines, Relaxed);
    }

    /// Lines that nobody will read, since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Waits until everything that was left here is written, so long at most.
    pub fn wait_until_done(&self, patience: Duration) {
        let is_unfinished = |waiting: &mut Waiting| {
            !waiting.lines.is_empty() || waiting.left_out > 0 || waiting.writer == Writer::Writes
        };
        drop(self.done.wait_timeout_while(self.lock(), patience, is_unfinished));
    }
}

impl Waiting {
    fn take(&mut self, bytes_max: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while let Some(line) = self.lines.front() {
            if !taken.is_empty() && taken.len() + line.len() > bytes_max {
                break;
            }
            taken.extend_from_slice(line);
            self.bytes -= line.len();
            self.lines.pop_front();
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::ZERO;

    #[test]
    fn lines_come_in_their_order_and_together() {
        let queue = LineQueue::default();
        for line in ["one\n", "two\n", "a long one\n"] {
            queue.push(line.as_bytes());
        }
        assert_eq!(queue.next(8, SOON), Next::Lines(b"one\ntwo\n".into()));
        assert_eq!(queue.next(8, SOON), Next::Lines(b"a long one\n".into()), "longer than the room, alone");
        assert_eq!(queue.next(8, SOON), Next::Idle);
    }

    #[test]
    fn what_does_not_fit_is_counted_in_its_place() {
        let queue = LineQueue::default();
        let half = vec![b'x'; WAITING_BYTES_MAX / 2];
        queue.push(&half);
        queue.push(&half);
        queue.push(b"too many\n");
        assert!(matches!(queue.next(1, SOON), Next::Lines(_)));
        queue.push(b"there is room, but it came behind one that was left out\n");
        assert!(matches!(queue.next(1, SOON), Next::Lines(_)));
        assert_eq!(queue.next(1, SOON), Next::LeftOut(2));
        queue.push(b"again\n");
        assert_eq!(queue.next(1, SOON), Next::Lines(b"again\n".into()));
        assert_eq!(queue.dropped(), 2);
    }
}
