//! Grammar of the wire, SMTP and NDJSON: bytes in, values out. No I/O and no await; "need more" is a value.

pub mod command;
pub mod data;
pub mod dot;
pub mod encoded_word;
pub mod line;
pub mod merge;
pub mod ndjson;
pub mod params;
pub mod path;
pub mod reply;
pub mod sasl;
