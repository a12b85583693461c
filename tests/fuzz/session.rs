//! A line in every state of an SMTP session: what is answered is a reply, and a message comes of it only where one may.

use crate::fuzz;
use std::sync::Arc;
use tokenrelay::accept::smtp::session::{Act, Channel, Event, Login, Policy, Protocol, Session, Unread};
use tokenrelay::engine::{Credential, Engine};
use tokenrelay::fault::{Fault, Reason, ReplyCode};
use tokenrelay::job::SendNumber;
use tokenrelay::ticket::{Outcome, Relayed, StageTimes};

const LOGIN: &str = "AUTH PLAIN AGNhbXBhaWducwBzM2NyZXQ=";
const MAIL: &str = "MAIL FROM:<bounce@shop.example>";
const RCPT: &str = "RCPT TO:<e_11111111@tokens.example>";
/// What leads to each state that awaits a line.
const STATES: &[(&str, Channel, &[&str])] = &[
    ("fresh", Channel::Clear, &[]),
    ("named in the clear", Channel::Clear, &["EHLO x"]),
    ("behind STARTTLS", Channel::Clear, &["EHLO x", "STARTTLS"]),
    ("named", Channel::Encrypted, &["EHLO x"]),
    ("PLAIN", Channel::Encrypted, &["EHLO x", "AUTH PLAIN"]),
    ("LOGIN, the user", Channel::Local, &["EHLO x", "AUTH LOGIN"]),
    ("LOGIN, the password", Channel::Encrypted, &["EHLO x", "AUTH LOGIN", "Y2FtcGFpZ25z"]),
    ("ready", Channel::Encrypted, &["EHLO x", LOGIN]),
    ("mail", Channel::Encrypted, &["EHLO x", LOGIN, MAIL]),
    ("addressed", Channel::Encrypted, &["EHLO x", LOGIN, MAIL, RCPT]),
    ("between chunks", Channel::Encrypted, &["EHLO x", LOGIN, MAIL, RCPT, "BDAT 10"]),
    ("behind a message", Channel::Encrypted, &["EHLO x", LOGIN, MAIL, RCPT, "DATA"]),
    ("behind a refused DATA", Channel::Encrypted, &["EHLO x", LOGIN, MAIL, "DATA"]),
    ("closed", Channel::Encrypted, &["QUIT"]),
];
const REPLY_LINE_OCTETS_MAX: usize = 512;

struct Stage {
    session: Session,
    submitted: usize,
    logged_in: bool,
    is_closed: bool,
    said: Vec<u8>,
}

impl Stage {
    fn new(channel: Channel) -> Self {
        let policy = Policy {
            host_name: "relay.example".into(),
            protocol: Protocol::Smtp,
            recipients_max: 1,
            token_domains: vec!["tokens.example".into()],
            message_bytes_max: 1000,
            errors_max: 5,
            messages_max: 3,
            commands_per_message_max: 30,
        };
        let session = Session::new(Arc::new(policy), channel);
        let mut stage = Self { session, submitted: 0, logged_in: false, is_closed: false, said: Vec::new() };
        stage.event(Event::Connected);
        stage
    }

    fn line(&mut self, line: &[u8], is_pipelined: bool) {
        self.event(Event::Line { line, is_pipelined });
    }

    /// A world in which everything asked for comes about at once.
    fn event(&mut self, event: Event<'_>) {
        let mut step = self.session.handle(event);
        for _ in 0..10 {
            if let Some(reply) = &step.reply {
                reply.write_to(&mut self.said);
            }
            step.more.iter().for_each(|reply| reply.write_to(&mut self.said));
            let next = match step.act {
                Act::ReadLine(_) => return,
                Act::Close => {
                    self.is_closed = true;
                    return;
                }
                Act::Encrypt => Event::Encrypted,
                Act::CheckPassword(offered) => {
                    let is_right = *offered.user == "campaigns" && *offered.password == b"s3cret";
                    self.logged_in |= is_right;
                    Event::PasswordChecked(if is_right { Login::As(engine()) } else { Login::Wrong })
                }
                Act::FindToken(token) => {
                    assert!(self.logged_in, "tokens are looked up for engines only");
                    let fault = Fault::new(Reason::UnknownToken, "nobody has this token");
                    Event::TokenChecked(if token.as_str() == "e_11111111" { Ok(()) } else { Err(fault) })
                }
                Act::ReadContent { .. } | Act::ReadChunk { .. } => Event::ContentRead(Ok(())),
                Act::SkipContent => Event::ContentRead(Err(Unread::NoRecipient)),
                Act::SkipChunk { .. } => Event::ChunkSkipped,
                Act::Submit(envelope) => {
                    assert!(self.logged_in, "a message of nobody");
                    self.submitted += 1;
                    let each = envelope.recipients.iter();
                    Event::Settled(each.map(|_| (SendNumber::from_bits([1; 16]), relayed())).collect())
                }
            };
            step = self.session.handle(next);
        }
        panic!("the session does not come to rest");
    }
}

