//! From when to when a certificate is good.

use super::certificates;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Of a server's own certificate, the first of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validity {
    pub begin: SystemTime,
    pub end: SystemTime,
    /// In UTC, as `2026-11-30`.
    pub begin_day: String,
    pub end_day: String,
}

impl Validity {
    /// `None` where there is none, or one that cannot be read.
    pub fn of_file(path: &Path) -> Option<Self> {
        let chain = certificates(path).ok()?;
        let (_, parsed) = x509_parser::parse_x509_certificate(chain.first()?).ok()?;
        let time = |seconds: i64| {
            let seconds = u64::try_from(seconds).unwrap_or(0);
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
        };
        let day = |seconds: i64| {
            let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
            time.strftime("%Y-%m-%d").to_string()
        };
        let (begin, end) =
            (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        Some(Self { begin: time(begin), end: time(end), begin_day: day(begin), end_day: day(end) })
    }
}
