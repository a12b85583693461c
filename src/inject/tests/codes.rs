//! Replies whose enhanced codes are not what they usually are.

use super::jobs::*;
use super::peer::{Ask, Peer, Say, text};
use super::*;
use crate::fault::State;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Where the target's replies tell by their codes what they answer, one that does not is no reason for doubt.
#[tokio::test]
async fn a1_a_reply_with_an_odd_code_or_none_puts_nothing_in_doubt() {
    for (at, odd) in [
        ("RCPT", "252 2.5.2 cannot verify, will try"),
        ("RCPT", "250 fine"),
        ("RCPT", "250-2.1.5 known\r\n250 and remote"),
        ("RCPT", "250-known\r\n250 2.0.0 and remote"),
        ("MAIL", "250 2.0.0 ok"),
        (".", "250 queued as 4711"),
        (".", "250-2.0.0 queued\r\n250 as 4711"),
    ] {
        let asked = AtomicUsize::new(0);
        let manners = move |ask: &Ask<'_>| {
            let number = asked.fetch_add(usize::from(ask.verb == at), Relaxed);
            if ask.verb == at && number % 40 == 35 { text(odd) } else { Say::Usual }
        };
        let peer = Peer::start(|_| CHUNKING, manners).await;
        let injector = Injector::start(vec![TargetSettings { connections_max: 2, ..peer.settings("mta1") }]);
        let states = send(&injector, 0..400).await;
        assert_eq!(count(&states, State::Relayed), 400, "{at} {odd}");
        assert_each_once(&peer, 400);
    }
}
