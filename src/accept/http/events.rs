//! `GET /v1/events`: an engine's events behind a cursor, as a page of NDJSON that may wait for the first one, or as a
//! stream of server-sent events (WHATWG HTML §9.2).
//!
//! A stream looks for new events a few times a second; it ends with its client, with the door, or when its engine is no longer
//! among those that may submit. How many wait at once is bounded for each engine.

use super::connection::{Busy, Door, Peer};
use super::cursor::{After, Asked, CURSOR, List, NDJSON};
use super::ledger::{EventPage, EventView, Ledger, Unreadable};
use super::problem::{Problem, ProblemText};
use super::query::wrong;
use super::records::{asked, unreadable};
use super::slots::Slot;
use crate::engine::Engine;
use axum::Extension;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::time::{Instant, sleep};

const EVENT_STREAM: &str = "text/event-stream";
const LAST_EVENT_ID: &str = "last-event-id";
/// Events in one chunk of a stream.
const CHUNK_EVENTS: usize = 1000;
/// How soon a client that lost its stream comes back, in milliseconds.
const RECONNECT: &[u8] = b"retry: 2000\n\n";

/// Events as they happen
///
/// `Accept: application/x-ndjson` (the default) gives the events behind `after`, one JSON object a line, at most `limit`.
/// With `wait` an empty answer is held back until there is an event, or that many seconds have passed. Go on behind the last
/// `seq`, or behind the header `Tokenrelay-Cursor`, which spares reading past the events of other engines again.
///
/// `Accept: text/event-stream` gives them as they happen, each with its `seq` as `id`; a client that lost its stream comes
/// back with `Last-Event-ID`. Every event is kept as long as its job is in the ledger, so none is missed in between.
#[utoipa::path(get, path = "/v1/events", tag = "ledger", security(("engine_key" = [])),
    params(
        ("after" = Option<String>, Query, pattern = "^(latest|[0-9]{1,18})$", description = "The cursor: a `seq`, 0 for the first event kept, `latest` for \
            what happens from now on. Without it: 0"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 4294967295_u32, description = "Events in one page; more than 5000 are \
            5000. Without it: 1000"),
        ("wait" = Option<u32>, Query, minimum = 0, maximum = 4294967295_u32, description = "Seconds to wait for the first event of a \
            page; more than 60 are 60"),
        ("Last-Event-ID" = Option<String>, Header, pattern = "^[0-9]{1,18}$", description = "In place of `after`")),
    responses(
        (status = 200, content((EventView = "application/x-ndjson"), (EventView = "text/event-stream"))),
        (status = 400, description = "The query is not as above.", body = ProblemText,
            content_type = "application/problem+json"),
        (status = 401, body = ProblemText, content_type = "application/problem+json"),
        (status = 429, description = "Too many streams of this engine wait already.", body = ProblemText,
            content_type = "application/problem+json"),
        (status = 501, description = "This relay keeps no ledger.", body = ProblemText,
            content_type = "application/problem+json"),
        (status = 503, description = "The ledger cannot be read now.", body = ProblemText,
            content_type = "application/problem+json")))]
pub(super) async fn events(
    State(door): State<Door>,
    Extension(peer): Extension<Arc<Peer>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let busy = peer.busy();
    let (engine, ledger) = asked(&door, &peer, &headers).await?;
    let mut asked = Asked::read(List::Events, query.as_deref(), &door.settings.limits)?;
    if let Some(last) = headers.get(LAST_EVENT_ID) {
        let seq = last.to_str().ok().and_then(|text| text.parse().ok()).filter(|seq: &i64| *seq >= 0);
        asked.after = After::Seq(seq.ok_or_else(|| wrong("Last-Event-ID is the seq of an event"))?);
    }
    let is_stream = accepts_event_stream(&headers);
    let is_waiting = is_stream || !asked.wait.is_zero();
    let slot = is_waiting.then(|| door.event_slots.take(&engine.name)).transpose()?;
    let after = match asked.after {
        After::Seq(seq) => seq,
        After::Latest => ledger.last_event().await.map_err(unreadable)?,
    };
    let watch = Watch { door, ledger, engine, after, _slot: slot, _busy: busy };
    if is_stream { Ok(watch.into_stream()) } else { watch.page(asked).await }
}

