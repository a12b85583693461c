//! How many connections each source has open. A source is an IPv4 address or an IPv6 /64, the smallest thing
//! one party is given.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Where a connection comes from, as far as limits are concerned.
pub fn source_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)))
        }
        other => other,
    }
}

/// Counts connections by source.
#[derive(Debug)]
pub struct Sources {
    /// A plain lock: it guards a map look-up, taken once when a connection opens and once when it closes.
    open: Mutex<HashMap<IpAddr, usize>>,
    connections_max: usize,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub struct Admission {
    sources: Arc<Sources>,
    source: IpAddr,
}

impl Sources {
    pub fn new(connections_max: usize) -> Self {
        Self { open: Mutex::default(), connections_max }
    }

    /// `None` when the source has as many connections as it may.
    pub fn admit(self: &Arc<Self>, source: IpAddr) -> Option<Admission> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(source).or_insert(0);
        if *count >= self.connections_max {
            return None;
        }
        *count += 1;
        Some(Admission { sources: self.clone(), source })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut open = self.sources.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_its_share_and_no_more() {
        let sources = Arc::new(Sources::new(2));
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
        let first = sources.admit(one);
        let _second = sources.admit(one);
        assert!(first.is_some() && sources.admit(one).is_none() && sources.admit(other).is_some());
        drop(first);
        assert!(sources.admit(one).is_some());
        assert_eq!(sources.open.lock().unwrap().len(), 1, "nothing is kept of a source that has gone");
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let source = |ip: &str| source_of(ip.parse().unwrap());
        assert_eq!(source("2001:db8:0:1::a"), source("2001:db8:0:1:ffff::b"));
        assert_ne!(source("2001:db8:0:1::a"), source("2001:db8:0:2::a"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
    }
}
