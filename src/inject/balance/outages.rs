//! Outages as those see them who have no message to send, but wait until one could be.

use super::Injector;
use crate::inject::breaker::Recoveries;
use crate::inject::inquiry::Company;
use std::sync::Arc;
use std::time::Duration;

impl Injector {
    /// Tries to make a session with each target that is down for want of one, where that is due: nobody may have a message for
    /// it for long.
    pub fn try_to_reach(&self) {
        for target in &self.targets {
            if target.breaker.shut().is_some_and(|(kind, _)| !kind.needs_message()) {
                target.ask(None, || Company::Alone);
            }
        }
    }

    /// What was seen of a target before this relay was started: how long ago it took somebody, and how many it has refused since.
    pub fn remember(&self, name: &str, taken_ago: Option<Duration>, refused_since: u32) {
        if let Some(target) = self.targets.iter().find(|target| &*target.settings.name == name) {
            target.unclear.remember(taken_ago, refused_since);
        }
    }

    /// Of each target, how often it was down and is up again.
    pub fn recoveries(&self) -> impl Iterator<Item = (&Arc<str>, Recoveries)> {
        self.targets.iter().map(|target| (&target.settings.name, target.breaker.recoveries()))
    }
}
