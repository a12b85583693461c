//! What one look at the targets has shown, from which the choice is made: between two looks one may have gone down.

use crate::fault::Fault;
use crate::inject::admission::Crowding;
use crate::inject::breaker::{Kind, Look};
use crate::inject::target::Target;
use std::sync::Arc;

/// Those that would offer a message first: a target that stopped answering fills up at once and gets no more.
pub fn keep_least_crowded(up: &mut Vec<&Arc<Target>>) {
    if up.len() < 2 {
        return;
    }
    let crowding: Vec<Crowding> = up.iter().map(|target| target.crowding()).collect();
    let least = crowding.iter().min().copied();
    let mut crowding = crowding.iter();
    up.retain(|_| crowding.next().copied() == least);
}

/// What one look at the targets has shown.
#[derive(Default)]
pub struct Seen<'a> {
    /// Of the group that is looked at.
    pub up: Vec<&'a Arc<Target>>,
    /// The first that is being reached for anew.
    pub attempted: Option<&'a Arc<Target>>,
    /// Those that a patient job may wait for.
    pub silent: Vec<&'a Arc<Target>>,
    /// Why the first of those that are down is.
    pub down: Option<Fault>,
}

impl<'a> Seen<'a> {
    /// True for a target of which only a message shows whether it takes one, and which is due for that.
    pub fn add(&mut self, target: &'a Arc<Target>, look: Look, may_wait: impl Fn(Kind) -> bool) -> bool {
        match look {
            Look::Up => self.up.push(target),
            Look::Attempt(kind, _) if kind.needs_message() => return true,
            Look::Attempt(_, cause) => {
                self.attempted.get_or_insert(target);
                self.down.get_or_insert(cause);
            }
            Look::Down(kind, cause) => {
                if may_wait(kind) {
                    self.silent.push(target);
                }
                self.down.get_or_insert(cause);
            }
        }
        false
    }
}
