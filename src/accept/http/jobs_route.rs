//! `POST /v1/jobs`: who asks, what kind of body, and the task that walks each job to its one outcome.

use super::answer::Answer;
use super::body::JobBytes;
use super::connection::{Door, Peer};
use super::ledger::Ledger;
use super::problem::Problem;
use super::query::{pairs, wrong};
use super::{Counts, auth, single, stream};
use crate::accept::jobs::JobReader;
use crate::accept::quota::Meter;
use crate::engine::Engine;
use crate::gate::Entry;
use crate::job::{Acceptance, Job, SendNumber};
use crate::ticket::Outcome;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// One request of an engine that has shown who it is.
pub(super) struct Call {
    pub door: Door,
    pub peer: Arc<Peer>,
    pub engine: Arc<Engine>,
    pub meter: Meter,
    /// The client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    pub expects_continue: bool,
    /// The client has the whole body before it sends it.
    pub has_length: bool,
    pub respond: Respond,
}

/// What the client wants for an answer.
#[derive(Clone)]
pub(super) enum Respond {
    /// What became of each job.
    Results,
    /// That the jobs are safe, as the ledger can tell the rest.
    Receipt(Arc<dyn Ledger>),
}

impl Call {
    pub fn job_reader(&self) -> JobReader {
        JobReader::new(self.engine.clone(), self.door.settings.token_domains.clone())
    }
}

/// Submit jobs
///
/// `application/json` is one job and is answered when its outcome is known. The status says what became of it: 200
/// relayed; 202 held by the relay, or in doubt because the connection was lost after the message was handed over
/// (`state` says which; do not repeat it by yourself); 4xx not sent, and sending the same again will not help; 429
/// and 503 not sent, nothing is held, submit it again after `Retry-After`. A status of 400 and above carries the
/// result's members inside a problem document.
///
/// `application/x-ndjson` is a stream of jobs, one JSON object a line, of any length. It is answered 200 at once,
/// and with one result a line, each as soon as it is known and in no particular order: match them by `job_id`. A line that is
/// no job, or is too long, gets a result that names the line, and the stream goes on. The relay reads a job only when
/// it has room for it: read results while you write jobs. A client that writes everything first and reads afterwards
/// is held back by flow control once some thousand results wait for it, and loses the request when it has taken
/// none for a while (`stall_seconds_max` of `/v1/limits`): such a client adds `?respond=ledger`. It is answered once, when the whole
/// body was read and its jobs are relayed or on the disk: 202 with counts, the refusals (1000 at most) and the cursor `after`, behind
/// which `GET /v1/jobs` gives the results. A body that was not read to its end is a problem with the same members, `complete` is
/// false. One job is answered as always, with 202 in place of 200. Jobs without a result (the connection broke, the relay was
/// stopped) may be submitted again under the same `job_id`: they keep their send number and Message-ID.
#[utoipa::path(
    post, path = "/v1/jobs", tag = "jobs", security(("engine_key" = [])),
    params(
        ("respond" = Option<super::openapi::RespondText>, Query, description = "`ledger`: 202 with counts and refusals, results afterwards from \
            `GET /v1/jobs`; only where the listener has `accept` `auto` or `journal`")),
    request_body(
        description = "One job, or a stream of them. With `Content-Encoding` `gzip` or `zstd` (window of at most 8 MiB) it is unpacked: 413 when \
            that makes more than 100 times its size without jobs in it, or its members are empty; 415 for any other.",
        content((super::openapi::JobDoc = "application/json"), (super::openapi::JobDoc = "application/x-ndjson"))
    ),
    responses(
        (status = 200, description = "One job: relayed. A stream: one result a line.", content(
            (super::answer::ResultText = "application/json"), (super::answer::ResultText = "application/x-ndjson"))),
        (status = 202, description = "Journaled, or unknown. With `respond=ledger`: the body was read to its end; a stream: `Receipt`.",
            body = super::openapi::TakenDoc, content_type = "application/json"),
        (status = 400, description = "Not a job (`bad-job`); a query that is not as above (`bad-query`, `no-ledger-here`).", body = super::openapi::ProblemWithResultDoc,
            content_type = "application/problem+json"),
        (status = 401, description = "The key is missing, given twice or wrong.", body = super::problem::ProblemText,
            content_type = "application/problem+json"),
        (status = 408, description = "The body took too long.", body = super::problem::ProblemText,
            content_type = "application/problem+json"),
        (status = 409, description = "`duplicate`", body = super::openapi::ProblemWithResultDoc,
            content_type = "application/problem+json"),
        (status = 413, description = "`too-large`; or a stream that holds next to no jobs (`body-swells`).", body = super::openapi::ProblemWithResultDoc,
            content_type = "application/problem+json"),
        (status = 415, description = "Another Content-Type or Content-Encoding.", body = super::problem::ProblemText,
            content_type = "application/problem+json"),
        (status = 422, description = "Rejected or suppressed; `reason` says why.",
            body = super::openapi::ProblemWithResultDoc, content_type = "application/problem+json"),
        (status = 429, description = "`over-quota`, or too many wrong keys.",
            body = super::openapi::ProblemWithResultDoc, content_type = "application/problem+json"),
        (status = 503, description = "Deferred; nothing is held.", body = super::openapi::ProblemWithResultDoc,
            content_type = "application/problem+json"),
        (status = 507, description = "`journal-full`: the journal, or its disk, takes no more; nothing is held.",
            body = super::openapi::ProblemWithResultDoc, content_type = "application/problem+json"),
    )
)]
pub(super) async fn post_jobs(
    State(door): State<Door>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Response {
    let busy = peer.busy();
    let (head, body) = request.into_parts();
    let headers = &head.headers;
    let engine = match auth::engine(&door, &peer, headers).await {
        Ok(engine) => engine,
        Err(problem) => return problem.into_response(),
    };
    let checked = checked_head(&door, headers)
        .and_then(|kind| Ok((kind, respond(&door, head.uri.query())?, JobBytes::new(headers, body)?)));
    let (kind, respond, bytes) = match checked {
        Ok(checked) => checked,
        Err(problem) => return problem.into_response(),
    };
    let meter = door.settings.quotas.meter(&engine);
    let (expects_continue, has_length) = (headers.contains_key(EXPECT), headers.contains_key(CONTENT_LENGTH));
    let call = Call { door, peer, engine, meter, expects_continue, has_length, respond };
    let answered = match kind {
        Kind::One => single::answer(call, headers, bytes).await,
        Kind::Stream => stream::answer(call, bytes, busy).await,
    };
    answered.unwrap_or_else(Problem::into_response)
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    One,
    Stream,
}

fn checked_head(door: &Door, headers: &HeaderMap) -> Result<Kind, Problem> {
    if door.stop.is_cancelled() {
        return Err(closing());
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let media = match (types.next(), types.next()) {
        (Some(only), None) => only.as_bytes(),
        _ => b"",
    };
    let media = media.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if media.eq_ignore_ascii_case(b"application/json") {
        return Ok(Kind::One);
    }
    let streams: [&[u8]; 3] = [b"application/x-ndjson", b"application/ndjson", b"application/jsonl"];
    if streams.iter().any(|stream| media.eq_ignore_ascii_case(stream)) {
        return Ok(Kind::Stream);
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "send one job as application/json, or many as application/x-ndjson",
    ))
}

fn respond(door: &Door, query: Option<&str>) -> Result<Respond, Problem> {
    let mut is_receipt = false;
    for (name, value) in pairs(query)? {
        match (name.as_str(), value.as_str()) {
            ("respond", "ledger") => is_receipt = true,
            ("respond", "results") => is_receipt = false,
            ("respond", _) => return Err(wrong("'respond' is 'results' or 'ledger'")),
            ("dry_run", _) => {
                return Err(wrong("'dry_run' is not available in this version; nothing was submitted"));
            }
            _ => return Err(wrong("this path takes 'respond'; members of a job belong into the body")),
        }
    }
    let settings = &door.settings;
    match (&settings.ledger, settings.house.acceptance()) {
        _ if !is_receipt => Ok(Respond::Results),
        (Some(ledger), Acceptance::Auto | Acceptance::Journal) => Ok(Respond::Receipt(ledger.clone())),
        (_, Acceptance::Handoff) | (None, _) => {
            let detail = "this listener has accept = \"handoff\": nothing is kept that could be asked afterwards; submit to \
                one with \"auto\" or \"journal\", or leave ?respond=ledger out and read results while you write jobs";
            Err(Problem::new(StatusCode::BAD_REQUEST, "no-ledger-here", detail))
        }
    }
}

pub(super) fn closing() -> Problem {
    let detail = "the relay is stopping; submit to another one, or here again when it is back";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "closing", detail)
        .retry_after(std::time::Duration::from_secs(5))
}

