//! The `tokenrelay` program: reads the command line, runs one command, ends with its exit code.

use clap::Parser;
use std::process::ExitCode;
use tokenrelay::cli::{Cli, complain};

/// Buffers of messages are made on one core and given back on another all the time, which the system's allocator is
/// slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => complain(&error),
    }
}
