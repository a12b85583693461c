//! The injector against the sink, over real sockets and real TLS.

mod chunks;
mod codes;
mod dialogue;
mod endurance;
mod erratic;
mod handshake;
mod health;
mod inquiry;
mod jobs;
mod machines;
mod majority;
mod misbehaviour;
mod outage;
mod peer;
mod policies;
mod storm;
mod throughput;
mod torn;
mod trust;
mod unknown;
mod whose;

use super::*;
use crate::fault::Fault;
use crate::load::sink::{Script, Sink, SinkHandle, SinkSettings, SinkTls};
use crate::person::{EMAIL, PersonBuilder};
use crate::personal::Personal;
use crate::tls::{ClientTls, DevAuthority};
use std::sync::Arc;
use tokio::net::TcpListener;

pub(super) const ADDRESS: &str = "dana.levi@post.example";

/// A sink and an injector whose only target it is.
pub(super) struct Pair {
    pub sink: SinkHandle,
    pub injector: Injector,
}

pub(super) fn trusting(ca: &DevAuthority) -> ClientTls {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.certificate_der().clone()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(crate::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    ClientTls::from(Arc::new(config))
}

pub(super) async fn sink(settings: SinkSettings) -> (SinkHandle, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (Sink::start(vec![listener], settings), port)
}

/// STARTTLS with a trusted certificate, messages kept.
pub(super) async fn pair(profile: &str) -> Pair {
    pair_with(Script::profile(profile).unwrap(), |_| {}).await
}

pub(super) async fn pair_with(script: Script, change: impl FnOnce(&mut TargetSettings)) -> Pair {
    let ca = DevAuthority::new("test authority").unwrap();
    let tls = SinkTls::StartTls(ca.server(&["127.0.0.1"]).unwrap());
    let (sink, port) = sink(SinkSettings { tls, script, keep: true, ..SinkSettings::default() }).await;
    let mut target = TargetSettings::new("mta1", "127.0.0.1", port);
    target.client_tls = Some(trusting(&ca));
    change(&mut target);
    Pair { sink, injector: Injector::start(vec![target]) }
}

impl Pair {
    pub async fn deliver(&self, message: &str) -> Result<Accepted, DeliverError> {
        let handle = self.injector.choose(None)?;
        self.injector.deliver(&handle, delivery(message)).await
    }

    pub async fn fault(&self, message: &str) -> Fault {
        match self.deliver(message).await {
            Err(DeliverError::Failed(fault)) => fault,
            other => panic!("a fault was expected, not {other:?}"),
        }
    }

    pub fn stats(&self) -> &TargetStats {
        self.injector.targets().next().unwrap().1
    }

    /// What arrived, without the order in which it did.
    pub fn arrived(&self) -> Vec<String> {
        let mut arrived: Vec<_> =
            self.sink.messages().into_iter().map(|m| String::from_utf8(m.content).unwrap()).collect();
        arrived.sort();
        arrived
    }
}

pub(super) fn delivery(message: &str) -> Delivery {
    let person = PersonBuilder::default().field(EMAIL, ADDRESS).field("name", "Dana Levi").build();
    Delivery {
        message: message.as_bytes().to_vec().into(),
        sender: String::from("bounce@relay.example"),
        recipient: Personal::new(String::from(ADDRESS)),
        whom: Whom::of(ADDRESS),
        eight_bit: EightBit::None,
        smtputf8: false,
        require_tls: false,
        give_up_at: None,
        on_offer: None,
        person: Some(Arc::new(person)),
    }
}

pub(super) fn message(number: usize) -> String {
    format!("Subject: {number}\r\nTo: Dana Levi <{ADDRESS}>\r\n\r\n.leading dot\r\nbody {number}\r\n")
}

#[tokio::test]
async fn a_message_arrives_as_it_was_given_over_tls() {
    let pair = pair("accept").await;
    let accepted = pair.deliver(&message(1)).await.unwrap();
    assert_eq!((accepted.code.basic, accepted.attempts, &*accepted.target), (250, 1, "mta1"));
    let arrived = pair.sink.messages();
    assert_eq!(arrived[0].content, message(1).into_bytes());
    assert_eq!(arrived[0].envelope.recipients, [ADDRESS]);
    assert_eq!(arrived[0].envelope.sender, "bounce@relay.example");
    assert!(arrived[0].envelope.tls);
    assert_eq!(pair.stats().relayed(), 1);
}
