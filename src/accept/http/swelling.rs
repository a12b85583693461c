//! How far a compressed body may swell. Jobs may come in any number, however well they compress; what unpacks to anything
//! else costs the relay work that costs its sender nothing, and is bounded by what came over the wire.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// Unpacked bytes for each received one that are never looked at askance: well over what jobs compress by that differ in
/// more than their token.
pub(super) const RATIO_MAX: u64 = 100;
/// As many more, whatever was received.
const IDLE_BYTES_MAX: u64 = 4 << 20;
/// What a line that is no job counts, beside its bytes: it is parsed, and answered.
const REFUSED_LINE_BYTES: u64 = 256;
/// Past [`RATIO_MAX`] jobs are unpacked no faster than this.
const BYTES_PER_SECOND_MAX: u64 = 128 << 20;

/// Counts what came over the wire; shared with whoever unpacks it.
pub(super) type Received = Arc<AtomicU64>;

/// The body unpacked to too much that is no job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Swollen;

/// The account of one body.
#[derive(Debug)]
pub(super) struct Swelling {
    received: Received,
    unpacked: u64,
    /// What of it was no job: blank lines, lines that are too long or refused, white space.
    idle: u64,
    began: Instant,
}

impl Swelling {
    pub fn new(received: Received) -> Self {
        Self { received, unpacked: 0, idle: 0, began: Instant::now() }
    }

    /// A chunk was unpacked, of which nothing is known yet.
    pub fn unpacked(&mut self, bytes: usize) {
        self.unpacked += bytes as u64;
        self.idle += bytes as u64;
    }

    /// So many of these bytes were a job.
    pub fn job(&mut self, bytes: usize) {
        self.idle = self.idle.saturating_sub(bytes as u64 + 1);
    }

    /// One of the lines was refused.
    ///
    /// # Errors
    /// [`Swollen`]: read no further.
    pub fn refused(&mut self) -> Result<(), Swollen> {
        self.idle += REFUSED_LINE_BYTES;
        self.judge()
    }

    /// How long to wait before more is unpacked.
    pub fn pause(&self) -> Option<Duration> {
        let surplus = self.unpacked.saturating_sub(self.by_ratio());
        let due = Duration::from_secs_f64(surplus as f64 / BYTES_PER_SECOND_MAX as f64);
        due.checked_sub(self.began.elapsed()).filter(|wait| !wait.is_zero())
    }

    /// When all lines of a chunk were taken, what came before is told from what is too much.
    ///
    /// # Errors
    /// [`Swollen`]: read no further.
    pub fn judge(&self) -> Result<(), Swollen> {
        if self.idle > self.by_ratio() + IDLE_BYTES_MAX { Err(Swollen) } else { Ok(()) }
    }

    fn by_ratio(&self) -> u64 {
        self.received.load(Relaxed).saturating_mul(RATIO_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn c3_jobs_may_swell_without_end_and_nothing_else_may() {
        let mut swelling = Swelling::new(Received::new(1000.into()));
        for _ in 0..100_000 {
            swelling.unpacked(10_001);
            swelling.job(10_000);
        }
        let wait = swelling.pause().unwrap().as_secs_f64();
        assert!((7.0..8.0).contains(&wait), "1 GB at 128 MiB a second: {wait}");
        swelling.unpacked((4 << 20) + 100_000);
        assert_eq!(swelling.judge(), Ok(()));
        swelling.unpacked(1);
        assert_eq!(swelling.judge(), Err(Swollen));
    }

    #[test]
    fn c3_what_comes_over_the_wire_as_it_is_never_swells() {
        let received = Received::default();
        let mut swelling = Swelling::new(received.clone());
        for _ in 0..100_000 {
            received.fetch_add(1 << 20, Relaxed);
            swelling.unpacked(1 << 20);
            assert_eq!((swelling.judge(), swelling.pause()), (Ok(()), None));
        }
    }

    #[test]
    fn c3_lines_that_are_refused_count_more_than_their_bytes() {
        let mut swelling = Swelling::new(Received::default());
        let refused = (0..).take_while(|_| swelling.refused().is_ok()).count();
        assert!((10_000..20_000).contains(&refused), "{refused}");
    }
}
