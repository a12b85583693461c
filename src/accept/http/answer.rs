//! A job's outcome as the engine reads it: one JSON object, and the HTTP status of a single job.

use super::problem::{problem_response, seconds, title};
use super::result_line;
use crate::fault::{Circumstance, Enhanced, Fault, Reason, State};
use crate::job::{Repeat, SendNumber};
use crate::ticket::{Outcome, StageTimes};
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Response, StatusCode};
use bytes::{BufMut, BytesMut};
use serde::{Serialize, Serializer};
use std::time::Duration;

/// When a deferred job is worth another try.
const RETRY_DEFERRED_AFTER: Duration = Duration::from_secs(30);
const RETRY_OVER_QUOTA_AFTER: Duration = Duration::from_secs(1);

/// What became of one job, or of one line that is no job.
#[derive(Debug)]
pub(super) struct Answer {
    /// Line in the stream, from 1; `None` for a single job.
    pub line: Option<u64>,
    pub job_id: Option<Box<str>>,
    pub send: Option<SendNumber>,
    pub outcome: Outcome,
}

/// The outcome of one job.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Result, example = json!({"job_id": "c42-17", "send": "s_chkrkqopv4emf76nwf6tsxbprm", "state": "relayed",
    "target": "mta1", "code": 250, "enhanced": "2.0.0", "attempt": 1,
    "ms": {"resolve": 0.1, "render": 0.1, "inject": 2.0}}))]
pub(super) struct ResultText<'a> {
    /// The engine's own id; absent only where a line was too broken to read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    job_id: Option<&'a str>,
    /// The relay's opaque number of this job; the same when the same job is submitted again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    send: Option<&'a str>,
    /// In a stream, for every state but `relayed`: the line of the request, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[schema(value_type = super::openapi::StateText)]
    state: State,
    /// For every state but `relayed`: one of a closed list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::openapi::ReasonText>)]
    reason: Option<Reason>,
    /// Cause and fix in words; never a value of a person or of `data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    detail: Option<&'a str>,
    /// Name of the target that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    target: Option<&'a str>,
    /// The target's reply code (RFC 5321 §4.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    /// The target's enhanced status code (RFC 3463).
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "enhanced")]
    #[schema(value_type = Option<String>)]
    enhanced: Option<Enhanced>,
    /// How many times the message was offered to a target.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    /// Milliseconds spent in each stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<StageMs>,
    /// The relay may have carried this job before and have forgotten (a power cut, a restored state): it may arrive twice,
    /// under one Message-ID. Absent for no.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    maybe_repeated: bool,
}

/// Milliseconds with one decimal.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct StageMs {
    resolve: f64,
    render: f64,
    inject: f64,
}

/// A failed single job: a problem document that carries the result beside its own members.
#[derive(Serialize)]
struct ProblemWithResult<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    #[serde(flatten)]
    result: ResultText<'a>,
}

impl Answer {
    pub fn refused(line: Option<u64>, job_id: Option<Box<str>>, fault: Fault) -> Self {
        Self { line, job_id, send: None, outcome: Outcome::Failed(fault) }
    }

    /// Appends the result as one line.
    pub fn write_line(&self, buffer: &mut BytesMut) {
        let is_written = match &self.outcome {
            Outcome::Relayed(relayed) => result_line::relayed(self, relayed, buffer),
            _ => false,
        };
        if !is_written {
            serde_json::to_writer(buffer.writer(), &self.text()).expect("a result always serialises");
        }
        buffer.put_u8(b'\n');
    }

    /// The answer to a single job. 2xx means: do not submit it again by yourself.
    pub fn into_response(self) -> Response<Body> {
        let status = self.status();
        let text = self.text();
        if status.is_success() {
            let body = serde_json::to_vec(&text).expect("a result always serialises");
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = status;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            return response;
        }
        let kind = text.reason.map_or(text.state.as_str(), Reason::as_str);
        let problem = ProblemWithResult {
            kind: format!("urn:tokenrelay:problem:{kind}"),
            title: title(status),
            status: status.as_u16(),
            result: text,
        };
        let body = serde_json::to_vec(&problem).expect("a result always serialises");
        let mut response = problem_response(status, body);
        let wait = match status {
            StatusCode::SERVICE_UNAVAILABLE => RETRY_DEFERRED_AFTER,
            StatusCode::TOO_MANY_REQUESTS => RETRY_OVER_QUOTA_AFTER,
            _ => return response,
        };
        response.headers_mut().insert(RETRY_AFTER, seconds(wait));
        response
    }

    /// It is with a target or held here, or may be: nobody should submit it again by himself.
    pub fn is_taken(&self) -> bool {
        self.status().is_success()
    }

