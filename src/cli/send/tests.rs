//! `send` against an HTTP door with a scripted house.

use super::*;
use crate::accept::door::House;
use crate::accept::http::{Counts, DoorTls, Limits, Ready, Settings, serve};
use crate::accept::quota::Quotas;
use crate::engine::{Credential, Engine, Engines};
use crate::fault::{Fault, Reason, ReplyCode};
use crate::gate::Gate;
use crate::job::{Job, SendNumber};
use crate::ticket::{Outcome, Relayed, StageTimes};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;

/// A door whose house defers a job with `"then":"later"` the first time round.
struct Relay {
    address: SocketAddr,
    jobs: Arc<AtomicU32>,
    round: Arc<AtomicU32>,
    _stop: oneshot::Sender<()>,
}

impl Relay {
    async fn new(tls: DoorTls) -> Self {
        let (jobs, round) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let settings = Settings {
            house: house(jobs.clone(), round.clone()),
            token_domains: vec![String::from("tokens.example")].into(),
            quotas: Arc::new(Quotas::default()),
            limits: Limits { wrong_key_delay: std::time::Duration::ZERO, ..Limits::default() },
            ready: Arc::new(Ready::default),
            metrics: Arc::new(String::new),
            counts: Arc::new(Counts::default()),
            ledger: None,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(serve(listener, tls, settings, async { drop(stopped.await) }));
        Self { address, jobs, round, _stop: stop }
    }

    fn args(&self, file: &Path) -> SendArgs {
        args(format!("http://{}", self.address), file)
    }
}

fn args(url: String, file: &Path) -> SendArgs {
    SendArgs {
        file: file.to_owned(),
        url: Some(url),
        key: None,
        ca: None,
        results: None,
        resume: false,
        template: Some("welcome".into()),
        campaign: None,
        purpose: None,
        token_domain: None,
        connections: 1,
        json: true,
    }
}

fn defaults(key: &str) -> SendDefaults {
    SendDefaults {
        url: None,
        key: Some(SecretRef::Command(format!("echo {key}"))),
        token_domain: Some("tokens.example".into()),
        trust: Trust::SystemRoots,
    }
}

fn house(jobs: Arc<AtomicU32>, round: Arc<AtomicU32>) -> House {
    let engine = Engine {
        name: "campaigns".into(),
        credential: Credential::of(b"right"),
        templates: vec!["*".into()],
        fields: vec![],
        purposes: vec!["service".into()],
        senders: None,
        allow_literal: vec![],
        purpose_default: None,
        rate_per_second_max: None,
    };
    let (_, engines) = watch::channel(Arc::new(Engines::new(vec![Arc::new(engine)])));
    House::new(
        engines,
        Gate::new(100, 1 << 24),
        move |job: Job, _| {
            jobs.fetch_add(1, Relaxed);
            let first_round = round.load(Relaxed) == 0;
            Box::pin(async move {
                tokio::task::yield_now().await;
                let fault = |reason| Outcome::Failed(Fault::new(reason, "as scripted"));
                let outcome = match job.data.get("then").and_then(Value::as_str) {
                    Some("later") if first_round => fault(Reason::TargetUnavailable),
                    Some("never") => fault(Reason::UnknownToken),
                    Some("hang") if first_round => std::future::pending().await,
                    Some("held") => Outcome::Journaled(crate::fault::Repeat::No),
                    Some("doubt") => Outcome::HeldInDoubt(Fault::in_doubt("as scripted")),
                    _ => Outcome::Relayed(Relayed {
                        target: "mta1".into(),
                        code: ReplyCode::new(250, 2, 0, 0),
                        attempt: 1,
                        times: StageTimes::default(),
                        repeat: crate::job::Repeat::No,
                    }),
                };
                (job.send, outcome)
            })
        },
        |_| Box::pin(async { Ok(()) }),
        |_, _| SendNumber::from_bits([1; 16]),
    )
}

/// Lines of a results file: `state` by `job_id`, in the order they were written.
fn written(path: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(path).unwrap();
    let read = |line| serde_json::from_str::<Value>(line).unwrap();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    text.lines().map(read).map(|result| (word(&result["job_id"]), word(&result["state"]))).collect()
}

fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn what_was_deferred_is_submitted_again_and_nothing_else() {
    let relay = Relay::new(DoorTls::None).await;
    let folder = tempfile::tempdir().unwrap();
    let row =
        |then: &str| format!("{{\"to\":\"e_684384628@tokens.example\",\"data\":{{\"then\":\"{then}\"}}}}\n");
    let text =
        [row("").repeat(1500), row("later").repeat(3), row("never"), "no job\n".into(), row("")].concat();
    let path = file(&folder, "may.ndjson", &text);
    let results = folder.path().join("may.ndjson.results.ndjson");

    let mut args = relay.args(&path);
    assert_eq!(run(args.clone(), defaults("right")).await.unwrap(), Exit::Temporary);
    let first = written(&results);
    assert_eq!((first.len(), relay.jobs.load(Relaxed)), (1506, 1505));
    let states: BTreeMap<String, String> = first.into_iter().collect();
    assert_eq!(states.len(), 1506);
    assert_eq!(
        ["1", "1501", "1504", "1505"].map(|n| states[&format!("may.ndjson-{n}")].as_str()),
        ["relayed", "deferred", "rejected", "rejected"]
    );

    let refused = run(args.clone(), defaults("right")).await.unwrap_err();
    assert!(refused.to_string().contains("--resume"), "{refused}");

    relay.round.store(1, Relaxed);
    args.resume = true;
    assert_eq!(run(args.clone(), defaults("right")).await.unwrap(), Exit::Failed);
    assert_eq!(relay.jobs.load(Relaxed), 1508);
    let second = written(&results);
    assert_eq!(second[1506..].iter().filter(|(_, state)| state == "relayed").count(), 3);
    assert_eq!(run(args, defaults("right")).await.unwrap(), Exit::Failed);
    assert_eq!((written(&results).len(), relay.jobs.load(Relaxed)), (1509, 1508));
}

#[tokio::test]
async fn csv_goes_over_tls_through_several_connections() {
    let made = rcgen::generate_simple_self_signed(vec![String::from("127.0.0.1")]).unwrap();
    let private = rustls_pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let builder = rustls::ServerConfig::builder_with_provider(crate::tls::provider());
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(
        builder.with_single_cert(vec![made.cert.der().clone()], private).unwrap(),
    ));
    let relay = Relay::new(DoorTls::Implicit(Arc::new(move || acceptor.clone()))).await;
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..400).map(|n| format!("e_684384628,j{n},x\n")).collect();
    let path = file(&folder, "june.csv", &format!("token,job_id,order\n{rows}"));
    let key = file(&folder, "key", "right\n");

    let mut args = relay.args(&path);
    args.url = Some(format!("https://{}", relay.address));
    args.ca = Some(file(&folder, "ca.pem", &made.cert.pem()));
    args.key = Some(format!("file:{}", key.display()));
    args.connections = 3;
    args.results = Some(folder.path().join("out"));
    assert_eq!(run(args.clone(), defaults("wrong")).await.unwrap(), Exit::Ok);
    let states: BTreeMap<String, String> = written(&folder.path().join("out")).into_iter().collect();
    assert_eq!((states.len(), relay.jobs.load(Relaxed)), (400, 400));

    // The same relay under a name its certificate does not hold.
    args.url = Some(format!("https://localhost:{}", relay.address.port()));
    args.results = Some(folder.path().join("out2"));
    let refused = run(args, defaults("wrong")).await.unwrap_err();
    assert!(refused.fix.unwrap().contains("a name of the relay's certificate"), "{}", refused.cause);
}

