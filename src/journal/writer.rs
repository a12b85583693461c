//! The one thread that writes: whatever waits becomes one commit. Everybody is answered when the disk has it.

use super::apply::{Batch, Keep, Totals};
use super::commit::{Commit, Done, refuse};
use super::error::Trouble;
use super::file::{Home, Lock};
use super::inbox::Taken;
use super::order::Order;
use super::schedule::Chance;
use super::shared::{Shared, unwritable};
use super::space::{Full, Space};
use super::sync::Syncing;
use super::upkeep::Upkeep;
use crate::fault::Fault;
use rusqlite::{Connection, TransactionBehavior};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How soon what found no room on the disk is written again.
const BACKLOG_PAUSE: Duration = Duration::from_millis(250);
const IDLE_PAUSE: Duration = Duration::from_secs(1);

pub struct Writer {
    pub db: Connection,
    pub shared: Arc<Shared>,
    pub chance: Chance,
    pub space: Space,
    pub totals: Totals,
    /// Commits since the start, and what the last one took: all of it but waiting, and what comes behind the last order.
    pub serial: u64,
    /// When the last one was made, on the journal's clock.
    pub written: i64,
    pub took: Duration,
    pub finish_took: Duration,
    pub upkeep: Upkeep,
    /// Ends of attempts that found no room on the disk; as many as are in flight, at most.
    pub backlog: Vec<Order>,
    pub home: Home,
    /// From [`Writer::run`] on.
    pub syncing: Option<Syncing>,
    pub _lock: Lock,
}

/// A commit that has been made.
#[derive(Default)]
pub struct Made {
    done: Vec<Done>,
    last_job: Option<i64>,
    clock: i64,
}

impl Made {
    /// Of no order.
    pub fn at(clock: i64) -> Self {
        Self { clock, ..Self::default() }
    }
}

/// What a commit finds on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Some,
    /// The disk was full a moment ago: only what has to be said is.
    Little,
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Go,
    Stop,
}

impl Writer {
    /// Until the journal is closed and everything that came is written.
    pub fn run(mut self) {
        loop {
            let next = match self.shared.inbox.take(self.pause(), self.took) {
                Taken::Orders(orders) => self.take_on(orders),
                Taken::Idle => self.take_on(Vec::new()),
                Taken::Closed => break,
            };
            if next == Next::Stop {
                return;
            }
            self.keep_up();
        }
        self.take_on(Vec::new());
        self.syncing.take();
        if !self.shared.is_poisoned() {
            self.close();
        }
    }

    /// How long to wait for orders before there is something else to do.
    fn pause(&self) -> Duration {
        match self.backlog.is_empty() {
            _ if self.shared.is_poisoned() => IDLE_PAUSE,
            true => self.upkeep.pause().min(IDLE_PAUSE),
            false => self.upkeep.pause().min(BACKLOG_PAUSE),
        }
    }

    fn take_on(&mut self, orders: Vec<Order>) -> Next {
        #[cfg(test)]
        let (orders, next) = self.obey_tests(orders);
        #[cfg(not(test))]
        let next = Next::Go;
        let mut all = std::mem::take(&mut self.backlog);
        all.extend(orders);
        if next == Next::Go && !all.is_empty() {
            self.write(all);
        }
        next
    }

    #[cfg(test)]
    fn obey_tests(&mut self, orders: Vec<Order>) -> (Vec<Order>, Next) {
        let mut next = Next::Go;
        let rest = orders.into_iter().filter_map(|order| match order {
            Order::Run(sql, answer) => {
                let _ = answer.send(self.db.execute_batch(&sql));
                None
            }
            Order::Checkpoint(answer) => {
                self.make_room();
                let _ = answer.send(());
                None
            }
            Order::Crash => {
                next = Next::Stop;
                None
            }
            order => (next == Next::Go).then_some(order),
        });
        (rest.collect(), next)
    }

    /// Writes the orders, or says why not. A full disk refuses what is new, never what has to be said of old jobs.
    fn write(&mut self, mut orders: Vec<Order>) {
        if self.shared.is_poisoned() {
            return self.stop(orders);
        }
        match self.commit(&mut orders, Room::Some) {
            Ok(made) => self.hand_over(orders, made),
            Err(Trouble::DiskFull) => {
                self.make_room();
                if self.shared.is_poisoned() {
                    return self.stop(orders);
                }
                let full = self.space.fill(Full::Disk);
                self.shared.tell_full(Some(full));
                let rest = self.refuse_new(orders, &full.fault());
                self.write_rest(rest);
            }
            Err(Trouble::Busy) => {
                let rest = self.refuse_new(orders, &unwritable(Trouble::Busy));
                self.put_off(rest, Trouble::Busy);
            }
            Err(trouble) => self.break_down(trouble, orders),
        }
    }

    fn write_rest(&mut self, mut orders: Vec<Order>) {
        match self.commit(&mut orders, Room::Little) {
            Ok(made) => self.hand_over(orders, made),
            Err(trouble) if trouble.passes() => self.put_off(orders, trouble),
            Err(trouble) => self.break_down(trouble, orders),
        }
    }

