//! A stream of jobs in, a stream of results out, in one request of any length and flat memory.
//!
//! A job is read when the request's queue has a place for its result and the house has room for the job; the
//! place is held until the client took the result. So a slow client holds back its own jobs only, and no job
//! ever waits for a client.

use super::Counts;
use super::answer::Answer;
use super::body::JobBytes;
use super::connection::Busy;
use super::cut::Cut;
use super::jobs_route::{Call, Reply, Respond, start};
use super::packed::is_hollow;
use super::problem::{Problem, disowned};
use super::receipt;
use super::single::over_quota;
use super::stall::{Progress, Watched, watch};
use super::swelling::{RATIO_MAX, Swelling};
use crate::accept::jobs::JobReader;
use crate::fault::{Fault, Reason};
use crate::wire::ndjson::{Frame, Framer};
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Results written into one chunk at most.
const BATCH_MAX: usize = 128;
const BUFFER_BYTES: usize = 32 * 1024;
/// Blank lines that a stream may have beside one for each line that is none.
const BLANK_LINES_MAX: u64 = 100_000;
/// The head of the response to a body that is compressed, or whose length is known, waits for its first line, which may never come, for as long as its client
/// goes on writing without a pause of this length.
const HEAD_WAIT: Duration = Duration::from_millis(250);
/// After the door closed: how long what a client still sends is thrown away, so that it can read its results
/// before the connection ends.
const LINGER: Duration = Duration::from_secs(1);

