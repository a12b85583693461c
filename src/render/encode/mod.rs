//! How text becomes octets on the wire: body encodings (RFC 2045), header words (RFC 2047), parameters
//! (RFC 2231) and addresses (RFC 5322 §3.4).

pub mod address;
pub mod base64;
pub mod eight_bit;
pub mod header;
pub mod output;
pub mod parameter;
pub mod quoted_printable;
pub mod word;

pub use address::{Address, BadAddress};
pub use output::Output;
