//! Clients that take none of their results.

use super::Counts;
use super::connection::Peer;
use super::jobs_route::Call;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Results ready for the client, and results it took.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub ready: AtomicU64,
    pub taken: AtomicU64,
}

/// Whose results are not taken, and how long that may last.
pub(super) struct Watched {
    stall_max: Duration,
    peer: Arc<Peer>,
    engine: Arc<str>,
    counts: Arc<Counts>,
}

impl Watched {
    pub fn of(call: &Call) -> Self {
        Self {
            stall_max: call.door.settings.limits.stall_max,
            peer: call.peer.clone(),
            engine: call.engine.name.clone(),
            counts: call.door.settings.counts.clone(),
        }
    }
}

/// Ends the connection of a client that takes none of its results for too long.
pub(super) async fn watch(watched: Watched, progress: Arc<Progress>, ended: CancellationToken) {
    let mut taken_before = 0;
    let mut since = Instant::now();
    loop {
        tokio::select! {
            () = ended.cancelled() => return,
            () = sleep(watched.stall_max / 4) => {}
        }
        let (ready, taken) = (progress.ready.load(Relaxed), progress.taken.load(Relaxed));
        if taken != taken_before || ready <= taken {
            taken_before = taken;
            since = Instant::now();
        } else if since.elapsed() >= watched.stall_max {
            let waiting = ready - taken;
            tracing::warn!(engine = %watched.engine, waiting, "http stream ended: the client takes no results; \
                read results while writing jobs");
            Counts::add(&watched.counts.streams_stalled);
            watched.peer.cut.cancel();
            return;
        }
    }
}
