//! Lists with many dead addresses, refused in words that do not tell: they cost hardly any session, end refused, and
//! the target goes on.

use super::jobs::*;
use super::peer::{Ask, Peer, Say, text};
use super::*;
use crate::fault::State;

/// As a die falls, the same each time.
fn is_dead(recipient: &str, percent: u32) -> bool {
    let number: u32 = recipient.trim_start_matches('p').split('@').next().unwrap().parse().unwrap();
    let die = number.wrapping_add(77).wrapping_mul(0x9E37_79B9).rotate_left(16).wrapping_mul(0x85EB_CA6B);
    die % 100 < percent
}

fn refuses(percent: u32) -> impl Fn(&Ask<'_>) -> Say + Send + Sync {
    move |ask| match ask.verb == "RCPT" && is_dead(ask.recipient, percent) {
        true => text("550 no"),
        false => Say::Usual,
    }
}

/// Equal targets for a list of which this much is dead.
struct Campaign {
    percent: u32,
    targets: usize,
    connections_max: usize,
    offers: &'static [&'static str],
}

#[tokio::test]
async fn a11_dead_addresses_make_no_storm_of_sessions() {
    let mut offers = [PLAIN, PIPELINING, CHUNKING].into_iter().cycle();
    for percent in [10, 30, 60, 95] {
        for (targets, connections_max) in [(1, 1), (1, 2), (1, 8), (3, 1), (3, 2), (3, 8), (1, 1)] {
            let offers = offers.next().unwrap();
            Campaign { percent, targets, connections_max, offers }.run().await;
        }
    }
}

impl Campaign {
    async fn run(&self) {
        let Self { percent, targets, connections_max, offers } = *self;
        let mut peers = Vec::new();
        for _ in 0..targets {
            peers.push(Peer::start(move |_| offers, refuses(percent)).await);
        }
        let settings = peers
            .iter()
            .enumerate()
            .map(|(at, peer)| TargetSettings { connections_max, ..peer.settings(&format!("mta{at}")) });
        let injector = Injector::start(settings.collect());
        let states = send(&injector, 0..250).await;
        let dead = (0..250).filter(|number| is_dead(&address(*number), percent)).count();
        let sessions: usize = peers.iter().map(|peer| peer.seen().sessions).sum();
        let refused: usize = peers.iter().map(|peer| peer.seen().refused.values().sum::<usize>()).sum();
        let rejected = count(&states, State::Rejected);
        let what = format!(
            "{percent}% of {targets} x {connections_max} {offers:?}: {rejected} of {dead}, {sessions} sessions, {refused} refusals"
        );
        assert_eq!(count(&states, State::Relayed), 250 - dead, "{what}");
        // Where most are dead each other target is asked about them too, before they wait.
        let asked_most = if percent > 50 { 4 + 2 * targets } else { 6 };
        assert!(refused <= dead * asked_most, "{what}");
        // At the end of the list some are left of which nobody else shows anything; where most are dead, most or all.
        assert!(rejected * 10 >= dead * 7 || percent > 50, "{what}");
        if percent < 50 {
            assert!(sessions <= targets * (connections_max + 2) + dead / 5, "{what}");
            assert!(injector.targets().all(|(_, _, down)| down.is_none()), "{what}");
            let left = (0..250).filter(|number| states[*number] == State::Deferred);
            ends_with_the_next_list(&injector, left.collect(), percent).await;
        } else {
            assert!(sessions * 5 <= refused, "{what}");
        }
    }
}

/// Who was left is tried again among others.
async fn ends_with_the_next_list(injector: &Injector, left: Vec<usize>, percent: u32) {
    let others = (1000..).filter(|number| !is_dead(&address(*number), percent)).take(left.len() * 8);
    let mut others = others.collect::<Vec<_>>().into_iter();
    let mut mixed = Vec::new();
    for number in &left {
        mixed.push(*number);
        mixed.extend(others.by_ref().take(8));
    }
    let states = send(injector, mixed).await;
    assert_eq!(count(&states, State::Rejected), left.len(), "{percent}%: {states:?}");
}

/// One after the other: nobody else is there to be compared with, and the one session need not be replaced each time.
#[tokio::test]
async fn a11_dead_addresses_one_at_a_time_make_no_storm_of_sessions() {
    for (percent, connections_max, offers) in [(10, 1, PLAIN), (30, 1, CHUNKING), (40, 2, PIPELINING)] {
        let peer = Peer::start(move |_| offers, refuses(percent)).await;
        let injector = Injector::start(vec![TargetSettings { connections_max, ..peer.settings("mta1") }]);
        let mut states = Vec::new();
        for number in 0..60 {
            states.push(state(&deliver(&injector, to(number)).await));
        }
        let dead = (0..60).filter(|number| is_dead(&address(*number), percent)).count();
        let sessions = peer.seen().sessions;
        let what = format!("{percent}%: {dead} dead, {sessions} sessions, {states:?}");
        assert_eq!(count(&states, State::Relayed), 60 - dead, "{what}");
        assert!(count(&states, State::Rejected) + 2 >= dead && sessions <= connections_max + 6, "{what}");
    }
}
