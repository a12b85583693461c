//! Replies: the usual one, or what the script makes of it.

use super::{Dialogue, Flow, Parting};
use crate::load::sink::script::{Act, Step};
use std::borrow::Cow;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// What a reply came to: its code (0 for none), and whether the connection is closed behind it.
pub(super) struct Said {
    pub code: u16,
    pub closes: bool,
}

impl Said {
    pub fn is_positive(&self) -> bool {
        (200..400).contains(&self.code)
    }

    pub fn flow(&self) -> Flow {
        if self.closes { Flow::Leave(Parting::Closed) } else { Flow::Go }
    }
}

impl Dialogue {
    /// A reply no rule can change.
    pub(super) fn say(&mut self, reply: &str) -> io::Result<Flow> {
        self.outgoing.extend_from_slice(reply.as_bytes());
        self.outgoing.extend_from_slice(b"\r\n");
        Ok(Flow::Go)
    }

    /// The usual reply, or what the script makes of it.
    pub(super) async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        step: Step,
        usual: &str,
    ) -> io::Result<Said> {
        let rules = self.shared.rules.borrow().clone();
        if rules.is_empty() {
            self.say(usual)?;
            return Ok(Said { code: code_of(usual), closes: false });
        }
        let shared = self.shared.clone();
        let count = |step: Step| shared.occurrences[step as usize].fetch_add(1, Relaxed) + 1;
        let (nth, nth_of_any) = (count(step), count(Step::Any));
        let mut reply = Cow::Borrowed(usual);
        let (mut behind, mut closes) = (Vec::new(), false);
        for rule in rules.iter() {
            let applies = (rule.step == step && rule.when.applies_to(nth))
                || (rule.step == Step::Any && rule.when.applies_to(nth_of_any));
            if !applies {
                continue;
            }
            match &rule.act {
                Act::Reply(text) => reply = self.transaction.fill_in(text).into(),
                Act::Lines(lines) => reply = in_lines(&reply, *lines).into(),
                Act::Extra(text) => behind.extend([text.as_bytes(), b"\r\n"].concat()),
                Act::Raw(octets) => {
                    reply = Cow::Borrowed("");
                    behind.extend_from_slice(octets);
                }
                Act::Delay(delay) => self.pause(stream, *delay).await?,
                Act::Hang => {
                    self.flush(stream).await?;
                    std::future::pending::<()>().await;
                }
                Act::Close => closes = true,
            }
        }
        if !reply.is_empty() {
            self.say(&reply)?;
        }
        self.outgoing.append(&mut behind);
        Ok(Said { code: code_of(&reply), closes })
    }

    pub(super) async fn pause<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        delay: Duration,
    ) -> io::Result<()> {
        self.flush(stream).await?;
        tokio::time::sleep(delay).await;
        Ok(())
    }
}

fn code_of(reply: &str) -> u16 {
    reply.get(..3).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn in_lines(reply: &str, lines: usize) -> String {
    let (Some(code), Some(text)) =
        (reply.get(..3), reply.rsplit("\r\n").next().and_then(|last| last.get(4..)))
    else {
        return reply.to_owned();
    };
    // EHLO's own lines are kept: what it offers has to be found among the others.
    let mut head: String =
        reply.rsplit_once("\r\n").map(|(head, _)| format!("{head}\r\n")).unwrap_or_default();
    for _ in 1..lines {
        head.push_str(&format!("{code}-{text}\r\n"));
    }
    format!("{head}{code} {text}")
}
