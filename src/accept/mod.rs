//! The doors: what engines speak to us, turned into jobs. A door checks who is there, bounds what comes in,
//! hands jobs to the house and answers with their outcome.

pub mod data;
pub mod door;
pub mod http;
pub mod jobs;
mod notices;
pub mod quota;
pub mod smtp;