    fn refuse_new(&self, orders: Vec<Order>, fault: &Fault) -> Vec<Order> {
        let mut rest = Vec::new();
        for order in orders {
            match order {
                Order::Hold { answer, .. } => drop(answer.send(Err(fault.clone()))),
                Order::Resume { answer, .. } => drop(answer.send(Err(fault.clone()))),
                Order::Record(_) => self.shared.unrecorded(),
                order => rest.push(order),
            }
        }
        rest
    }

    /// What has ended stays known until it can be written; nothing is given out meanwhile.
    fn put_off(&mut self, orders: Vec<Order>, trouble: Trouble) {
        for order in orders {
            match order {
                Order::Claim { answer, .. } => drop(answer.send(Err(unwritable(trouble)))),
                order => self.backlog.push(order),
            }
        }
    }

    fn break_down(&mut self, trouble: Trouble, orders: Vec<Order>) {
        self.shared.break_down(trouble);
        self.stop(orders);
    }

    fn stop(&mut self, orders: Vec<Order>) {
        let fault = self.shared.refusal();
        orders.into_iter().for_each(|order| refuse(order, &self.shared, &fault));
    }

    /// Makes one commit of the orders, and of those that come while the disk has not yet taken the last one.
    fn commit(&mut self, orders: &mut Vec<Order>, room: Room) -> Result<Made, Trouble> {
        let made = self.try_commit(orders, room).map_err(|error| {
            tracing::warn!(%error, "a commit of the journal failed");
            Trouble::of_store(&error)
        });
        // The open file takes commits, though nobody will find them again.
        made.and_then(|made| if self.home.is_there() { Ok(made) } else { Err(Trouble::Missing) })
    }

    fn try_commit(&mut self, orders: &mut Vec<Order>, room: Room) -> rusqlite::Result<Made> {
        let began = Instant::now();
        let all = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let settings = &self.shared.settings;
        let moment = self.shared.moment(self.written);
        let mut batch = Batch::new(&all, settings, moment, &mut self.chance);
        self.space.look(&all)?;
        if room == Room::Little || self.space.is_scarce() {
            batch.keep_only(Keep::Nothing);
        }
        let mut done = Vec::with_capacity(orders.len());
        for order in &*orders {
            done.push(apply(&mut batch, &mut self.space, self.totals, order)?);
        }
        let applied = began.elapsed();
        if room == Room::Some {
            let jobs = orders.iter().map(Order::jobs).sum();
            orders.extend(self.shared.inbox.take_more(jobs, self.finish_took));
            batch.moment = self.shared.moment(self.written);
        }
        let resumed = Instant::now();
        for order in &orders[done.len()..] {
            done.push(apply(&mut batch, &mut self.space, self.totals, order)?);
        }
        let (has_made_due, last_job, clock) = (batch.has_made_due, batch.last_job, batch.moment.clock);
        let totals = batch.finish()?;
        self.shared.unsynced.commit(self.serial + 1, || all.commit())?;
        self.finish_took = resumed.elapsed();
        self.took = applied + self.finish_took;
        (self.totals, self.written) = (totals, clock);
        self.shared.committed(totals);
        // What a commit has made room for is told with it, not at the next look.
        let full = match self.space.refuses() {
            Some(Full::BytesMax) => self.space.fullness(totals.held_bytes),
            other => other,
        };
        self.shared.tell_full(full);
        if has_made_due {
            self.shared.stirred.notify_one();
        }
        Ok(Made { done, last_job, clock })
    }

    /// The commit goes to the disk, and with it the answers.
    pub fn hand_over(&mut self, orders: Vec<Order>, made: Made) {
        self.serial += 1;
        let orders = orders.into_iter().zip(made.done).collect();
        self.shared.sync(Commit { serial: self.serial, clock: made.clock, last_job: made.last_job, orders });
    }
}

fn apply(batch: &mut Batch<'_>, space: &mut Space, totals: Totals, order: &Order) -> rusqlite::Result<Done> {
    match order {
        // Somebody waits for what came before it.
        Order::Hold { drafts, .. } if drafts.is_empty() => Ok(Done::Held(Ok(Vec::new()))),
        Order::Hold { drafts, .. } => {
            let held = totals.held_bytes.saturating_add_signed(batch.held_bytes_change());
            let more = batch.weigh(drafts)?;
            if let Err(full) = space.admit(held + more, more) {
                return Ok(Done::Held(Err(full.fault())));
            }
            let held: rusqlite::Result<_> = drafts.iter().map(|draft| batch.hold(draft)).collect();
            Ok(Done::Held(Ok(held?)))
        }
        Order::Record(ended) => batch.record(ended).map(|()| Done::Written),
        Order::Resume { send, body, .. } => batch.resume(*send, *body).map(Done::Resumed),
        Order::EndResumed { send } => batch.end_resumed(*send).map(|()| Done::Written),
        Order::Claim { lane, count, .. } => batch.claim(lane, *count).map(Done::Claimed),
        Order::Settle { number, end, row } => {
            batch.settle(*number, end, row.as_deref()).map(|()| Done::Written)
        }
        #[cfg(test)]
        Order::Run(..) | Order::Checkpoint(_) | Order::Crash => Ok(Done::Written),
    }
}
