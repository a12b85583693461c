//! SMTP grammar: bytes in, values out, no await.

pub mod dot;
pub mod reply;