#[tokio::test]
async fn a_wrong_key_and_a_wrong_reference_say_what_to_do() {
    let relay = Relay::new(DoorTls::None).await;
    let folder = tempfile::tempdir().unwrap();
    let mut args = relay.args(&file(&folder, "a.ndjson", "{}\n"));
    let refused = run(args.clone(), defaults("wrong")).await.unwrap_err();
    assert!(refused.cause.contains("401") && refused.fix.unwrap().contains("--key"), "{}", refused.cause);
    args.key = Some("my-secret".into());
    let refused = run(args, defaults("right")).await.unwrap_err();
    assert_eq!(refused.exit, Exit::Usage);
    assert!(!refused.to_string().contains("my-secret"));
}

#[tokio::test]
async fn results_that_never_came_are_counted_and_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "a.ndjson", &"{\"to\":\"e_684384628@tokens.example\"}\n".repeat(5));
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while memchr::memchr_iter(b'\n', &seen).count() < 10 {
            assert!(socket.read_buf(&mut seen).await.unwrap() > 0);
        }
        let result = "{\"job_id\":\"a.ndjson-2\",\"state\":\"relayed\"}\n";
        let answer = format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{result}\r\n",
            result.len()
        );
        socket.write_all(answer.as_bytes()).await.unwrap();
    });
    assert_eq!(run(args(url, &path), defaults("right")).await.unwrap(), Exit::Temporary);
    let results = folder.path().join("a.ndjson.results.ndjson");
    assert_eq!(written(&results), [(String::from("a.ndjson-2"), String::from("relayed"))]);

    let relay = Relay::new(DoorTls::None).await;
    let mut args = relay.args(&path);
    args.resume = true;
    assert_eq!(run(args, defaults("right")).await.unwrap(), Exit::Ok);
    assert_eq!((written(&results).len(), relay.jobs.load(Relaxed)), (5, 4));
}