fn engine() -> Arc<Engine> {
    Arc::new(Engine {
        name: "campaigns".into(),
        credential: Credential::of(b"s3cret"),
        templates: vec!["*".into()],
        fields: vec!["*".into()],
        purposes: vec!["service".into()],
        senders: None,
        allow_literal: vec![],
        purpose_default: None,
        rate_per_second_max: None,
    })
}

fn relayed() -> Outcome {
    let code = ReplyCode::new(250, 2, 0, 0);
    Outcome::Relayed(Relayed {
        target: "mta1".into(),
        code,
        attempt: 1,
        times: StageTimes::default(),
        repeat: tokenrelay::job::Repeat::No,
    })
}

#[test]
fn a_line_in_every_state() {
    let seeds: &[&[u8]] = &[
        b"EHLO x",
        b"STARTTLS",
        LOGIN.as_bytes(),
        b"AUTH LOGIN",
        b"AGNhbXBhaWducwBzM2NyZXQ=",
        b"czNjcmV0",
        b"*",
        MAIL.as_bytes(),
        RCPT.as_bytes(),
        b"RCPT TO:<dana@example.test>",
        b"DATA",
        b"BDAT 10",
        b"BDAT 10 LAST",
        b"BDAT 0 LAST",
        b"RSET",
        b"NOOP",
        b"VRFY x",
        b"HELP",
        b"QUIT",
        b"Subject: x",
        b"XMRG FROM:<a@b.example>",
    ];
    let words: &[&[u8]] =
        &[b" SIZE=99999", b" SMTPUTF8", b"\"", b"@tokens.example", b"=", b" LAST", b"FROM:<>"];
    fuzz(seeds, words, |line, mutator| {
        let is_pipelined = mutator.below(2) == 0;
        let mut answers = Vec::new();
        for (state, channel, script) in STATES {
            let mut stage = Stage::new(*channel);
            script.iter().for_each(|line| stage.line(line.as_bytes(), false));
            let before = stage.submitted;
            let was_logged_in = stage.logged_in;
            stage.said.clear();
            stage.line(line, is_pipelined);
            check_replies(&stage.said, state);
            let submitted = stage.submitted - before;
            let may_submit = matches!(*state, "addressed" | "between chunks") && is_content(line);
            assert!(submitted <= usize::from(may_submit), "{submitted} messages in the state '{state}'");
            let in_the_clear = matches!(*state, "fresh" | "named in the clear");
            assert!(!(in_the_clear && stage.logged_in), "a login in the clear");
            assert!(was_logged_in || !stage.logged_in || state.contains("LOGIN") || !stage.is_closed);
            // The answer to one more line: nothing once it has closed.
            answers.extend_from_slice(stage.said.get(..9).unwrap_or_default());
            if stage.is_closed {
                stage.said.clear();
                stage.line(RCPT.as_bytes(), false);
                assert!(stage.submitted == before + submitted);
            }
        }
        answers
    });
}

fn is_content(line: &[u8]) -> bool {
    let upper = line.to_ascii_uppercase();
    upper.starts_with(b"DATA")
        || (upper.starts_with(b"BDAT") && upper.ends_with(b"LAST") || upper.contains(&b' '))
}

/// Lines of printable ASCII, each with its code, each reply with its end; none echoes what only the client knows.
fn check_replies(said: &[u8], state: &str) {
    let text = std::str::from_utf8(said).unwrap_or_else(|_| panic!("not ASCII in the state '{state}'"));
    assert!(text.is_empty() || text.ends_with("\r\n"));
    for line in text.split_terminator("\r\n") {
        assert!(line.len() + 2 <= REPLY_LINE_OCTETS_MAX);
        assert!(line.bytes().all(|octet| (b' '..=b'~').contains(&octet)), "{line:?} in the state '{state}'");
        let (code, rest) = line.split_at_checked(3).unwrap_or_else(|| panic!("{line:?}"));
        assert!(matches!(code.as_bytes(), [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9']), "{line:?}");
        assert!(rest.starts_with([' ', '-']), "{line:?}");
    }
    let last = text.split_terminator("\r\n").last().unwrap_or("250 ");
    assert_eq!(last.as_bytes()[3], b' ', "the last line ends the reply");
}
