//! What an operator reads of a running relay: whether it is ready, and the metrics page.

use super::Parts;
use super::reload::TlsFiles;
use crate::accept::http::Ready;
use crate::telemetry::{Page, log_lines_dropped};

/// The page is open to engines: what it tells of people is not told of one. A record's weight is the length of its values, and
/// one more hit is somebody who was mailed a moment ago.
const MIB: u64 = 1024 * 1024;
const COUNT_STEP: u64 = 100;

fn in_steps(count: u64, step: u64) -> u64 {
    count - count % step
}

impl Parts {
    /// Not ready is who can take no job on, or read nobody. What is held until it passes, or concerns some jobs only, is a
    /// problem.
    pub(super) fn ready(&self) -> Ready {
        let injector = &self.custody.pipeline.injector;
        let down = injector.targets().filter_map(|(target, _, cause)| {
            cause.map(|cause| format!("target {}: {}", target.name, cause.detail))
        });
        let mut problems: Vec<String> = down.collect();
        let some_target_is_up = problems.len() < injector.targets().count();
        // Their messages wait, those of other senders go on.
        let senders = injector.refused_senders();
        problems.extend(senders.map(|(name, cause)| format!("target {name}: {}", cause.detail)));
        problems.extend(self.tls.get().into_iter().flat_map(TlsFiles::problems));
        problems.extend(self.custody.pipeline.rules.borrow().renderer.shelf().problems());
        let mut obstacles = self.defects.told();
        obstacles.extend(self.vault.trouble().map(|cause| format!("vault: {cause}")));
        let delivers_or_holds = match &self.custody.journal {
            None => some_target_is_up,
            Some(journal) => {
                obstacles.extend(journal.health().map(|cause| format!("journal: {cause}")));
                obstacles.extend(journal.full().map(|why| format!("journal: it takes no new jobs: {why}")));
                true
            }
        };
        let ok = delivers_or_holds && obstacles.is_empty();
        let waits = self.custody.journal.as_ref().and_then(|journal| journal.warning());
        problems.extend(waits.map(|warning| format!("journal: {warning}")));
        problems.extend(self.orphans.told());
        problems.extend(self.vault.altered().map(|how| format!("vault: {how}")));
        obstacles.extend(problems);
        Ready { ok, problems: obstacles }
    }

    pub(super) fn metrics(&self) -> String {
        use std::sync::atomic::Ordering::Relaxed;
        let mut page = Page::default();
        page.jobs(&self.custody.board).stages(&self.custody.pipeline.stages).targets(self.target_counts());
        page.unknown_tokens(self.custody.pipeline.unknown_tokens.counts().into_iter());
        page.target_states(self.target_states()).learned(self.learned());
        self.count_people(&mut page);
        page.counter(
            "render_plans_compiled",
            "Contents that came with jobs and had to be compiled, since the last reload",
            self.custody.pipeline.rules.borrow().renderer.plans_compiled(),
        )
        .counter(
            "render_values_too_long",
            "Messages that only the values of the persons they were for kept from being made",
            self.custody.pipeline.guesses.count_all(),
        )
        .gauge("gate_free_jobs", "Jobs that could enter now", self.gate.free() as u64)
        .counter("http_requests", "HTTP requests", self.http_counts.requests.load(Relaxed))
        .counter("http_keys_refused", "Wrong or missing keys", self.http_counts.keys_refused.load(Relaxed))
        .counter("log_lines_dropped", "Log lines that could not be written", log_lines_dropped())
        .gauge(
            "http_connections",
            "HTTP connections",
            self.http_counts.connections_open.load(Relaxed),
        );
        if let Some(journal) = &self.custody.journal {
            let stats = journal.stats();
            page.gauge("journal_held_jobs", "Jobs that wait, are in flight or in doubt", stats.held_jobs)
                .gauge("journal_held_bytes", "What they take in the journal", stats.held_bytes)
                .gauge("journal_bytes_max", "What they may take at most", stats.bytes_max)
                .gauge(
                    "journal_is_full",
                    "1 while new jobs are refused for want of room",
                    u64::from(stats.full.is_some()),
                )
                .gauge("journal_oldest_seconds", "Age of the first of them", stats.oldest.as_secs())
                .gauge("journal_in_flight", "Held jobs that are being attempted", stats.in_flight)
                .gauge(
                    "journal_is_writable",
                    "1 while the journal can be written",
                    u64::from(stats.health.is_none()),
                )
                .gauge(
                    "journal_kept_refused_jobs",
                    "Refused jobs that jobs retry can have judged anew",
                    stats.kept_jobs,
                )
                .gauge("journal_kept_refused_bytes", "What they take in the journal", stats.kept_bytes)
                .counter("journal_commits", "Commits; an fsync covers one or more of them", stats.commits)
                .counter("journal_quarantined", "Held jobs that could not be read back", stats.quarantined)
                .counter("journal_unrecorded", "Outcomes the ledger could not take", stats.unrecorded);
        }
        page.text()
    }

