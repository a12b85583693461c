//! Logging never ends, stalls or slows the relay: lines go through a bounded queue to a thread of their own.

use super::line::line;
use super::ours::OnlyOurs;
use super::pen::{Page, Pen};
use super::queue::LineQueue;
use super::repeats::{OnlyNews, Repeats};
use crate::config::{LogConfig, LogFormat};
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tracing::subscriber::set_global_default;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;

/// How long a process that ends waits for its last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The log of this process, once it was started.
static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    queue: Arc<LineQueue>,
    repeats: Arc<Repeats>,
    format: LogFormat,
}

/// Where log lines go.
pub enum LogTo {
    Stderr,
    File(std::fs::File),
}

/// Starts logging; a second call changes nothing.
///
/// # Errors
/// When the level is not a filter, or the system starts no thread.
pub fn start_log(log: &LogConfig, to: LogTo) -> Result<(), String> {
    let filter = EnvFilter::try_new(&log.level).map_err(|cause| format!("log.level: {cause}"))?;
    let cannot = |cause: io::Error| format!("logging cannot be started: {cause}");
    let (descriptor, is_terminal) = match to {
        // A descriptor of its own: standard error as such has a lock that others wait for.
        LogTo::Stderr => (io::stderr().as_fd().try_clone_to_owned(), io::stderr().is_terminal()),
        LogTo::File(file) => (Ok(OwnedFd::from(file)), false),
    };
    let page = Page::new(descriptor.map_err(cannot)?);
    let (queue, repeats) = (Arc::<LineQueue>::default(), Arc::<Repeats>::default());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer({
            let queue = queue.clone();
            move || Slip(queue.clone())
        })
        .with_ansi(is_terminal)
        // It would speak of them on standard error, and panic when that is gone.
        .log_internal_errors(false);
    let news = OnlyNews(repeats.clone());
    // Nor is the crate `log` listened to: only libraries speak by it.
    let started = match log.format {
        LogFormat::Json => {
            set_global_default(lines.json().flatten_event(true).finish().with(news).with(OnlyOurs))
        }
        LogFormat::Text => set_global_default(lines.with_target(false).finish().with(news).with(OnlyOurs)),
    };
    if started.is_err() {
        return Ok(());
    }
    let pen = Pen { queue: queue.clone(), repeats: repeats.clone(), format: log.format, page, unsaid: 0 };
    std::thread::Builder::new().name("log-write".into()).spawn(|| pen.run()).map_err(cannot)?;
    let _ = LOG.set(Log { queue, repeats, format: log.format });
    Ok(())
}

/// To be called before the process ends: waits for the last lines, for a second at most.
pub fn finish_log() {
    let Some(log) = LOG.get() else { return };
    for text in log.repeats.all() {
        log.queue.push(&line(log.format, text.level, &text.to_string()));
    }
    log.queue.wait_until_done(LAST_LINES);
}

/// Log lines that could not be written, since the start.
pub fn log_lines_dropped() -> u64 {
    LOG.get().map_or(0, |log| log.queue.dropped())
}

/// One line on its way into the queue: it comes in one piece.
struct Slip(Arc<LineQueue>);

impl Write for Slip {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
