//! What the demo found out, printed for a person.

use super::drive::{Door, Driven};
use super::set_up::Stage;
use crate::cli::CliError;
use crate::load::leak::{Hit, LeakSearch};
use crate::load::reading::Reading;
use crate::load::sink::SunkMessage;
use crate::ticket::Board;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

/// Lines of the sample that are shown.
const SAMPLE_LINES_MAX: usize = 16;

/// What was checked beside the relay's own answers.
pub struct Verdict {
    all_relayed: bool,
    /// Addresses that did not get exactly their messages, at the MTA.
    misdelivered: usize,
    /// Messages with a placeholder or a token left in them.
    unfinished: usize,
    on_disk: Vec<Hit>,
    values_searched: usize,
    lost: u64,
}

impl Verdict {
    pub fn is_good(&self) -> bool {
        self.all_relayed
            && self.misdelivered == 0
            && self.unfinished == 0
            && self.on_disk.is_empty()
            && self.lost == 0
    }
}

/// To the person who watches, if there is one: what is piped into `head` has none soon.
pub fn say(what: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{what}");
}

/// Compares what arrived with what was asked for, and searches every file the demo made.
pub fn judge(stage: &Stage, driven: &Driven) -> Result<Verdict, CliError> {
    let messages = stage.sink.messages();
    let values: Vec<&str> = stage.people.iter().flat_map(|member| member.person.personal_values()).collect();
    let search = LeakSearch::new(&values);
    let on_disk = search.search_dir(stage.folder.path(), &|_: &Path| false).map_err(CliError::failed)?;
    Ok(Verdict {
        all_relayed: driven.relayed == driven.jobs && messages.len() == driven.jobs,
        misdelivered: misdelivered(&messages, &driven.expected),
        unfinished: messages.iter().filter(|message| is_unfinished(message)).count(),
        on_disk,
        values_searched: values.len() - search.skipped().len(),
        lost: lost(stage.app.board()),
    })
}

fn lost(board: &Board) -> u64 {
    board.open() + board.settled(crate::fault::State::Lost)
}

fn misdelivered(messages: &[SunkMessage], expected: &BTreeMap<String, usize>) -> usize {
    let mut arrived: BTreeMap<&str, usize> = BTreeMap::new();
    for recipient in messages.iter().flat_map(|message| &message.envelope.recipients) {
        *arrived.entry(recipient).or_default() += 1;
    }
    let short =
        expected.iter().filter(|(address, count)| arrived.get(address.as_str()) != Some(count)).count();
    short + arrived.keys().filter(|address| !expected.contains_key(**address)).count()
}

fn is_unfinished(message: &SunkMessage) -> bool {
    let Some(reading) = Reading::of(&message.content) else { return true };
    let unfinished = |text: &String| text.contains("{{") || text.contains("@tokens.example");
    [Some(reading.subject), reading.text, reading.html].iter().flatten().any(unfinished)
}

pub fn print(stage: &Stage, driven: &Driven, verdict: &Verdict) {
    let mut out = io::stdout().lock();
    // A closed pipe is no failure of the demo.
    let _ = write(&mut out, stage, driven, verdict);
}

fn write(out: &mut impl Write, stage: &Stage, driven: &Driven, verdict: &Verdict) -> io::Result<()> {
    writeln!(out, "\n{} relayed, {} failed", driven.relayed, driven.jobs - driven.relayed)?;
    for (reason, count) in &driven.failed {
        writeln!(out, "  {count} x {reason}")?;
    }
    door(out, "HTTP, one NDJSON stream", &driven.http)?;
    door(out, "SMTP, 16 sessions", &driven.smtp)?;
    sample(out, stage)?;
    writeln!(out, "\n{} recipients with a wrong number of messages at the MTA", verdict.misdelivered)?;
    writeln!(out, "{} messages with a placeholder or token left", verdict.unfinished)?;
    writeln!(
        out,
        "{} personal values on disk ({} values of {} people searched in every file,\n\
         in clear and encoded)",
        verdict.on_disk.len(),
        verdict.values_searched,
        stage.people.len()
    )?;
    for hit in verdict.on_disk.iter().take(10) {
        writeln!(out, "  {hit}")?;
    }
    writeln!(out, "files: {}", stage.folder.path().display())
}

fn door(out: &mut impl Write, name: &str, door: &Door) -> io::Result<()> {
    let ms = |quantile| door.latency.value_at_quantile(quantile) as f64 / 1_000.0;
    writeln!(
        out,
        "  {name:<24} {:>6} messages  {:>7.0}/s  p50 {:.1} ms  p99 {:.1} ms",
        door.jobs,
        door.jobs as f64 / door.took.as_secs_f64().max(1e-6),
        ms(0.5),
        ms(0.99)
    )
}

/// One message as a person would read it, in a script that shows encodings at work.
fn sample(out: &mut impl Write, stage: &Stage) -> io::Result<()> {
    let japanese = stage.people.iter().filter(|member| member.person.locale == "ja");
    let addresses: Vec<&str> = japanese.map(|member| member.person.email.as_str()).collect();
    let messages = stage.sink.messages();
    let is_shown =
        |message: &&SunkMessage| message.envelope.recipients.iter().any(|r| addresses.contains(&r.as_str()));
    let Some(message) = messages.iter().find(is_shown).or(messages.first()) else { return Ok(()) };
    let Some(reading) = Reading::of(&message.content) else { return Ok(()) };
    writeln!(out, "\na message as the MTA got it, decoded ({} bytes):", message.content.len())?;
    writeln!(out, "  | To: {} <{}>", reading.to_name, reading.to_address)?;
    writeln!(out, "  | Subject: {}", reading.subject)?;
    writeln!(out, "  |")?;
    for line in reading.text.unwrap_or_default().lines().take(SAMPLE_LINES_MAX) {
        writeln!(out, "  | {line}")?;
    }
    Ok(())
}

/// Commands that work against what is up.
pub fn what_next(stage: &Stage) {
    let dir = stage.folder.path().display();
    let token = &stage.people[0].token;
    let (http, smtp) = (stage.door("http"), stage.door("smtp"));
    say(format_args!(
        "
the relay is up; try, in another terminal:

  cd {dir}
  KEY=$(cat keys/campaigns.secret) TO={token}@tokens.example
  curl --cacert certs/ca.pem https://{http}/v1/jobs \\
       -H \"Authorization: Bearer $KEY\" -H 'Content-Type: application/json' \\
       -d '{{\"job_id\":\"try-1\",\"template\":\"welcome\",\"to\":\"'$TO'\"}}'
  swaks --server {smtp} -tls --from news@brand.example --to $TO \\
       --auth PLAIN --auth-user campaigns --auth-password \"$KEY\" \\
       --header 'Subject: Hello {{{{person.first_name}}}}' \\
       --header 'X-TokenRelay-Purpose: service' \\
       --body 'Dear {{{{person.first_name}}}} {{{{person.last_name}}}}'
  tokenrelay check          # a checklist; tokenrelay --help lists every command

your own relay: tokenrelay init DIR. Ctrl-C ends this and removes {dir}"
    ));
}