    /// What is told of people who are looked up.
    fn count_people(&self, page: &mut Page) {
        use std::sync::atomic::Ordering::Relaxed;
        let resolve = self.custody.pipeline.resolver.stats();
        page.counter(
            "resolve_hits",
            "Tokens answered from the cache, in whole hundreds",
            in_steps(resolve.hits.load(Relaxed), COUNT_STEP),
        )
        .counter(
            "resolve_misses",
            "Tokens read from the vault, in whole hundreds",
            in_steps(resolve.misses.load(Relaxed), COUNT_STEP),
        )
        .counter(
            "resolve_batches",
            "Reads of the vault, in whole hundreds",
            in_steps(resolve.batches.load(Relaxed), COUNT_STEP),
        )
        .counter("resolve_faults", "Reads the vault could not answer", resolve.faults.load(Relaxed))
        .gauge(
            "cache_bytes",
            "People in memory, by weight, rounded up to whole MiB",
            self.custody.pipeline.resolver.cached_bytes().next_multiple_of(MIB),
        );
    }

    /// Of a target that asked for less: the messages a minute it gets, and since how many seconds.
    fn target_states(&self) -> impl Iterator<Item = (String, &'static str, u64)> {
        let injector = &self.custody.pipeline.injector;
        injector.targets().zip(injector.slowed()).flat_map(|((target, _, down), (_, slowed))| {
            let (per_minute, seconds) =
                slowed.map_or((0, 0), |slowed| (slowed.per_minute.max(1), slowed.since.as_secs()));
            let states = [
                ("is_left_alone", u64::from(down.is_some())),
                ("slowed_to_per_minute", per_minute),
                ("slowed_seconds", seconds),
            ];
            states.map(|(what, value)| (target.name.to_string(), what, value))
        })
    }

    /// A limit that was not learned is not shown.
    fn learned(&self) -> impl Iterator<Item = (String, &'static str, u64)> {
        self.custody.pipeline.injector.learned().flat_map(|(target, learned)| {
            let share = learned.messages_per_connection_max;
            let share = share.map(|messages| ("messages_per_connection_max", messages));
            let all = share.into_iter().chain([("sent_ahead", learned.sent_ahead)]);
            all.map(|(what, value)| (target.to_string(), what, value))
        })
    }

    fn target_counts(&self) -> impl Iterator<Item = (String, &'static str, u64)> {
        self.custody.pipeline.injector.targets().flat_map(|(target, stats, _)| {
            let counts = [
                ("sessions_made", stats.sessions_made()),
                ("tls_resumed", stats.tls_resumed()),
                ("connect_failures", stats.connect_failures()),
                ("relayed", stats.relayed()),
                ("refused", stats.refused()),
                ("declined", stats.declined()),
                ("offered_again", stats.offered_again()),
                ("order_refused", stats.order_refused()),
                ("set_apart", stats.set_apart()),
                ("in_doubt", stats.in_doubt()),
                ("throttled", stats.throttled()),
            ];
            counts.map(|(what, count)| (target.name.to_string(), what, count))
        })
    }
}
