//! The `tokenrelay` program: reads the command line, runs one command, ends with its exit code.

use clap::Parser;
use std::process::ExitCode;
use tokenrelay::cli::{Cli, complain};

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => complain(&error),
    }
}
