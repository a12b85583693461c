//! What a target has done so far, as plain counters that telemetry reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of one target since the start; `sessions_open` goes up and down.
#[derive(Debug, Default)]
pub struct TargetStats {
    pub(super) sessions_made: AtomicU64,
    pub(super) sessions_open: AtomicU64,
    pub(super) tls_resumed: AtomicU64,
    pub(super) connect_failures: AtomicU64,
    pub(super) relayed: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) in_doubt: AtomicU64,
    pub(super) offered_again: AtomicU64,
    pub(super) throttled: AtomicU64,
    pub(super) declined: AtomicU64,
    pub(super) order_refused: AtomicU64,
    pub(super) set_apart: AtomicU64,
}

impl TargetStats {
    /// Sessions that got as far as EHLO and AUTH.
    pub fn sessions_made(&self) -> u64 {
        self.sessions_made.load(Relaxed)
    }

    pub fn sessions_open(&self) -> u64 {
        self.sessions_open.load(Relaxed)
    }

    /// Sessions whose TLS went on from one before, without certificates and signatures.
    pub fn tls_resumed(&self) -> u64 {
        self.tls_resumed.load(Relaxed)
    }

    pub fn connect_failures(&self) -> u64 {
        self.connect_failures.load(Relaxed)
    }

    /// Messages the target answered 2xx after the final dot.
    pub fn relayed(&self) -> u64 {
        self.relayed.load(Relaxed)
    }

    /// Messages refused for what is theirs or the recipient's.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Messages whose final dot was never answered.
    pub fn in_doubt(&self) -> u64 {
        self.in_doubt.load(Relaxed)
    }

    /// Times the target asked for less.
    pub fn throttled(&self) -> u64 {
        self.throttled.load(Relaxed)
    }

    /// Offers repeated for a reason that was not the message's.
    pub fn offered_again(&self) -> u64 {
        self.offered_again.load(Relaxed)
    }

    /// Messages the target did not take for reasons that are not the message's or the recipient's.
    pub fn declined(&self) -> u64 {
        self.declined.load(Relaxed)
    }

    /// Answers that said nothing but that our commands came too early or in the wrong order.
    pub fn order_refused(&self) -> u64 {
        self.order_refused.load(Relaxed)
    }

    /// Messages that were left to themselves because several sessions ended with them.
    pub fn set_apart(&self) -> u64 {
        self.set_apart.load(Relaxed)
    }
}
