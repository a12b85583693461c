//! An engine on the SMTP door: one message after another over each connection, one recipient each, the next envelope
//! pipelined behind the message before it (RFC 2920 §3.1).

mod line;

pub use line::{SmtpDoor, SmtpTrouble};

use super::pace::{Due, Pace};
use super::source::Source;
use super::tally::{Tally, Told};
use crate::fault::{Reason, State};
use line::{Answer, Line};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout_at};

/// Before a lost connection is made again.
const PAUSE: Duration = Duration::from_millis(100);
/// The service is about to close the connection (RFC 5321 §4.2.3).
const CLOSING: u16 = 421;

pub(super) async fn connect(door: &SmtpDoor, connections: usize) -> Result<Vec<Line>, SmtpTrouble> {
    let mut lines = Vec::with_capacity(connections);
    for _ in 0..connections {
        lines.push(Line::open(door).await?);
    }
    Ok(lines)
}

/// Sends until it is over. A lost connection, or one that the door closes (421), is made again: the message on it counts as
/// unanswered, and the envelope that was sent ahead of its answer is sent anew.
pub(super) async fn engine(line: Line, door: Arc<SmtpDoor>, source: Arc<Source>, pace: Arc<Pace>) -> Tally {
    let mut engine = Engine { line, source, pace: pace.clone(), offered: None, tally: Tally::default() };
    let mut reason = "no-answer";
    loop {
        match timeout_at(pace.give_up_at(), engine.converse()).await {
            Ok(Ok(())) | Err(_) => break,
            Ok(Err(_lost)) => reason = "connection-lost",
        }
        let again = timeout_at(pace.give_up_at(), async {
            loop {
                sleep(PAUSE).await;
                if let Ok(line) = Line::open(&door).await {
                    return line;
                }
            }
        });
        match again.await {
            Ok(line) => engine.line = line,
            Err(_) => break,
        }
    }
    engine.tally.close(reason, "");
    engine.tally
}

struct Engine {
    line: Line,
    source: Arc<Source>,
    pace: Arc<Pace>,
    /// The job of which the envelope was sent, and nothing else.
    offered: Option<Due>,
    tally: Tally,
}

impl Engine {
    /// Ends well when there are no more jobs.
    async fn converse(&mut self) -> Result<(), SmtpTrouble> {
        if let Some(due) = self.offered {
            self.put_envelope(due);
            self.line.send().await?;
        }
        loop {
            if self.offered.is_none() {
                let Some(due) = self.pace.next().await else { return self.line.quit().await };
                self.offer(due);
                self.line.send().await?;
            }
            let refusal = self.envelope_refused().await?;
            let Some(due) = self.offered.take() else { continue };
            match refusal {
                None => {
                    self.source.put_message(due, &mut self.line.out);
                    let next = self.pace.try_next();
                    next.into_iter().for_each(|next| self.offer(next));
                    self.line.send().await?;
                    let answer = self.line.reply().await?;
                    self.settle(due, &answer)?;
                }
                Some(answer) => self.settle(due, &answer)?,
            }
        }
    }

    fn offer(&mut self, due: Due) {
        self.tally.sent(due, self.pace.since_start());
        self.offered = Some(due);
        self.put_envelope(due);
    }

    fn put_envelope(&mut self, due: Due) {
        let recipient = self.source.recipient(due.number);
        let out = &mut self.line.out;
        for part in ["MAIL FROM:<load@load.example> BODY=8BITMIME\r\nRCPT TO:<", recipient, ">\r\nDATA\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }

    /// The first refusal of MAIL, RCPT and DATA. DATA that is taken without a recipient is ended with nothing in it
    /// (RFC 2920 §3.1).
    async fn envelope_refused(&mut self) -> Result<Option<Answer>, SmtpTrouble> {
        let mut refused = None;
        for _ in ["MAIL", "RCPT"] {
            let answer = self.line.reply().await?;
            if answer.code.basic == CLOSING {
                return Ok(Some(answer));
            }
            refused = refused.or((answer.code.basic / 100 != 2).then_some(answer));
        }
        let data = self.line.reply().await?;
        let is_ready = data.code.basic == 354;
        let refused = refused.or((!is_ready).then_some(data));
        if refused.is_some() {
            // The door may still be in the middle of a transaction.
            let way_out: &[u8] = if is_ready { b".\r\n" } else { b"RSET\r\n" };
            self.line.out.extend_from_slice(way_out);
            self.line.send().await?;
            self.line.reply().await?;
        }
        Ok(refused)
    }

    fn settle(&mut self, due: Due, Answer { code, text }: &Answer) -> Result<(), SmtpTrouble> {
        let said = text.split([' ', ':']).next().and_then(Reason::parse);
        let state = match (code.basic / 100, said.map(Reason::state)) {
            (2, _) => State::Relayed,
            (_, Some(State::Suppressed)) => State::Suppressed,
            (4, _) => State::Deferred,
            _ => State::Rejected,
        };
        let reason = match (state, code.enhanced) {
            (State::Relayed, _) => String::new(),
            (_, Some(enhanced)) => format!("{} {enhanced}", code.basic),
            (_, None) => code.basic.to_string(),
        };
        let told = Told { state: state.as_str(), reason: &reason, detail: text };
        self.tally.answered(due.at, self.pace.since_start(), told);
        if code.basic == CLOSING {
            Err(SmtpTrouble::Refused { at: "a message", code: CLOSING })
        } else {
            Ok(())
        }
    }
}
