//! Feeds rows to the connections and gathers what comes back. Rows are read by one thread and results written by
//! another; both queues are short, so a slow relay or a slow disk holds back the reading.

use super::input::{Row, Rows};
use super::results::{Earlier, Last, ResultsFile};
use super::tally::{Before, Progress, Summary, Tally};
use crate::cli::load::client_fix;
use crate::cli::{CliError, Exit};
use crate::load::client::{Client, ClientError, Endpoint};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// Rows read ahead; bounded in bytes by the longest line.
const ROWS_AHEAD: usize = 256;
const RESULTS_WAITING: usize = 1024;
/// How long the reading thread may take to notice that nobody takes its rows any more.
const FEEDER_MAX: Duration = Duration::from_secs(2);
const SETTLE_EVERY: Duration = Duration::from_millis(250);

pub(super) struct Run {
    pub endpoint: Endpoint,
    pub key: Zeroizing<String>,
    pub connections: u8,
    pub total: Option<u64>,
    pub progress: bool,
}

/// What the reading thread came to.
struct Fed {
    skipped: u64,
    /// Rows that no connection was left to take.
    stranded: bool,
    error: Option<io::Error>,
}

impl Default for Fed {
    /// As far as is known of a thread that still waits for its input.
    fn default() -> Self {
        Self { skipped: 0, stranded: true, error: None }
    }
}

/// One line for the results file.
pub(super) enum Told {
    ByRelay(Bytes),
    /// A row that is no job: it was never submitted.
    ByUs(Bytes),
}

impl Run {
    /// # Errors
    /// When not one connection could be used, or the results could not be written.
    pub async fn submit(
        self,
        rows: Rows,
        results: ResultsFile,
        earlier: Earlier,
    ) -> Result<Summary, CliError> {
        let mut clients = Vec::new();
        for _ in 0..self.connections {
            clients.push(Client::connect(&self.endpoint, &self.key).await.map_err(|error| told(&error))?);
        }
        let before = Before {
            journaled: earlier.count(Last::Journaled),
            unknown: earlier.count(Last::Unknown),
            suppressed: earlier.count(Last::Suppressed),
            failed: earlier.count(Last::Failed),
            open: earlier.count(Last::Open),
        };
        let (queue, jobs) = async_channel::bounded::<Bytes>(ROWS_AHEAD);
        let (answers, answered) = mpsc::channel(RESULTS_WAITING);
        let taken = Arc::new(AtomicU64::new(0));

        let tally = Tally::new(self.total, self.progress);
        let feeder =
            Feeder { earlier, queue: queue.clone(), answers: answers.clone(), progress: tally.progress() };
        let all_told = CancellationToken::new();
        let writer = tokio::spawn(write_results(answered, results, tally, all_told.clone()));
        let fed = feeder.start(rows);
        let interrupt = tokio::spawn(stop_on_interrupt(queue));
        let lines =
            clients.into_iter().map(|client| converse(client, jobs.clone(), taken.clone(), answers.clone()));
        let lines: Vec<_> = lines.collect();
        drop((jobs, answers));
        let errors: Vec<ClientError> = join_all(lines).await.into_iter().filter_map(Result::err).collect();

        let interrupted = interrupt.is_finished();
        interrupt.abort();
        let fed = timeout(FEEDER_MAX, fed).await.ok().and_then(Result::ok).unwrap_or_default();
        all_told.cancel();
        let tally = writer.await.map_err(CliError::failed)?.map_err(|error| {
            CliError::failed(format!("cannot write the results: {error}"))
                .fix("make room, then send with --resume")
        })?;
        if let Some(error) = errors.iter().find(|_| tally.by_relay() == 0) {
            return Err(told(error));
        }
        let cut = tally.cut().map(str::to_owned);
        Ok(Summary {
            unanswered: taken.load(Relaxed).saturating_sub(tally.by_relay()),
            tally,
            skipped: fed.skipped,
            before,
            incomplete: interrupted || fed.stranded || fed.error.is_some() || cut.is_some(),
            trouble: cut
                .into_iter()
                .chain(errors.iter().map(ToString::to_string))
                .chain(fed.error.map(|error| format!("cannot read the input further: {error}")))
                .next(),
        })
    }
}

