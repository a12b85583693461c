//! The one thread that writes: whatever waits becomes one commit, with one fsync, and then everybody is answered.

use super::apply::{Batch, Totals};
use super::error::Trouble;
use super::file::{Home, Lock};
use super::inbox::Taken;
use super::order::{Caught, Draft, Order, Raw};
use super::schedule::Chance;
use super::shared::{Shared, unwritable};
use super::space::Space;
use super::upkeep::Upkeep;
use super::{Held, How, Number};
use crate::fault::Fault;
use rusqlite::{Connection, TransactionBehavior};
use std::sync::Arc;
use std::time::Duration;

/// How soon what found no room on the disk is written again.
const BACKLOG_PAUSE: Duration = Duration::from_millis(250);
const IDLE_PAUSE: Duration = Duration::from_secs(1);

pub struct Writer {
    pub db: Connection,
    pub shared: Arc<Shared>,
    pub chance: Chance,
    pub space: Space,
    pub totals: Totals,
    /// Highest number of a job that is known to be on disk.
    pub last_job: i64,
    pub upkeep: Upkeep,
    /// Ends of attempts that found no room on the disk; as many as are in flight, at most.
    pub backlog: Vec<Order>,
    pub home: Home,
    pub _lock: Lock,
}

/// What came of an order.
enum Done {
    Held(Result<Vec<Held>, Fault>),
    Claimed(Vec<Raw>),
    Written,
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
            let pause = if self.backlog.is_empty() { IDLE_PAUSE } else { BACKLOG_PAUSE };
            let next = match self.shared.inbox.take(pause.min(self.upkeep.pause())) {
                Taken::Orders(orders) => self.take_on(orders),
                Taken::Idle => self.take_on(Vec::new()),
                Taken::Closed => break,
            };
            if next == Next::Stop {
                return;
            }
            if !self.shared.is_poisoned() {
                self.keep_up();
            }
        }
        self.take_on(Vec::new());
        if !self.shared.is_poisoned() {
            self.close();
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
            Order::Crash => {
                next = Next::Stop;
                None
            }
            order => (next == Next::Go).then_some(order),
        });
        (rest.collect(), next)
    }

    /// Writes the orders, or says why not. A full disk refuses what is new, never what has to be said of old jobs.
    fn write(&mut self, orders: Vec<Order>) {
        if self.shared.is_poisoned() {
            return self.stop(orders);
        }
        match self.commit(&orders) {
            Ok(done) => self.answer(orders, done),
            Err(Trouble::DiskFull) => {
                self.make_room();
                let rest = self.refuse_new(orders, &no_storage());
                self.write_rest(rest);
            }
            Err(Trouble::Busy) => {
                let rest = self.refuse_new(orders, &unwritable(Trouble::Busy));
                self.put_off(rest, Trouble::Busy);
            }
            Err(trouble) => self.break_down(trouble, orders),
        }
    }

    fn write_rest(&mut self, orders: Vec<Order>) {
        match self.commit(&orders) {
            Ok(done) => self.answer(orders, done),
            Err(trouble) if trouble.passes() => self.put_off(orders, trouble),
            Err(trouble) => self.break_down(trouble, orders),
        }
    }

    fn refuse_new(&self, orders: Vec<Order>, fault: &Fault) -> Vec<Order> {
        let mut rest = Vec::new();
        for order in orders {
            match order {
                Order::Hold { answer, .. } => drop(answer.send(Err(fault.clone()))),
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
        self.shared.poison(trouble);
        // The disk may have kept the commit that failed, although its jobs are refused now.
        if let Err(error) = self.shared.flights.refuse_above(self.last_job) {
            tracing::error!(%error, "the flight log cannot be written either");
        }
        self.stop(orders);
    }

    /// The ends of attempts are lost here: the flight log says how they went, and the next start reads it.
    fn stop(&mut self, orders: Vec<Order>) {
        let fault = self.shared.refusal();
        for order in self.refuse_new(orders, &fault) {
            if let Order::Claim { answer, .. } = order {
                let _ = answer.send(Err(fault.clone()));
            }
        }
    }

    fn commit(&mut self, orders: &[Order]) -> Result<Vec<Done>, Trouble> {
        let done = self.try_commit(orders).map_err(|error| {
            tracing::warn!(%error, "a commit of the journal failed");
            Trouble::of_store(&error)
        })?;
        // The open file takes commits, though nobody will find them again.
        if self.home.is_there() { Ok(done) } else { Err(Trouble::Missing) }
    }

    fn try_commit(&mut self, orders: &[Order]) -> rusqlite::Result<Vec<Done>> {
        let all = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let settings = &self.shared.settings;
        let mut batch = Batch::new(&all, settings, self.shared.moment(), &mut self.chance);
        if orders.iter().any(|order| matches!(order, Order::Hold { .. })) {
            self.space.look(&all)?;
        }
        let mut done = Vec::with_capacity(orders.len());
        for order in orders {
            done.push(apply(&mut batch, &mut self.space, self.totals, order)?);
        }
        let (has_made_due, last_job) = (batch.has_made_due, batch.last_job);
        let totals = batch.finish()?;
        all.commit()?;
        self.totals = totals;
        self.last_job = last_job.unwrap_or(self.last_job);
        self.shared.committed(totals);
        if has_made_due {
            self.shared.stirred.notify_one();
        }
        Ok(done)
    }

    fn answer(&self, orders: Vec<Order>, done: Vec<Done>) {
        for (order, done) in orders.into_iter().zip(done) {
            match (order, done) {
                (Order::Hold { drafts, answer }, Done::Held(held)) => {
                    let in_flight = |(_, draft): &(&Held, &Draft)| matches!(draft.how, How::InFlight);
                    for (held, _) in held.iter().flatten().zip(&drafts).filter(in_flight) {
                        self.take_off(held);
                    }
                    let _ = answer.send(held);
                }
                (Order::Claim { answer, .. }, Done::Claimed(mut raws)) => {
                    for raw in &mut raws {
                        self.shared.flights.take_off(raw.number, raw.attempt, raw.row.take());
                    }
                    let caught = Caught::new(raws, self.shared.inbox.clone());
                    let _ = answer.send(Ok(caught));
                }
                (Order::Settle { number, .. }, _) => self.shared.flights.land(number),
                _ => {}
            }
        }
    }

    fn take_off(&self, held: &Held) {
        if let Held::New(Number(number)) = held {
            self.shared.flights.take_off(*number, 1, None);
        }
    }
}

fn apply(batch: &mut Batch<'_>, space: &mut Space, totals: Totals, order: &Order) -> rusqlite::Result<Done> {
    match order {
        Order::Hold { drafts, .. } => {
            let held = totals.held_bytes.saturating_add_signed(batch.held_bytes_change());
            let more = batch.weigh(drafts)?;
            if let Err(fault) = space.admit(held + more, more) {
                return Ok(Done::Held(Err(fault)));
            }
            let held: rusqlite::Result<_> = drafts.iter().map(|draft| batch.hold(draft)).collect();
            Ok(Done::Held(Ok(held?)))
        }
        Order::Record(ended) => batch.record(ended).map(|()| Done::Written),
        Order::Claim { lane, count, .. } => batch.claim(lane, *count).map(Done::Claimed),
        Order::Settle { number, end, row } => {
            batch.settle(*number, end, row.as_deref()).map(|()| Done::Written)
        }
        #[cfg(test)]
        Order::Run(..) | Order::Crash => Ok(Done::Written),
    }
}

fn no_storage() -> Fault {
    Fault::no_storage("the journal's disk is full; submit again later")
}
