//! The pages of the HTTP door, and its answers to everything else.

use super::connection::{Door, Peer};
use super::problem::Problem;
use super::{auth, events, jobs_route, openapi, records, results};
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use serde::Serialize;
use std::sync::Arc;

pub(super) fn router(door: Door) -> Router {
    Router::new()
        .route(
            "/v1/jobs",
            get(results::results)
                .post(jobs_route::post_jobs)
                .fallback(|| method_not_allowed("GET, HEAD, POST")),
        )
        .route("/v1/jobs/{id}", page(get(records::job)))
        .route("/v1/campaigns/{id}", page(get(records::campaign)))
        .route("/v1/events", page(get(events::events)))
        .route("/v1/limits", page(get(limits)))
        .route("/livez", page(get(livez)))
        .route("/readyz", page(get(readyz)))
        .route("/metrics", page(get(metrics)))
        .route("/openapi.json", page(get(openapi_json)))
        .fallback(unknown_path)
        .with_state(door)
}

type Page = axum::routing::MethodRouter<Door>;

fn page(route: Page) -> Page {
    route.fallback(|| method_not_allowed("GET, HEAD"))
}

async fn method_not_allowed(allowed: &'static str) -> Response {
    let detail = format!("this path takes {allowed}");
    let mut response =
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail).into_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

async fn unknown_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", "no such path; /openapi.json lists them")
}

fn text(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Is the process alive
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, description = "It answers.", body = String,
    content_type = "text/plain")))]
pub(super) async fn livez() -> Response {
    text(StatusCode::OK, "text/plain; charset=utf-8", "ok\n")
}

/// Can it take jobs
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "It can.", body = openapi::ReadyDoc),
    (status = 503, description = "It cannot; `problems` says why.", body = openapi::ReadyDoc)))]
pub(super) async fn readyz(State(door): State<Door>) -> Response {
    let mut ready = (door.settings.ready)();
    if door.stop.is_cancelled() {
        ready.ok = false;
        ready.problems.push("the relay is stopping".into());
    }
    let status = if ready.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::to_vec(&ready).expect("strings always serialise");
    text(status, "application/json", body)
}

/// Counts, in the OpenMetrics text format
#[utoipa::path(get, path = "/metrics", tag = "health", responses(
    (status = 200, description = "Counts only; nothing of a person, a job or a key.", body = String,
        content_type = "application/openmetrics-text")))]
pub(super) async fn metrics(State(door): State<Door>) -> Response {
    let body = (door.settings.metrics)();
    text(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", body)
}

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "health",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json")))]
pub(super) async fn openapi_json() -> Response {
    text(StatusCode::OK, "application/json", openapi::document())
}

/// The limits in force, and what this engine may do.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Limits)]
pub(super) struct LimitsText {
    /// Longest job in bytes: a line of a stream, or a whole body, after decompression.
    job_bytes_max: usize,
    /// Jobs in flight and results not yet read, together, in one stream.
    stream_jobs_max: usize,
    /// A stream whose client takes none of its waiting results for so long is ended.
    stall_seconds_max: u64,
    /// A single job's body has to arrive within this.
    body_seconds_max: u64,
    /// Concurrent requests on one HTTP/2 connection.
    h2_streams_max: u32,
    #[schema(example = "campaigns")]
    engine: String,
    /// Messages per second; `null` is unlimited.
    rate_per_second_max: Option<u32>,
    templates: Vec<String>,
    /// Person fields the engine's jobs may reveal.
    fields: Vec<String>,
    purposes: Vec<String>,
}

/// Limits in force for this engine
#[utoipa::path(get, path = "/v1/limits", tag = "jobs", security(("engine_key" = [])), responses(
    (status = 200, body = LimitsText),
    (status = 401, body = super::problem::ProblemText, content_type = "application/problem+json")))]
pub(super) async fn limits(
    State(door): State<Door>,
    Extension(peer): Extension<Arc<Peer>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let engine = auth::engine(&door, &peer, &headers).await?;
    let limits = &door.settings.limits;
    let in_force = LimitsText {
        job_bytes_max: limits.job_line_bytes_max,
        stream_jobs_max: limits.stream_jobs_max,
        stall_seconds_max: limits.stall_max.as_secs(),
        body_seconds_max: limits.body_read_max.as_secs(),
        h2_streams_max: limits.h2_streams_max,
        engine: engine.name.to_string(),
        rate_per_second_max: engine.rate_per_second_max,
        templates: engine.templates.clone(),
        fields: engine.fields.clone(),
        purposes: engine.purposes.clone(),
    };
    let body = serde_json::to_vec(&in_force).expect("strings and numbers always serialise");
    Ok(text(StatusCode::OK, "application/json", body))
}
