//! What comes before a first message: EHLO, STARTTLS, AUTH.

use super::{Dialogue, Flow, Mode, Parting};
use crate::load::sink::SinkTls;
use crate::load::sink::script::Step;
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};

impl Dialogue {
    pub(super) async fn take_starttls<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
    ) -> io::Result<Flow> {
        if self.is_tls || !self.offers_starttls() {
            return self.say("503 5.5.1 not now");
        }
        let said = self.answer(stream, Step::StartTls, "220 2.0.0 ready").await?;
        Ok(if said.is_positive() && !said.closes { Flow::Leave(Parting::StartTls) } else { said.flow() })
    }

    pub(super) fn offers_starttls(&self) -> bool {
        let settings = &self.shared.settings;
        matches!(settings.tls, SinkTls::StartTls(_)) && settings.script.offers.starttls && !self.is_tls
    }

    pub(super) fn ehlo_reply(&self) -> String {
        let offers = &self.shared.settings.script.offers;
        let may_authenticate = self.is_tls || matches!(self.shared.settings.tls, SinkTls::None);
        let size = format!("SIZE {}", offers.size_octets_max);
        let lines = [
            (true, "sink.test"),
            (offers.pipelining, "PIPELINING"),
            (offers.eight_bit_mime, "8BITMIME"),
            (offers.smtputf8, "SMTPUTF8"),
            (offers.chunking, "CHUNKING"),
            (offers.require_tls && self.is_tls, "REQUIRETLS"),
            (self.offers_starttls(), "STARTTLS"),
            (self.shared.settings.auth.is_some() && may_authenticate, "AUTH PLAIN LOGIN"),
            (true, "ENHANCEDSTATUSCODES"),
        ];
        let mut reply = String::new();
        for (_, line) in lines.iter().filter(|(offered, _)| *offered) {
            reply.push_str(&format!("250-{line}\r\n"));
        }
        reply + "250 " + &size
    }

    pub(super) async fn take_auth<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        argument: &[u8],
    ) -> io::Result<Flow> {
        let (mechanism, initial) = verb_like(argument);
        if mechanism.eq_ignore_ascii_case(b"PLAIN") {
            self.mode = Mode::AuthPlain;
            if !initial.is_empty() {
                return self.take_auth_line(stream, initial).await;
            }
            return self.say("334 ");
        }
        if mechanism.eq_ignore_ascii_case(b"LOGIN") {
            self.mode = Mode::AuthUser;
            return self.say("334 VXNlcm5hbWU6");
        }
        self.say("504 5.5.4 unknown mechanism")
    }

    pub(super) async fn take_auth_line<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        line: &[u8],
    ) -> io::Result<Flow> {
        let answer = data_encoding::BASE64.decode(line).unwrap_or_default();
        let offered = match std::mem::replace(&mut self.mode, Mode::Command) {
            Mode::AuthUser => {
                self.mode = Mode::AuthPassword { user: answer };
                return self.say("334 UGFzc3dvcmQ6");
            }
            Mode::AuthPassword { user } => (user, answer),
            _ => {
                let mut parts = answer.splitn(3, |octet| *octet == 0).skip(1).map(<[u8]>::to_vec);
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
            }
        };
        let is_known =
            self.shared.settings.auth.as_ref().is_some_and(|(user, password)| {
                offered.0 == user.as_bytes() && offered.1 == password.as_bytes()
            });
        let usual = if is_known { "235 2.7.0 welcome" } else { "535 5.7.8 wrong user or password" };
        let said = self.answer(stream, Step::Auth, usual).await?;
        self.is_authenticated |= said.is_positive();
        Ok(said.flow())
    }
}

fn verb_like(argument: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b' ', argument).unwrap_or(argument.len());
    (&argument[..end], argument[end..].trim_ascii())
}
