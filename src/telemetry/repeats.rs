//! Equal log lines are written once a minute and counted in between: what goes wrong once goes wrong for every job of an
//! outage. A line that names a job is never equal to another, nor one that confirms what a person asked for; `debug` and `trace` are for who wants to see it all.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

const COUNTED_FOR: Duration = Duration::from_secs(60);
/// Lines that are known at once. Beyond it those that came once are forgotten.
const KNOWN_MAX: usize = 2_048;
/// The fields by which a line names a job, and the way in which a person asked for what it tells of: each is looked for by
/// somebody.
const SINGLE: [&str; 2] = ["send", "asked_by"];

#[derive(Debug, Default)]
pub struct Repeats {
    // Plain data, held for a few lines that neither wait nor fail.
    known: Mutex<HashMap<(Identifier, String), Known>>,
}

#[derive(Debug)]
struct Known {
    level: Level,
    since: Instant,
    /// How often it came since it was last written.
    again: u64,
}

/// A line that came again within its minute.
#[derive(Debug, PartialEq, Eq)]
pub struct Repeated {
    pub level: Level,
    text: String,
    again: u64,
}

impl fmt::Display for Repeated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} more times: {}", self.again, self.text)
    }
}

impl Repeats {
    fn lock(&self) -> MutexGuard<'_, HashMap<(Identifier, String), Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Counts a line; whether it is to be written.
    fn is_news(&self, site: Identifier, level: Level, text: String) -> bool {
        let mut known = self.lock();
        if let Some(line) = known.get_mut(&(site.clone(), text.clone())) {
            line.again += 1;
            return false;
        }
        if known.len() >= KNOWN_MAX {
            known.retain(|_, line| line.again > 0);
        }
        if known.len() < KNOWN_MAX {
            known.insert((site, text), Known { level, since: Instant::now(), again: 0 });
        }
        true
    }

    /// Lines whose minute is over and that came again in it. Each is written now, which begins a new minute.
    pub fn ended(&self, now: Instant) -> Vec<Repeated> {
        self.take(|line| now.saturating_duration_since(line.since) >= COUNTED_FOR, now)
    }

    /// Lines that came again, whatever is left of their minute.
    pub fn all(&self) -> Vec<Repeated> {
        self.take(|_| true, Instant::now())
    }

    fn take(&self, is_due: impl Fn(&Known) -> bool, now: Instant) -> Vec<Repeated> {
        let mut ended = Vec::new();
        self.lock().retain(|(_, text), line| {
            if !is_due(line) {
                return true;
            }
            let again = std::mem::take(&mut line.again);
            line.since = now;
            if again > 0 {
                ended.push(Repeated { level: line.level, text: text.clone(), again });
            }
            again > 0
        });
        ended
    }
}

/// Holds back what is not news.
pub struct OnlyNews(pub std::sync::Arc<Repeats>);

impl<S: Subscriber> Layer<S> for OnlyNews {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let about = event.metadata();
        if *about.level() > Level::INFO || SINGLE.iter().any(|name| about.fields().field(name).is_some()) {
            return true;
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.is_news(about.callsite(), *about.level(), text.0)
    }
}

/// An event's message and fields, as in a line of text.
struct Text(String);

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let space = if self.0.is_empty() { "" } else { " " };
        // Writing to a string fails only where the value's own text does.
        let _ = match field.name() {
            "message" => write!(self.0, "{space}{value:?}"),
            name => write!(self.0, "{space}{name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::captured::Captured;
    use std::sync::Arc;
    use tracing_subscriber::layer::SubscriberExt;

    /// How many of the events that `work` logs come through.
    fn written(repeats: &Arc<Repeats>, work: impl Fn()) -> usize {
        let lines = Captured::default();
        let into = lines.clone();
        let writer = move || into.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .with_writer(writer)
            .finish()
            .with(OnlyNews(repeats.clone()));
        tracing::subscriber::with_default(subscriber, work);
        lines.text().lines().count()
    }

    #[test]
    fn c14_equal_lines_are_one_a_minute_with_a_count() {
        let repeats = Arc::new(Repeats::default());
        let trouble = |cause: &str| tracing::error!(%cause, "the vault cannot be read");
        assert_eq!(written(&repeats, || (0..500).for_each(|_| trouble("gone"))), 1);
        assert_eq!(written(&repeats, || trouble("another")), 1, "another cause is another line");
        let start = Instant::now();
        assert_eq!(repeats.ended(start), []);
        let ended = repeats.ended(start + COUNTED_FOR);
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].to_string(), "499 more times: the vault cannot be read cause=gone");
        assert_eq!(written(&repeats, || trouble("gone")), 0, "its next minute has begun");
        assert_eq!(repeats.all().len(), 1);
        assert_eq!(repeats.ended(start + COUNTED_FOR * 3), []);
        assert!(repeats.is_empty());
        assert_eq!(written(&repeats, || trouble("gone")), 1);
    }

    #[test]
    fn a_line_of_a_job_and_what_is_looked_at_closely_is_always_written() {
        let repeats = Arc::new(Repeats::default());
        assert_eq!(written(&repeats, || (0..5).for_each(|_| tracing::info!(send = "s_1", "not relayed"))), 5);
        let asked = || (0..5).for_each(|_| tracing::info!(asked_by = "SIGHUP", "configuration read again"));
        assert_eq!(written(&repeats, asked), 5);
        assert_eq!(written(&repeats, || (0..5).for_each(|_| tracing::debug!("relayed"))), 5);
        let many = || (0..KNOWN_MAX * 2).for_each(|number| tracing::info!(number, "each is another"));
        assert_eq!(written(&repeats, many), KNOWN_MAX * 2);
        assert!(repeats.lock().len() <= KNOWN_MAX);
    }
}
