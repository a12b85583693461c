//! HTML that holds a person's values, judged by a parser kept by others: whether our own small tokenizer, which decides how
//! values are escaped, reads it as clients do, and whether each value lands where only the reader sees it.
//!
//! Every way through the blocks is the same to a parser as long as no element changes how what follows is read: markup of
//! its own rules (`svg`, `math`), and elements that parsers of different age read differently (`select`, `template`,
//! `noscript` …). Where none stands, each way is walked so that every piece is read once; where one does, the elements that are
//! open behind a block must be the same whichever way was taken, so that it does not matter.

mod active;
mod comments;
mod css;
mod fonts;
mod found;
mod judge;
mod mark;
mod nodes;
mod parser;
mod places;
mod plain;
mod regions;
mod styles;
mod walk;
mod ways;

pub(super) use active::{readings_of_styles, what_sees_in};
pub(super) use judge::judge;
pub(super) use plain::{is_plain, is_whole};

#[cfg(test)]
mod newsletters;
#[cfg(test)]
mod tests;
