//! The `tokenrelay` program: reads the command line, runs one command, ends with its exit code.

use clap::Parser;
use std::process::ExitCode;
use tokenrelay::cli::{Cli, complain};
use tokenrelay::telemetry::finish_log;

/// Buffers of messages are made on one core and given back on another all the time, which the system's allocator is
/// slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let ended = Cli::parse().run();
    finish_log();
    match ended {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => complain(&error),
    }
}