/// Why nothing could be submitted, with what helps.
fn told(error: &ClientError) -> CliError {
    match error {
        ClientError::Connect { cause, .. } if cause.kind() != io::ErrorKind::InvalidData => {
            client_fix(error, CliError::new(Exit::Temporary, error))
        }
        ClientError::Refused { status, .. } if status.is_server_error() || status.as_u16() == 429 => {
            CliError::new(Exit::Temporary, error).fix("wait, then send with --resume")
        }
        ClientError::Lost(_) => CliError::new(Exit::Temporary, error).fix("send again with --resume"),
        _ => client_fix(error, CliError::failed(error)),
    }
}

/// One connection: takes jobs as the relay has room, until there are no more.
async fn converse(
    mut client: Client,
    jobs: async_channel::Receiver<Bytes>,
    taken: Arc<AtomicU64>,
    answers: mpsc::Sender<Told>,
) -> Result<(), ClientError> {
    let jobs = jobs.inspect(move |_| {
        taken.fetch_add(1, Relaxed);
    });
    let mut results = client.submit(jobs).await?;
    while let Some(result) = results.next().await? {
        if answers.send(Told::ByRelay(result)).await.is_err() {
            // The results cannot be written any more; the writer says why.
            return Ok(());
        }
    }
    Ok(())
}

struct Feeder {
    earlier: Earlier,
    queue: async_channel::Sender<Bytes>,
    answers: mpsc::Sender<Told>,
    progress: Arc<Progress>,
}

impl Feeder {
    /// A thread of its own, since reading standard input cannot be given up.
    fn start(self, rows: Rows) -> oneshot::Receiver<Fed> {
        let (done, fed) = oneshot::channel();
        std::thread::spawn(move || {
            let came_to = self.feed(rows);
            self.queue.close();
            // Given up on by now, if nobody listens.
            let _ = done.send(came_to);
        });
        fed
    }

    fn feed(&self, rows: Rows) -> Fed {
        let mut fed = Fed { stranded: false, ..Fed::default() };
        for row in rows {
            let (job_id, job) = match row {
                Err(error) => return Fed { error: Some(error), ..fed },
                Ok(Row::Job { job_id, json }) => (job_id, Ok(json)),
                Ok(Row::Bad { job_id, line, detail }) => {
                    let result = serde_json::json!({"job_id": job_id, "line": line, "state": "rejected",
                        "reason": "bad-job", "detail": detail});
                    (job_id, Err(Bytes::from(result.to_string())))
                }
            };
            if self.earlier.is_done(&job_id) {
                fed.skipped += 1;
                self.progress.skip();
                continue;
            }
            let gone = match job {
                Ok(json) => self.queue.send_blocking(json).is_err(),
                Err(result) => self.answers.blocking_send(Told::ByUs(result)).is_err(),
            };
            if gone {
                return Fed { stranded: true, ..fed };
            }
        }
        fed
    }
}

/// The first Ctrl-C ends the input; what was submitted is still answered. The second one is the shell's own.
async fn stop_on_interrupt(queue: async_channel::Sender<Bytes>) {
    if tokio::signal::ctrl_c().await.is_ok() {
        queue.close();
    } else {
        std::future::pending::<()>().await;
    }
}

async fn write_results(
    mut answered: mpsc::Receiver<Told>,
    mut results: ResultsFile,
    mut tally: Tally,
    all_told: CancellationToken,
) -> io::Result<Tally> {
    let mut batch = Vec::with_capacity(RESULTS_WAITING);
    let mut settle = tokio::time::interval(SETTLE_EVERY);
    loop {
        let open = tokio::select! {
            count = answered.recv_many(&mut batch, RESULTS_WAITING) => count > 0,
            _ = settle.tick() => true,
            () = all_told.cancelled(), if !answered.is_closed() => {
                answered.close();
                true
            }
        };
        // Writing and syncing a file takes its time: not on a thread that serves the connections.
        (results, tally, batch) = spawn_blocking(move || {
            for told in batch.drain(..) {
                results.append(tally.note(&told))?;
            }
            results.settle()?;
            io::Result::Ok((results, tally, batch))
        })
        .await
        .map_err(io::Error::other)??;
        if !open {
            spawn_blocking(move || results.finish()).await.map_err(io::Error::other)??;
            return Ok(tally);
        }
    }
}
