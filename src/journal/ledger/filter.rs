//! Which jobs are meant: conditions that all have to hold.

use super::entry::At;
use crate::fault::{Reason, State};
use crate::journal::kept;
use rusqlite::types::Value;

/// Of which jobs a filter chooses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    #[default]
    All,
    /// Those that are held, and may be called off.
    Held,
    /// Those, and what was refused before any target saw it.
    HeldOrRefused,
}

impl Scope {
    fn condition(self) -> String {
        let held = format!("state IN ('{}', '{}')", State::Journaled.as_str(), State::Unknown.as_str());
        match self {
            Self::All => String::new(),
            Self::Held => format!(" AND {held}"),
            Self::HeldOrRefused => format!(" AND ({held} OR {})", *kept::IS_REFUSED),
        }
    }
}

/// Empty lists and `None` leave everything in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub scope: Scope,
    /// Any of these.
    pub states: Vec<State>,
    /// Any of these.
    pub reasons: Vec<Reason>,
    pub engine: Option<String>,
    pub campaign: Option<String>,
    /// Name of the target that answered last.
    pub target: Option<String>,
    pub token: Option<String>,
    pub job_id: Option<String>,
    /// Accepted at this moment or later.
    pub since: Option<At>,
    /// Accepted before this moment.
    pub until: Option<At>,
}

impl Filter {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The conditions as SQL, each with ` AND ` in front, and the values of their places. Values never become SQL.
    pub(super) fn conditions(&self) -> (String, Vec<Value>) {
        let mut sql = self.scope.condition();
        let mut values: Vec<Value> = Vec::new();
        let mut any_of = |column: &str, words: Vec<&'static str>| {
            if !words.is_empty() {
                sql += &format!(" AND {column} IN ({})", vec!["?"; words.len()].join(", "));
                values.extend(words.into_iter().map(|word| Value::from(word.to_owned())));
            }
        };
        any_of("state", self.states.iter().map(|state| state.as_str()).collect());
        any_of("reason", self.reasons.iter().map(|reason| reason.as_str()).collect());
        let texts = [
            ("engine", &self.engine),
            ("campaign", &self.campaign),
            ("target", &self.target),
            ("token", &self.token),
            ("job_id", &self.job_id),
        ];
        for (column, text) in texts {
            if let Some(text) = text {
                sql += &format!(" AND {column} = ?");
                values.push(text.clone().into());
            }
        }
        for (condition, at) in [(" AND accepted >= ?", self.since), (" AND accepted < ?", self.until)] {
            if let Some(at) = at {
                sql += condition;
                values.push(at.0.into());
            }
        }
        (sql, values)
    }
}
