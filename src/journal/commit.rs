//! One commit on its way from the writer to the disk: whom to answer, and what, once it has arrived.

use super::order::{Caught, Draft, Order, Raw, Resuming};
use super::shared::Shared;
use super::{Held, How, Number, Resumed};
use crate::fault::Fault;

/// What came of an order.
#[derive(Debug)]
pub enum Done {
    Held(Result<Vec<Held>, Fault>),
    Claimed(Vec<Raw>),
    Resumed(Resumed<()>),
    Written,
}

#[derive(Debug)]
pub struct Commit {
    /// Counted from 1 since the start.
    pub serial: u64,
    /// When it was made, on the journal's clock.
    pub clock: i64,
    /// Highest number that it gave to a job.
    pub last_job: Option<i64>,
    pub orders: Vec<(Order, Done)>,
}

impl Commit {
    /// It is on the disk.
    pub fn answer(self, shared: &Shared) {
        for (order, done) in self.orders {
            match (order, done) {
                (Order::Hold { drafts, answer }, Done::Held(held)) => {
                    let in_flight = |(_, draft): &(&Held, &Draft)| matches!(draft.how, How::InFlight);
                    for (held, _) in held.iter().flatten().zip(&drafts).filter(in_flight) {
                        take_off(held, shared);
                    }
                    let _ = answer.send(held);
                }
                (Order::Claim { answer, .. }, Done::Claimed(mut raws)) => {
                    for raw in &mut raws {
                        shared.flights.take_off(raw.number, raw.attempt, raw.row.take());
                    }
                    let caught = Caught::new(raws, shared.inbox.clone());
                    let _ = answer.send(Ok(caught));
                }
                (Order::Resume { send, answer, .. }, Done::Resumed(resumed)) => {
                    // Where nobody takes it any more, it is over at once.
                    let resumed = resumed.until(|| Resuming::new(send, shared.inbox.clone()));
                    let _ = answer.send(Ok(resumed));
                }
                (Order::Settle { number, .. }, _) => shared.flights.land(number),
                _ => {}
            }
        }
    }

    /// Nobody knows what the disk has of it.
    pub fn refuse(self, shared: &Shared) {
        let fault = shared.refusal();
        self.orders.into_iter().for_each(|(order, _)| refuse(order, shared, &fault));
    }
}

fn take_off(held: &Held, shared: &Shared) {
    if let Held::New(Number(number)) = held {
        shared.flights.take_off(*number, 1, None);
    }
}

/// The ends of attempts are lost here: the flight log says how they went, and the next start reads it.
pub fn refuse(order: Order, shared: &Shared, fault: &Fault) {
    match order {
        Order::Hold { answer, .. } => drop(answer.send(Err(fault.clone()))),
        Order::Claim { answer, .. } => drop(answer.send(Err(fault.clone()))),
        Order::Resume { answer, .. } => drop(answer.send(Err(fault.clone()))),
        Order::Record(_) => shared.unrecorded(),
        _ => {}
    }
}
