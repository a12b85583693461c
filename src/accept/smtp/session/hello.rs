//! The greeting, and what the door offers to a client that says its name (RFC 5321 §4.1.1.1, RFC 2033 §4.1).

use super::{Channel, Session, State, Turn, read_line, reply};
use crate::accept::smtp::reply::Reply;
use crate::wire::command::Command;

/// What is spoken on the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Smtp,
    /// RFC 2033: `LHLO`, and after the content one answer for each recipient.
    Lmtp,
}

impl Session {
    pub(super) fn greeting(&self) -> Reply {
        let protocol = match self.policy.protocol {
            Protocol::Smtp => "ESMTP",
            Protocol::Lmtp => "LMTP",
        };
        Reply::bare(220, format!("{} {protocol} tokenrelay", self.policy.host_name))
    }

    pub(super) fn on_hello(&mut self, state: State, command: &Command<'_>) -> Turn {
        match (self.policy.protocol, command) {
            (Protocol::Lmtp, Command::Lhlo(_)) | (Protocol::Smtp, Command::Ehlo(_)) => self.offer(state),
            (Protocol::Smtp, Command::Helo(_)) => {
                let name = self.policy.host_name.clone();
                read_line(state.reset_to_named(), Some(Reply::bare(250, name)))
            }
            (Protocol::Lmtp, _) => {
                self.protest(state, reply(500, (5, 5, 1), "this door speaks LMTP; say LHLO"))
            }
            (Protocol::Smtp, _) => {
                self.protest(state, reply(502, (5, 5, 1), "this door speaks SMTP; say EHLO"))
            }
        }
    }

    fn offer(&self, state: State) -> Turn {
        let next = state.reset_to_named();
        let mut offers = vec![
            "PIPELINING".into(),
            format!("SIZE {}", self.policy.message_bytes_max).into(),
            "8BITMIME".into(),
            "SMTPUTF8".into(),
            "CHUNKING".into(),
            "ENHANCEDSTATUSCODES".into(),
        ];
        // RFC 8689 §4.2.1: offered within TLS only.
        if self.channel == Channel::Encrypted {
            offers.push("REQUIRETLS".into());
        }
        if self.present().is_some() || matches!(next, State::Ready(_)) {
            offers.push("XMRG".into());
        }
        match (self.channel, &next) {
            (Channel::Clear, _) => offers.push("STARTTLS".into()),
            (_, State::Named) if self.present().is_some() => offers.push("AUTH PLAIN LOGIN EXTERNAL".into()),
            (_, State::Named) => offers.push("AUTH PLAIN LOGIN".into()),
            _ => {}
        }
        read_line(next, Some(Reply::bare(250, self.policy.host_name.clone()).lines(offers)))
    }
}
