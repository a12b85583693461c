//! One worker of a target: a session after the other, and nothing left unsettled when it goes.

use super::Target;
use crate::fault::Fault;
use crate::inject::breaker::Kind;
use crate::inject::connect::establish;
use crate::inject::delivery::Parcel;
use crate::inject::health::Sign;
use crate::inject::place::Open;
use crate::inject::session::{Ended, Session};
use crate::inject::stream::Stream;
use crate::inject::trouble::Trouble;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Connections that are tried right behind one that came to no session.
const MACHINES_TRIED_MORE: u32 = 1;

/// What one worker has taken on. Dropping it, whatever the reason, leaves nothing behind unsettled.
pub(super) struct Contract {
    pub target: Arc<Target>,
    /// Taken from the queue, not sent: they come first in the next session.
    pub carried: Vec<Parcel>,
    /// Why no session could be made, or none that takes anything.
    pub fault: Option<(Kind, Fault)>,
    pub progress: Progress,
}

/// How far a worker has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// It never ran. One that ends like that was made by a runtime that is shutting down: another would fare no better.
    Hired,
    /// Connections in a row that came to no session.
    Tried(u32),
}

impl Contract {
    pub async fn work(mut self) {
        let target = self.target.clone();
        self.progress = Progress::Tried(0);
        loop {
            let established = tokio::select! {
                biased;
                () = target.halted.cancelled() => return,
                established = self.establish() => established,
            };
            let (session, is_resumed) = match established {
                Ok(established) => established,
                Err(trouble) if self.tries_another(&trouble) => continue,
                Err(trouble) => return self.give_up(Kind::Unreachable, &trouble),
            };
            self.progress = Progress::Tried(0);
            target.breaker.reached();
            target.turned.notify_waiters();
            let open = Open::new(&target.established, &target.stats);
            target.stats.tls_resumed.fetch_add(u64::from(is_resumed), Ordering::Relaxed);
            let offered = session.offered();
            target.offers.note(offered);
            target.learned.send_if_modified(|learned| learned.capabilities.replace(offered) != Some(offered));
            let ended = Box::pin(session.serve(&target, std::mem::take(&mut self.carried))).await;
            drop(open);
            if let Some(fault) = ended.fault.clone().filter(|_| ended.speaks_of_target) {
                target.note(Sign::SessionEnded(fault));
            }
            self.keep(ended);
            if let Some((kind, cause)) = target.breaker.shut() {
                self.give_back(kind, &cause);
            }
            if self.carried.is_empty() && !target.queue.needs_another() {
                return;
            }
            if self.is_one_too_many() {
                return;
            }
        }
    }

    /// The target wants fewer connections: those that are left take what this one has.
    fn is_one_too_many(&mut self) -> bool {
        let target = &self.target;
        let most = target.ceiling.under(target.settings.connections_max);
        if target.workers.load(Ordering::SeqCst) <= most {
            return false;
        }
        while let Some(parcel) = self.carried.pop() {
            if let Err(parcel) = target.queue.try_push(parcel) {
                self.carried.push(*parcel);
                return false;
            }
        }
        true
    }

    async fn establish(&self) -> Result<(Session<Stream>, bool), Trouble> {
        let Target { settings, unavailable_auth, pulse, machines, places, .. } = &*self.target;
        // That those before it take their time to leave says nothing of how the target answers.
        let place = places.take().await;
        self.target.watched(establish(settings, unavailable_auth, pulse, machines, place)).await
    }

    /// What one machine behind the name said says nothing of another. Once only, and not for a target that is down: a
    /// password that is wrong is not tried on and on.
    fn tries_another(&mut self, trouble: &Trouble) -> bool {
        let tries = match self.progress {
            Progress::Hired => 0,
            Progress::Tried(before) => before,
        };
        self.progress = Progress::Tried(tries + 1);
        let is_new = tries < MACHINES_TRIED_MORE && self.target.breaker.shut().is_none();
        is_new && trouble.is_of_one_machine()
    }

    /// Keeps what is to be offered again.
    fn keep(&mut self, ended: Ended) {
        for mut parcel in ended.unsent {
            parcel.pass = None;
            if parcel.is_abandoned() {
                continue;
            }
            if parcel.attempts > 0 {
                self.target.stats.offered_again.fetch_add(1, Ordering::Relaxed);
            }
            self.carried.push(parcel);
        }
    }

    fn give_back(&mut self, kind: Kind, cause: &Fault) {
        for parcel in self.carried.drain(..) {
            let cause = kind.told(cause.clone(), parcel.attempts);
            parcel.give_back(cause);
        }
    }

    fn give_up(&mut self, kind: Kind, trouble: &Trouble) {
        let fault = trouble.to_fault(&self.target.settings);
        tracing::warn!(target_mta = %self.target.settings.name, cause = %trouble, "no session");
        self.fault = Some((kind, fault));
    }
}

impl Drop for Contract {
    fn drop(&mut self) {
        let target = &self.target;
        let is_last = target.workers.fetch_sub(1, Ordering::SeqCst) == 1;
        let fault = self.fault.take();
        if let (true, Some((kind, fault))) = (is_last, &fault) {
            target.breaker.open(*kind, fault.clone());
        }
        let fault = fault.map(|(_, fault)| fault);
        // Told last: who wakes finds this worker gone and the breaker open, and waits for no second failure.
        let has_learned = target.learned.borrow().capabilities.is_some();
        let fault = fault.or_else(|| (!has_learned).then(|| target.stopping()));
        if let Some(fault) = &fault {
            target.learn_failure(fault);
        }
        let fault = fault.unwrap_or_else(|| target.stopping());
        for parcel in self.carried.drain(..) {
            if is_last {
                parcel.give_back(fault.clone());
            } else if let Err(parcel) = target.queue.try_push(parcel) {
                parcel.give_back(fault.clone());
            }
        }
        let is_over = target.halted.is_cancelled() || self.progress == Progress::Hired;
        if is_last && (target.breaker.cause().is_some() || is_over) {
            while let Some(parcel) = target.queue.take() {
                parcel.give_back(fault.clone());
            }
        } else if is_last && !target.queue.is_empty() && tokio::runtime::Handle::try_current().is_ok() {
            target.ensure_worker();
        }
        target.gone.notify_waiters();
    }
}
