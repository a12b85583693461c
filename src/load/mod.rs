//! The engine's side of the doors: what submits jobs, for the command line, the demo and measurements.

pub mod client;
