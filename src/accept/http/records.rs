//! `GET /v1/jobs/{id}` and `GET /v1/campaigns/{id}`: what the ledger says, to the engine whose jobs they are.

use super::auth;
use super::connection::{Door, Peer};
use super::ledger::{CampaignView, JobView, Ledger, Unreadable};
use super::problem::{Problem, ProblemText};
use super::query::{pairs, wrong};
use crate::engine::Engine;
use crate::job::{SendNumber, Token};
use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// When an unreadable ledger is worth another try.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How long an answer waits for the ledger's disk.
const CATCH_UP_MAX: Duration = Duration::from_secs(2);

/// What became of one job
///
/// By its send number, or by the engine's own id. A job submitted over LMTP, or over SMTP where jobs may be held, shares its
/// id with the other recipients of its message: add `?to=` and the recipient's token there, or ask by send number. Write
/// characters that a URL gives a meaning to as %XX.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "ledger", security(("engine_key" = [])),
    params(
        ("id" = String, Path, description = "`job_id` or send number"),
        ("to" = Option<String>, Query, pattern = "^[emEM]_[A-Za-z0-9_-]{6,62}(@[a-z.]{1,60})?$", description = "The recipient's token, with its domain or without")),
    responses(
        (status = 200, body = JobView),
        (status = 400, description = "The query cannot be read.", body = ProblemText,
            content_type = "application/problem+json"),
        (status = 401, body = ProblemText, content_type = "application/problem+json"),
        (status = 404, description = "This engine has no such job.", body = ProblemText,
            content_type = "application/problem+json"),
        (status = 501, description = "This relay keeps no ledger.", body = ProblemText,
            content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot be read now.", body = ProblemText,
            content_type = "application/problem+json")))]
pub(super) async fn job(
    State(door): State<Door>,
    Extension(peer): Extension<Arc<Peer>>,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (engine, ledger) = asked(&door, &peer, &headers).await?;
    let Path(id) = id.map_err(|_| no_job())?;
    let house = &door.settings.house;
    let named = house.send_number(&engine.name, &id);
    let shared =
        recipient(query.as_deref())?.map(|token| house.shared_send_number(&engine.name, &id, &token));
    // An engine may call its job what looks like a send number.
    let meant: Vec<SendNumber> = SendNumber::parse(&id).into_iter().chain(shared).chain([named]).collect();
    if let Some(job) = first_of(&*ledger, &engine, &meant).await? {
        return Ok(json(&job));
    }
    caught_up(&*ledger).await;
    first_of(&*ledger, &engine, &meant).await?.map(|job| json(&job)).ok_or_else(no_job)
}

async fn first_of(
    ledger: &dyn Ledger,
    engine: &Engine,
    meant: &[SendNumber],
) -> Result<Option<JobView>, Problem> {
    for send in meant {
        if let Some(job) = ledger.job(engine.name.clone(), send.clone()).await.map_err(unreadable)? {
            return Ok(Some(job));
        }
    }
    Ok(None)
}

/// Answers are given before they are in the ledger, and an engine may ask at once for what it was just told. A ledger that
/// cannot be written now can still be read.
pub(super) async fn caught_up(ledger: &dyn Ledger) {
    let _ = timeout(CATCH_UP_MAX, ledger.settled()).await;
}

/// What became of a campaign
///
/// Counts by state and reason of this engine's jobs with this `campaign`.
#[utoipa::path(get, path = "/v1/campaigns/{id}", tag = "ledger", security(("engine_key" = [])),
    params(("id" = String, Path, description = "`campaign` of the jobs")),
    responses(
        (status = 200, body = CampaignView),
        (status = 401, body = ProblemText, content_type = "application/problem+json"),
        (status = 404, description = "This engine has no job of such a campaign.", body = ProblemText,
            content_type = "application/problem+json"),
        (status = 501, description = "This relay keeps no ledger.", body = ProblemText,
            content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot be read now.", body = ProblemText,
            content_type = "application/problem+json")))]
pub(super) async fn campaign(
    State(door): State<Door>,
    Extension(peer): Extension<Arc<Peer>>,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let (engine, ledger) = asked(&door, &peer, &headers).await?;
    let no_campaign = || {
        let detail = "this engine has no job of this campaign; 'campaign' is set in each job";
        Problem::new(StatusCode::NOT_FOUND, "no-such-campaign", detail)
    };
    // The ledger counts jobs of no campaign under no name.
    let Path(id) = id.ok().filter(|Path(id)| !id.is_empty()).ok_or_else(no_campaign)?;
    caught_up(&*ledger).await;
    let found = ledger.campaign(engine.name.clone(), id.into()).await.map_err(unreadable)?;
    found.map(|campaign| json(&campaign)).ok_or_else(no_campaign)
}

/// Who asks, and the ledger to ask.
///
/// # Errors
/// As [`auth::engine`]; 501 where every door hands off and nothing is kept.
pub(super) async fn asked(
    door: &Door,
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<(Arc<Engine>, Arc<dyn Ledger>), Problem> {
    let engine = auth::engine(door, peer, headers).await?;
    let ledger = door.settings.ledger.clone().ok_or_else(|| {
        let detail = "this relay keeps no ledger: all its listeners have accept = \"handoff\"; what became of a job is \
            in the answer to it, or set accept to \"auto\" or \"journal\"";
        Problem::new(StatusCode::NOT_IMPLEMENTED, "no-ledger", detail)
    })?;
    Ok((engine, ledger))
}

pub(super) fn unreadable(_: Unreadable) -> Problem {
    let detail = "the ledger cannot be read now; try again, the relay's log says why";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "ledger-unavailable", detail).retry_after(RETRY_AFTER)
}

/// The token in `to=TOKEN`.
fn recipient(query: Option<&str>) -> Result<Option<Token>, Problem> {
    let wrong =
        || wrong("this path takes 'to', the recipient's token: e_... or m_..., with its domain or without");
    let mut found = None;
    for (name, address) in pairs(query)? {
        let local = address.split('@').next().filter(|_| name == "to").ok_or_else(wrong)?;
        found = Some(Token::from_local(local).map_err(|_| wrong())?);
    }
    Ok(found)
}

fn no_job() -> Problem {
    let detail = "this engine has no such job in the ledger; ask by send number or job_id; the id of an SMTP or LMTP \
        message is that of each of its recipients: add ?to=TOKEN";
    Problem::new(StatusCode::NOT_FOUND, "no-such-job", detail)
}

fn json(value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("strings and numbers always serialise");
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
