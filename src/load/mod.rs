//! What drives and receives test traffic: the sink, a test MTA that counts, checks and misbehaves on request.

pub mod sink;
