//! How an engine reads a list of the ledger page by page: where it goes on, how much of it, and how long it waits.

use super::Limits;
use super::problem::Problem;
use super::query::{pairs, wrong};
use std::time::Duration;

pub(super) const NDJSON: &str = "application/x-ndjson";
/// The cursor behind everything a page was made from, what is other engines' included.
pub(super) const CURSOR: &str = "tokenrelay-cursor";
/// Lines of a page whose size is not asked for.
const PAGE_DEFAULT: usize = 1000;

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    Events,
    Results,
}

#[derive(Debug)]
pub(super) struct Asked {
    pub after: After,
    pub limit: usize,
    pub wait: Duration,
    /// Of results only.
    pub campaign: Option<Box<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Seq(i64),
    Latest,
}

impl Asked {
    /// # Errors
    /// 400 for a query that is not as the list takes it.
    pub fn read(list: List, query: Option<&str>, limits: &Limits) -> Result<Self, Problem> {
        let limit = PAGE_DEFAULT.min(limits.page_max);
        let mut asked = Self { after: After::Seq(0), limit, wait: Duration::ZERO, campaign: None };
        for (name, value) in pairs(query)? {
            let number = value.parse::<u32>().ok();
            match name.as_str() {
                "after" if value == "latest" => asked.after = After::Latest,
                "after" => {
                    let seq = value.parse().ok().filter(|seq: &i64| *seq >= 0);
                    asked.after = After::Seq(seq.ok_or_else(|| wrong("'after' is a seq, 0 or 'latest'"))?);
                }
                "limit" => {
                    let limit = number.map(|limit| limit as usize).filter(|limit| *limit > 0);
                    asked.limit =
                        limit.ok_or_else(|| wrong("'limit' is a number from 1"))?.min(limits.page_max);
                }
                "wait" => {
                    let seconds = number.ok_or_else(|| wrong("'wait' is a number of seconds"))?;
                    asked.wait = Duration::from_secs(seconds.into()).min(limits.event_wait_max);
                }
                "campaign" if list == List::Results && !value.is_empty() => {
                    asked.campaign = Some(value.into())
                }
                _ => return Err(wrong(list.takes())),
            }
        }
        Ok(asked)
    }
}

impl List {
    fn takes(self) -> &'static str {
        match self {
            Self::Events => "this path takes 'after', 'limit' and 'wait'",
            Self::Results => "this path takes 'campaign' (not empty), 'after', 'limit' and 'wait'",
        }
    }
}
