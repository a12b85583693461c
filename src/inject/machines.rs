//! The machines behind a target's name, as far as its addresses tell them apart: one that did not work is left for a
//! while where there is another.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::Instant;

/// How long a machine is the last choice.
const LEFT: Duration = Duration::from_secs(60);
/// Machines remembered at once.
const MACHINES_MAX: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Machines {
    /// Plain data, held for lines only, once a connection.
    left: Mutex<Vec<Left>>,
    /// How many there were when the name was looked up last.
    found: AtomicUsize,
}

#[derive(Debug)]
struct Left {
    address: SocketAddr,
    until: Instant,
}

impl Machines {
    /// It did not work: another one is tried first.
    pub fn leave(&self, address: SocketAddr) {
        let mut left = self.fresh();
        left.retain(|left| left.address != address);
        if left.len() == MACHINES_MAX {
            left.remove(0);
        }
        left.push(Left { address, until: Instant::now() + LEFT });
    }

    /// As they were given, those that were left behind the others, the longest ago first.
    pub fn in_order(&self, mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        self.found.store(addresses.len(), Relaxed);
        let left = self.fresh();
        let place = |address: &SocketAddr| left.iter().position(|left| left.address == *address);
        addresses.sort_by_key(place);
        addresses
    }

    /// Whether there is one besides this that was not left.
    pub fn has_another(&self, address: SocketAddr) -> bool {
        let found = self.found.load(Relaxed);
        found > 1 && found > 1 + self.fresh().iter().filter(|left| left.address != address).count()
    }

    fn fresh(&self) -> MutexGuard<'_, Vec<Left>> {
        let mut left = self.left.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        left.retain(|left| left.until > now);
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a6_a_machine_that_does_not_work_is_the_last_choice_for_a_while() {
        let machine = |number: u8| SocketAddr::from(([192, 0, 2, number], 25));
        let all = || (1..=4).map(machine).collect::<Vec<_>>();
        let order = |numbers: [u8; 4]| numbers.map(machine).to_vec();
        let machines = Machines::default();
        assert_eq!(machines.in_order(all()), all());
        machines.leave(machine(1));
        tokio::time::advance(LEFT / 2).await;
        machines.leave(machine(3));
        assert_eq!(machines.in_order(all()), order([2, 4, 1, 3]));
        machines.leave(machine(1));
        assert_eq!(machines.in_order(all()), order([2, 4, 3, 1]));
        tokio::time::advance(LEFT).await;
        assert_eq!(machines.in_order(all()), all());
        for number in 0..=255 {
            machines.leave(machine(number));
        }
        assert_eq!(machines.fresh().len(), MACHINES_MAX);
    }
}
