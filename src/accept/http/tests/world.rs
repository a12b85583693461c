//! A door on a loopback port with a scripted house behind it, and a client for it.

use crate::accept::http::*;
use crate::engine::{Credential, Engine, Engines};
use crate::fault::{Fault, Reason, ReplyCode};
use crate::gate::Gate;
use crate::job::{Acceptance, Job, SendNumber};
use crate::ticket::{Board, Outcome, Relayed, StageTimes};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::Frame;
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinHandle;

pub(super) type TestBody = BoxBody<Bytes, Infallible>;

pub(super) const KEY: &str = "Bearer k-campaigns";

/// A door with a house behind it whose outcome is told by `data.then`.
pub(super) struct World {
    pub(super) address: SocketAddr,
    pub(super) gate: Gate,
    pub(super) board: Arc<Board>,
    pub(super) counts: Arc<Counts>,
    /// What a reload changes.
    pub(super) engines: watch::Sender<Arc<Engines>>,
    /// Jobs with `"then":"wait"` settle when permits are added.
    pub(super) released: Arc<Semaphore>,
    pub(super) stop: Option<oneshot::Sender<()>>,
    pub(super) door: JoinHandle<()>,
}

pub(super) const JOBS_MAX: usize = 64;

impl World {
    pub(super) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(super) async fn with(limits: Limits) -> Self {
        Self::keeping(limits, Acceptance::Handoff, None).await
    }

    pub(super) async fn keeping(
        limits: Limits,
        acceptance: Acceptance,
        ledger: Option<Arc<dyn ledger::Ledger>>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Gate::new(JOBS_MAX, 8 * 1024 * 1024);
        let board = Arc::new(Board::default());
        let released = Arc::new(Semaphore::new(0));
        let counts = Arc::new(Counts::default());
        let engines = watch::Sender::new(engines());
        let settings = Settings {
            house: house_of(engines.subscribe(), gate.clone(), board.clone(), released.clone())
                .promising(acceptance),
            token_domains: vec![String::from("tokens.example")].into(),
            quotas: Arc::new(Quotas::default()),
            limits,
            ready: Arc::new(|| Ready { ok: false, problems: vec!["vault: sealed".into()] }),
            metrics: Arc::new(|| String::from("jobs_total 1\n# EOF\n")),
            counts: counts.clone(),
            ledger,
        };
        let (stop, stopped) = oneshot::channel();
        let door = tokio::spawn(serve(listener, DoorTls::None, settings, async move {
            let _ = stopped.await;
        }));
        Self { address, gate, board, counts, engines, released, stop: Some(stop), door }
    }

    pub(super) async fn client(&self) -> SendRequest<TestBody> {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    pub(super) async fn send(&self, request: Request<TestBody>) -> (u16, Value, Response<()>) {
        let response = self.client().await.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        (head.status.as_u16(), value, Response::from_parts(head, ()))
    }

    /// Sends chunks of a stream and reads every result.
    pub(super) async fn stream(&self, chunks: Vec<Bytes>, encoding: Option<&str>) -> Vec<Value> {
        let frames = stream::iter(chunks).map(|chunk| Ok(Frame::data(chunk)));
        let mut request = post("application/x-ndjson", BodyExt::boxed(StreamBody::new(frames)));
        if let Some(encoding) = encoding {
            request.headers_mut().insert("content-encoding", encoding.parse().unwrap());
        }
        let response = self.client().await.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        body.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    /// Stops the door; every job has its outcome, and all room in the house is free again.
    pub(super) async fn close(mut self) -> Arc<Counts> {
        let _ = self.stop.take().unwrap().send(());
        (&mut self.door).await.unwrap();
        assert_eq!(self.board.open(), 0);
        assert_eq!(self.gate.free(), JOBS_MAX);
        assert_eq!(self.counts.connections_open.load(Relaxed), 0);
        self.counts.clone()
    }
}

pub(super) fn engine(name: &str, rate: Option<u32>) -> Arc<Engine> {
    Arc::new(Engine {
        name: name.into(),
        credential: Credential::of(format!("k-{name}").as_bytes()),
        templates: vec!["*".into()],
        fields: vec!["first_name".into()],
        purposes: vec!["service".into()],
        senders: None,
        allow_literal: vec![],
        purpose_default: None,
        rate_per_second_max: rate,
    })
}

fn engines() -> Arc<Engines> {
    Arc::new(Engines::new(vec![engine("campaigns", None), engine("slow", Some(2))]))
}

pub(super) fn house(gate: Gate, board: Arc<Board>, released: Arc<Semaphore>) -> House {
    house_of(watch::channel(engines()).1, gate, board, released)
}

fn house_of(
    engines: watch::Receiver<Arc<Engines>>,
    gate: Gate,
    board: Arc<Board>,
    released: Arc<Semaphore>,
) -> House {
    House::new(
        engines,
        gate,
        move |job: Job, _| {
            let ticket = board.issue(job.send.clone());
            let released = released.clone();
            Box::pin(async move {
                let then = job.data.get("then").and_then(Value::as_str).unwrap_or_default();
                match then {
                    "wait" => released.acquire().await.unwrap().forget(),
                    "break" => panic!("a defect in the house"),
                    _ => tokio::task::yield_now().await,
                }
                let outcome = outcome_of(then);
                ticket.settle(&outcome);
                (job.send.clone(), outcome)
            })
        },
        |_| Box::pin(async { Ok(()) }),
        |engine, job_id| {
            let digest = aws_lc_rs::digest::digest(
                &aws_lc_rs::digest::SHA256,
                format!("{engine}/{job_id}").as_bytes(),
            );
            SendNumber::from_bits(digest.as_ref()[..16].try_into().unwrap())
        },
    )
}

pub(super) fn outcome_of(then: &str) -> Outcome {
    let fault = |reason| Outcome::Failed(Fault::new(reason, "as scripted"));
    match then {
        "unknown-token" => fault(Reason::UnknownToken),
        "no-consent" => fault(Reason::NoConsent),
        "deferred" => fault(Reason::TargetUnavailable),
        "in-doubt" => Outcome::Failed(Fault::in_doubt("as scripted")),
        _ => Outcome::Relayed(Relayed {
            target: "mta1".into(),
            code: ReplyCode::new(250, 2, 0, 0),
            attempt: 1,
            times: StageTimes::default(),
            repeat: crate::job::Repeat::No,
        }),
    }
}

pub(super) fn job_then(job_id: &str, then: &str) -> String {
    json!({"job_id": job_id, "to": "e_684384628@tokens.example", "template": "welcome", "data": {"then": then}})
        .to_string()
}

pub(super) fn job(job_id: &str) -> String {
    job_then(job_id, "")
}

pub(super) fn full(body: impl Into<Bytes>) -> TestBody {
    Full::new(body.into()).boxed()
}

pub(super) fn post(content_type: &str, body: TestBody) -> Request<TestBody> {
    Request::post("/v1/jobs")
        .header("host", "relay")
        .header("authorization", KEY)
        .header("content-type", content_type)
        .body(body)
        .unwrap()
}

pub(super) fn get(path: &str) -> Request<TestBody> {
    Request::get(path).header("host", "relay").header("authorization", KEY).body(full("")).unwrap()
}

/// Reads one HTTP/1.1 answer, head and body as they came, until the peer closes.
pub(super) async fn read_all(socket: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let _ = socket.read_to_end(&mut all).await;
    String::from_utf8_lossy(&all).into_owned()
}
