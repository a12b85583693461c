//! `[log]`: how much is said, and in what form.

use super::section::Section;
use super::{LogConfig, LogFormat};
use crate::nearest::did_you_mean;

pub fn log(section: Section<'_>) -> LogConfig {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    let log = LogConfig {
        level: level(&section),
        format: section.choice("format", &formats).unwrap_or(LogFormat::Text),
    };
    section.finish();
    log
}

/// A word alone is a level: what it would be else, the name of a module, leaves no line where it is a slip.
fn level(section: &Section<'_>) -> String {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let level = section.text("level").unwrap_or_else(|| "info".into());
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let is_directive =
        |word: &str| is_level(word) || word.contains(['=', '[']) || word.starts_with("tokenrelay");
    let wrong = level.split(',').map(str::trim).find(|word| !is_directive(word));
    if wrong.is_some() || tracing_subscriber::EnvFilter::try_new(&level).is_err() {
        let near = did_you_mean(wrong.unwrap_or(&level), LEVELS);
        section.problem("level", format!("log.level is a level or a filter, not \"{level}\"{near}"));
    }
    level
}
