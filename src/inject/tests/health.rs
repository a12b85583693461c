//! Targets that are there and do not work: what they may cost the others, and how many messages.

use super::*;
use crate::fault::{Reason, State};
use futures_util::StreamExt;
use std::time::{Duration, Instant};

/// Longer than the first pauses between two attempts.
const PATIENCE: Duration = Duration::from_secs(20);

struct Fleet {
    sinks: Vec<SinkHandle>,
    injector: Injector,
}

/// Targets in clear text, each with its profile and priority.
async fn fleet(members: &[(&str, &str, u32)]) -> Fleet {
    let (mut sinks, mut targets) = (Vec::new(), Vec::new());
    for (name, profile, priority) in members {
        let script = Script::profile(profile).unwrap();
        let (sink, port) = sink(SinkSettings { script, ..SinkSettings::default() }).await;
        sinks.push(sink);
        targets.push(TargetSettings {
            tls: TlsMode::None,
            priority: *priority,
            ..TargetSettings::new(name, "127.0.0.1", port)
        });
    }
    Fleet { sinks, injector: Injector::start(targets).with_places(512) }
}

impl Fleet {
    async fn send(&self, number: usize, wants: Errand) -> Result<Accepted, DeliverError> {
        let mut handle = self.injector.choose_for(None, wants)?;
        while let Err(fault) = self.injector.capabilities(&handle).await {
            let Some(other) = self.injector.choose_after(&handle) else { return Err(fault.into()) };
            handle = other;
        }
        self.injector.deliver(&handle, delivery(&message(number))).await
    }

    /// Sends this many, some at once: the faults, and how long nearly all of the others took at most.
    async fn send_all(&self, count: usize, wants: Errand) -> (Vec<Fault>, Duration) {
        let sends = futures_util::stream::iter(0..count).map(|number| async move {
            let from = Instant::now();
            let sent = tokio::time::timeout(PATIENCE, self.send(number, wants)).await;
            (sent, from.elapsed())
        });
        let (mut faults, mut took) = (Vec::new(), Vec::new());
        for (sent, elapsed) in sends.buffer_unordered(32).collect::<Vec<_>>().await {
            match sent {
                Ok(Ok(_)) => took.push(elapsed),
                Ok(Err(DeliverError::Failed(fault))) => faults.push(fault),
                Ok(Err(other)) => panic!("{other:?}"),
                Err(_) => faults.push(Fault::new(Reason::TargetUnavailable, "with the silent target")),
            }
        }
        took.sort();
        let usual = took.get(took.len() * 95 / 100).copied().unwrap_or(PATIENCE);
        (faults, usual)
    }
}

/// Whatever it does not do, it has no more than the first few messages, and the others carry the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a10_a_target_that_says_nothing_costs_the_others_nothing() {
    for silence in ["hang-greeting", "hang-after-data", "hang-at-mail"] {
        let fleet = fleet(&[("sick", silence, 0), ("mta1", "accept", 0), ("mta2", "accept", 0)]).await;
        let (faults, usual) = fleet.send_all(1000, Errand::Patient).await;
        assert!(faults.len() <= 8, "{silence}: {} were lost to it", faults.len());
        assert!(usual < Duration::from_millis(500), "{silence}: {usual:?}");
        let share = fleet.sinks[1].stats().messages.min(fleet.sinks[2].stats().messages);
        assert!(share > 300, "{silence}: {share}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a11_a_target_that_drops_behind_the_dot_puts_few_in_doubt_and_the_next_one_takes_over() {
    let fleet = fleet(&[("crashing", "drop-after-data", 0), ("second", "accept", 1)]).await;
    let (faults, _) = fleet.send_all(1000, Errand::Patient).await;
    let in_doubt = faults.iter().filter(|fault| fault.state() == State::Unknown).count();
    assert!(in_doubt <= 6 && faults.len() == in_doubt, "{faults:?}");
    assert_eq!(fleet.sinks[1].stats().messages as usize, 1000 - in_doubt);
    assert!(fleet.injector.targets().next().unwrap().2.is_some(), "it is left alone");
}

/// What becomes of those that never went: they wait, and nobody has to find out about them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a11_where_the_only_target_drops_behind_the_dot_only_what_went_is_in_doubt() {
    for wants in [Errand::Patient, Errand::Hasty, Errand::Usual] {
        let fleet = fleet(&[("crashing", "drop-after-data", 0)]).await;
        let (faults, _) = fleet.send_all(200, wants).await;
        let of = |state| faults.iter().filter(|fault| fault.state() == state).count();
        assert!(of(State::Unknown) <= 10, "{wants:?}: {} in doubt", of(State::Unknown));
        assert_eq!(of(State::Unknown) + of(State::Deferred), 200, "{wants:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a11_a_target_that_declines_everybody_gets_few_attempts() {
    let fleet = fleet(&[("busy", "decline", 0), ("second", "accept", 1)]).await;
    let (faults, _) = fleet.send_all(1000, Errand::Patient).await;
    assert!(faults.len() <= 10, "{} of 1000 deferred", faults.len());
    assert!(fleet.sinks[1].stats().messages >= 990);
    assert!(fleet.sinks[0].stats().sessions <= 20, "{} sessions", fleet.sinks[0].stats().sessions);
}

/// It hangs, and what hangs stays so; then it answers again on new sessions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a10_a_target_that_answers_again_is_used_again_though_old_sessions_hang() {
    let fleet = fleet(&[("only", "hang-after-data", 0)]).await;
    let first = futures_util::future::join_all((0..8).map(|number| {
        let sent = fleet.send(number, Errand::Patient);
        tokio::time::timeout(Duration::from_secs(6), sent)
    }));
    assert!(first.await.iter().all(Result::is_err), "nothing is answered");
    assert!(fleet.injector.targets().next().unwrap().2.is_some(), "it is left alone");
    fleet.sinks[0].behave(Script::default());
    let (faults, _) = fleet.send_all(100, Errand::Patient).await;
    assert!(faults.is_empty(), "{faults:?}");
    assert!(fleet.injector.targets().next().unwrap().2.is_none(), "it is up again");
    assert!(fleet.sinks[0].stats().messages >= 100);
}
