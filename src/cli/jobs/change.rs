//! `jobs retry` and `jobs cancel`: by send number at once, by filter only after `--yes`. `jobs release`: all of a copy.

use super::filter::FilterArgs;
use super::list::row_of;
use super::{Ended, Output, Place, line, send_number};
use crate::cli::{CliError, Exit};
use crate::counted::counted;
use crate::fault::State;
use crate::job::SendNumber;
use crate::journal::Number;
use crate::journal::ledger::{Ask, Desk, Done, Entry, Filter, Ledger, Scope, Standing};
use clap::Args;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// Jobs changed at a time; a list is never held as a whole.
const JOBS_AT_ONCE: u64 = 2000;
/// Jobs shown before `--yes` is given.
const PREVIEW_MAX: u64 = 20;
/// For whoever finds none of the refused jobs that were looked for.
const NONE: &str = "what can be attempted is what is held, and what was refused before a target saw it; what a target has answered \
                    keeps its result: submit it under a new job_id";
/// For those that are not kept any more.
const NOT_KEPT: &str = "what they were made from is not kept any more ([journal] keep_refused): submit them again under the same \
                        job_id; what no target has seen is judged anew";

const HELD: [State; 2] = [State::Journaled, State::Unknown];
const HELD_OR_REFUSED: [State; 4] = [State::Journaled, State::Unknown, State::Rejected, State::Suppressed];

#[derive(Debug, Args)]
pub struct ChangeArgs {
    /// Send numbers (`s_...`)
    #[arg(value_name = "SEND", value_parser = send_number)]
    send: Vec<SendNumber>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Change what the filter means; without it, it is only shown
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// All of them
    #[arg(long, required = true)]
    all: bool,
    /// Let them go; without it, it is only said how many there are
    #[arg(long)]
    yes: bool,
}

/// What was known as a copy's is sent like anything else from here on.
pub fn release(
    args: &ReleaseArgs,
    place: &Place,
    json: bool,
    output: &mut Output<'_>,
) -> Result<Exit, Ended> {
    let (parked, sign) = place.ledger()?.parked()?;
    let released = match args.yes {
        true => Desk::open(&place.journal_dir)?.release_all()?,
        false => 0,
    };
    if json {
        let value = serde_json::json!({"parked": parked.saturating_sub(released), "released": released});
        line(output.out, &value)?;
    } else if args.yes || parked == 0 {
        output.say(&format!("{} released", counted(released, "job")))?;
    }
    if !args.yes && parked > 0 {
        let why = sign.map_or_else(String::new, |sign| format!(", since {sign}"));
        output.note(&format!(
            "{} held{why}. What the relay that went on meanwhile has sent would arrive twice, under one Message-ID. Nothing was changed: \
             add --yes, or call them off with jobs cancel",
            counted(parked, "job")
        ))?;
    }
    Ok(Exit::Ok)
}

pub fn retry(args: &ChangeArgs, place: &Place, json: bool, output: &mut Output<'_>) -> Result<Exit, Ended> {
    change(args, Ask::Retry { tried_for: place.tried_for }, place, (json, output))
}

pub fn cancel(args: &ChangeArgs, place: &Place, json: bool, output: &mut Output<'_>) -> Result<Exit, Ended> {
    change(args, Ask::Cancel, place, (json, output))
}

type Show<'a, 'b> = (bool, &'a mut Output<'b>);

fn change(args: &ChangeArgs, ask: Ask, place: &Place, (json, output): Show<'_, '_>) -> Result<Exit, Ended> {
    let filter = args.filter.filter()?;
    match (args.send.is_empty(), filter.is_empty()) {
        (false, true) => by_number(&args.send, ask, place, (json, output)),
        (true, false) if args.yes => by_filter(within(filter, ask)?, ask, place, (json, output)),
        (true, false) => preview(&within(filter, ask)?, ask, place, (json, output)),
        (false, false) => {
            Err(usage("send numbers and filters do not go together", "give one or the other").into())
        }
        (true, true) => {
            Err(usage("nothing is named", "give send numbers, or a filter such as --state unknown").into())
        }
    }
}

