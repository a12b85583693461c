//! The machine by table: what each state answers to each event, and where it goes from there.

mod lmtp;
mod merge;

use super::*;
use crate::engine::Credential;
use crate::fault::Reason;
use crate::ticket::{Relayed, StageTimes};
use crate::wire::sasl::BadResponse;
use proptest::strategy::Strategy;

const LOGIN: &str = "AUTH PLAIN AGNhbXBhaWducwBzM2NyZXQ=";
const WRONG: &str = "AUTH PLAIN AGNhbXBhaWducwB3cm9uZw==";
const MAIL: &str = "MAIL FROM:<bounce@shop.example>";
const RCPT: &str = "RCPT TO:<e_11111111@tokens.example>";
/// What DATA without an accepted recipient gets: the content is taken and dropped.
const NOBODY: &str = "354 end data with <CR><LF>.<CR><LF>\r\n554 5.5.1 no valid recipients";

fn policy() -> Policy {
    Policy {
        host_name: "relay.example".into(),
        protocol: Protocol::Smtp,
        recipients_max: 1,
        token_domains: vec!["tokens.example".into()],
        message_bytes_max: 1000,
        errors_max: 5,
        messages_max: 3,
        commands_per_message_max: 30,
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

fn outcome_of(recipient: &Recipient) -> (SendNumber, Outcome) {
    let code = ReplyCode::new(250, 2, 0, 0);
    let outcome = match recipient.token.as_str() {
        "e_refused1" => Outcome::Failed(Fault::refused(ReplyCode::new(550, 5, 1, 1), "mta1 refused it")),
        _ => {
            let times = StageTimes::default();
            Outcome::Relayed(Relayed {
                target: "mta1".into(),
                code,
                attempt: 1,
                times,
                repeat: crate::job::Repeat::No,
            })
        }
    };
    (SendNumber::from_bits([1; 16]), outcome)
}

/// A session whose world answers at once: the password is `s3cret`, `e_unknown1` is unknown.
struct Stage {
    session: Session,
    submitted: Vec<Envelope>,
    notices: Vec<Notice>,
    content: Result<(), Unread>,
}

impl Stage {
    fn new(channel: Channel) -> Self {
        Self::of(policy(), channel)
    }

    fn of(policy: Policy, channel: Channel) -> Self {
        let greeting = match policy.protocol {
            Protocol::Smtp => "220 relay.example ESMTP",
            Protocol::Lmtp => "220 relay.example LMTP",
        };
        let session = Session::new(Arc::new(policy), channel);
        let mut stage = Self { session, submitted: Vec::new(), notices: Vec::new(), content: Ok(()) };
        assert!(stage.event(Event::Connected).starts_with(greeting));
        stage
    }

    /// A door of this machine's own engine.
    fn lmtp() -> Self {
        let policy = Policy { protocol: Protocol::Lmtp, recipients_max: 3, ..policy() };
        let mut stage = Self::of(policy, Channel::Local);
        stage.session.recognise(Some(engine()));
        stage.play(&[("LHLO x", "250-relay.example")]);
        stage
    }

    fn logged_in() -> Self {
        let mut stage = Self::new(Channel::Encrypted);
        stage.play(&[("EHLO x", "250"), (LOGIN, "235 2.7.0")]);
        stage
    }

    /// Every reply until the session waits for a line; `[closed]` at the end when it does not any more.
    fn event(&mut self, event: Event<'_>) -> String {
        let mut out = Vec::new();
        let mut step = self.session.handle(event);
        loop {
            for reply in step.reply.iter().chain(&step.more) {
                reply.write_to(&mut out);
            }
            self.notices.extend(step.notice);
            step = match step.act {
                Act::ReadLine(_) => break,
                Act::Close => {
                    out.extend_from_slice(b"[closed]");
                    break;
                }
                Act::Encrypt => self.session.handle(Event::Encrypted),
                Act::CheckPassword(offered) => {
                    let is_right = *offered.user == "campaigns" && *offered.password == b"s3cret";
                    let login = if is_right { Login::As(engine()) } else { Login::Wrong };
                    self.session.handle(Event::PasswordChecked(login))
                }
                Act::FindToken(token) => {
                    let fault = Fault::new(Reason::UnknownToken, "nobody has this token");
                    let found = if token.as_str() == "e_unknown1" { Err(fault) } else { Ok(()) };
                    self.session.handle(Event::TokenChecked(found))
                }
                Act::ReadContent { .. } | Act::ReadChunk { .. } => {
                    self.session.handle(Event::ContentRead(self.content))
                }
                Act::SkipContent => self.session.handle(Event::ContentRead(Err(Unread::NoRecipient))),
                Act::SkipChunk { .. } => self.session.handle(Event::ChunkSkipped),
                Act::Submit(envelope) => {
                    let outcomes = envelope.recipients.iter().map(outcome_of).collect();
                    self.submitted.push(envelope);
                    self.session.handle(Event::Settled(outcomes))
                }
            };
        }
        String::from_utf8(out).unwrap()
    }

    fn line(&mut self, line: &str) -> String {
        self.event(Event::Line { line: line.as_bytes(), is_pipelined: false })
    }

    fn play(&mut self, script: &[(&str, &str)]) {
        for (line, expected) in script {
            let said = self.line(line);
            assert!(said.starts_with(expected), "{line}: {said} instead of {expected}");
            assert_eq!(
                said.ends_with("[closed]"),
                expected.starts_with("421") || *line == "QUIT",
                "{line}: {said}"
            );
        }
    }
}

#[test]
fn a_message_goes_from_login_to_its_outcome() {
    let mut stage = Stage::new(Channel::Clear);
    stage.play(&[
        ("EHLO engine.example", "250-relay.example\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME"),
        ("STARTTLS", "220 2.0.0"),
        ("EHLO engine.example", "250-relay.example"),
        (LOGIN, "235 2.7.0"),
        (MAIL, "250 2.1.0"),
        (RCPT, "250 2.1.5"),
        ("DATA", "354 end data with <CR><LF>.<CR><LF>\r\n250 2.0.0 Ok: relayed as s_"),
        ("MAIL FROM:<>", "250 2.1.0"),
        ("RCPT TO:<\"E_2222\\2222\"@TOKENS.example>", "250 2.1.5"),
        ("BDAT 10", "250 2.0.0 Ok: 10 octets so far"),
        ("BDAT 0 LAST", "250 2.0.0 Ok: relayed as s_"),
        ("QUIT", "221 2.0.0"),
    ]);
    let [first, second] = stage.submitted.as_slice() else { panic!("two messages") };
    assert_eq!((&*first.sender, first.recipients[0].token.as_str()), ("bounce@shop.example", "e_11111111"));
    assert_eq!((&*second.sender, second.recipients[0].token.as_str()), ("", "e_22222222"));
}

#[test]
fn what_ehlo_offers_depends_on_the_channel_and_the_login() {
    let offer = |stage: &mut Stage| {
        let said = stage.line("EHLO x");
        (said.contains("STARTTLS"), said.contains("AUTH PLAIN LOGIN"))
    };
    assert_eq!(offer(&mut Stage::new(Channel::Clear)), (true, false));
    assert_eq!(offer(&mut Stage::new(Channel::Encrypted)), (false, true));
    assert_eq!(offer(&mut Stage::new(Channel::Local)), (false, true));
    assert_eq!(offer(&mut Stage::logged_in()), (false, false));
}

#[test]
fn nothing_is_done_before_encryption_and_login() {
    let script = [("EHLO x", "250"), (MAIL, "530 5.7.0"), (LOGIN, "538 5.7.11"), (RCPT, "530 5.7.0")];
    Stage::new(Channel::Clear).play(&script);
    let script = [(LOGIN, "503"), ("EHLO x", "250"), (MAIL, "530 5.7.0")];
    let mut stage = Stage::new(Channel::Encrypted);
    stage.play(&script);
    assert!(stage.line("DATA").starts_with("530 5.7.0"));
    let mut stage = Stage::new(Channel::Encrypted);
    stage.play(&[("EHLO x", "250"), ("STARTTLS", "503 5.5.1")]);
    assert!(stage.line("BDAT 10 LAST").starts_with("530 5.7.0") && stage.submitted.is_empty());
    Stage::new(Channel::Local).play(&[("STARTTLS", "502 5.5.1")]);
}

#[test]
fn every_failed_login_gets_one_answer() {
    let other_identity = "AUTH PLAIN b3RoZXIAY2FtcGFpZ25zAHMzY3JldA==";
    let unknown_user = "AUTH PLAIN AG5vYm9keQBzM2NyZXQ=";
    for attempt in [WRONG, other_identity, unknown_user] {
        let mut stage = Stage::new(Channel::Encrypted);
        stage.play(&[("EHLO x", "250"), (attempt, "535 5.7.8 the credentials are not accepted\r\n")]);
        stage.play(&[(MAIL, "530"), (LOGIN, "235"), (LOGIN, "503")]);
    }
    let mut stage = Stage::new(Channel::Encrypted);
    stage.play(&[
        ("EHLO x", "250"),
        ("AUTH CRAM-MD5", "504 5.5.4"),
        ("AUTH PLAIN", "334 \r\n"),
        ("*", "501 5.7.0"),
    ]);
    stage.play(&[
        ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
        ("Y2FtcGFpZ25z", "334 UGFzc3dvcmQ6"),
        ("czNjcmV0", "235"),
    ]);
    let mut stage = Stage::new(Channel::Encrypted);
    stage.play(&[
        ("EHLO x", "250"),
        ("AUTH LOGIN Y2FtcGFpZ25z", "334"),
        ("not base64", "501 5.5.2"),
        (MAIL, "530"),
    ]);
    let mut stage = Stage::new(Channel::Encrypted);
    stage.play(&[
        ("EHLO x", "250"),
        (WRONG, "535"),
        (WRONG, "535"),
        (WRONG, "535"),
        (WRONG, "535"),
        (WRONG, "421"),
    ]);
}

#[test]
fn only_known_tokens_are_recipients() {
    let mut stage = Stage::logged_in();
    stage.play(&[
        (RCPT, "503 5.5.1"),
        (MAIL, "250"),
        (MAIL, "503 5.5.1"),
        ("RCPT TO:<dana@example.test>", "550 5.7.1 not-a-token"),
        ("RCPT TO:<dana@tokens.example>", "550 5.7.1 not-a-token"),
        ("RCPT TO:<\"e_1111111 1\"@tokens.example>", "550 5.7.1 not-a-token"),
        ("RCPT TO:<postmaster>", "550 5.7.1 not-a-token"),
        ("RCPT TO:<e_unknown1@tokens.example>", "550 5.1.1 unknown-token"),
        ("DATA", NOBODY),
        (MAIL, "250"),
        (RCPT, "250 2.1.5"),
        (RCPT, "250 2.1.5"),
        ("RCPT TO:<e_22222222@tokens.example>", "452 4.5.3"),
        ("RCPT TO:<dana@example.test>", "550 5.7.1"),
        ("RSET", "250 2.0.0"),
    ]);
    assert!(stage.submitted.is_empty());
}

#[test]
fn a_refused_address_is_never_repeated() {
    let mut stage = Stage::logged_in();
    stage.play(&[(MAIL, "250")]);
    for line in ["RCPT TO:<dana@example.test>", "RCPT TO:<dana@@>", "MAIL FROM:<dana"] {
        assert!(!stage.line(line).contains("dana"), "{line}");
    }
}

#[test]
fn parameters_are_judged_at_mail() {
    let mut stage = Stage::logged_in();
    stage.play(&[
        ("MAIL FROM:<a@b.example> SIZE=1001", "552 5.3.4"),
        ("MAIL FROM:<דנה@b.example>", "553 5.6.7"),
        ("MAIL FROM:<a@b.example> SIZE=x", "501 5.5.4"),
        ("MAIL FROM:<a@b.example> XYZ=x", "555 5.5.4"),
        ("MAIL FROM:<@a,@b:c@d.example>", "501 5.1.7"),
        ("MAIL FROM:<דנה@b.example> SMTPUTF8 SIZE=1000 BODY=8BITMIME", "250 2.1.0"),
    ]);
}

#[test]
fn requiretls_is_for_tls() {
    let mut stage = Stage::new(Channel::Encrypted);
    assert!(stage.line("EHLO x").contains("250-REQUIRETLS"));
    stage.play(&[
        (LOGIN, "235"),
        ("MAIL FROM:<a@b.example> REQUIRETLS", "250"),
        (RCPT, "250"),
        ("DATA", "354"),
        (MAIL, "250"),
        (RCPT, "250"),
        ("DATA", "354"),
    ]);
    assert_eq!(stage.submitted.iter().map(|sent| sent.require_tls).collect::<Vec<_>>(), [true, false]);
    let mut stage = Stage::new(Channel::Local);
    assert!(!stage.line("EHLO x").contains("REQUIRETLS"));
    stage.play(&[(LOGIN, "235"), ("MAIL FROM:<a@b.example> REQUIRETLS", "555 5.5.4")]);
}

/// Not offered, since they could not be passed on: a report about the person's address would come back to the engine.
#[test]
fn delivery_report_parameters_are_checked_and_not_kept() {
    let mut stage = Stage::logged_in();
    assert!(!stage.line("EHLO x").contains("DSN"));
    stage.play(&[
        ("MAIL FROM:<a@b.example> RET=HDRS ENVID=c42", "250 2.1.0"),
        ("RCPT TO:<e_11111111@tokens.example> NOTIFY=NEVER,DELAY", "501 5.5.4"),
        (
            "RCPT TO:<e_11111111@tokens.example> NOTIFY=NEVER ORCPT=rfc822;e_11111111@tokens.example",
            "250 2.1.5",
        ),
        ("DATA", "354"),
    ]);
}

#[test]
fn commands_outside_the_flow() {
    let mut stage = Stage::new(Channel::Encrypted);
    stage.play(&[
        ("NOOP", "250 2.0.0"),
        ("HELP", "214 2.0.0"),
        ("VRFY dana", "252 2.5.2"),
        ("EXPN list", "252 2.5.2"),
        ("RSET", "250 2.0.0"),
        ("HELO x", "250 relay.example"),
        ("ETRN x", "502 5.5.1"),
        ("LHLO x", "502 5.5.1"),
        ("XYZZY", "500 5.5.1"),
        ("EHLO", "501 5.5.4"),
        ("XYZZY", "421 4.7.0"),
    ]);
}

#[test]
fn what_follows_starttls_or_a_refused_data_is_never_read() {
    let mut stage = Stage::new(Channel::Clear);
    stage.play(&[("EHLO x", "250")]);
    let said = stage.event(Event::Line { line: b"STARTTLS", is_pipelined: true });
    assert!(said.starts_with("554 5.5.1") && said.ends_with("[closed]"));
    for script in [
        &[][..],
        &[("RSET", "250")],
        &[("MAIL FROM:<a@b.example> SIZE=1001", "552"), (RCPT, "503")],
        &[("XMRG FROM:<>", "250"), ("XDFN a=b", "250")],
        &[("XMRG FROM:<>", "250"), (RCPT, "250")],
        &[(MAIL, "250"), (RCPT, "250"), ("BDAT 5", "250")],
    ] {
        let mut stage = Stage::logged_in();
        stage.play(script);
        let said = stage.line("DATA");
        let is_refused = said.starts_with("503 5.5.1") || said.starts_with("554 5.5.1");
        assert!(is_refused && said.ends_with("[closed]"), "{script:?}: {said}");
        assert!(stage.submitted.is_empty());
    }
}

/// `AUTH PLAIN` with this message.
fn plain(message: &[u8]) -> String {
    format!("AUTH PLAIN {}", data_encoding::BASE64.encode(message))
}

#[test]
fn b1_an_authorization_identity_is_the_user_or_refused() {
    let mut stage = Stage::new(Channel::Encrypted);
    stage.play(&[("EHLO x", "250"), (&plain(b"campaigns\0campaigns\0s3cret"), "235 2.7.0")]);
    stage.play(&[(MAIL, "250"), (RCPT, "250")]);
    assert!(stage.notices.is_empty());
    let mut stage = Stage::new(Channel::Encrypted);
    stage.play(&[("EHLO x", "250"), (&plain(b"other\0campaigns\0s3cret"), "535 5.7.8"), (LOGIN, "235")]);
    assert_eq!(stage.notices, [Notice::Login(LoginRefusal::Response(BadResponse::AuthorizationIdentity))]);
}

#[test]
fn b1_every_refused_login_is_told_with_its_reason() {
    let response = LoginRefusal::Response;
    for (script, refusal) in [
        (&[(WRONG, "535")][..], LoginRefusal::WrongSecret),
        (&[("AUTH PLAIN !", "501")], response(BadResponse::NotBase64)),
        (&[("AUTH PLAIN", "334"), ("*", "501")], response(BadResponse::Cancelled)),
        (&[("AUTH LOGIN", "334"), ("=", "535")], response(BadResponse::Malformed)),
        (&[("AUTH CRAM-MD5", "504")], LoginRefusal::Mechanism),
        (&[("AUTH EXTERNAL =", "535")], LoginRefusal::External),
        (&[(MAIL, "530")], LoginRefusal::Missing),
    ] {
        let mut stage = Stage::new(Channel::Encrypted);
        stage.play(&[("EHLO x", "250")]);
        stage.play(script);
        assert_eq!(stage.notices, [Notice::Login(refusal)], "{script:?}");
    }
    let mut stage = Stage::new(Channel::Clear);
    stage.play(&[("EHLO x", "250"), (LOGIN, "538")]);
    assert_eq!(stage.notices, [Notice::Login(LoginRefusal::Unencrypted)]);
}

#[test]
fn b3_a_further_recipient_where_one_is_taken_is_told() {
    let mut stage = Stage::logged_in();
    stage.play(&[(MAIL, "250"), (RCPT, "250"), ("RCPT TO:<e_22222222@tokens.example>", "452 4.5.3")]);
    assert_eq!(stage.notices, [Notice::OneRecipient]);
}

#[test]
fn a_header_field_in_place_of_a_command_ends_the_session() {
    let mut stage = Stage::logged_in();
    assert!(stage.line("Subject: x").ends_with("closing the connection\r\n[closed]"));
}

#[test]
fn unreadable_content_is_answered_or_ends_the_session() {
    for (content, expected, is_closed) in [
        (Unread::TooLarge, "552 5.3.4", false),
        (Unread::NoRoom, "452 4.3.1", false),
        (Unread::NoRecipient, "554 5.5.1", false),
        (Unread::Farewell, "554 5.5.1", true),
        (Unread::Endless, "552 5.3.4", true),
        (Unread::Bad(BadData::BareLf), "554 5.5.2 bare LF", true),
        (Unread::Bad(BadData::BareCr), "554 5.5.2 bare CR", true),
        (Unread::Bad(BadData::Nul), "554 5.5.2 NUL", true),
    ] {
        for (command, prefix) in [("DATA", "354 end data with <CR><LF>.<CR><LF>\r\n"), ("BDAT 5 LAST", "")] {
            let mut stage = Stage::logged_in();
            stage.play(&[(MAIL, "250"), (RCPT, "250")]);
            stage.content = Err(content);
            let said = stage.line(command);
            assert!(said.starts_with(&format!("{prefix}{expected}")), "{said}");
            assert_eq!(said.ends_with("[closed]"), is_closed);
            assert!(stage.submitted.is_empty() && !stage.session.is_within_message());
        }
    }
}

#[test]
fn chunks_are_counted_and_belong_to_one_message() {
    let mut stage = Stage::logged_in();
    stage.play(&[
        ("BDAT 5", "503 5.5.1"),
        (MAIL, "250"),
        ("BDAT 5", "554 5.5.1"),
        (RCPT, "250"),
        ("BDAT 600", "250 2.0.0"),
        (MAIL, "503 5.5.1"),
        ("BDAT 401", "552 5.3.4"),
        ("BDAT 1 LAST", "503 5.5.1"),
        (MAIL, "250"),
    ]);
    assert!(stage.submitted.is_empty());
    assert!(stage.line("BDAT 1001").ends_with("[closed]"), "larger than any message may be");
}

#[test]
fn limits_send_the_client_away() {
    let mut stage = Stage::logged_in();
    for _ in 0..3 {
        stage.play(&[(MAIL, "250"), (RCPT, "250"), ("DATA", "354")]);
    }
    stage.play(&[(MAIL, "421 4.7.0")]);
    let mut stage = Stage::logged_in();
    for _ in 0..28 {
        stage.play(&[("NOOP", "250")]);
    }
    stage.play(&[("NOOP", "421 4.7.0")]);
    for (event, expected) in [
        (Event::TimedOut, "421 4.4.2"),
        (Event::TooOld, "421 4.3.2"),
        (Event::UsedUp, "421 4.7.0"),
        (Event::SourceUsedUp, "421 4.7.1"),
        (Event::Disowned, "421 4.7.0"),
        (Event::ShuttingDown, "421 4.3.2"),
        (Event::BadLine(BadLine::TooLong), "500 5.5.6"),
        (Event::BadLine(BadLine::BareLf), "500 5.5.2 bare LF"),
        (Event::ChunkSkipped, ""),
        (Event::Encrypted, "421 4.3.0"),
    ] {
        let said = Stage::logged_in().event(event);
        assert!(said.starts_with(expected) && said.ends_with("[closed]") != expected.is_empty(), "{said}");
    }
}

#[test]
fn refused_tokens_of_a_pipelining_client_are_no_errors() {
    let mut stage = Stage::logged_in();
    for _ in 0..9 {
        stage.play(&[(MAIL, "250"), ("RCPT TO:<e_unknown1@tokens.example>", "550"), ("DATA", NOBODY)]);
        stage.session.commands = 0;
        stage.play(&[("RSET", "250")]);
    }
}

#[test]
fn a_refused_message_says_why_and_the_session_goes_on() {
    let mut session = Session::new(Arc::new(policy()), Channel::Encrypted);
    session.state = State::Settling(engine(), vec![0]);
    let step = session.handle(Event::Refused(Fault::new(Reason::BadJob, "the message is empty")));
    let reply = step.reply.unwrap();
    assert_eq!((reply.code().basic, reply.text()), (550, "bad-job: the message is empty"));
    assert!(matches!((step.act, &session.state), (Act::ReadLine(_), State::Ready(_))));
}

#[test]
fn whom_the_channel_shows_needs_no_login() {
    let shown = || {
        let mut stage = Stage::of(policy(), Channel::Encrypted);
        stage.session.recognise(Some(engine()));
        assert!(stage.line("EHLO x").contains("AUTH PLAIN LOGIN EXTERNAL"));
        stage
    };
    shown().play(&[(MAIL, "250"), (RCPT, "250"), ("DATA", "354"), ("RSET", "250"), (MAIL, "250")]);
    shown().play(&[("AUTH EXTERNAL =", "235"), (MAIL, "250")]);
    shown().play(&[("AUTH EXTERNAL", "334 \r\n"), ("", "235"), (MAIL, "250")]);
    shown().play(&[("AUTH EXTERNAL Y2FtcGFpZ25z", "235"), ("AUTH EXTERNAL =", "503")]);
    shown().play(&[("AUTH EXTERNAL b3RoZXI=", "535 5.7.8"), (LOGIN, "235")]);
    let mut stranger = Stage::new(Channel::Encrypted);
    stranger.play(&[("EHLO x", "250"), ("AUTH EXTERNAL =", "535 5.7.8"), (MAIL, "530"), (RCPT, "530")]);
}

proptest::proptest! {
    /// Any line in any state: no panic, and nothing is submitted without a login.
    #[test]
    fn no_line_breaks_a_session(lines in proptest::collection::vec(
        proptest::prop_oneof![
            "[ -~]{0,20}",
            proptest::sample::select(vec![
                "EHLO x", "STARTTLS", "XMRG FROM:<>", "XDFN a=b", "XPRT 1 LAST", "AUTH EXTERNAL =", "AUTH LOGIN", "AUTH PLAIN", WRONG, LOGIN, MAIL, RCPT, "DATA", "BDAT 3",
                "BDAT 3 LAST", "RSET", "*", "QUIT",
            ]).prop_map(String::from),
        ], 0..30),
    ) {
        let mut stage = Stage::new(Channel::Clear);
        let mut is_logged_in = false;
        for line in lines {
            let said = stage.line(&line);
            is_logged_in |= said.starts_with("235");
            proptest::prop_assert!(!said.is_empty(), "every line is answered");
            proptest::prop_assert!(is_logged_in || stage.submitted.is_empty());
            if said.ends_with("[closed]") {
                break;
            }
        }
    }
}