    pub fn state(&self) -> State {
        self.outcome.state()
    }

    pub fn reason(&self) -> Option<Reason> {
        self.text().reason
    }

    fn status(&self) -> StatusCode {
        let fault = match &self.outcome {
            Outcome::Relayed(_) => return StatusCode::OK,
            Outcome::Lost => return StatusCode::INTERNAL_SERVER_ERROR,
            Outcome::Journaled(_) | Outcome::HeldInDoubt(_) => return StatusCode::ACCEPTED,
            Outcome::Failed(fault) => fault,
        };
        match fault.circumstance() {
            Circumstance::Usual
            | Circumstance::NeedsEightBit
            | Circumstance::PersonsValues
            | Circumstance::Untried => {}
            Circumstance::SameIdOtherBody => return StatusCode::CONFLICT,
        }
        match (fault.state(), fault.reason) {
            (State::Relayed, _) => StatusCode::OK,
            // It may have been delivered: an answer that makes clients repeat it would double it.
            (State::Journaled | State::Unknown, _) => StatusCode::ACCEPTED,
            (State::Deferred, Reason::OverQuota) => StatusCode::TOO_MANY_REQUESTS,
            (State::Deferred, Reason::JournalFull) => StatusCode::INSUFFICIENT_STORAGE,
            (State::Deferred, _) => StatusCode::SERVICE_UNAVAILABLE,
            (State::Lost, _) => StatusCode::INTERNAL_SERVER_ERROR,
            // Nothing is wrong with the job but its time.
            (State::Expired | State::Cancelled, _) => StatusCode::UNPROCESSABLE_ENTITY,
            (_, Reason::BadJob) => StatusCode::BAD_REQUEST,
            (_, Reason::Duplicate) => StatusCode::CONFLICT,
            (_, Reason::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            (State::Rejected | State::Suppressed, _) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    pub fn text(&self) -> ResultText<'_> {
        let (relayed, fault) = match &self.outcome {
            Outcome::Relayed(relayed) => (Some(relayed), None),
            Outcome::Failed(fault) | Outcome::HeldInDoubt(fault) => (None, Some(fault)),
            Outcome::Journaled(_) | Outcome::Lost => (None, None),
        };
        let reply = relayed.map(|relayed| relayed.code).or(fault.and_then(|fault| fault.reply));
        let target = relayed.map(|relayed| &relayed.target).or(fault.and_then(|fault| fault.target.as_ref()));
        ResultText {
            job_id: self.job_id.as_deref(),
            send: self.send.as_ref().map(SendNumber::as_str),
            line: self.line.filter(|_| relayed.is_none()),
            state: self.outcome.state(),
            reason: fault.map(|fault| fault.reason),
            detail: fault.map(|fault| &*fault.detail),
            target: target.map(|name| &**name),
            code: reply.map(|reply| reply.basic),
            enhanced: reply.and_then(|reply| reply.enhanced),
            attempt: relayed.map(|relayed| relayed.attempt),
            ms: relayed.map(|relayed| StageMs::of(&relayed.times)),
            maybe_repeated: self.outcome.repeat() == Repeat::Maybe,
        }
    }
}

impl StageMs {
    fn of(times: &StageTimes) -> Self {
        let tenths = |time: Duration| (time.as_micros() as f64 / 100.0).round() / 10.0;
        Self { resolve: tenths(times.resolve), render: tenths(times.render), inject: tenths(times.inject) }
    }
}

fn enhanced<S: Serializer>(code: &Option<Enhanced>, serializer: S) -> Result<S::Ok, S::Error> {
    match code {
        Some(code) => serializer.collect_str(code),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accept::http::problem::PROBLEM_JSON;
    use crate::fault::ReplyCode;
    use crate::ticket::Relayed;

    fn answer(outcome: Outcome) -> Answer {
        Answer {
            line: Some(3),
            job_id: Some("c42-17".into()),
            send: Some(SendNumber::from_bits([0; 16])),
            outcome,
        }
    }

    #[test]
    fn a_relayed_result_is_as_promised() {
        let mut line = BytesMut::new();
        answer(Outcome::Relayed(Relayed {
            target: "mta1".into(),
            code: ReplyCode::new(250, 2, 0, 0),
            attempt: 1,
            times: StageTimes {
                resolve: Duration::from_micros(96),
                render: Duration::from_micros(140),
                inject: Duration::from_micros(2004),
                relay: None,
            },
            repeat: Repeat::No,
        }))
        .write_line(&mut line);
        assert_eq!(
            std::str::from_utf8(&line).unwrap(),
            "{\"job_id\":\"c42-17\",\"send\":\"s_aaaaaaaaaaaaaaaaaaaaaaaaaa\",\"state\":\"relayed\",\
             \"target\":\"mta1\",\"code\":250,\"enhanced\":\"2.0.0\",\"attempt\":1,\
             \"ms\":{\"resolve\":0.1,\"render\":0.1,\"inject\":2.0}}\n"
        );
    }

    proptest::proptest! {
        #[test]
        fn the_line_of_a_relayed_job_is_what_the_serialiser_would_write(
            job_id in "[!-~]{1,20}",
            target in "[a-z0-9-]{1,9}|[ -~é\n]{1,9}",
            enhanced in proptest::option::of((2u8..6, 0u16..1000, 0u16..1000)),
            micros in proptest::collection::vec(0u64..100_000_000, 3),
            (attempt, has_send, is_repeat) in (1u32.., proptest::prelude::any::<bool>(), proptest::prelude::any::<bool>()),
        ) {
            let time = |index: usize| Duration::from_micros(micros[index]);
            let outcome = Outcome::Relayed(Relayed {
                target: target.as_str().into(),
                code: ReplyCode { basic: 250, enhanced: enhanced.map(|(a, b, c)| Enhanced(a, b, c)) },
                attempt,
                times: StageTimes { resolve: time(0), render: time(1), inject: time(2), relay: None },
                repeat: if is_repeat { Repeat::Maybe } else { Repeat::No },
            });
            let send = has_send.then(|| SendNumber::from_bits([7; 16]));
            let answer = Answer { send, job_id: Some(job_id.into()), ..answer(outcome) };
            let mut line = BytesMut::new();
            answer.write_line(&mut line);
            let wanted = serde_json::to_string(&answer.text()).unwrap() + "\n";
            proptest::prop_assert_eq!(std::str::from_utf8(&line).unwrap(), wanted);
        }
    }

    #[test]
    fn a_failure_says_its_reason_and_line() {
        let mut line = BytesMut::new();
        let fault = Fault::refused(ReplyCode::new(550, 5, 1, 1), "no such user").at(&"mta1".into());
        answer(Outcome::Failed(fault)).write_line(&mut line);
        let result: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(
            result,
            serde_json::json!({"job_id":"c42-17","send":"s_aaaaaaaaaaaaaaaaaaaaaaaaaa","line":3,"state":"rejected",
                "reason":"target-rejected","detail":"no such user","target":"mta1","code":550,"enhanced":"5.1.1"})
        );
    }

    #[test]
    fn c8_what_may_be_a_repeat_is_said_whatever_came_of_it() {
        let doubt = Fault::in_doubt("gone");
        let outcomes = [
            Outcome::Journaled(Repeat::No),
            Outcome::HeldInDoubt(doubt.clone()),
            Outcome::Failed(doubt),
            Outcome::Failed(Fault::new(Reason::TargetUnavailable, "down")),
            Outcome::Failed(Fault::refused(ReplyCode::new(550, 5, 1, 1), "no such user")),
        ];
        for outcome in outcomes {
            for (repeat, expected) in [(Repeat::Maybe, Some(true)), (Repeat::No, None)] {
                let mut line = BytesMut::new();
                answer(outcome.clone().of_repeat(repeat)).write_line(&mut line);
                let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
                assert_eq!(
                    value.get("maybe_repeated").and_then(serde_json::Value::as_bool),
                    expected,
                    "{value}"
                );
            }
        }
    }

    #[test]
    fn the_status_of_a_single_job_follows_its_outcome() {
        for (fault, status) in [
            (Fault::new(Reason::UnknownToken, ""), 422),
            (Fault::new(Reason::NoConsent, ""), 422),
            (Fault::new(Reason::BadJob, ""), 400),
            (Fault::new(Reason::Duplicate, ""), 409),
            (Fault::new(Reason::TooLarge, ""), 413),
            (Fault::new(Reason::OverQuota, ""), 429),
            (Fault::new(Reason::JournalFull, ""), 507),
            (Fault::new(Reason::VaultSealed, ""), 503),
            (Fault::refused(ReplyCode::new(451, 4, 0, 0), ""), 503),
            (Fault::refused(ReplyCode::new(550, 5, 0, 0), ""), 422),
            (Fault::in_doubt(""), 202),
        ] {
            let response = answer(Outcome::Failed(fault.clone())).into_response();
            assert_eq!(response.status().as_u16(), status, "{fault}");
            assert_eq!(response.headers().contains_key(RETRY_AFTER), matches!(status, 429 | 503));
            let problem = response.headers()[CONTENT_TYPE] == PROBLEM_JSON;
            assert_eq!(problem, status >= 400);
        }
        assert_eq!(answer(Outcome::Lost).into_response().status(), 500);
    }
}
