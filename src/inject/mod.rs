//! Inject: takes a finished message to a target over pooled, pipelined SMTP sessions in TLS, and says what became
//! of it. Never writes a message anywhere else.

mod admission;
mod alike;
mod auth;
mod balance;
mod breaker;
mod connect;
mod delivery;
mod ehlo;
mod endurance;
mod envelope;
mod flow;
mod health;
mod inquiry;
mod lessons;
mod machines;
mod majority;
mod offers;
mod pace;
mod place;
mod probe;
mod queue;
mod rate;
mod senders;
mod session;
mod settings;
mod stats;
mod stream;
mod talk;
mod target;
mod trouble;
mod unclear;
mod unknown;
mod verdict;
mod witness;

pub use balance::{Injector, TargetHandle};
pub use breaker::{Recoveries, Standing};
pub use delivery::{Accepted, DeliverError, Delivery, EightBit, Errand, OnOffer};
pub use ehlo::Capabilities;
pub use inquiry::Whom;
pub use lessons::Learned;
pub use pace::Slowed;
pub use probe::{ProbeEnvelope, ProbeFailure, ProbeStep, probe};
pub use settings::{Deadlines, TargetAuth, TargetSettings, TlsMode};
pub use stats::TargetStats;
pub use trouble::{AuthRefusal, Refusal, TlsTrouble, Trouble};

#[cfg(test)]
mod tests;
