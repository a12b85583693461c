//! Several messages in flight (BDAT), against a target that holds its answers back until it has them all.

use super::jobs::{CHUNKING, count, deliver, one_session, to};
use super::peer::{Ask, Peer, Say, text as reply};
use super::*;
use crate::fault::State;
use crate::inject::endurance::CLEAN_MIN;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TOGETHER: usize = 4;
const TAKEN: &str = "250 2.1.0 ok\r\n250 2.1.5 ok\r\n250 2.0.0 taken\r\n";
const RESET: &str = "250 2.0.0 forgotten\r\n";

/// What the target says once [`TOGETHER`] messages are there; then it closes if `closes`.
#[derive(Debug, Clone)]
struct Burst {
    says: String,
    closes: bool,
    /// Messages that come by DATA before.
    alone: usize,
}

impl Burst {
    fn says(says: impl Into<String>) -> Self {
        Self { says: says.into(), closes: false, alone: 1 }
    }

    fn and_closes(self) -> Self {
        Self { closes: true, ..self }
    }
}

fn all_taken() -> String {
    [TAKEN].into_iter().chain([RESET, TAKEN].repeat(TOGETHER - 1)).collect()
}

struct Conversation {
    socket: TcpStream,
    heard: Vec<u8>,
}

impl Conversation {
    async fn until(&mut self, mark: &str, times: usize) {
        while memchr::memmem::find_iter(&self.heard, mark).count() < times {
            assert!(self.socket.read_buf(&mut self.heard).await.unwrap() > 0, "{mark}: closed before");
        }
    }

    async fn say(&mut self, text: &str) {
        self.heard.clear();
        self.socket.write_all(text.as_bytes()).await.unwrap();
    }

    /// Two by BDAT, which show that it takes one behind another.
    async fn take_pair(&mut self) {
        self.until("end of one\r\n", 2).await;
        self.say(&[TAKEN, RESET, TAKEN].concat()).await;
    }

    async fn take_by_data(&mut self) {
        self.until("DATA\r\n", 1).await;
        self.say("250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go\r\n").await;
        self.until("\r\n.\r\n", 1).await;
        self.say("250 2.0.0 taken\r\n").await;
    }

    /// The first messages by DATA, the pair, further messages by DATA, then the burst. Another session offers no CHUNKING.
    async fn hold(mut self, burst: Option<Burst>) {
        self.say("220 burst.test\r\n").await;
        self.until("EHLO", 1).await;
        let offers = match burst {
            Some(_) => "250-burst.test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 ENHANCEDSTATUSCODES\r\n",
            None => "250-burst.test\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n",
        };
        self.say(offers).await;
        let Some(burst) = burst else {
            loop {
                self.take_by_data().await;
            }
        };
        for _ in 0..CLEAN_MIN {
            self.take_by_data().await;
        }
        self.take_pair().await;
        for _ in 1..burst.alone {
            self.take_by_data().await;
        }
        self.until("end of one\r\n", TOGETHER).await;
        assert!(memchr::memmem::find(&self.heard, b"DATA\r\n").is_none());
        self.say(&burst.says).await;
        if !burst.closes {
            while self.socket.read_buf(&mut self.heard).await.is_ok_and(|octets| octets > 0) {}
        }
    }
}

fn text(number: usize) -> String {
    format!("Subject: {number}\r\n\r\n.{number}\r\nend of one\r\n")
}

/// Messages until the target is known to refuse nobody and then, after a pause if more are to come alone, [`TOGETHER`] at once; a second session takes
/// what is left one by one.
async fn outcomes(burst: Burst) -> (Vec<Result<Accepted, DeliverError>>, Injector) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut target = TargetSettings::new("mta1", "127.0.0.1", listener.local_addr().unwrap().port());
    (target.tls, target.connections_max) = (TlsMode::None, 1);
    let injector = Injector::start(vec![target]);
    let (alone, count) = (burst.alone, TOGETHER + burst.alone - 1);
    let server = tokio::spawn(async move {
        let mut next = Some(burst);
        while let Ok((socket, _)) = listener.accept().await {
            let conversation = Conversation { socket, heard: Vec::new() };
            tokio::spawn(conversation.hold(next.take()));
        }
    });
    let handle = injector.choose(None).unwrap();
    for _ in 0..CLEAN_MIN {
        injector.deliver(&handle, delivery(&text(0))).await.unwrap();
    }
    let pair = [90, 91].map(|number| injector.deliver(&handle, delivery(&text(number))));
    assert!(futures_util::future::join_all(pair).await.iter().all(Result::is_ok));
    if alone > 1 {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::time::resume();
    }
    let together = (1..=count).map(|number| injector.deliver(&handle, delivery(&text(number))));
    let outcomes = futures_util::future::join_all(together.collect::<Vec<_>>()).await;
    server.abort();
    (outcomes, injector)
}

fn state(outcome: &Result<Accepted, DeliverError>) -> State {
    match outcome {
        Ok(_) => State::Relayed,
        Err(DeliverError::Failed(fault)) => fault.state(),
        Err(DeliverError::NeedsSevenBit) => panic!("seven bits are enough"),
    }
}

#[tokio::test]
async fn four_messages_are_in_flight_before_the_first_is_answered() {
    let (outcomes, _) = outcomes(Burst::says(all_taken())).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().is_ok_and(|accepted| accepted.attempts == 1)));
}