fn usage(cause: &str, fix: &str) -> CliError {
    CliError::new(Exit::Usage, cause).fix(fix)
}

/// The filter leaves out what cannot be changed.
fn within(filter: Filter, ask: Ask) -> Result<Filter, CliError> {
    let (scope, can_be, fix) = match ask {
        Ask::Cancel | Ask::Hasten => {
            (Scope::Held, &HELD[..], "leave --state out, or give journaled, unknown or both")
        }
        Ask::Retry { .. } => (
            Scope::HeldOrRefused,
            &HELD_OR_REFUSED[..],
            "leave --state out, or give some of journaled, unknown, rejected and suppressed; submit other ended jobs again under a \
             new job_id",
        ),
    };
    if filter.states.iter().all(|state| can_be.contains(state)) {
        return Ok(Filter { scope, ..filter });
    }
    let words: Vec<&str> = can_be.iter().map(|state| state.as_str()).collect();
    let cause =
        format!("only {} jobs can be changed so: what the others were made from is gone", words.join(", "));
    Err(usage(&cause, fix))
}

fn by_number(
    all: &[SendNumber],
    ask: Ask,
    place: &Place,
    (json, output): Show<'_, '_>,
) -> Result<Exit, Ended> {
    let ledger = place.ledger()?;
    let mut desk = Desk::open(&place.journal_dir)?;
    let mut counts = Counts::default();
    for send in all {
        let done = match ledger.by_send(send)? {
            Some(entry) => desk.change(&[entry.number], ask, now())?.pop().unwrap_or(Done::NotThere),
            None => Done::NotThere,
        };
        counts.add(done);
        tell(send, done, (json, output))?;
    }
    Ok(counts.exit())
}

fn tell(send: &SendNumber, done: Done, (json, output): Show<'_, '_>) -> Result<(), Ended> {
    if json {
        let value = serde_json::json!({"send": send.as_str(), "done": done.is_changed(), "result": word(done),
            "detail": sentence(done)});
        return Ok(line(output.out, &value)?);
    }
    let text = format!("{send}  {}", sentence(done));
    let told = if done.is_changed() { output.say(&text) } else { output.note(&text) };
    Ok(told?)
}

fn by_filter(filter: Filter, ask: Ask, place: &Place, (json, output): Show<'_, '_>) -> Result<Exit, Ended> {
    let ledger = place.ledger()?;
    let mut desk = Desk::open(&place.journal_dir)?;
    let mut counts = Counts::default();
    let mut after = None;
    loop {
        let page = ledger.page(&filter, after, JOBS_AT_ONCE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.number);
        let numbers: Vec<Number> = page.iter().map(|entry| entry.number).collect();
        for done in desk.change(&numbers, ask, now())? {
            counts.add(done);
        }
    }
    counts.print((json, output))?;
    if counts.asked == 0 {
        output.tell_strangers(&filter, &ledger)?;
    }
    if counts.asked == 0 && matches!(ask, Ask::Retry { .. }) {
        output.note(NONE)?;
    }
    Ok(counts.exit())
}

fn preview(filter: &Filter, ask: Ask, place: &Place, (json, output): Show<'_, '_>) -> Result<Exit, Ended> {
    let ledger = place.ledger()?;
    let (mut count, mut not_kept) = (0, 0);
    let show = |entry: Entry| {
        if is_gone(&ledger, &entry)? {
            not_kept += 1;
            return Ok(());
        }
        count += 1;
        if json {
            line(output.out, &entry)?;
        } else if count <= PREVIEW_MAX {
            writeln!(output.out, "{}", row_of(&entry))?;
        }
        Ok::<_, Ended>(())
    };
    ledger.for_each(filter, (None, None), show)?;
    if !json && count > PREVIEW_MAX {
        writeln!(output.out, "... and {} more", count - PREVIEW_MAX)?;
    }
    let what = match ask {
        Ask::Cancel => "would be cancelled",
        Ask::Hasten => "would be attempted now",
        Ask::Retry { .. } => {
            "would be attempted now: those that were refused are judged anew, those in doubt may arrive twice, under one Message-ID"
        }
    };
    output.note(&format!("{} {what}. Nothing was changed: add --yes", counted(count, "job")))?;
    if not_kept > 0 {
        output.note(&format!("{} would be left: {NOT_KEPT}", counted(not_kept, "refused job")))?;
    }
    if count + not_kept == 0 {
        output.tell_strangers(filter, &ledger)?;
    }
    if count + not_kept == 0 && matches!(ask, Ask::Retry { .. }) {
        output.note(NONE)?;
    }
    Ok(Exit::Ok)
}

