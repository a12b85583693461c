//! Render: templates become plans once, at load; per person only the dynamic values are resolved, escaped and
//! encoded, in memory.

mod alarm;
mod assets;
pub mod body;
mod branch;
#[cfg(test)]
mod branch_tests;
mod cache;
mod compile;
mod compiled;
mod contained;
mod content_lines;
mod effort;
mod elements;
pub mod encode;
pub mod escape;
mod expression;
mod fingerprint;
pub mod folder;
mod foreign;
mod formula;
mod ground;
mod host;
mod html;
mod info;
mod joined;
mod judge;
#[cfg(test)]
mod judge_tests;
mod later_mail;
pub mod leak;
mod lines;
mod links;
pub mod lint;
mod literals;
pub mod manifest;
mod markup;
mod memo;
pub mod message;
mod microdata;
mod mjml;
mod name;
mod outline;
mod outlook;
mod outlook_words;
mod path;
mod place;
#[cfg(test)]
mod place_tests;
pub mod plan;
pub mod program;
#[cfg(test)]
mod program_tests;
mod reading;
mod readings;
pub mod renderer;
#[cfg(test)]
mod renderer_tests;
mod resolve;
mod run;
pub mod scope;
mod seen;
mod shelf;
mod shown;
mod spelled;
mod structured;
mod survey;
mod tags;
pub mod template;
mod tld;
mod tree;
pub mod unfilled;
mod value;
mod weight;
mod word;

pub use foreign::our_path;
pub use info::TemplateInfo;
pub use lint::Lint;
pub use plan::{Finished, Fit, JobFacts, Judged, Moment, Plan, RenderRequest, Size, Transfer};
pub use program::{Program, Sink, Syntax, Uses};
pub use renderer::{Renderer, Settings};
pub use scope::{FieldRules, Rule, Scope};
pub use shelf::Shelf;
