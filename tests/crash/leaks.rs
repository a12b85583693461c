//! Searches files and folders for the values in a file, one a line: `leaks VALUES PLACE...`. A line a find, which says
//! where and in what form, never the value; exits with 1 when there is one.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokenrelay::load::leak::LeakSearch;

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let values = arguments.next().ok_or_else(|| anyhow::anyhow!("usage: leaks VALUES PLACE..."))?;
    let values = std::fs::read_to_string(values)?;
    let search = LeakSearch::new(&values.lines().collect::<Vec<_>>());
    let mut out = std::io::stdout().lock();
    let mut is_clean = true;
    for place in arguments {
        let hits = if place.is_dir() {
            search.search_dir(&place, &|_: &Path| false)?
        } else {
            search.search_bytes(&std::fs::read(&place)?)?
        };
        for hit in hits {
            is_clean = false;
            writeln!(out, "{}: {hit}", place.display())?;
        }
    }
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
