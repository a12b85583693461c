//! What each source has open, and what it used lately. A source is an IPv4 address or an IPv6 /64, the smallest thing
//! one party is given; on a Unix socket it is the user who connects.

use crate::accept::quota::{Allowance, Spent};
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Sources that are remembered without a connection: what they used must not be forgotten by connecting anew.
const ENTRIES_MAX: usize = 10_000;
/// Below this nobody is looked for whom to forget.
const ENTRIES_FEW: usize = 256;

/// Where a connection comes from, as far as limits are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    Address(IpAddr),
    /// A user of this machine, by number.
    User(u32),
}

impl Source {
    /// Whoever comes by a Unix socket and cannot be named is this machine.
    pub const MACHINE: Self = Self::Address(IpAddr::V4(Ipv4Addr::LOCALHOST));

    pub fn is_local(&self) -> bool {
        match self {
            Self::Address(address) => address.is_loopback(),
            Self::User(_) => true,
        }
    }
}

impl From<IpAddr> for Source {
    fn from(peer: IpAddr) -> Self {
        Self::Address(match peer.to_canonical() {
            IpAddr::V6(v6) if !v6.is_loopback() => {
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)))
            }
            other => other,
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::User(user) => write!(f, "user {user}"),
        }
    }
}

/// Counts by source.
#[derive(Debug)]
pub struct Sources {
    /// A plain lock: it guards a map look-up, taken once when a connection opens and once when it closes.
    known: Mutex<Known>,
    connections_max: usize,
}

#[derive(Debug)]
struct Known {
    by_source: HashMap<Source, Account>,
    tidy_at: usize,
}

#[derive(Debug, Default)]
struct Account {
    connections: usize,
    spent: Arc<Spent>,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub struct Admission {
    sources: Arc<Sources>,
    source: Source,
    /// What all connections of the source used.
    pub spent: Arc<Spent>,
}

/// Why a source is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMuch {
    Connections,
    /// Its allowance for now is used up.
    Use,
}

impl Sources {
    pub fn new(connections_max: usize) -> Self {
        let known = Known { by_source: HashMap::new(), tidy_at: ENTRIES_FEW };
        Self { known: Mutex::new(known), connections_max }
    }

    /// # Errors
    /// [`TooMuch`] when the source has as many connections as it may, or used up what it may.
    pub fn admit(self: &Arc<Self>, source: Source, allowance: Allowance) -> Result<Admission, TooMuch> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.by_source.len() >= known.tidy_at {
            known.forget(allowance);
        }
        let account = known.by_source.entry(source).or_default();
        if account.connections >= self.connections_max {
            return Err(TooMuch::Connections);
        }
        if !account.spent.add(0, 0, allowance) {
            return Err(TooMuch::Use);
        }
        account.connections += 1;
        Ok(Admission { sources: self.clone(), source, spent: account.spent.clone() })
    }
}

impl Known {
    /// Whoever has gone and used nothing within the last while; in a flood of sources, whoever has gone.
    fn forget(&mut self, allowance: Allowance) {
        self.by_source.retain(|_, account| account.connections > 0 || !account.spent.is_nothing(allowance));
        if self.by_source.len() >= ENTRIES_MAX {
            self.by_source.retain(|_, account| account.connections > 0);
        }
        self.tidy_at = (2 * self.by_source.len()).max(ENTRIES_FEW);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut known = self.sources.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = known.by_source.get_mut(&self.source) {
            account.connections -= 1;
            if account.connections == 0 && account.spent.is_untouched() {
                known.by_source.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const PLENTY: Allowance = Allowance { messages: u64::MAX, octets: u64::MAX };

    fn source(address: &str) -> Source {
        Source::from(address.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn a_source_has_its_share_and_no_more() {
        let sources = Arc::new(Sources::new(2));
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(source);
        let first = sources.admit(one, PLENTY);
        let _second = sources.admit(one, PLENTY);
        assert_eq!(sources.admit(one, PLENTY).unwrap_err(), TooMuch::Connections);
        assert!(first.is_ok() && sources.admit(other, PLENTY).is_ok());
        drop(first);
        assert!(sources.admit(one, PLENTY).is_ok());
        let known = sources.known.lock().unwrap();
        assert_eq!(known.by_source.len(), 1, "nothing is kept of a source that used nothing and has gone");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_used_is_not_forgotten_by_connecting_anew() {
        let sources = Arc::new(Sources::new(2));
        let allowance = Allowance { messages: 60, octets: 6000 };
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(source);
        assert!(!sources.admit(one, allowance).unwrap().spent.add(61, 0, allowance));
        assert_eq!(sources.admit(one, allowance).unwrap_err(), TooMuch::Use);
        assert!(sources.admit(other, allowance).is_ok());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(sources.admit(one, allowance).is_ok());
        assert_eq!(sources.admit(one, allowance.quarter()).unwrap_err(), TooMuch::Use, "less when crowded");
    }

    #[tokio::test(start_paused = true)]
    async fn sources_that_used_nothing_lately_are_forgotten_and_the_book_is_bounded() {
        let sources = Arc::new(Sources::new(2));
        let allowance = Allowance { messages: 60, octets: 6000 };
        let come_and_go = |n: u32| {
            let admission = sources.admit(Source::User(n), allowance).unwrap();
            admission.spent.add(1, 100, allowance);
        };
        (0..30_000).for_each(come_and_go);
        let remembered = || sources.known.lock().unwrap().by_source.len();
        assert!(remembered() <= 2 * ENTRIES_MAX, "{}", remembered());
        let there = sources.admit(Source::User(40_000), allowance).unwrap();
        tokio::time::advance(Duration::from_secs(61)).await;
        sources.known.lock().unwrap().forget(allowance);
        assert_eq!(remembered(), 1, "only who is there");
        drop(there);
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        assert_eq!(source("2001:db8:0:1::a"), source("2001:db8:0:1:ffff::b"));
        assert_ne!(source("2001:db8:0:1::a"), source("2001:db8:0:2::a"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(Source::User(1), Source::MACHINE);
        assert!(Source::User(1).is_local() && Source::MACHINE.is_local() && !source("192.0.2.1").is_local());
    }
}