fn accepts_event_stream(headers: &HeaderMap) -> bool {
    let all = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|value| value.split(',')).any(|media| {
        media.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case(EVENT_STREAM))
    })
}

/// One request for events.
struct Watch {
    door: Door,
    ledger: Arc<dyn Ledger>,
    engine: Arc<Engine>,
    after: i64,
    _slot: Option<Slot>,
    _busy: Busy,
}

/// What a look into the ledger came to.
enum Look {
    Events(Vec<EventView>),
    Nothing,
    /// The door closes, or the engine may not ask any more.
    Over,
}

impl Watch {
    /// Looks until there is an event, or `until` has come.
    async fn look(&mut self, limit: usize, until: Instant) -> Result<Look, Unreadable> {
        loop {
            let told = self.ledger.events(self.engine.name.clone(), self.after, limit).await?;
            let EventPage { events, next, is_end } = told;
            self.after = next;
            if !events.is_empty() {
                return Ok(Look::Events(events));
            }
            if !is_end {
                continue;
            }
            if Instant::now() >= until {
                return Ok(Look::Nothing);
            }
            let pause = self.door.settings.limits.events_poll.min(until - Instant::now());
            tokio::select! {
                () = sleep(pause) => {}
                () = self.door.stop.cancelled() => return Ok(Look::Over),
            }
            if !self.door.may_wait(&self.engine) {
                return Ok(Look::Over);
            }
        }
    }

    async fn page(mut self, asked: Asked) -> Result<Response, Problem> {
        let looked = self.look(asked.limit, Instant::now() + asked.wait).await.map_err(unreadable)?;
        let mut lines = BytesMut::new();
        if let Look::Events(events) = looked {
            for event in &events {
                write_json(event, &mut lines);
                lines.put_u8(b'\n');
            }
        }
        let mut response = answer(NDJSON, Body::from(lines.freeze()));
        response.headers_mut().insert(CURSOR, self.after.into());
        Ok(response)
    }

    fn into_stream(self) -> Response {
        let greeting = Ok::<_, Infallible>(Bytes::from_static(RECONNECT));
        let rest = stream::unfold(self, |mut watch| async {
            let chunk = watch.chunk().await?;
            Some((Ok(chunk), watch))
        });
        let body = futures_util::StreamExt::chain(stream::iter([greeting]), rest);
        answer(EVENT_STREAM, Body::from_stream(body))
    }

    /// The next events, or a sign of life. `None` ends the stream; the client comes back by itself.
    async fn chunk(&mut self) -> Option<Bytes> {
        if !self.door.may_wait(&self.engine) {
            return None;
        }
        let limits = &self.door.settings.limits;
        let (limit, until) = (CHUNK_EVENTS.min(limits.page_max), Instant::now() + limits.event_heartbeat);
        let mut text = BytesMut::new();
        match self.look(limit, until).await {
            Ok(Look::Events(events)) => {
                for event in &events {
                    text.put_slice(format!("id: {}\ndata: ", event.seq).as_bytes());
                    write_json(event, &mut text);
                    text.put_slice(b"\n\n");
                }
            }
            // The id alone tells nobody anything, and spares a client that comes back what was passed over.
            Ok(Look::Nothing) => text.put_slice(format!(": still here\nid: {}\n\n", self.after).as_bytes()),
            Ok(Look::Over) | Err(Unreadable) => return None,
        }
        Some(text.freeze())
    }
}

fn write_json(event: &EventView, text: &mut BytesMut) {
    serde_json::to_writer(text.writer(), event).expect("an event always serialises");
}

fn answer(content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
