//! Render: templates become plans once, at load; per person only the dynamic values are resolved, escaped and
//! encoded, in memory.

pub mod body;
pub mod encode;
pub mod leak;
pub mod lint;
pub mod message;
pub mod plan;
pub mod program;
pub mod scope;

pub use lint::Lint;
pub use program::{Program, Sink, Syntax, Uses};
pub use scope::{FieldRules, Rule, Scope};
