//! The door with real sockets and real TLS.

mod disowned;
mod hostile;
mod lmtp;

use super::*;
use crate::accept::door::House;
use crate::engine::{Credential, Engine, Engines};
use crate::fault::{Fault, Reason, ReplyCode};
use crate::gate::Gate;
use crate::job::{Content, Job, SendNumber, Token};
use crate::ticket::{Outcome, Relayed, StageTimes};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, rustls};

const LOGIN: &str = "AUTH PLAIN AGNhbXBhaWducwBzM2NyZXQ=";
const WRONG: &str = "AUTH PLAIN AGNhbXBhaWducwB3cm9uZw==";
const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const TO_DATA: &str = "MAIL FROM:<bounce@shop.example>\r\nRCPT TO:<e_11111111@tokens.example>\r\nDATA\r\n";

/// A house that keeps what it was given. `e_unknown1` is nobody; a job for `e_waiting1` waits to be let go.
struct FakeHouse {
    house: House,
    engines: watch::Sender<Arc<Engines>>,
    jobs: Arc<Mutex<Vec<Job>>>,
    gate: Gate,
    let_go: Option<oneshot::Sender<()>>,
}

fn engine(password: &[u8]) -> Engine {
    Engine {
        name: "campaigns".into(),
        credential: Credential::of(password),
        templates: vec!["*".into()],
        fields: vec!["*".into()],
        purposes: vec!["service".into()],
        senders: None,
        allow_literal: vec![],
        purpose_default: None,
        rate_per_second_max: None,
    }
}

fn fake_house() -> FakeHouse {
    let engines = watch::Sender::new(Arc::new(Engines::new(vec![Arc::new(engine(b"s3cret"))])));
    let gate = Gate::new(100, 10 << 20);
    let jobs: Arc<Mutex<Vec<Job>>> = Arc::default();
    let (let_go, wait) = oneshot::channel();
    let (kept, wait) = (jobs.clone(), Mutex::new(Some(wait)));
    let submit = move |job: Job, _| -> futures_util::future::BoxFuture<'static, (SendNumber, Outcome)> {
        let waiting = if job.token.as_str() == "e_waiting1" { wait.lock().unwrap().take() } else { None };
        let kept = kept.clone();
        Box::pin(async move {
            if let Some(waiting) = waiting {
                let _ = waiting.await;
            }
            let (send, outcome) = (job.send.clone(), outcome_of(&job));
            kept.lock().unwrap().push(job);
            (send, outcome)
        })
    };
    let known = |token: Token| -> futures_util::future::BoxFuture<'static, Result<(), Fault>> {
        Box::pin(async move {
            match token.as_str() {
                "e_unknown1" => Err(Fault::new(Reason::UnknownToken, "nobody has this token")),
                "e_sealed11" => Err(Fault::new(Reason::VaultSealed, "the vault is sealed; unseal it")),
                _ => Ok(()),
            }
        })
    };
    let number = |engine: &str, job_id: &str| {
        use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((engine, job_id));
        SendNumber::from_bits(u128::from(hash).to_le_bytes())
    };
    let house = House::new(engines.subscribe(), gate.clone(), submit, known, number);
    FakeHouse { house, engines, jobs, gate, let_go: Some(let_go) }
}

fn outcome_of(job: &Job) -> Outcome {
    let code = ReplyCode::new(250, 2, 0, 0);
    match job.token.as_str() {
        "e_refused1" => {
            Outcome::Failed(Fault::refused(ReplyCode::new(550, 5, 1, 1), "mta1 refused the recipient"))
        }
        "e_indoubt1" => Outcome::Failed(Fault::in_doubt("mta1 was lost after the final dot")),
        "e_defect11" => panic!("a defect"),
        _ => Outcome::Relayed(Relayed {
            target: "mta1".into(),
            code,
            attempt: 1,
            times: StageTimes::default(),
            repeat: crate::job::Repeat::No,
        }),
    }
}

