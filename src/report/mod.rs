//! What leaves the house as text: replies of targets, of which only words of a closed vocabulary are told.

mod code_phrase;
pub mod gist;
pub mod scrub;
mod vocabulary;
