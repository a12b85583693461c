//! placeholder
#[derive(Debug, clap::Args)]
pub struct SinkArgs {}
pub async fn run(_: SinkArgs) -> Result<super::Exit, super::CliError> {
    Ok(super::Exit::Ok)
}
