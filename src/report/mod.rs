//! What leaves the house as text: replies of targets, cleaned of personal values.

pub mod scrub;
