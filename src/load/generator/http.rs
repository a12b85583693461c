//! An engine on the HTTP door: one stream of jobs over each connection.

use super::pace::{Pace, Rate};
use super::source::Source;
use super::tally::{Tally, Told};
use crate::load::client::{Client, ClientError, Endpoint, ResultText};
use bytes::Bytes;
use futures_util::Stream;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;
use tokio::time::timeout_at;
use zeroize::Zeroizing;

/// Jobs without a result on one connection of the closed loop: enough that they go out many in a chunk.
const WINDOW: usize = 128;
/// Room is given back by so many, so that jobs do not go out one by one; less than the window.
const GIVEN_BACK: usize = 32;

pub(super) async fn connect(
    endpoint: &Endpoint,
    key: &Zeroizing<String>,
    connections: usize,
) -> Result<Vec<Client>, ClientError> {
    let mut clients = Vec::with_capacity(connections);
    for _ in 0..connections {
        clients.push(Client::connect(endpoint, key).await?);
    }
    Ok(clients)
}

/// Sends until it is over, and reads until every job is answered or it is no use to wait.
pub(super) async fn engine(mut client: Client, source: Arc<Source>, pace: Arc<Pace>) -> Tally {
    // Written while jobs go out and while results come in, by two tasks; held for a few additions.
    let tally = Arc::new(Mutex::new(Tally::default()));
    let window = Arc::new(Semaphore::new(match pace.rate() {
        Rate::Max => WINDOW,
        Rate::PerSecond(_) => Semaphore::MAX_PERMITS,
    }));
    let jobs = jobs(source.clone(), pace.clone(), window.clone(), tally.clone());
    let end = converse(&mut client, jobs, &source, &pace, (&window, &tally)).await;
    drop(client);
    let mut tally = std::mem::take(&mut *tally.lock().unwrap_or_else(PoisonError::into_inner));
    match end.unwrap_or(End::Lost) {
        End::Lost => tally.close("connection-lost", ""),
        End::Over => tally.close("no-answer", ""),
        End::CutOff(cause) => tally.close("cut-off", &cause),
    }
    tally
}

fn jobs(
    source: Arc<Source>,
    pace: Arc<Pace>,
    window: Arc<Semaphore>,
    tally: Arc<Mutex<Tally>>,
) -> impl Stream<Item = Bytes> + Send + 'static {
    async_stream::stream! {
        while let Ok(room) = window.acquire().await {
            room.forget();
            let Some(due) = pace.next().await else { break };
            tally.lock().unwrap_or_else(PoisonError::into_inner).sent(due, pace.since_start());
            yield source.json(due);
        }
    }
}

/// How a conversation ends.
enum End {
    /// With the connection, or with something that is no result.
    Lost,
    /// There are no more results, or it is no use to wait for them.
    Over,
    /// The relay did not read all jobs, and says why.
    CutOff(String),
}

/// `None` for [`End::Lost`].
async fn converse(
    client: &mut Client,
    jobs: impl Stream<Item = Bytes> + Send + 'static,
    source: &Source,
    pace: &Pace,
    (window, tally): (&Semaphore, &Mutex<Tally>),
) -> Option<End> {
    let mut results = client.submit(jobs).await.ok()?;
    let mut end = End::Over;
    let mut answered = 0;
    loop {
        let Ok(next) = timeout_at(pace.give_up_at(), results.next()).await else { return Some(end) };
        let Some(line) = next.ok()? else { return Some(end) };
        let result = ResultText::read(&line).ok()?;
        if let Some(cause) = result.of_the_rest() {
            end = End::CutOff(cause.to_owned());
            continue;
        }
        if let Some(at) = result.job_id.as_deref().and_then(|id| source.due_at(id)) {
            let told = Told {
                state: &result.state,
                reason: result.reason.as_deref().unwrap_or_default(),
                detail: result.detail.as_deref().unwrap_or_default(),
            };
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.answered(at, pace.since_start(), told);
        }
        if pace.rate() == Rate::Max {
            answered += 1;
            if answered % GIVEN_BACK == 0 {
                window.add_permits(GIVEN_BACK);
            }
        }
    }
}
