//! `?respond=ledger`: one answer to a whole body, given when every job in it is relayed or on the disk. For clients that
//! write everything before they read anything: the ledger tells the results afterwards.

use super::answer::{Answer, ResultText};
use super::cut::Cut;
use super::jobs_route::closing;
use super::ledger::{CountView, Ledger, Unreadable};
use super::problem::{Problem, disowned};
use super::records::unreadable;
use super::stream::Reader;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use futures_util::Stream;
use serde::Serialize;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Refusals told one by one; the others are counted.
const REFUSALS_MAX: usize = 1000;
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What became of a body of jobs. Results that are not told here are those of `GET /v1/jobs` behind `after`.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Receipt, example = json!({"complete": true, "jobs": 150_000, "accepted": 149_998, "refused": 2, "counts": [
    {"state": "relayed", "jobs": 61_000}, {"state": "journaled", "jobs": 88_998},
    {"state": "rejected", "reason": "unknown-token", "jobs": 2}],
    "refusals": [{"job_id": "c42-17", "send": "s_chkrkqopv4emf76nwf6tsxbprm", "line": 17, "state": "rejected",
    "reason": "unknown-token", "detail": "the vault does not know this token"}], "refusals_left_out": 1, "after": 4711}))]
pub(super) struct ReceiptText<'a> {
    /// The body was read to its end. If not, submit it again: what came is known by its `job_id`.
    complete: bool,
    /// Lines that hold something: `accepted` and `refused` together.
    jobs: u64,
    /// Relayed, on the disk, or in doubt: not to be submitted again. What becomes of those on the disk the ledger says.
    accepted: u64,
    /// All others. Those that are `deferred`, and lines that are no jobs, are not in the ledger.
    refused: u64,
    counts: &'a [CountView],
    /// The first 1000, each as its result would be.
    refusals: Vec<ResultText<'a>>,
    refusals_left_out: u64,
    /// The ledger's cursor before the body was read.
    after: i64,
}

/// The account of one body. Its size does not depend on that of the body.
struct Receipt {
    jobs: u64,
    accepted: u64,
    counts: Vec<CountView>,
    refusals: Vec<Answer>,
    after: i64,
}

impl Receipt {
    fn add(&mut self, answer: Answer) {
        let (state, reason) = (answer.state(), answer.reason());
        self.jobs += 1;
        match self.counts.iter_mut().find(|count| (count.state, count.reason) == (state, reason)) {
            Some(count) => count.jobs += 1,
            None => self.counts.push(CountView { state, reason, jobs: 1 }),
        }
        if answer.is_taken() {
            self.accepted += 1;
        } else if self.refusals.len() < REFUSALS_MAX {
            self.refusals.push(answer);
        }
    }

    fn text(&self, complete: bool) -> ReceiptText<'_> {
        let refused = self.jobs - self.accepted;
        ReceiptText {
            complete,
            jobs: self.jobs,
            accepted: self.accepted,
            refused,
            counts: &self.counts,
            refusals: self.refusals.iter().map(Answer::text).collect(),
            refusals_left_out: refused - self.refusals.len() as u64,
            after: self.after,
        }
    }

    fn into_response(self, cut: Option<Cut>) -> Response<Body> {
        match cut.map(problem) {
            None => {
                let body = serde_json::to_vec(&self.text(true)).expect("a receipt always serialises");
                let mut response = Response::new(Body::from(body));
                *response.status_mut() = StatusCode::ACCEPTED;
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
            Some(problem) => problem.with(&self.text(false)),
        }
    }
}

/// Reads the body, waits for all outcomes, and for the disk.
///
/// # Errors
/// 503 where the ledger cannot be read or written.
pub(super) async fn answer(
    reader: Reader,
    bytes: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    mut outcomes: mpsc::Receiver<Answer>,
    ledger: Arc<dyn Ledger>,
) -> Result<Response<Body>, Problem> {
    let after = ledger.last_event().await.map_err(unreadable)?;
    let mut receipt = Receipt { jobs: 0, accepted: 0, counts: Vec::new(), refusals: Vec::new(), after };
    let tasks = reader.call.door.tasks.clone();
    let reading = tasks.spawn(reader.run(bytes));
    while let Some(answer) = outcomes.recv().await {
        receipt.add(answer);
    }
    let cut = reading.await.unwrap_or(Some(Cut::Broken));
    ledger.settled().await.map_err(unsettled)?;
    Ok(receipt.into_response(cut))
}

/// The jobs may be safe, and nobody can say so.
pub(super) fn unsettled(_: Unreadable) -> Problem {
    let detail = "the journal cannot be written now, the relay's log says why; submit the same jobs again, under their job_id";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "ledger-unavailable", detail).retry_after(RETRY_AFTER)
}

fn problem(cut: Cut) -> Problem {
    match cut {
        Cut::DoorClosed => closing(),
        Cut::Disowned => disowned(),
        Cut::Broken | Cut::ClientGone => {
            let detail =
                "the body broke off, or is not what Content-Encoding says; what came before is as told here";
            Problem::new(StatusCode::BAD_REQUEST, "body-broken", detail)
        }
        Cut::Swollen | Cut::Hollow | Cut::Blank => {
            let detail = "the body holds next to no jobs; send one job a line, without blank lines and padding between them";
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-swells", detail)
        }
    }
}
