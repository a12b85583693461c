//! One job in one request: read it within bounds, wait for its outcome, answer.

use super::Counts;
use super::answer::Answer;
use super::body::JobBytes;
use super::jobs_route::{Call, Reply, Respond, start};
use super::packed::is_hollow;
use super::problem::Problem;
use super::receipt::unsettled;
use crate::fault::{Fault, Reason};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

pub(super) async fn answer(call: Call, headers: &HeaderMap, bytes: JobBytes) -> Result<Response, Problem> {
    let limits = &call.door.settings.limits;
    let bytes_max = limits.job_line_bytes_max;
    if !bytes.is_compressed() && declared_length(headers).is_some_and(|length| length > bytes_max as u64) {
        return Ok(refuse(&call, None, too_large(bytes_max)));
    }
    let text = match timeout(limits.body_read_max, whole(bytes, bytes_max)).await {
        Ok(Ok(text)) => text,
        Ok(Err(Unread::TooLarge)) => return Ok(refuse(&call, None, too_large(bytes_max))),
        Ok(Err(Unread::Broken)) => {
            let fault =
                Fault::new(Reason::BadJob, "the body broke off, or is not what Content-Encoding says");
            return Ok(refuse(&call, None, fault));
        }
        Err(_) => {
            let detail = "the body took too long; send it without pauses";
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body-too-slow", detail));
        }
    };
    let gate = call.door.settings.house.gate();
    let Some(entry) = gate.enter_soon(text.len(), limits.gate_wait_max).await else {
        let detail = "the relay is full; nothing of this job is held";
        return Err(
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(Duration::from_secs(5))
        );
    };
    let house = &call.door.settings.house;
    let text_read = call.job_reader().read(without_mark(&text), |engine, id| house.send_number(engine, id));
    let (job_id, job) = match text_read {
        Ok(read) => read,
        Err(bad) => return Ok(refuse(&call, bad.job_id, bad.fault)),
    };
    drop(text);
    if call.meter.take().is_err() {
        return Ok(refuse(&call, Some(job_id), over_quota()));
    }
    let (reply, outcome) = oneshot::channel();
    start(&call, job_id, job, entry, (None, One(reply)));
    let answer = outcome.await.expect("a job that was started always answers");
    let Respond::Receipt(ledger) = &call.respond else { return Ok(answer.into_response()) };
    ledger.settled().await.map_err(unsettled)?;
    let mut response = answer.into_response();
    if response.status().is_success() {
        *response.status_mut() = StatusCode::ACCEPTED;
    }
    Ok(response)
}

pub(super) fn over_quota() -> Fault {
    Fault::new(Reason::OverQuota, "the engine is over its rate_max; submit more slowly")
}

struct One(oneshot::Sender<Answer>);

impl Reply for One {
    fn answer(self, answer: Answer) -> bool {
        self.0.send(answer).is_ok()
    }
}

fn refuse(call: &Call, job_id: Option<Box<str>>, fault: Fault) -> Response {
    Counts::add(&call.door.settings.counts.jobs_refused);
    Answer::refused(None, job_id, fault).into_response()
}

fn too_large(bytes_max: usize) -> Fault {
    Fault::new(
        Reason::TooLarge,
        format!("a job takes at most {bytes_max} bytes (job_bytes_max of /v1/limits)"),
    )
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

enum Unread {
    TooLarge,
    Broken,
}

async fn whole(mut bytes: JobBytes, bytes_max: usize) -> Result<Bytes, Unread> {
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(chunk) = bytes.next().await {
        let chunk =
            chunk.map_err(|error| if is_hollow(&error) { Unread::TooLarge } else { Unread::Broken })?;
        if first.len() + joined.len() + chunk.len() > bytes_max {
            return Err(Unread::TooLarge);
        }
        if first.is_empty() && joined.is_empty() {
            first = chunk;
            continue;
        }
        joined.extend_from_slice(&std::mem::take(&mut first));
        joined.extend_from_slice(&chunk);
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}
