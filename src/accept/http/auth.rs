//! Who asks: the bearer key of an engine, and the lock-out of sources that guess.

use super::Counts;
use super::connection::{Door, Peer};
use super::problem::Problem;
use crate::engine::Engine;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Sources remembered at most; beyond that the oldest are forgotten.
const SOURCES_MAX: usize = 4096;
/// Engines and the sources that they came from, likewise.
const KNOWN_MAX: usize = 16 * 1024;
/// So many times the wrong keys that close a source to strangers close it to everybody.
const CLOSED_AT: usize = 10;

/// The engine whose key the request carries.
///
/// # Errors
/// 401 for a key that is missing, given twice or wrong, all in the same words; 429 for a source that has guessed too often.
/// A connection that has shown a right key, and no wrong one since, is not locked out with its source; nor, for long, are
/// engines that the source has shown the right key of.
pub(super) async fn engine(door: &Door, peer: &Peer, headers: &HeaderMap) -> Result<Arc<Engine>, Problem> {
    let source = peer.address.ip();
    let is_known = peer.known.load(Relaxed);
    let standing = if is_known { Standing::Open } else { door.sources.standing(source) };
    let refusal = match (standing, bearer(headers)) {
        (Standing::Closed(_), _) => KeyRefusal::Locked,
        (_, None) => KeyRefusal::Missing,
        (standing, Some(key)) => {
            let found = door.settings.house.engines().by_key(key);
            if let Some(engine) = found.filter(|engine| door.sources.takes(standing, source, engine)) {
                if !is_known {
                    door.sources.remember(source, &engine);
                    peer.known.store(true, Relaxed);
                }
                return Ok(engine);
            }
            peer.known.store(false, Relaxed);
            door.sources.wrong_key(source, key);
            if standing == Standing::Open { KeyRefusal::Wrong } else { KeyRefusal::Locked }
        }
    };
    Counts::add(&door.settings.counts.keys_refused);
    refusal.tell(door, source);
    // A right key that is not taken now is not told from a wrong one.
    sleep(door.settings.limits.wrong_key_delay).await;
    Err(match standing {
        Standing::Closed(wait) | Standing::KnownOnly(wait) => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "locked-out",
            "too many wrong keys from this source; wait, then use the key of [[engine]]",
        )
        .retry_after(wait),
        Standing::Open => Problem::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "send 'Authorization: Bearer KEY' once, with the secret of an [[engine]]",
        ),
    })
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

/// How a source is met, by the different keys that were wrong lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Open,
    /// Engines that it has shown the right key of before. For how long yet.
    KnownOnly(Duration),
    /// Nobody.
    Closed(Duration),
}

/// Wrong keys per source within a window. The same one again is no further guess: a client with an old key locks nobody out.
#[derive(Debug)]
pub(super) struct Sources {
    wrong_keys_max: usize,
    window: Duration,
    // A lock, since any connection may add to it; held for a few map look-ups a connection, and for those with wrong keys.
    memory: Mutex<Memory>,
    /// Keyed at start; keys are not kept.
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Memory {
    tallies: HashMap<IpAddr, Tally>,
    known: HashSet<(IpAddr, Arc<str>)>,
}

#[derive(Debug)]
struct Tally {
    wrong_keys: Vec<u64>,
    since: Instant,
}

impl Sources {
    pub fn new(wrong_keys_max: u32, window: Duration) -> Self {
        let wrong_keys_max = wrong_keys_max as usize;
        Self { wrong_keys_max, window, memory: Mutex::default(), hasher: RandomState::new() }
    }

    pub fn standing(&self, source: IpAddr) -> Standing {
        let memory = self.memory();
        let Some(tally) = memory.tallies.get(&network(source)) else { return Standing::Open };
        let wait = self.window.saturating_sub(tally.since.elapsed());
        match tally.wrong_keys.len() {
            _ if wait.is_zero() => Standing::Open,
            count if count >= self.wrong_keys_max * CLOSED_AT => Standing::Closed(wait),
            count if count >= self.wrong_keys_max => Standing::KnownOnly(wait),
            _ => Standing::Open,
        }
    }

    fn takes(&self, standing: Standing, source: IpAddr, engine: &Engine) -> bool {
        match standing {
            Standing::Open => true,
            Standing::KnownOnly(_) => self.memory().known.contains(&(network(source), engine.name.clone())),
            Standing::Closed(_) => false,
        }
    }

    /// The source has shown this engine's key.
    fn remember(&self, source: IpAddr, engine: &Engine) {
        let known = &mut self.memory().known;
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert((network(source), engine.name.clone()));
    }

    fn wrong_key(&self, source: IpAddr, key: &[u8]) {
        let (now, key) = (Instant::now(), self.hasher.hash_one(key));
        let tallies = &mut self.memory().tallies;
        if tallies.len() >= SOURCES_MAX {
            self.forget_some(tallies);
        }
        let tally =
            tallies.entry(network(source)).or_insert_with(|| Tally { wrong_keys: Vec::new(), since: now });
        if tally.since.elapsed() >= self.window {
            *tally = Tally { wrong_keys: Vec::new(), since: now };
        }
        if tally.wrong_keys.len() < self.wrong_keys_max * CLOSED_AT && !tally.wrong_keys.contains(&key) {
            tally.wrong_keys.push(key);
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
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
pub(super) fn network(source: IpAddr) -> IpAddr {
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

    fn guess(sources: &Sources, source: IpAddr, keys: std::ops::Range<u32>) {
        keys.for_each(|key| sources.wrong_key(source, &key.to_le_bytes()));
    }

    #[tokio::test(start_paused = true)]
    async fn p11_a_source_is_locked_out_for_the_window() {
        const WINDOW: Duration = Duration::from_secs(60);
        let sources = Sources::new(3, WINDOW);
        let guesser: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::ffff".parse().unwrap();
        let other: IpAddr = "192.0.2.1".parse().unwrap();
        guess(&sources, guesser, 0..2);
        assert_eq!(sources.standing(guesser), Standing::Open);
        guess(&sources, neighbour, 2..3);
        assert_eq!(sources.standing(guesser), Standing::KnownOnly(WINDOW));
        assert_eq!(sources.standing(other), Standing::Open);
        guess(&sources, guesser, 3..30);
        assert_eq!(sources.standing(guesser), Standing::Closed(WINDOW));
        tokio::time::advance(WINDOW).await;
        assert_eq!(sources.standing(guesser), Standing::Open);
        guess(&sources, guesser, 0..1);
        assert_eq!(sources.standing(guesser), Standing::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn p11_the_same_wrong_key_is_one_guess() {
        let sources = Sources::new(3, Duration::from_secs(60));
        let source: IpAddr = "192.0.2.1".parse().unwrap();
        (0..1000).for_each(|_| sources.wrong_key(source, b"the key of last year"));
        assert_eq!(sources.standing(source), Standing::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_of_sources_is_bounded() {
        let sources = Sources::new(3, Duration::from_secs(60));
        for number in 0..20_000u32 {
            sources.wrong_key(IpAddr::from(number.to_be_bytes()), b"guess");
        }
        guess(&sources, IpAddr::from([192, 0, 2, 1]), 0..1000);
        let memory = sources.memory();
        assert!(memory.tallies.len() <= SOURCES_MAX);
        assert!(memory.tallies.values().all(|tally| tally.wrong_keys.len() <= 3 * CLOSED_AT));
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
