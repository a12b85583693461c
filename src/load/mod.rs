//! What a trial run needs: invented people, the search for leaked values, the client that submits jobs, the load
//! generator, and the sink, a test MTA that counts and misbehaves on request.

pub mod client;
pub mod generator;
pub mod handshake;
pub mod leak;
pub mod people;
pub mod reading;
pub mod sink;