/// Whether a refused job is not kept any more.
fn is_gone(ledger: &Ledger, entry: &Entry) -> Result<bool, Ended> {
    Ok(!HELD.contains(&entry.verdict.state) && ledger.standing(entry.number)? == Standing::Ended)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn word(done: Done) -> &'static str {
    match done {
        Done::Cancelled => "cancelled",
        Done::DueNow => "due-now",
        Done::SentAgain => "sent-again",
        Done::JudgedAnew => "judged-anew",
        Done::NotKept(_) => NOT_KEPT_WORD,
        Done::TooLate(_) => "too-late",
        Done::InFlight => "in-flight",
        Done::Held => "held",
        Done::Ended(_) => "ended",
        Done::NotThere => "not-there",
    }
}

fn sentence(done: Done) -> String {
    match done {
        Done::Cancelled => "cancelled: it will not be delivered".into(),
        Done::DueNow => "due now".into(),
        Done::SentAgain => "due now, flagged as sent again: it may arrive twice, under one Message-ID".into(),
        Done::InFlight => "left: an attempt is under way; ask again when it has ended".into(),
        Done::Held => "left: it is held until a person says otherwise".into(),
        Done::JudgedAnew => "due now, and judged anew".into(),
        Done::NotKept(state) => format!(
            "left: it was refused ({}), and what it was made from is not kept any more ([journal] keep_refused); submit it again \
             under the same job_id: it is judged anew",
            state.as_str()
        ),
        Done::TooLate(state) => format!(
            "left: it was refused ({}), and its own 'expires' has passed; submit it under a new job_id",
            state.as_str()
        ),
        Done::Ended(state) => format!(
            "left: it has ended ({}), and what it was made from is gone; submit it again, under a new job_id",
            state.as_str()
        ),
        Done::NotThere => "left: the ledger has no such job".into(),
    }
}

const NOT_KEPT_WORD: &str = "not-kept";

/// Jobs by what became of them.
#[derive(Default)]
struct Counts {
    done: BTreeMap<&'static str, u64>,
    is_all_changed: bool,
    asked: u64,
}

impl Counts {
    fn add(&mut self, done: Done) {
        self.is_all_changed = done.is_changed() && (self.is_all_changed || self.asked == 0);
        self.asked += 1;
        *self.done.entry(word(done)).or_default() += 1;
    }

    fn print(&self, (json, output): Show<'_, '_>) -> Result<(), Ended> {
        if json {
            return Ok(line(output.out, &self.done)?);
        }
        if self.asked == 0 {
            writeln!(output.out, "no job is meant")?;
        }
        for (word, count) in &self.done {
            writeln!(output.out, "{word:<12}{count}")?;
        }
        if self.done.contains_key(word(Done::InFlight)) {
            output
                .note("what is in flight was left: an attempt is under way; ask again when it has ended")?;
        }
        if let Some(count) = self.done.get(NOT_KEPT_WORD) {
            output.note(&format!("left: {}: {NOT_KEPT}", counted(*count, "refused job")))?;
        }
        Ok(())
    }

    /// 1 when something was left as it was.
    fn exit(&self) -> Exit {
        if self.asked == 0 || self.is_all_changed { Exit::Ok } else { Exit::Failed }
    }
}
