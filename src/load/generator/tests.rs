//! The generator against the sink, which speaks SMTP as a relay's door does.

use super::*;
use crate::load::sink::{ProofStats, Proofs, Script, Sink, SinkHandle, SinkSettings, SinkTls};
use crate::tls::{ClientTls, DevAuthority, Trust};
use tokio::net::TcpListener;

struct Relay {
    sink: SinkHandle,
    door: SmtpDoor,
    _folder: tempfile::TempDir,
}

async fn relay(profile: &str) -> Relay {
    relay_with(profile, None).await
}

/// With proofs nothing is kept: content is looked at where it lies.
async fn relay_with(profile: &str, proofs: Option<Proofs>) -> Relay {
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
        keep: proofs.is_none(),
        proofs,
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
    let rejected: u64 = report
        .outcomes
        .iter()
        .filter(|((state, _), _)| state == "rejected")
        .map(|(_, count)| count.jobs)
        .sum();
    assert_eq!((report.sent, report.answered), (30, 30));
    assert!(rejected > 0 && report.relayed > 0 && report.relayed + rejected == 30, "{:?}", report.outcomes);
    assert_eq!(relay.sink.messages().len() as u64, report.relayed);
}

/// The envelope that was pipelined behind the message is no message that went astray.
#[tokio::test]
async fn b11_a_door_that_closes_its_sessions_leaves_no_job_without_an_answer() {
    for (profile, refused) in [("421-final=5", 20), ("421-after=10", 0)] {
        let relay = relay(profile).await;
        let plan = Plan { jobs_max: Some(100), ..plan(Rate::Max, Duration::from_secs(60), 1) };
        let report = run(Door::Smtp(relay.door.clone()), source(), plan).await.unwrap();
        let told: Vec<_> = report.outcomes.keys().collect();
        assert_eq!((report.sent, report.answered), (100, 100), "{profile}: {told:?}");
        assert!(report.failed() >= refused && report.relayed > 0, "{profile}: {told:?}");
        assert!(told.iter().all(|(state, _)| state != "unanswered"), "{profile}: {told:?}");
    }
}

#[tokio::test]
async fn a_slow_relay_cannot_slow_the_count_down() {
    let relay = relay("slow=15").await;
    let (rate, lasting) = (Rate::PerSecond(100.0), Duration::from_millis(300));
    let report = run(Door::Smtp(relay.door.clone()), source(), plan(rate, lasting, 1)).await.unwrap();
    assert_eq!((report.planned, report.relayed), (30, 30));
    assert!(report.kept_the_rate() == Some(false) && report.behind > 10);
    // The last job was due after 290 ms and waited for all before it.
    assert!(report.latency.max() > 1_000_000, "{} us", report.latency.max());
}

#[tokio::test]
async fn a_message_is_held_against_its_proof_in_one_piece_or_in_many() {
    for octets in [500, 300_000] {
        let proof = |n: usize, text: &str| {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
            let digest = data_encoding::HEXLOWER.encode(&digest.as_ref()[..8]);
            format!("e_000000000{n}@tokens.example,{digest}\n")
        };
        let right = |n: usize| format!("<e_000000000{n}@tokens.example>\nA trial of the relay\n");
        let file = proof(0, &right(0)) + &proof(1, &right(1)) + &proof(2, &right(0));
        let relay = relay_with("accept", Some(Proofs::read(&file).unwrap())).await;
        let people = (0..3).map(|n| format!("e_000000000{n}@tokens.example")).collect();
        let source = Source::new(people, &Jobs::Invented { octets }, None).unwrap();
        let plan =
            Plan { rate: Rate::Max, lasting: Duration::from_secs(60), jobs_max: Some(30), connections: 2 };
        let report = run(Door::Smtp(relay.door.clone()), source, plan).await.unwrap();
        assert_eq!((report.sent, report.relayed), (30, 30));
        let wanted = ProofStats { verified: 20, wrong: 10, distinct: 2 };
        assert_eq!(relay.sink.stats().proofs, Some(wanted), "{octets} octets");
    }
}
