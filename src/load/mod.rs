//! What a trial run needs: invented people, and the search for leaked values.

pub mod leak;
pub mod people;
