//! What a trial run needs: invented people, the search for leaked values, and the sink, a test MTA that counts
//! and misbehaves on request.

pub mod leak;
pub mod people;
pub mod sink;
