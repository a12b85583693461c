//! Who asks: the bearer key of an engine, and the lock-out of sources that guess.

use super::Counts;
use super::connection::{Door, Peer};
use super::problem::Problem;
use crate::engine::Engine;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Sources remembered at most; beyond that the oldest are forgotten.
const SOURCES_MAX: usize = 4096;

/// The engine whose key the request carries.
///
/// # Errors
/// 401 for a key that is missing, given twice or wrong, all in the same words; 429 for a source that has
/// guessed too often. A connection on which a key was right before is not locked out with its source.
pub(super) async fn engine(door: &Door, peer: &Peer, headers: &HeaderMap) -> Result<Arc<Engine>, Problem> {
    let source = peer.address.ip();
    let known = peer.known.load(Relaxed);
    if !known && let Some(wait) = door.sources.locked_for(source) {
        KeyRefusal::Locked.tell(door, source);
        return Err(Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "locked-out",
            "too many wrong keys from this source; wait, then use the key of [[engine]]",
        )
        .retry_after(wait));
    }
    let refusal = match bearer(headers) {
        None => KeyRefusal::Missing,
        Some(key) => match door.settings.house.engines().by_key(key) {
            Some(engine) => {
                peer.known.store(true, Relaxed);
                return Ok(engine);
            }
            None => KeyRefusal::Wrong,
        },
    };
    Counts::add(&door.settings.counts.keys_refused);
    refusal.tell(door, source);
    door.sources.wrong_key(source);
    sleep(door.settings.limits.wrong_key_delay).await;
    Err(Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "send 'Authorization: Bearer KEY' once, with the secret of an [[engine]]",
    ))
}

/// Why a request has no engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum KeyRefusal {
    Missing,
    Wrong,
    Locked,
}

impl KeyRefusal {
    /// One line a source, cause and minute.
    fn tell(self, door: &Door, source: IpAddr) {
        let Some(more) = door.notices.due((network(source), self)) else { return };
        let (cause, fix) = match self {
            Self::Missing => (
                "no key, or not exactly one",
                "send 'Authorization: Bearer KEY' with the secret of an [[engine]]",
            ),
            Self::Wrong => ("the key is no engine's secret", "use what [[engine]] secret points to"),
            Self::Locked => ("too many wrong keys lately", "mend the requests that failed, and wait"),
        };
        tracing::warn!(%source, cause, fix, more, "http: key refused");
    }
}

/// The key of exactly one `Authorization: Bearer` header (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    let (scheme, key) = only.as_bytes().split_at_checked("Bearer ".len())?;
    let key = key.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !key.is_empty()).then_some(key)
}

/// Wrong keys per source within a window.
#[derive(Debug)]
pub(super) struct Sources {
    wrong_keys_max: u32,
    window: Duration,
    // A lock, since any connection may add to it; held for one map look-up a request.
    tallies: Mutex<HashMap<IpAddr, Tally>>,
}

#[derive(Debug, Clone, Copy)]
struct Tally {
    wrong_keys: u32,
    since: Instant,
}

impl Sources {
    pub fn new(wrong_keys_max: u32, window: Duration) -> Self {
        Self { wrong_keys_max, window, tallies: Mutex::default() }
    }

    /// How long the source still has to wait, if it is locked out.
    pub fn locked_for(&self, source: IpAddr) -> Option<Duration> {
        let tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = tallies.get(&network(source))?;
        if tally.wrong_keys < self.wrong_keys_max {
            return None;
        }
        self.window.checked_sub(tally.since.elapsed()).filter(|wait| !wait.is_zero())
    }

    pub fn wrong_key(&self, source: IpAddr) {
        let now = Instant::now();
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        if tallies.len() >= SOURCES_MAX {
            self.forget_some(&mut tallies);
        }
        let tally = tallies.entry(network(source)).or_insert(Tally { wrong_keys: 0, since: now });
        if tally.since.elapsed() >= self.window {
            *tally = Tally { wrong_keys: 0, since: now };
        }
        tally.wrong_keys += 1;
    }

    fn forget_some(&self, tallies: &mut HashMap<IpAddr, Tally>) {
        tallies.retain(|_, tally| tally.since.elapsed() < self.window);
        if tallies.len() >= SOURCES_MAX {
            let mut ages: Vec<Instant> = tallies.values().map(|tally| tally.since).collect();
            let (_, middle, _) = ages.select_nth_unstable(SOURCES_MAX / 2);
            let middle = *middle;
            tallies.retain(|_, tally| tally.since > middle);
        }
    }
}

/// One host owns a whole IPv6 /64.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_source_is_locked_out_for_the_window() {
        let sources = Sources::new(3, Duration::from_secs(60));
        let guesser: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::ffff".parse().unwrap();
        let other: IpAddr = "192.0.2.1".parse().unwrap();
        (0..2).for_each(|_| sources.wrong_key(guesser));
        assert_eq!(sources.locked_for(guesser), None);
        sources.wrong_key(neighbour);
        assert_eq!(sources.locked_for(guesser), Some(Duration::from_secs(60)));
        assert_eq!(sources.locked_for(other), None);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(sources.locked_for(guesser), None);
        sources.wrong_key(guesser);
        assert_eq!(sources.locked_for(guesser), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_of_sources_is_bounded() {
        let sources = Sources::new(3, Duration::from_secs(60));
        for number in 0..20_000u32 {
            sources.wrong_key(IpAddr::from(number.to_be_bytes()));
        }
        assert!(sources.tallies.lock().unwrap().len() <= SOURCES_MAX);
    }

    #[test]
    fn one_bearer_header_and_no_other_is_taken() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).map(<[u8]>::to_vec)
        };
        assert_eq!(of(&["Bearer k1"]).as_deref(), Some(b"k1".as_slice()));
        assert_eq!(of(&["bearer  k1"]).as_deref(), Some(b"k1".as_slice()));
        for refused in [&[] as &[&str], &["Basic k1"], &["Bearer "], &["k1"], &["Bearer k1", "Bearer k1"]] {
            assert_eq!(of(refused), None, "{refused:?}");
        }
    }
}
