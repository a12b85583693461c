//! `tokenrelay demo`: the main job on this machine with nothing to install. Invented people, an encrypted vault,
//! a TLS test MTA, the relay with both doors, messages through both, and a search for what leaked.

mod drive;
mod report;
mod set_up;

use super::stop::Stop;
use super::{CliError, Exit};
use clap::Args;

/// People in the demo's vault.
const PEOPLE: usize = 1_000;

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Messages to send, half through each door
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub jobs: u32,
    /// End when all is sent, with exit 0 if everything is as it should be
    #[arg(long)]
    pub once: bool,
}

/// Sets up, sends, prints, and stays up for curl and swaks unless told otherwise.
///
/// # Errors
/// When something cannot even be set up; a failed demo ends with exit 1.
pub async fn run(args: DemoArgs) -> Result<Exit, CliError> {
    // Its folder, with a key in it, goes whatever ends it.
    let mut stop = Stop::listen().map_err(CliError::failed)?;
    report::say(format_args!(
        "making {PEOPLE} invented people, an encrypted vault, a TLS test MTA and the relay ..."
    ));
    let stage = set_up::Stage::build(PEOPLE).await?;
    let driven = tokio::select! {
        driven = drive::send(&stage, args.jobs as usize) => driven?,
        () = stop.told() => {
            stage.take_down().await;
            return Ok(Exit::Failed);
        }
    };
    let verdict = report::judge(&stage, &driven)?;
    report::print(&stage, &driven, &verdict);
    if !args.once {
        report::what_next(&stage);
        stop.told().await;
    }
    let open = stage.take_down().await;
    Ok(if verdict.is_good() && open == 0 { Exit::Ok } else { Exit::Failed })
}
