//! The journal's clock: it goes on from where the last run left it and never jumps, whatever is done to the wall
//! clock meanwhile. Retries and deadlines are counted on it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[derive(Debug, Clone, Copy)]
pub struct Clock {
    base_ms: i64,
    since: Instant,
}

impl Clock {
    /// Starts at the wall clock's time, or where the last run stopped when the wall clock is behind that.
    pub fn start(persisted_ms: i64, wall_ms: i64) -> Self {
        Self { base_ms: persisted_ms.max(wall_ms), since: Instant::now() }
    }

    pub fn now_ms(&self) -> i64 {
        self.base_ms.saturating_add(millis(self.since.elapsed()))
    }
}

/// Milliseconds since 1970 of the wall clock, for what people read.
pub fn wall_ms() -> i64 {
    unix_ms(SystemTime::now())
}

pub fn unix_ms(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// As many milliseconds as fit.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_runs_behind_what_was_written_nor_behind_the_wall() {
        assert!(Clock::start(5_000, 9_000).now_ms() >= 9_000);
        let ahead = Clock::start(90_000_000, 9_000);
        assert!((90_000_000..90_060_000).contains(&ahead.now_ms()));
    }
}
