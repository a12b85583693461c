//! The load generator: sends jobs at a rate that does not depend on the answers, and counts each job's time from the
//! moment it was due. A relay that falls behind cannot hide it by slowing the generator down.

mod http;
mod pace;
mod smtp;
mod source;
mod tally;

pub use pace::Rate;
pub use smtp::{SmtpDoor, SmtpTrouble};
pub use source::{BadMessage, Jobs, Source};
pub use tally::{Count, Report, Tally};

use super::client::Endpoint;
use futures_util::future::join_all;
use pace::Pace;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long answers are waited for after the last job was due.
const GRACE: Duration = Duration::from_secs(30);

/// Where jobs go.
#[derive(Clone)]
pub enum Door {
    Http(Endpoint, Zeroizing<String>),
    Smtp(SmtpDoor),
}

/// How much is sent, and how.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub rate: Rate,
    /// No job is sent later than this after the start.
    pub lasting: Duration,
    /// No more jobs than this.
    pub jobs_max: Option<u64>,
    pub connections: usize,
}

/// Why nothing could be sent at all. What goes wrong later is counted.
#[derive(Debug, thiserror::Error)]
pub enum GeneratorError {
    #[error(transparent)]
    Http(#[from] super::client::ClientError),
    #[error(transparent)]
    Smtp(#[from] smtp::SmtpTrouble),
    #[error("the load generator's clock thread cannot be started: {0}")]
    Clock(std::io::Error),
}

/// Sends what the plan says.
///
/// # Errors
/// When no connection can be made.
pub async fn run(door: Door, source: Source, plan: Plan) -> Result<Report, GeneratorError> {
    let cpu_before = cpu_time();
    let source = Arc::new(source);
    let (tallies, pace) = match door {
        Door::Http(endpoint, key) => {
            let clients = http::connect(&endpoint, &key, plan.connections).await?;
            let pace = Pace::start(&plan).map_err(GeneratorError::Clock)?;
            let engines =
                clients.into_iter().map(|client| http::engine(client, source.clone(), pace.clone()));
            (gather(engines).await, pace)
        }
        Door::Smtp(door) => {
            let lines = smtp::connect(&door, plan.connections).await?;
            let pace = Pace::start(&plan).map_err(GeneratorError::Clock)?;
            let door = Arc::new(door);
            let engines =
                lines.into_iter().map(|line| smtp::engine(line, door.clone(), source.clone(), pace.clone()));
            (gather(engines).await, pace)
        }
    };
    let cpu = cpu_time().saturating_sub(cpu_before);
    Ok(Report::of(tallies, &pace, cpu))
}

/// Every connection in a task of its own, so that they share the processors.
async fn gather(engines: impl Iterator<Item = impl Future<Output = Tally> + Send + 'static>) -> Vec<Tally> {
    let tasks: Vec<_> = engines.map(tokio::spawn).collect();
    join_all(tasks).await.into_iter().filter_map(Result::ok).collect()
}

/// User and system time of this process.
fn cpu_time() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(spent).unwrap_or_default()
}

#[cfg(test)]
mod tests;