struct Tls {
    acceptor: Acceptor,
    connector: TlsConnector,
}

fn tls() -> Tls {
    let made = rcgen::generate_simple_self_signed(vec!["relay.example".into()]).unwrap();
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(crate::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(crate::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    Tls { acceptor: Arc::new(move || acceptor.clone()), connector: TlsConnector::from(Arc::new(client)) }
}

fn settings(tls: DoorTls) -> Settings {
    let limits = Limits {
        message_bytes_max: 200_000,
        login_failure_delay: Duration::from_millis(1),
        ..Limits::default()
    };
    Settings {
        host_name: "relay.example".into(),
        protocol: Protocol::Smtp,
        engine: None,
        tls,
        token_domains: vec!["tokens.example".into()],
        quotas: Arc::default(),
        bare_lf: BareLf::default(),
        limits,
    }
}

/// The door on a free loopback port.
struct World {
    fake: FakeHouse,
    address: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

impl World {
    async fn new(settings: Settings) -> Self {
        let fake = fake_house();
        let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        Self::on(listener, address, settings, fake)
    }

    fn on(
        listener: impl Into<DoorListener>,
        address: SocketAddr,
        settings: Settings,
        fake: FakeHouse,
    ) -> Self {
        let listener = listener.into();
        let (shutdown, asked) = oneshot::channel::<()>();
        let until = async move {
            let _ = asked.await;
        };
        let served = tokio::spawn(serve(listener, settings, fake.house.clone(), until));
        Self { fake, address, shutdown: Some(shutdown), served }
    }

    async fn client(&self) -> Client<TcpStream> {
        Client::greeted(TcpStream::connect(self.address).await.unwrap()).await
    }

    async fn client_in(&self) -> Client<TcpStream> {
        let mut client = self.client().await;
        client.log_in().await;
        client
    }

    /// Shuts down and checks that nothing is held any more; the jobs that were submitted.
    async fn end(mut self) -> Vec<Job> {
        self.shutdown.take();
        self.served.await.unwrap();
        assert_eq!(self.fake.gate.free(), 100, "a place in the house was not given back");
        std::mem::take(&mut self.fake.jobs.lock().unwrap())
    }
}

struct Client<S>(S, Vec<u8>);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn greeted(stream: S) -> Self {
        let mut client = Self(stream, Vec::new());
        assert!(client.reply().await.starts_with("220 relay.example"));
        client
    }

    async fn log_in(&mut self) {
        assert!(self.ask("EHLO engine.example").await.contains("250 "));
        assert!(self.ask(LOGIN).await.starts_with("235"));
    }

    async fn write(&mut self, octets: impl AsRef<[u8]>) {
        // The door may have hung up already; its reply is what counts.
        let _ = self.0.write_all(octets.as_ref()).await;
        let _ = self.0.flush().await;
    }

    async fn ask(&mut self, line: &str) -> String {
        self.write(format!("{line}\r\n")).await;
        self.reply().await
    }

    /// One reply with all its lines, or what was left at the end of the stream.
    async fn reply(&mut self) -> String {
        loop {
            if let Some(end) = end_of_reply(&self.1) {
                return String::from_utf8(self.1.drain(..end).collect()).unwrap();
            }
            if self.0.read_buf(&mut self.1).await.unwrap_or(0) == 0 {
                return String::from_utf8(std::mem::take(&mut self.1)).unwrap();
            }
        }
    }

    async fn rest(&mut self) -> String {
        while self.0.read_buf(&mut self.1).await.unwrap_or(0) > 0 {}
        String::from_utf8(std::mem::take(&mut self.1)).unwrap()
    }

    async fn send(&mut self, token: &str, message: &str) -> String {
        let envelope =
            format!("MAIL FROM:<bounce@shop.example>\r\nRCPT TO:<{token}@tokens.example>\r\nDATA\r\n");
        self.write(envelope).await;
        for expected in ["250", "250", "354"] {
            assert!(self.reply().await.starts_with(expected));
        }
        self.write(format!("{message}.\r\n")).await;
        self.reply().await
    }
}

fn end_of_reply(octets: &[u8]) -> Option<usize> {
    let mut start = 0;
    while let Some(end) = memchr::memmem::find(&octets[start..], b"\r\n") {
        if octets.get(start + 3) == Some(&b' ') {
            return Some(start + end + 2);
        }
        start += end + 2;
    }
    None
}

async fn encrypt(client: Client<TcpStream>, tls: &Tls) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("relay.example").unwrap();
    tls.connector.connect(name, client.0).await
}

#[tokio::test]
async fn a_message_comes_in_over_starttls() {
    let tls = tls();
    let world = World::new(settings(DoorTls::StartTls(tls.acceptor.clone()))).await;
    let mut client = world.client().await;
    assert!(client.ask("EHLO x").await.contains("250 STARTTLS"));
    assert!(client.ask("STARTTLS").await.starts_with("220"));
    let mut client = Client(encrypt(client, &tls).await.unwrap(), Vec::new());
    assert!(client.ask("MAIL FROM:<>").await.starts_with("530"), "all was forgotten");
    client.log_in().await;
    let message = "To: e_11111111@tokens.example\r\nSubject: Hi {{person.first_name}}\r\n\r\n..dot\r\n";
    assert!(client.send("e_11111111", message).await.starts_with("250 2.0.0 Ok: relayed as s_"));
    assert!(client.ask("QUIT").await.starts_with("221"));
    assert_eq!(client.rest().await, "");
    let jobs = world.end().await;
    let [job] = jobs.as_slice() else { panic!("one job") };
    assert_eq!((&*job.engine.name, job.token.as_str()), ("campaigns", "e_11111111"));
    assert_eq!(job.sender.as_deref(), Some("bounce@shop.example"));
    let Content::Message(octets) = &job.content else { panic!("the message is the template") };
    assert_eq!(octets, message.replace("..dot", ".dot").as_bytes());
}

#[tokio::test]
async fn a_template_is_named_in_a_header_over_implicit_tls() {
    let tls = tls();
    let world = World::new(settings(DoorTls::Implicit(tls.acceptor.clone()))).await;
    let stream = Client(TcpStream::connect(world.address).await.unwrap(), Vec::new());
    let mut client = Client::greeted(encrypt(stream, &tls).await.unwrap()).await;
    client.log_in().await;
    let message = "X-TokenRelay-Template: welcome\r\nX-TokenRelay-Data: {\"order\":\"A-17\"}\r\n\
                   X-TokenRelay-Job-Id: c42-17\r\nX-TokenRelay-Campaign: c42\r\n\r\nignored\r\n";
    let first = client.send("e_11111111", message).await;
    assert!(first.starts_with("250 2.0.0 Ok: relayed as s_"));
    assert_eq!(client.send("e_11111111", message).await, first, "the same job id has the same number");
    drop(client);
    let jobs = world.end().await;
    assert!(matches!(&jobs[0].content, Content::Template(name) if &**name == "welcome"));
    assert_eq!((&jobs[0].data["order"], jobs[0].campaign.as_deref()), (&"A-17".into(), Some("c42")));
}

#[tokio::test]
async fn what_was_injected_behind_starttls_is_not_obeyed() {
    let tls = tls();
    let world = World::new(settings(DoorTls::StartTls(tls.acceptor.clone()))).await;
    let mut client = world.client().await;
    client.ask("EHLO x").await;
    client.write("STARTTLS\r\nEHLO evil\r\n").await;
    assert!(client.rest().await.starts_with("554 5.5.1"));
    let mut client = world.client().await;
    client.ask("EHLO x").await;
    client.ask("STARTTLS").await;
    // Later, yet before the handshake: it is taken for one and fails.
    client.write(format!("EHLO evil\r\n{LOGIN}\r\n")).await;
    assert!(!client.rest().await.contains("250"));
    assert!(world.end().await.is_empty());
}

#[tokio::test]
async fn outcomes_and_refusals_are_answered() {
    let world = World::new(settings(DoorTls::None)).await;
    let mut client = world.client_in().await;
    for (token, expected) in [
        ("e_refused1", "550 5.1.1 target-rejected: mta1 refused the recipient (s_"),
        ("e_indoubt1", "554 5.4.2 outcome unknown, not sent again: "),
        ("e_11111111", "250 2.0.0 Ok"),
    ] {
        let answer = client.send(token, "Subject: x\r\n\r\nhi\r\n").await;
        assert!(answer.starts_with(expected), "{answer}");
    }
    assert!(client.send("e_11111111", "").await.starts_with("550 5.6.0 bad-job"));
    assert!(client.send("e_11111111", "no header\r\n").await.starts_with("550 5.6.0 bad-job"));
    let large = format!("Subject: x\r\n\r\n{}", "0123456789abcdef\r\n".repeat(12_000));
    assert!(client.send("e_11111111", &large).await.starts_with("552 5.3.4 too-large"));
    client.ask("MAIL FROM:<>").await;
    assert!(client.ask("RCPT TO:<e_sealed11@tokens.example>").await.starts_with("451 4.3.0 vault-sealed"));
    assert!(client.ask("RCPT TO:<e_unknown1@tokens.example>").await.starts_with("550 5.1.1"));
    assert!(client.ask("QUIT").await.starts_with("221"));
    assert_eq!(world.end().await.len(), 3);
}

#[tokio::test]
async fn a_defect_in_one_job_is_answered_and_harms_nobody_else() {
    let world = World::new(settings(DoorTls::None)).await;
    let mut client = world.client_in().await;
    assert!(client.send("e_defect11", "Subject: x\r\n\r\n").await.starts_with("451 4.3.0"));
    assert!(client.send("e_11111111", "Subject: x\r\n\r\n").await.starts_with("250"));
    drop(client);
    assert_eq!(world.end().await.len(), 1);
}

#[tokio::test]
async fn large_messages_and_chunks_arrive_whole() {
    let world = World::new(settings(DoorTls::None)).await;
    let mut client = world.client_in().await;
    let message = format!("Subject: x\r\n\r\n{}", "0123456789abcdef\r\n".repeat(11_000));
    assert!(client.send("e_11111111", &message).await.starts_with("250"));
    let (head, tail) = message.split_at(100_000);
    let pipelined = format!(
        "{}BDAT {}\r\n{head}BDAT {} LAST\r\n{tail}NOOP\r\n",
        TO_DATA.replace("DATA\r\n", ""),
        head.len(),
        tail.len()
    );
    client.write(pipelined).await;
    for expected in ["250 2.1.0", "250 2.1.5", "250 2.0.0 Ok: 100000 octets", "250 2.0.0 Ok: relayed", "250"]
    {
        let reply = client.reply().await;
        assert!(reply.starts_with(expected), "{reply}");
    }
    drop(client);
    for job in world.end().await {
        assert!(matches!(&job.content, Content::Message(octets) if octets == message.as_bytes()));
    }
}

#[tokio::test]
async fn a_refused_chunk_is_not_read_as_commands() {
    let world = World::new(settings(DoorTls::None)).await;
    let mut client = world.client_in().await;
    let inner = format!("{TO_DATA}Subject: smuggled\r\n\r\n.\r\n");
    client
        .write(format!(
            "MAIL FROM:<>\r\nRCPT TO:<e_unknown1@tokens.example>\r\nBDAT {} LAST\r\n{inner}NOOP\r\n",
            inner.len()
        ))
        .await;
    for expected in ["250 2.1.0", "550 5.1.1", "554 5.5.1", "250 2.0.0"] {
        assert!(client.reply().await.starts_with(expected));
    }
    drop(client);
    assert!(world.end().await.is_empty());
}

#[tokio::test]
async fn guessing_is_answered_the_same_until_it_is_locked_out() {
    let mut strict = settings(DoorTls::None);
    strict.limits.guesses.per_pair_max = 3;
    let world = World::new(strict).await;
    let mut client = world.client().await;
    client.ask("EHLO x").await;
    for _ in 0..3 {
        assert_eq!(client.ask(WRONG).await, "535 5.7.8 the credentials are not accepted\r\n");
    }
    assert!(client.ask(WRONG).await.starts_with("454 4.7.0"));
    assert!(client.ask(LOGIN).await.starts_with("454 4.7.0"), "a right guess is not told from a wrong one");
    drop(client);
    world.end().await;
}

#[tokio::test]
async fn too_many_connections_are_told_so() {
    for (total, per_source, expected) in [(1, 10, "421 4.3.2"), (10, 1, "421 4.7.0")] {
        let mut narrow = settings(DoorTls::None);
        (narrow.limits.connections_max, narrow.limits.connections_per_source_max) = (total, per_source);
        let world = World::new(narrow).await;
        let mut first = world.client().await;
        let mut second = Client(TcpStream::connect(world.address).await.unwrap(), Vec::new());
        assert!(second.rest().await.starts_with(expected));
        assert!(first.ask("QUIT").await.starts_with("221"));
        first.rest().await;
        drop(first);
        // The place is given back after the close that the client has seen.
        let mut third = loop {
            let mut third = Client(TcpStream::connect(world.address).await.unwrap(), Vec::new());
            if third.reply().await.starts_with("220") {
                break third;
            }
        };
        assert!(third.ask("NOOP").await.starts_with("250"));
        drop(third);
        world.end().await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_while_it_waits_does_not_stop_its_job() {
    let mut world = World::new(settings(DoorTls::None)).await;
    let mut client = world.client_in().await;
    client.write(TO_DATA.replace("e_11111111", "e_waiting1")).await;
    for expected in ["250", "250", "354"] {
        assert!(client.reply().await.starts_with(expected));
    }
    client.write("Subject: x\r\n\r\nhi\r\n.\r\n").await;
    while world.fake.gate.free() == 100 {
        tokio::task::yield_now().await;
    }
    drop(client);
    let let_go = world.fake.let_go.take().unwrap();
    let jobs = world.fake.jobs.clone();
    world.shutdown.take();
    assert!(jobs.lock().unwrap().is_empty());
    let_go.send(()).unwrap();
    assert_eq!(world.end().await.len(), 1);
}

#[tokio::test]
async fn a_message_without_its_final_dot_is_not_submitted() {
    let world = World::new(settings(DoorTls::None)).await;
    for content in ["Subject: x\r\n\r\nhalf", "Subject: x\r\n\r\n.\r", &"x: y\r\n".repeat(20_000)] {
        let mut client = world.client_in().await;
        client.write(TO_DATA).await;
        client.write(content).await;
        client.0.shutdown().await.unwrap();
        assert!(!client.rest().await.contains("relayed"));
    }
    assert!(world.end().await.is_empty());
}

#[tokio::test]
async fn shutdown_sends_waiting_clients_away_and_keeps_what_has_begun() {
    let mut world = World::new(settings(DoorTls::None)).await;
    let (mut idle, mut sending) = (world.client_in().await, world.client_in().await);
    sending.write(TO_DATA).await;
    for expected in ["250", "250", "354"] {
        assert!(sending.reply().await.starts_with(expected));
    }
    world.shutdown.take();
    assert!(idle.reply().await.starts_with("421 4.3.2"));
    drop(idle);
    sending.write("Subject: x\r\n\r\nhi\r\n.\r\n").await;
    assert!(sending.reply().await.starts_with("250 2.0.0 Ok: relayed"));
    assert!(sending.rest().await.starts_with("421 4.3.2"));
    drop(sending);
    assert_eq!(world.end().await.len(), 1);
}
