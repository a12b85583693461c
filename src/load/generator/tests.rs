//! The generator against the sink, which speaks SMTP as a relay's door does.

use super::*;
use crate::load::sink::{Script, Sink, SinkHandle, SinkSettings, SinkTls};
use crate::tls::{ClientTls, DevAuthority, Trust};
use tokio::net::TcpListener;

struct Relay {
    sink: SinkHandle,
    door: SmtpDoor,
    _folder: tempfile::TempDir,
}

async fn relay(profile: &str) -> Relay {
    let folder = tempfile::tempdir().unwrap();
    let authority = DevAuthority::new("generator tests").unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.certificate_pem()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let settings = SinkSettings {
        tls: SinkTls::StartTls(authority.server(&["127.0.0.1"]).unwrap()),
        script: Script::profile(profile).unwrap(),
        auth: Some(("campaigns".into(), "secret".into())),
        keep: true,
        ..SinkSettings::default()
    };
    let door = SmtpDoor {
        host: "127.0.0.1".into(),
        port,
        is_implicit: false,
        tls: ClientTls::load(Trust::CaFile(ca)).unwrap(),
        user: "campaigns".into(),
        password: Zeroizing::new("secret".into()),
    };
    Relay { sink: Sink::start(vec![listener], settings), door, _folder: folder }
}

fn plan(rate: Rate, lasting: Duration, connections: usize) -> Plan {
    Plan { rate, lasting, jobs_max: None, connections }
}

fn source() -> Source {
    let people = (0..3).map(|n| format!("e_000000000{n}@tokens.example")).collect();
    Source::new(people, &Jobs::Invented { octets: 500 }, None).unwrap()
}

#[tokio::test]
async fn every_message_arrives_once_each_with_one_recipient() {
    let relay = relay("accept").await;
    let (rate, lasting) = (Rate::PerSecond(500.0), Duration::from_millis(200));
    let report = run(Door::Smtp(relay.door.clone()), source(), plan(rate, lasting, 3)).await.unwrap();
    assert_eq!((report.planned, report.sent, report.relayed, report.failed()), (100, 100, 100, 0));
    assert_eq!(report.latency.len(), 100);
    let messages = relay.sink.messages();
    let ids: std::collections::BTreeSet<_> = messages
        .iter()
        .filter_map(|message| {
            let text = String::from_utf8_lossy(&message.content).into_owned();
            let (to, id) = text.split_once("\r\nMessage-ID: ")?;
            assert_eq!(to, format!("To: <{}>", message.envelope.recipients[0]));
            assert_eq!(message.envelope.recipients.len(), 1);
            Some(id.lines().next()?.to_owned())
        })
        .collect();
    assert_eq!((messages.len(), ids.len()), (100, 100));
}

#[tokio::test]
async fn refusals_are_counted_by_their_codes_and_the_dialogue_goes_on() {
    let relay = relay("refuse-rcpt=3").await;
    let (rate, lasting) = (Rate::PerSecond(300.0), Duration::from_millis(100));
    let report = run(Door::Smtp(relay.door.clone()), source(), plan(rate, lasting, 1)).await.unwrap();
    let rejected: u64 =
        report.outcomes.iter().filter(|((state, _), _)| state == "rejected").map(|(_, count)| count).sum();
    assert_eq!((report.sent, report.answered), (30, 30));
    assert!(rejected > 0 && report.relayed > 0 && report.relayed + rejected == 30, "{:?}", report.outcomes);
    assert_eq!(relay.sink.messages().len() as u64, report.relayed);
}

#[tokio::test]
async fn a_slow_relay_cannot_slow_the_count_down() {
    let relay = relay("slow=15").await;
    let (rate, lasting) = (Rate::PerSecond(100.0), Duration::from_millis(300));
    let report = run(Door::Smtp(relay.door.clone()), source(), plan(rate, lasting, 1)).await.unwrap();
    assert_eq!((report.planned, report.relayed), (30, 30));
    assert!(!report.kept_the_rate() && report.behind > 10);
    // The last job was due after 290 ms and waited for all before it.
    assert!(report.latency.max() > 1_000_000, "{} us", report.latency.max());
}