/// Its target may have left without a word.
#[tokio::test]
async fn on_a_session_that_was_idle_one_message_goes_first() {
    let (outcomes, _) = outcomes(Burst { alone: 2, ..Burst::says(all_taken()) }).await;
    assert!(outcomes.len() == TOGETHER + 1 && outcomes.iter().all(Result::is_ok));
}

#[tokio::test]
async fn each_unanswered_one_is_in_doubt_and_is_not_sent_again() {
    let (outcomes, injector) = outcomes(Burst::says(TAKEN).and_closes()).await;
    let states: Vec<_> = outcomes.iter().map(state).collect();
    assert_eq!(states, [State::Relayed, State::Unknown, State::Unknown, State::Unknown]);
    let stats = injector.targets().next().unwrap().1;
    assert_eq!((stats.in_doubt(), stats.sessions_made()), (3, 1));
}

#[tokio::test]
async fn a_refusal_is_that_messages_alone() {
    let refused = "250 2.1.0 ok\r\n550 5.1.1 no such user\r\n503 5.5.1 no valid recipients\r\n";
    let says = [
        TAKEN,
        RESET,
        refused,
        RESET,
        TAKEN,
        RESET,
        "250 2.1.0 ok\r\n250 2.1.5 ok\r\n554 5.6.0 not MIME\r\n",
    ];
    let (outcomes, injector) = outcomes(Burst::says(says.concat())).await;
    let states: Vec<_> = outcomes.iter().map(state).collect();
    assert_eq!(states, [State::Relayed, State::Rejected, State::Relayed, State::Rejected]);
    let Err(DeliverError::Failed(fault)) = &outcomes[1] else { panic!("{:?}", outcomes[1]) };
    assert!(fault.detail.contains("refused RCPT: 550"), "{fault}");
    assert_eq!(injector.targets().next().unwrap().1.refused(), 2);
}

#[tokio::test]
async fn what_stands_behind_421_is_sent_anew_one_at_a_time() {
    let says = [TAKEN, RESET, "421 4.3.2 enough for now\r\n"].concat();
    let (outcomes, injector) = outcomes(Burst::says(says).and_closes()).await;
    assert!(outcomes[0].as_ref().is_ok_and(|accepted| accepted.attempts == 1));
    assert!(
        outcomes[1..].iter().all(|outcome| outcome.as_ref().is_ok_and(|accepted| accepted.attempts == 2))
    );
    assert_eq!(injector.targets().next().unwrap().1.in_doubt(), 0);
}

#[tokio::test]
async fn one_reply_too_many_makes_no_acceptance() {
    for extra in ["250 2.0.0 by the way\r\n", "250 2.1.5 by the way\r\n", "250 by the way\r\n"] {
        let says = [extra, &all_taken()].concat();
        let (outcomes, _) = outcomes(Burst::says(says)).await;
        assert!(outcomes.iter().all(|outcome| state(outcome) == State::Unknown), "{extra}");
        let says = [TAKEN, extra, RESET, TAKEN, RESET, TAKEN, RESET, TAKEN].concat();
        let (outcomes, _) = self::outcomes(Burst::says(says)).await;
        let states: Vec<_> = outcomes.iter().map(state).collect();
        assert_eq!(states, [State::Relayed, State::Unknown, State::Unknown, State::Unknown], "{extra}");
    }
}

#[tokio::test]
async fn an_acceptance_behind_a_refused_envelope_is_in_doubt() {
    let odd = "503 5.5.1 nested\r\n250 2.1.5 ok\r\n250 2.0.0 taken\r\n";
    let says = [odd, RESET, TAKEN, RESET, TAKEN, RESET, TAKEN].concat();
    let (outcomes, _) = outcomes(Burst::says(says)).await;
    assert!(outcomes.iter().all(|outcome| state(outcome) == State::Unknown));
}

/// Postfix counts errors since it took a message, and leaves at the twentieth with the rest unread (smtpd_hard_error_limit).
#[tokio::test]
async fn a4_refusals_in_a_row_put_nothing_in_doubt_that_a_reset_takes_along() {
    let errors = Mutex::new(HashMap::<usize, u32>::new());
    let manners = move |ask: &Ask<'_>| {
        let mut errors = errors.lock().unwrap();
        let errors = errors.entry(ask.session).or_default();
        let is_large = ask.verb == "MAIL" && ask.line.contains("large@");
        let is_behind = matches!(ask.verb, "DATA" | ".") && ask.recipient.is_empty();
        match (is_large || is_behind || ask.is_out_of_turn, ask.verb) {
            _ if *errors >= 20 => return Say::Reset,
            (true, _) => *errors += 1,
            (false, ".") => *errors = 0,
            _ => {}
        }
        if is_large { reply("552 5.3.4 too large") } else { Say::Usual }
    };
    let peer = Peer::start(|_| CHUNKING, manners).await;
    let injector = one_session(&peer);
    let large = |number| number >= 1_000;
    let numbers = (0..130).chain([1_000]).chain(130..142).chain(1_001..1_020);
    let sends = numbers.map(|number| {
        let sender = String::from(if large(number) { "large@relay.example" } else { "bounce@relay.example" });
        deliver(&injector, Delivery { sender, ..to(number) })
    });
    let outcomes = futures_util::future::join_all(sends.collect::<Vec<_>>()).await;
    let states: Vec<_> = outcomes.iter().map(state).collect();
    assert_eq!(count(&states, State::Relayed), 142);
    assert_eq!(count(&states, State::Rejected), 20, "{states:?}");
}
