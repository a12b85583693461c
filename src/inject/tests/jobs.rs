//! Jobs for a scripted peer, told apart by their recipients, and what became of them.

use super::peer::Peer;
use super::*;
use crate::fault::State;
use std::time::Duration;

pub(super) const PLAIN: &[&str] = &["8BITMIME", "ENHANCEDSTATUSCODES"];
pub(super) const PIPELINING: &[&str] = &["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"];
pub(super) const CHUNKING: &[&str] = &["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING"];
pub(super) const SMTPUTF8: &[&str] = &["PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"];

/// Jobs in flight at once.
pub(super) const AT_ONCE: usize = 40;

pub(super) fn address(number: usize) -> String {
    format!("p{number}@post.example")
}

pub(super) fn to(number: usize) -> Delivery {
    let recipient = Personal::new(address(number));
    Delivery {
        recipient,
        whom: Whom::of(address(number)),
        person: None,
        ..delivery(&format!("Subject: {number}\r\n\r\nbody of {number}\r\n"))
    }
}

pub(super) fn one_session(peer: &Peer) -> Injector {
    Injector::start(vec![TargetSettings { connections_max: 1, ..peer.settings("mta1") }])
}

pub(super) async fn deliver(injector: &Injector, delivery: Delivery) -> Result<Accepted, DeliverError> {
    let handle = injector.choose_to(None, Errand::Patient, delivery.whom)?;
    injector.deliver(&handle, delivery).await
}

/// What became of each of them, several at once.
pub(super) async fn send(injector: &Injector, numbers: impl IntoIterator<Item = usize>) -> Vec<State> {
    send_within(injector, numbers, Duration::from_secs(60)).await
}

/// The same, with this much patience.
pub(super) async fn send_within(
    injector: &Injector,
    numbers: impl IntoIterator<Item = usize>,
    patience: Duration,
) -> Vec<State> {
    outcomes(injector, numbers, patience).await.iter().map(state).collect()
}

pub(super) async fn outcomes(
    injector: &Injector,
    numbers: impl IntoIterator<Item = usize>,
    patience: Duration,
) -> Vec<Result<Accepted, DeliverError>> {
    use futures_util::StreamExt;
    let numbers: Vec<usize> = numbers.into_iter().collect();
    let sends = futures_util::stream::iter(numbers).map(|number| async move {
        let give_up_at = Some(tokio::time::Instant::now() + patience);
        deliver(injector, Delivery { give_up_at, ..to(number) }).await
    });
    sends.buffered(AT_ONCE).collect().await
}

pub(super) fn state(outcome: &Result<Accepted, DeliverError>) -> State {
    match outcome {
        Ok(_) => State::Relayed,
        Err(DeliverError::Failed(fault)) => fault.state(),
        Err(DeliverError::NeedsSevenBit) => panic!("seven bits are enough"),
    }
}

pub(super) fn count(states: &[State], state: State) -> usize {
    states.iter().filter(|is| **is == state).count()
}

pub(super) fn fault(outcome: Result<Accepted, DeliverError>) -> Fault {
    match outcome {
        Err(DeliverError::Failed(fault)) => fault,
        other => panic!("a fault was expected, not {other:?}"),
    }
}

/// All of them have arrived, each once.
pub(super) fn assert_each_once(peer: &Peer, number: usize) {
    let seen = peer.seen();
    assert_eq!(seen.taken.len(), number);
    assert!(seen.taken.values().all(|times| *times == 1), "{:?}", seen.taken);
}

pub(super) fn learned(injector: &Injector) -> Learned {
    injector.learned().next().unwrap().1
}

pub(super) fn stats(injector: &Injector) -> &TargetStats {
    injector.targets().next().unwrap().1
}
