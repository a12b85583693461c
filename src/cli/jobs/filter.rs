//! Filters as a person writes them on the command line.

use super::{WIDTH, plain};
use crate::cli::{CliError, Exit};
use crate::fault::{Reason, State};
use crate::journal::Number;
use crate::journal::ledger::{At, Filter, Ledger, LedgerError, Scope};
use crate::nearest::nearest;
use clap::Args;
use jiff::{Timestamp, civil};

/// Names among which the one that is meant is looked for.
pub const NAMES_MAX: usize = 10_000;
/// Names told where none is like it.
const NAMES_TOLD: usize = 5;

#[derive(Debug, Clone, Default, Args)]
pub struct FilterArgs {
    /// State: relayed, journaled, unknown, ...; several with commas
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state)]
    pub state: Vec<State>,
    /// Reason: target-unavailable, no-consent, ...; several with commas
    #[arg(long, value_name = "REASON", value_delimiter = ',', value_parser = reason)]
    pub reason: Vec<Reason>,
    #[arg(long, value_name = "NAME")]
    pub campaign: Option<String>,
    #[arg(long, value_name = "NAME")]
    pub engine: Option<String>,
    /// The target that answered last
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// With or without its domain
    #[arg(long)]
    pub token: Option<String>,
    /// Accepted then or later: 2031-05-04, 2031-05-04T09:00:00Z (UTC where no zone is given), or an age such as 90m, 2h, 7d
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Accepted before then
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

/// Which part of a list.
#[derive(Debug, Clone, Default, Args)]
pub struct SpanArgs {
    /// At most so many
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Go on behind the job of this number (`number` of --json)
    #[arg(long, value_name = "NUMBER")]
    pub after: Option<i64>,
}

impl SpanArgs {
    pub fn from(&self) -> (Option<Number>, Option<u64>) {
        (self.after.map(Number), self.limit)
    }
}

impl FilterArgs {
    /// # Errors
    /// Exit 2 for a time that cannot be read.
    pub fn filter(&self) -> Result<Filter, CliError> {
        let now = Timestamp::now();
        let moment = |name: &str, text: &Option<String>| {
            let read = |text: &String| {
                moment(text, now).ok_or_else(|| {
                    CliError::new(Exit::Usage, format_args!("{name} is no time"))
                        .fix("write 2031-05-04, 2031-05-04T09:00:00Z, or an age such as 90m, 2h, 7d")
                })
            };
            text.as_ref().map(read).transpose()
        };
        let token = self
            .token
            .as_deref()
            .map(|token| token.split('@').next().unwrap_or_default().to_ascii_lowercase());
        Ok(Filter {
            scope: Scope::All,
            states: self.state.clone(),
            reasons: self.reason.clone(),
            engine: self.engine.clone(),
            campaign: self.campaign.clone(),
            target: self.target.clone(),
            token,
            job_id: None,
            since: moment("--since", &self.since)?,
            until: moment("--until", &self.until)?,
        })
    }
}

/// The names of a filter that the ledger does not know, each with the one that was meant: for whoever finds no job.
pub fn strangers(filter: &Filter, ledger: &Ledger) -> Result<Vec<String>, LedgerError> {
    let mut told = Vec::new();
    let mut look =
        |what: &str, name: &Option<String>, known: &dyn Fn() -> Result<Vec<String>, LedgerError>| {
            let Some(name) = name else { return Ok(()) };
            let known = known()?;
            if !known.contains(name) {
                let hint = meant(name, &known).map_or_else(String::new, |hint| format!("; {hint}"));
                told.push(format!("the ledger has no job of the {what} '{}'{hint}", plain(name)));
            }
            Ok::<_, LedgerError>(())
        };
    look("engine", &filter.engine, &|| ledger.engines(NAMES_MAX))?;
    // Of all engines: one that was mistyped is told by itself.
    look("campaign", &filter.campaign, &|| ledger.campaigns(None, NAMES_MAX))?;
    look("target", &filter.target, &|| ledger.targets(NAMES_MAX))?;
    Ok(told)
}

/// Which of the names was meant, or which there are; `None` where there is none.
pub fn meant(written: &str, names: &[String]) -> Option<String> {
    if let Some(name) = nearest(written, names.iter().map(String::as_str)) {
        return Some(format!("did you mean '{}'?", plain(name)));
    }
    let told: Vec<String> = names.iter().take(NAMES_TOLD).map(|name| plain(name)).collect();
    let dots = if names.len() > NAMES_TOLD { ", ..." } else { "" };
    (!told.is_empty()).then(|| format!("the ledger knows {}{dots}", told.join(", ")))
}

fn moment(text: &str, now: Timestamp) -> Option<At> {
    let text = text.trim();
    let utc =
        |time: civil::DateTime| time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|time| time.timestamp());
    let age = || {
        let age = crate::config::units::duration(text)?;
        now.checked_sub(age).ok()
    };
    let time = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| utc(text.parse::<civil::DateTime>().ok()?))
        .or_else(|| utc(text.parse::<civil::Date>().ok()?.to_datetime(civil::Time::midnight())))
        .or_else(age)?;
    Some(At(time.as_millisecond()))
}

fn state(text: &str) -> Result<State, String> {
    State::parse(text).ok_or_else(|| one_of(text, State::ALL.map(State::as_str)))
}

fn reason(text: &str) -> Result<Reason, String> {
    Reason::parse(text).ok_or_else(|| one_of(text, Reason::ALL.map(Reason::as_str)))
}

fn one_of<const N: usize>(text: &str, words: [&str; N]) -> String {
    match nearest(text, words) {
        Some(near) => format!("did you mean {near}?"),
        None => {
            let list = WIDTH.wrap(&format!("  {}", words.join(", ")), 2);
            format!("it is one of\n{}", list.trim_end())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_moments_or_ages() {
        let now: Timestamp = "2031-05-04T12:00:00Z".parse().unwrap();
        for (text, meant) in [
            ("2031-05-04T09:00:00Z", "2031-05-04T09:00:00Z"),
            ("2031-05-04T09:00:00+03:00", "2031-05-04T06:00:00Z"),
            ("2031-05-04T09:00", "2031-05-04T09:00:00Z"),
            ("2031-05-04", "2031-05-04T00:00:00Z"),
            ("90m", "2031-05-04T10:30:00Z"),
            ("2d", "2031-05-02T12:00:00Z"),
        ] {
            let meant: Timestamp = meant.parse().unwrap();
            assert_eq!(moment(text, now), Some(At(meant.as_millisecond())), "{text}");
        }
        for text in ["", "soon", "2031-13-01", "5"] {
            assert_eq!(moment(text, now), None, "{text}");
        }
    }
}
