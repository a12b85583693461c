//! The time as a message shows it.

use std::time::SystemTime;

/// A point in time in the two forms messages need. Made once a second rather than once a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// RFC 5322 §3.3, in UTC.
    header: String,
    /// `YYYY-MM-DD`.
    day: String,
}

impl Moment {
    pub fn at(time: SystemTime) -> Self {
        let timestamp = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let utc = timestamp.to_zoned(jiff::tz::TimeZone::UTC);
        Self {
            header: utc.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string(),
            day: utc.strftime("%Y-%m-%d").to_string(),
        }
    }

    pub fn header(&self) -> &str {
        &self.header
    }

    pub fn day(&self) -> &str {
        &self.day
    }
}