#[tokio::test]
async fn a_run_that_was_killed_leaves_results_to_go_on_from() {
    let relay = Relay::new(DoorTls::None).await;
    let folder = tempfile::tempdir().unwrap();
    let row =
        |then: &str| format!("{{\"to\":\"e_684384628@tokens.example\",\"data\":{{\"then\":\"{then}\"}}}}\n");
    let text = [row("").repeat(150), row("held"), row("hang").repeat(40)].concat();
    let path = file(&folder, "may.ndjson", &text);
    let running = tokio::spawn(run(relay.args(&path), defaults("right")));
    let results = folder.path().join("may.ndjson.results.ndjson");
    let told = || std::fs::read(&results).map_or(0, |text| memchr::memchr_iter(b'\n', &text).count());
    let mut beat = tokio::time::interval(std::time::Duration::from_millis(2));
    while told() < 151 {
        beat.tick().await;
    }
    // What a kill leaves is what another process can read now; its last write may be cut anywhere.
    let left = folder.path().join("left");
    let kept = [std::fs::read(&results).unwrap(), b"{\"job_id\":\"may.nd".to_vec()].concat();
    std::fs::write(&left, kept).unwrap();
    running.abort();

    let submitted = relay.jobs.load(Relaxed);
    relay.round.store(1, Relaxed);
    let mut args = relay.args(&path);
    (args.resume, args.results) = (true, Some(left.clone()));
    assert_eq!(run(args, defaults("right")).await.unwrap(), Exit::Ok);
    assert_eq!(relay.jobs.load(Relaxed) - submitted, 40);
    let all: BTreeMap<String, String> = written(&left).into_iter().collect();
    assert_eq!((all.len(), all["may.ndjson-151"].as_str()), (191, "journaled"));
}

#[tokio::test]
async fn what_is_in_doubt_is_neither_relayed_nor_failed_nor_sent_again() {
    let relay = Relay::new(DoorTls::None).await;
    let folder = tempfile::tempdir().unwrap();
    let row =
        |then: &str| format!("{{\"to\":\"e_684384628@tokens.example\",\"data\":{{\"then\":\"{then}\"}}}}\n");
    let path = file(&folder, "a.ndjson", &[row(""), row("held"), row("doubt")].concat());
    assert_eq!(run(relay.args(&path), defaults("right")).await.unwrap(), Exit::Degraded);
    let mut again = relay.args(&path);
    again.resume = true;
    assert_eq!(run(again, defaults("right")).await.unwrap(), Exit::Degraded);
    assert_eq!(relay.jobs.load(Relaxed), 3);
}

#[tokio::test]
async fn no_relay_is_a_temporary_failure_with_a_fix() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let folder = tempfile::tempdir().unwrap();
    let args = args(url, &file(&folder, "a.ndjson", "{}\n"));
    // The second try finds the same: the first one left no results that would be in its way.
    for _ in 0..2 {
        let refused = run(args.clone(), defaults("right")).await.unwrap_err();
        assert_eq!(refused.exit, Exit::Temporary);
        assert!(refused.fix.unwrap().contains("tokenrelay serve"));
    }
}

#[test]
fn rows_without_an_id_get_one_from_the_name_of_their_file() {
    assert_eq!(id_prefix(Path::new("/tmp/may.csv")), "may.csv");
    let odd = id_prefix(Path::new("מאי 2031.csv"));
    assert!(crate::job::is_job_id(&odd) && odd != id_prefix(Path::new("יוני 2031.csv")), "{odd}");
    assert_ne!(id_prefix(Path::new("-")), id_prefix(Path::new("-")));
}
