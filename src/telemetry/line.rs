//! Lines about the log itself, in the form of all others.

use crate::config::LogFormat;
use tracing::Level;

/// One line without fields.
pub fn line(format: LogFormat, level: Level, text: &str) -> Vec<u8> {
    let now = jiff::Timestamp::now();
    let line = match format {
        LogFormat::Text => format!("{now:.6} {level:>5} {text}\n"),
        LogFormat::Json => {
            let level = level.as_str();
            let timestamp = format!("{now:.6}");
            let whole = serde_json::json!({
                "timestamp": timestamp, "level": level, "message": text, "target": module_path!(),
            });
            format!("{whole}\n")
        }
    };
    line.into_bytes()
}