pub(super) async fn answer(call: Call, mut bytes: JobBytes, busy: Busy) -> Result<Response, Problem> {
    let mut first = None;
    if call.expects_continue {
        // Asking for the body is what sends `100 Continue`; the response head must not overtake it.
        first = match timeout(call.door.settings.limits.body_read_max, bytes.next()).await {
            Ok(first) => first,
            Err(_) => {
                let detail = "the body did not begin";
                return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body-too-slow", detail));
            }
        };
    }
    let (results, waiting) = mpsc::channel(call.door.settings.limits.stream_jobs_max);
    let progress = Arc::new(Progress::default());
    let (head, begun) = oneshot::channel();
    let reader = Reader {
        jobs: call.job_reader(),
        framer: Framer::new(call.door.settings.limits.job_line_bytes_max),
        lines: 0,
        swelling: bytes.swelling(),
        head: (bytes.is_compressed() || call.has_length).then_some(head),
        call,
        results,
        progress: progress.clone(),
    };
    let bytes = stream::iter(first).chain(bytes);
    if let Respond::Receipt(ledger) = reader.call.respond.clone() {
        return receipt::answer(Reader { head: None, ..reader }, bytes, waiting, ledger).await;
    }
    let tasks = reader.call.door.tasks.clone();
    let ended = CancellationToken::new();
    tasks.spawn(watch(Watched::of(&reader.call), progress.clone(), ended.clone()));
    let output = ResultStream {
        waiting,
        batch: Vec::with_capacity(BATCH_MAX),
        buffer: BytesMut::with_capacity(BUFFER_BYTES),
        progress,
        _busy: busy,
        _ended: ended.drop_guard(),
    };
    tasks.spawn(reader.run(bytes));
    if let Ok(Err(problem)) = begun.await {
        return Err(problem);
    }
    let mut response = Response::new(Body::from_stream(output));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

/// Reads jobs and starts them. Ends with the body, with the client, or with the door.
pub(super) struct Reader {
    pub call: Call,
    jobs: JobReader,
    framer: Framer,
    /// Of those that the framer has counted: with anything in them.
    lines: u64,
    /// Of a compressed body.
    swelling: Option<Swelling>,
    /// Decides on the head of the response, where that waits for the first line.
    head: Option<oneshot::Sender<Result<(), Problem>>>,
    results: mpsc::Sender<Answer>,
    progress: Arc<Progress>,
}

impl Reader {
    /// Why it was not read to its end, if it was not.
    pub async fn run(mut self, bytes: impl Stream<Item = io::Result<Bytes>> + Send) -> Option<Cut> {
        let mut bytes = std::pin::pin!(bytes);
        let cut = self.read(bytes.as_mut()).await.err();
        match cut {
            // A receipt tells it by itself, and counts jobs only.
            _ if matches!(self.call.respond, Respond::Receipt(_)) => {}
            Some(Cut::Broken) => self.report_break().await,
            Some(Cut::Swollen) => {
                let why = format!("unpacks to more than {RATIO_MAX} times its size that is no job");
                self.report_excess(&why).await;
            }
            Some(Cut::Hollow) => {
                self.report_excess("has too many compressed members with next to nothing in them").await
            }
            Some(Cut::Blank) => self.report_excess("has more blank lines than jobs").await,
            Some(Cut::Disowned) => self.report_disowned().await,
            Some(Cut::ClientGone | Cut::DoorClosed) | None => {}
        }
        tracing::info!(
            engine = %self.call.engine.name,
            lines = self.framer.line_number(),
            cut = cut.map(Cut::as_str),
            "http stream read"
        );
        if matches!(cut, Some(Cut::DoorClosed | Cut::Disowned)) {
            let rest = async { while let Some(Ok(_)) = bytes.next().await {} };
            let _ = timeout(LINGER, rest).await;
        }
        cut
    }

    async fn read(
        &mut self,
        mut bytes: Pin<&mut (impl Stream<Item = io::Result<Bytes>> + Send)>,
    ) -> Result<(), Cut> {
        while let Some(chunk) = self.next_chunk(bytes.as_mut()).await? {
            // The connection was woken when its chunk was taken, and goes first: otherwise the start of a job would call
            // another thread for it, in the middle of the job's way. And a compressed body, which can go on for long
            // without ever waiting on its socket, lets others go between.
            tokio::task::yield_now().await;
            let chunk = chunk.map_err(|error| if is_hollow(&error) { Cut::Hollow } else { Cut::Broken })?;
            if let Some(swelling) = &mut self.swelling {
                swelling.unpacked(chunk.len());
                if let Some(wait) = swelling.pause() {
                    self.or_cut(sleep(wait)).await?;
                }
            }
            let engines = self.call.door.settings.house.engines();
            self.jobs.set_engine(engines.as_of_now(self.jobs.engine()).ok_or(Cut::Disowned)?);
            self.framer.push(chunk);
            while let Some(frame) = self.framer.next_frame() {
                self.take(frame).await?;
            }
            self.swelling.as_ref().map_or(Ok(()), Swelling::judge)?;
            if self.framer.line_number() > BLANK_LINES_MAX + 2 * self.lines {
                return Err(Cut::Blank);
            }
        }
        match self.framer.finish() {
            Some(frame) => self.take(frame).await,
            None => Ok(()),
        }
    }

    /// Cancel-safe: what `bytes` has not given is there the next time.
    async fn next_chunk(
        &mut self,
        mut bytes: Pin<&mut (impl Stream<Item = io::Result<Bytes>> + Send)>,
    ) -> Result<Option<io::Result<Bytes>>, Cut> {
        if self.head.is_some() {
            match self.or_cut(timeout(HEAD_WAIT, bytes.next())).await? {
                Ok(chunk) => return Ok(chunk),
                Err(_) => self.open_head(),
            }
        }
        self.or_cut(bytes.next()).await
    }

    /// From now on the response is a stream of results.
    fn open_head(&mut self) {
        if let Some(head) = self.head.take() {
            let _ = head.send(Ok(()));
        }
    }

    /// Waits, unless the client goes or the door closes. `wait` is asked first: what is ready costs nothing more.
    async fn or_cut<T>(&self, wait: impl Future<Output = T>) -> Result<T, Cut> {
        if self.call.door.stop.is_cancelled() {
            return Err(Cut::DoorClosed);
        }
        tokio::select! {
            biased;
            value = wait => Ok(value),
            () = self.results.closed() => Err(Cut::ClientGone),
            () = self.call.door.stop.cancelled() => Err(Cut::DoorClosed),
        }
    }

    async fn take(&mut self, frame: Frame) -> Result<(), Cut> {
        self.lines += 1;
        self.open_head();
        let place = self.place().await?;
        match frame {
            Frame::TooLong { number } => {
                let bytes_max = self.call.door.settings.limits.job_line_bytes_max;
                let detail = format!("line {number} is over {bytes_max} bytes and was skipped");
                self.refuse(place, number, None, Fault::new(Reason::BadJob, detail));
                self.count_refused()
            }
            Frame::Line { number, bytes } => self.take_line(place, number, bytes).await,
        }
    }

    async fn take_line(&mut self, place: Place, number: u64, bytes: Bytes) -> Result<(), Cut> {
        let entry = self.or_cut(self.call.door.settings.house.gate().enter(bytes.len())).await?;
        let house = &self.call.door.settings.house;
        let (job_id, job) = match self.jobs.read(&bytes, |engine, id| house.send_number(engine, id)) {
            Ok(read) => read,
            Err(bad) => {
                self.refuse(place, number, bad.job_id, bad.fault);
                return self.count_refused();
            }
        };
        if let Some(swelling) = &mut self.swelling {
            swelling.job(bytes.len());
        }
        if self.over_quota().await? {
            self.refuse(place, number, Some(job_id), over_quota());
            return Ok(());
        }
        start(&self.call, job_id, job, entry, (Some(number), place));
        Ok(())
    }

    async fn place(&self) -> Result<Place, Cut> {
        let permit = match self.results.clone().try_reserve_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let waiting = self.results.clone().reserve_owned();
                self.or_cut(waiting).await?.map_err(|_| Cut::ClientGone)?
            }
        };
        Ok(Place { permit, progress: self.progress.clone() })
    }

    fn refuse(&self, place: Place, number: u64, job_id: Option<Box<str>>, fault: Fault) {
        Counts::add(&self.call.door.settings.counts.jobs_refused);
        place.answer(Answer::refused(Some(number), job_id, fault));
    }

    /// An engine over its rate is slowed down first; only a wait that grows too long is refused.
    async fn over_quota(&self) -> Result<bool, Cut> {
        let mut patience = self.call.door.settings.limits.quota_wait_max;
        while let Err(wait) = self.call.meter.take() {
            let Some(left) = patience.checked_sub(wait) else { return Ok(true) };
            patience = left;
            self.or_cut(sleep(wait)).await?;
        }
        Ok(false)
    }

    fn count_refused(&mut self) -> Result<(), Cut> {
        self.swelling.as_mut().map_or(Ok(()), |swelling| swelling.refused().map_err(Cut::from))
    }

    /// 413 while the head of the response is open; behind it the last result of the stream says the same. What came
    /// before has its results either way.
    async fn report_excess(&mut self, why: &str) {
        let number = self.framer.line_number().max(1);
        let detail = format!(
            "up to line {number} the body {why}; send one job a line, without blank lines and padding between them"
        );
        if let Some(head) = self.head.take() {
            let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-swells", detail.clone());
            if head.send(Err(problem)).is_ok() {
                return;
            }
        }
        if let Ok(place) = self.place().await {
            self.refuse(place, number, None, Fault::new(Reason::TooLarge, detail));
        }
    }

    /// 401 while the head of the response is open. Behind it the last line of the stream, which names no job: of those that
    /// were read each has its result.
    async fn report_disowned(&mut self) {
        let problem = disowned();
        let fault = Fault::new(Reason::BadJob, problem.detail().clone());
        if let Some(head) = self.head.take()
            && head.send(Err(problem)).is_ok()
        {
            return;
        }
        if let Ok(place) = self.place().await {
            place.answer(Answer::refused(None, None, fault));
        }
    }

    /// The client may still be there to learn that its body was not read to the end.
    async fn report_break(&self) {
        let number = self.framer.line_number().max(1);
        let detail = format!("the body broke off in line {number}, or is not what Content-Encoding says");
        if let Ok(place) = self.place().await {
            self.refuse(place, number, None, Fault::new(Reason::BadJob, detail));
        }
    }
}

/// A place in the queue of results, held from before the job is read.
struct Place {
    permit: OwnedPermit<Answer>,
    progress: Arc<Progress>,
}

impl Reply for Place {
    fn answer(self, answer: Answer) -> bool {
        self.progress.ready.fetch_add(1, Relaxed);
        !self.permit.send(answer).is_closed()
    }
}

/// The response body: every result that is ready goes into one chunk, and nothing waits for more.
struct ResultStream {
    waiting: mpsc::Receiver<Answer>,
    batch: Vec<Answer>,
    buffer: BytesMut,
    progress: Arc<Progress>,
    _busy: Busy,
    _ended: DropGuard,
}

impl Stream for ResultStream {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let count = ready!(this.waiting.poll_recv_many(cx, &mut this.batch, BATCH_MAX));
        if count == 0 {
            return Poll::Ready(None);
        }
        this.progress.taken.fetch_add(count as u64, Relaxed);
        for answer in this.batch.drain(..) {
            answer.write_line(&mut this.buffer);
        }
        Poll::Ready(Some(Ok(this.buffer.split().freeze())))
    }
}
