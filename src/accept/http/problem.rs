//! Errors of the request itself, as RFC 9457 problem details.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;
use std::borrow::Cow;
use std::time::Duration;

pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// What is wrong with a request, and what to do. `kind` is stable: `urn:tokenrelay:problem:KIND`.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub status: StatusCode,
    kind: &'static str,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
}

/// The members of a problem document; a result may add its own beside them (RFC 9457 §3.2).
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemText<'a> {
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "urn:tokenrelay:problem:unauthorized")]
    pub kind: Cow<'a, str>,
    #[schema(value_type = String, example = "Unauthorized")]
    pub title: &'a str,
    #[schema(example = 401)]
    pub status: u16,
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(value_type = String)]
    pub detail: &'a str,
}

/// A reload took the engine or its key away while a body was read.
pub(super) fn disowned() -> Problem {
    let detail = "the key was taken away while the body was read, the rest of which was not: what came before is as told here; \
                  submit the rest with a key that holds";
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
}

impl Problem {
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, kind, detail: detail.into(), retry_after: None }
    }

    pub fn detail(&self) -> &Cow<'static, str> {
        &self.detail
    }

    /// With members of its own beside (RFC 9457 §3.2).
    pub fn with(self, members: &impl Serialize) -> Response<Body> {
        #[derive(Serialize)]
        struct Both<'a, T> {
            #[serde(flatten)]
            problem: ProblemText<'a>,
            #[serde(flatten)]
            members: &'a T,
        }
        self.response(|problem| to_json(&Both { problem, members }))
    }

    fn response(&self, body: impl FnOnce(ProblemText<'_>) -> Vec<u8>) -> Response<Body> {
        let text = ProblemText {
            kind: format!("urn:tokenrelay:problem:{}", self.kind).into(),
            title: title(self.status),
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        let mut response = problem_response(self.status, body(text));
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, seconds(wait));
        }
        response
    }

    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        self.response(|problem| to_json(&problem))
    }
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings and numbers always serialise")
}

pub(super) fn title(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}

pub(super) fn problem_response(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tokenrelay\""));
    }
    response
}

/// `Retry-After` in whole seconds, rounded up, at least one.
pub(super) fn seconds(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_millis().div_ceil(1000).clamp(1, 86_400) as u64)
}
