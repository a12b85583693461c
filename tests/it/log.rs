//! Everything the relay logs in this process, kept to be searched: its own lines down to TRACE.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use tracing_subscriber::EnvFilter;

/// Dependencies may log what they carry at lower levels; nobody runs a relay so.
const FILTER: &str = "info,tokenrelay=trace";

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static STARTED: OnceLock<()> = OnceLock::new();

/// Starts keeping, and says where the next line will stand.
pub fn mark() -> usize {
    STARTED.get_or_init(|| {
        let lines = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(FILTER)).with_ansi(false);
        lines.with_writer(|| Tap).init();
    });
    lines().len()
}

/// What was logged since a mark, by all tests that run beside each other.
pub fn since(mark: usize) -> Vec<u8> {
    lines()[mark..].to_vec()
}

fn lines() -> MutexGuard<'static, Vec<u8>> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Tap;

impl Write for Tap {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        lines().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
