//! tokenrelay: a self-hosted relay for tokenized sending.
//!
//! A job flows one way: accept -> resolve -> render -> inject -> report. Each stage is a room that knows the
//! nouns and nothing of the other stages; `pipeline` walks a job through them; `vault` and `journal` sit beside the flow.
//! ARCHITECTURE.md has the map.

pub mod accept;
pub mod address;
pub mod app;
pub mod byte_search;
pub mod cli;
pub mod config;
pub mod counted;
pub mod custody;
pub mod engine;
pub mod exit;
pub mod fault;
pub mod gate;
pub mod herald;
pub mod inject;
pub mod job;
pub mod journal;
pub mod load;
pub mod media_type;
pub mod message;
pub mod nearest;
pub mod obstacle;
pub mod outside;
pub mod patience;
pub mod person;
pub mod personal;
pub mod pipeline;
pub mod plain_file;
pub mod process;
pub mod purpose;
pub mod render;
pub mod report;
pub mod resolve;
pub mod secret;
pub mod senders;
pub mod table;
pub mod telemetry;
pub mod ticket;
pub mod tls;
pub mod vault;
pub mod wire;

/// Lower-case base32 without padding (RFC 4648 §6 alphabet): case-insensitive, safe in a local part.
pub fn base32_lower(bytes: &[u8]) -> String {
    data_encoding::BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

/// Reads what [`base32_lower`] writes, in any case.
pub fn base32_lower_decode(text: &str) -> Option<Vec<u8>> {
    data_encoding::BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok()
}
