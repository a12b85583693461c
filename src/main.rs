//! The `tokenrelay` program: reads the command line, runs one command, ends with its exit code.

use clap::Parser;
use std::process::ExitCode;
use tokenrelay::cli::{Cli, complain};
use tokenrelay::telemetry::finish_log;
use zeroizing_alloc::ZeroAlloc;

/// Buffers of messages are made on one core and given back on another all the time, which the system's allocator is
/// slow at. Everything is wiped when it is given back: values and secrets pass through buffers of the libraries for TLS and
/// HTTP too, and through each `Vec` that grows.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<mimalloc::MiMalloc> = ZeroAlloc(mimalloc::MiMalloc);

fn main() -> ExitCode {
    let ended = Cli::parse().run();
    finish_log();
    match ended {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => complain(&error),
    }
}
