//! Words in replies that tell whose they are, in lower case. Real MTAs say them; codes alone often do not tell. A `*` stands
//! for whatever is between two pieces. A word stands in one list only if no other owner's replies have it: where it is common
//! to two, what it stands beside is in the list with it.

mod client;
mod message;
mod recipient;
mod sender;

pub use client::*;
pub use message::*;
pub use recipient::*;
pub use sender::*;

/// Whether a reply's text says this.
pub fn says(text: &str, words: &str) -> bool {
    let mut rest = text;
    words.split('*').all(|piece| match rest.split_once(piece) {
        Some((_, behind)) => {
            rest = behind;
            true
        }
        None => false,
    })
}

pub const SHARE_OF_A_SESSION: &[&str] = &[
    "per session",
    "per connection",
    "in this session",
    "in this connection",
    "for this session",
    "for this connection",
    "in one session",
    "in one connection",
    "session limit",
];
pub const TOO_MANY_MESSAGES: &[&str] =
    &["too many messages", "too many mails", "too many transactions", "too many recipients"];
pub const TOO_MANY_ERRORS: &[&str] = &[
    "too many errors",
    "too many bad",
    "too many failed",
    "too many invalid",
    "too many nonmail",
    "too many protocol",
    "too many rejected",
    "too many syntax",
    "too many unknown",
    "too many unrecognized",
    "too many wrong",
];
/// A share of a time, which another session does not have anew.
pub const IN_A_TIME: &[&str] =
    &["this hour", "per hour", "hourly", "this minute", "per minute", "this day", "per day", "per second"];
pub const TOO_MUCH: &[&str] = &[
    "too many",
    "too much",
    "too fast",
    "slow down",
    "rate limit",
    "ratelimit",
    "rate-limit",
    "message rate",
    "throttl",
    "quota exceeded",
    "limit exceeded",
    "exceeded",
    "unexpected volume",
    "flood",
];
/// How much this relay may send, with a code that is for good.
pub const SENDING_QUOTA: &[&str] = &[
    "max defers and failures",
    "frequency limited",
    "count quota",
    "sending quota",
    "sending limit",
    "sending rate",
    "sending too",
    "message rate",
    "submission limit",
    "rate limit",
    "rate overlimit",
    "throttl",
    "slow down",
    "too fast",
    "too many connections",
    "too many emails",
    "too many messages",
    "too many recipients",
    "emails per hour",
    "messages per hour",
    "messages per minute",
    "emails per day",
    "messages per day",
    "daily limit",
    "hourly limit",
    "outgoing email quota",
    "outgoing limit",
    "outbound limit",
    "submissionquota",
    "unusual sending activity",
    "unusual rate",
    "outbound thread limit",
];
pub const TOO_MANY_CONNECTIONS: &[&str] =
    &["too many connections", "too many concurrent", "too many simultaneous", "too many sessions"];
pub const SERVICE_UNAVAILABLE: &[&str] = &["service currently unavailable"];
pub const ORDER_OF_COMMANDS: &[&str] = &[
    "pipelin",
    "synchroni",
    "protocol error",
    "early talk",
    "out of sequence",
    "out of order",
    "bad sequence",
];