/// Where a job's answer goes.
pub(super) trait Reply: Send + 'static {
    /// Returns whether somebody is there to read it.
    fn answer(self, answer: Answer) -> bool;
}

/// A job on its way, owing exactly one answer: if its task breaks, the answer is `lost`.
struct Owed<R: Reply> {
    reply: Option<R>,
    line: Option<u64>,
    job_id: Option<Box<str>>,
    send: Option<SendNumber>,
    counts: Arc<Counts>,
}

/// Starts the job in a task of its own, since its outcome must be reached even if the client goes away.
pub(super) fn start(call: &Call, job_id: Box<str>, job: Job, entry: Entry, to: (Option<u64>, impl Reply)) {
    let (line, reply) = to;
    let settings = &call.door.settings;
    Counts::add(&settings.counts.jobs_taken);
    let mut owed = Owed {
        reply: Some(reply),
        line,
        job_id: Some(job_id),
        send: Some(job.send.clone()),
        counts: settings.counts.clone(),
    };
    let outcome = settings.house.submit(job);
    call.door.tasks.spawn(async move {
        let (send, outcome) = outcome.await;
        drop(entry);
        owed.send = Some(send);
        owed.pay(outcome);
    });
}

impl<R: Reply> Owed<R> {
    fn pay(&mut self, outcome: Outcome) {
        let Some(reply) = self.reply.take() else { return };
        let answer = Answer { line: self.line, job_id: self.job_id.take(), send: self.send.take(), outcome };
        if !reply.answer(answer) {
            Counts::add(&self.counts.results_undelivered);
        }
    }
}

impl<R: Reply> Drop for Owed<R> {
    fn drop(&mut self) {
        self.pay(Outcome::Lost);
    }
}
