//! The whole relay in one process, driven through its doors against scripted first MTAs. Every test builds a
//! [`world::World`] and ends it with `finish`, which checks what must always hold.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by failing")]

mod branches;
mod canary;
mod checking;
mod client_certs;
mod command_line;
mod consent;
mod custody;
mod eight_bit;
mod engines;
mod http;
mod https;
mod jobs;
mod literals;
mod lmtp;
mod log;
mod log_lines;
mod markers;
mod newsletters;
mod oracle;
mod outcomes;
mod process;
mod program;
mod readiness;
mod reload;
mod requiretls;
mod senders;
mod set_up;
mod shutdown;
mod smtp;
mod startup;
mod targets;
mod templates;
mod tls_bytes;
mod tls_client;
mod tls_records;
mod transcript;
mod trust;
mod vault;
mod wakes;
mod world;
