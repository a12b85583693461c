//! Rows that were refused, as a person reads of them: those that are alike are told a few times, and counted.

use crate::vault::Refusal;
use std::collections::HashMap;
use std::io::Write;

/// Alike ones that are told one by one.
pub const ALIKE_MAX: usize = 3;
/// Different ones that are told apart.
const KINDS_MAX: usize = 1_000;

pub struct Refusals {
    listed: Vec<(u64, Refusal)>,
    listed_max: usize,
    alike_max: usize,
    kinds: HashMap<String, Kind>,
}

/// Rows that are refused in the same words.
#[derive(Default)]
struct Kind {
    rows: u64,
    /// Lines of those that are listed.
    listed: Vec<u64>,
}

impl Refusals {
    pub fn new(listed_max: usize, alike_max: usize) -> Self {
        Self { listed: Vec::new(), listed_max, alike_max, kinds: HashMap::new() }
    }

    pub fn add(&mut self, line: u64, refusal: &Refusal) {
        let is_full = self.kinds.len() >= KINDS_MAX;
        let told = refusal.to_string();
        if is_full && !self.kinds.contains_key(&told) {
            return;
        }
        let kind = self.kinds.entry(told).or_default();
        kind.rows += 1;
        if self.listed.len() < self.listed_max && kind.listed.len() < self.alike_max {
            kind.listed.push(line);
            self.listed.push((line, refusal.clone()));
        }
    }

    pub fn listed(&self) -> &[(u64, Refusal)] {
        &self.listed
    }

    /// By their lines; behind the last one of a kind, how many more of it there are. A closed stderr is no reason to fail: the summary
    /// tells the same.
    pub fn say(&self, failed: u64, errors: &mut dyn Write) {
        let mut lines: Vec<&(u64, Refusal)> = self.listed.iter().collect();
        lines.sort_by_key(|(line, _)| *line);
        let mut told = 0;
        for (line, refusal) in lines {
            let text = refusal.to_string();
            let _ = writeln!(errors, "line {line}: {text}");
            told += 1;
            let kind = self.kinds.get(&text).filter(|kind| kind.listed.iter().max() == Some(line));
            let more = kind.map_or(0, |kind| kind.rows - kind.listed.len() as u64);
            match more {
                0 => {}
                1 => _ = writeln!(errors, "... and 1 more row like this"),
                more => _ = writeln!(errors, "... and {more} more rows like this"),
            }
            told += more;
        }
        let left_out = failed.saturating_sub(told);
        if left_out > 0 && told > 0 {
            let _ = writeln!(errors, "... and {left_out} more (see --errors-max)");
        }
    }
}
