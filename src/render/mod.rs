//! Render: templates become plans once, at load; per person only the dynamic values are resolved, escaped and
//! encoded, in memory.

pub mod body;
mod compile;
pub mod encode;
pub mod escape;
mod expression;
mod html;
pub mod leak;
pub mod lint;
pub mod message;
mod path;
mod place;
pub mod plan;
pub mod program;
#[cfg(test)]
mod program_tests;
mod resolve;
pub mod scope;
mod survey;
mod value;
mod word;

pub use lint::Lint;
pub use program::{Program, Sink, Syntax, Uses};
pub use scope::{FieldRules, Rule, Scope};
