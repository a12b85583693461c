//! `GET /v1/jobs`: the results of an engine's jobs as the ledger has them, page by page.
//!
//! They stand in the order in which they came to be (the ledger's sequence), each job where its last result stands. So
//! what ends behind a cursor is found behind it, however early its job came.

use super::connection::{Busy, Door, Peer};
use super::cursor::{After, Asked, CURSOR, List, NDJSON};
use super::ledger::{Ledger, ResultPage, ResultView, Wanted};
use super::problem::{Problem, ProblemText};
use super::records::{asked, caught_up, unreadable};
use super::slots::Slot;
use crate::engine::Engine;
use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::time::{Instant, sleep};

/// Bytes of a page given to the connection at a time.
const PIECE_BYTES: usize = 32 * 1024;

/// The results of this engine's jobs
///
/// One JSON object a line, as the ledger has them now; of one campaign, or of all. They come in the order of the ledger's
/// sequence (`seq`, which is that of `/v1/events`): a job stands where its last result stands. A job that is `journaled` when it is
/// listed comes once more, further behind, when it has ended; of two lines with the same `send` the later one holds. So nothing is
/// missed when jobs end meanwhile: go on with `after` behind the last `seq`, or behind the header
/// `Tokenrelay-Cursor`, until a page has fewer lines than `limit`. `after` of the answer to `?respond=ledger` spares reading what
/// came before. `/v1/campaigns/{id}` says when nothing of a campaign is still to be delivered.
#[utoipa::path(get, path = "/v1/jobs", tag = "ledger", security(("engine_key" = [])),
    params(
        ("campaign" = Option<String>, Query, min_length = 1, description = "Only of this campaign"),
        ("after" = Option<String>, Query, pattern = "^(latest|[0-9]{1,18})$", description = "The cursor: a `seq`, 0 for the first result kept, `latest` for \
            what happens from now on. Without it: 0"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 4294967295_u32, description = "Results in one page; more than 5000 are \
            5000. Without it: 1000"),
        ("wait" = Option<u32>, Query, minimum = 0, maximum = 4294967295_u32, description = "Seconds to wait for the first result of a \
            page; more than 60 are 60")),
    responses(
        (status = 200, content((ResultView = "application/x-ndjson"))),
        (status = 400, description = "The query is not as above.", body = ProblemText,
            content_type = "application/problem+json"),
        (status = 401, body = ProblemText, content_type = "application/problem+json"),
        (status = 429, description = "Too many such requests of this engine are open already.", body = ProblemText,
            content_type = "application/problem+json"),
        (status = 501, description = "This relay keeps no ledger.", body = ProblemText,
            content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot be read now.", body = ProblemText,
            content_type = "application/problem+json")))]
pub(super) async fn results(
    State(door): State<Door>,
    Extension(peer): Extension<Arc<Peer>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let busy = peer.busy();
    let (engine, ledger) = asked(&door, &peer, &headers).await?;
    let asked = Asked::read(List::Results, query.as_deref(), &door.settings.limits)?;
    let slot = door.result_slots.take(&engine.name)?;
    let after = match asked.after {
        After::Seq(seq) => seq,
        After::Latest => ledger.last_event().await.map_err(unreadable)?,
    };
    caught_up(&*ledger).await;
    let wanted = Wanted { campaign: asked.campaign, after, limit: asked.limit };
    let page = page(&door, &*ledger, &engine, (wanted, Instant::now() + asked.wait)).await?;
    Ok(answer(&page, (slot, busy)))
}

/// Reads on until the page is full, or there is nothing more. An empty one waits for its first result.
async fn page(
    door: &Door,
    ledger: &dyn Ledger,
    engine: &Engine,
    (mut wanted, until): (Wanted, Instant),
) -> Result<ResultPage, Problem> {
    let mut results = Vec::new();
    loop {
        let told = ledger.results(engine.name.clone(), wanted.clone()).await.map_err(unreadable)?;
        wanted.after = told.next;
        wanted.limit -= told.results.len();
        results.extend(told.results);
        let is_waiting = told.is_end && results.is_empty() && Instant::now() < until;
        let page = |results| ResultPage { results, next: wanted.after, is_end: told.is_end };
        if wanted.limit == 0 || (told.is_end && !is_waiting) || door.stop.is_cancelled() {
            return Ok(page(results));
        }
        if is_waiting {
            let pause = door.settings.limits.events_poll.min(until - Instant::now());
            tokio::select! {
                () = sleep(pause) => {}
                () = door.stop.cancelled() => {}
            }
            if !door.may_wait(engine) {
                return Ok(page(results));
            }
        }
    }
}

/// The place among the readers is held until the last piece was taken.
fn answer(page: &ResultPage, held: (Slot, Busy)) -> Response {
    let mut lines = BytesMut::new();
    for result in &page.results {
        write_line(result, &mut lines);
    }
    let pieces = stream::unfold((lines.freeze(), held), |(mut rest, held)| async {
        let piece = rest.split_to(rest.len().min(PIECE_BYTES));
        (!piece.is_empty()).then_some((Ok::<Bytes, Infallible>(piece), (rest, held)))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CURSOR, page.next.into());
    response
}

fn write_line(result: &ResultView, text: &mut BytesMut) {
    serde_json::to_writer(text.writer(), result).expect("a result always serialises");
    text.put_u8(b'\n');
}
