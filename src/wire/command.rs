//! Reads one command line of an SMTP or LMTP client (RFC 5321 §4.1, 2033, 3030, 3207, 4954).

use crate::wire::params::{self, BadParams, MailParams};
use crate::wire::path::{self, Address, BadPath};

/// Longest name a client may give itself.
const CLIENT_NAME_OCTETS_MAX: usize = 255;
/// RFC 4422 §3.1.
const MECHANISM_OCTETS_MAX: usize = 20;

/// A command that is syntactically right. Whether it is allowed now is the session's question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    Ehlo(&'a str),
    Helo(&'a str),
    Lhlo(&'a str),
    StartTls,
    Auth(Mechanism, Option<&'a str>),
    /// `None` is the null reverse-path.
    Mail(Option<Address<'a>>, MailParams),
    Rcpt(Address<'a>),
    Data,
    Bdat {
        octets: u64,
        is_last: bool,
    },
    /// PowerMTA's `XMRG`: as `MAIL`, and recipients have variables.
    Merge(Option<Address<'a>>, MailParams),
    /// `XDFN`, its definitions as written.
    Define(&'a str),
    /// `XPRT`: a part of the merged content.
    Part {
        number: u32,
        is_last: bool,
    },
    Rset,
    Noop,
    Quit,
    Help,
    /// `VRFY` and `EXPN`.
    Verify,
    Etrn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    Login,
    /// The channel itself shows who it is (RFC 4422 appendix A).
    External,
    /// Well formed, but not offered here.
    Other,
}

/// Why a line is not a command. Holds nothing of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCommand {
    #[error("the command is not known")]
    Unknown,
    /// What a message begins with (RFC 5322 §2.2), or a request of another protocol goes on with.
    #[error("a header field in place of a command")]
    HeaderField,
    #[error("the arguments of {0} are not well formed")]
    Arguments(&'static str),
    #[error("{0}")]
    Sender(BadPath),
    #[error("{0}")]
    Recipient(BadPath),
    #[error("{0}")]
    Params(BadParams),
}

/// `line` comes without its CRLF.
///
/// # Errors
/// [`BadCommand`].
pub fn parse(line: &[u8]) -> Result<Command<'_>, BadCommand> {
    let line = std::str::from_utf8(line).map_err(|_| BadCommand::Unknown)?;
    let line = line.trim_end_matches(' ');
    let (verb, arguments) = line.split_once(' ').unwrap_or((line, ""));
    let is = |name: &str| verb.eq_ignore_ascii_case(name);
    let alone = |command: Command<'static>, name| {
        if arguments.is_empty() { Ok(command) } else { Err(BadCommand::Arguments(name)) }
    };
    match verb.len() {
        4 if is("EHLO") => client_name(arguments, "EHLO").map(Command::Ehlo),
        4 if is("HELO") => client_name(arguments, "HELO").map(Command::Helo),
        4 if is("LHLO") => client_name(arguments, "LHLO").map(Command::Lhlo),
        4 if is("AUTH") => auth(arguments),
        4 if is("MAIL") => mail(arguments),
        4 if is("XMRG") => mail(arguments).map(|command| match command {
            Command::Mail(sender, params) => Command::Merge(sender, params),
            other => other,
        }),
        4 if is("XDFN") => Ok(Command::Define(arguments)),
        4 if is("XPRT") => part(arguments),
        4 if is("RCPT") => rcpt(arguments),
        4 if is("DATA") => alone(Command::Data, "DATA"),
        4 if is("BDAT") => bdat(arguments),
        4 if is("RSET") => alone(Command::Rset, "RSET"),
        4 if is("NOOP") => Ok(Command::Noop),
        4 if is("QUIT") => alone(Command::Quit, "QUIT"),
        4 if is("HELP") => Ok(Command::Help),
        4 if is("VRFY") || is("EXPN") => Ok(Command::Verify),
        4 if is("ETRN") => Ok(Command::Etrn),
        8 if is("STARTTLS") => alone(Command::StartTls, "STARTTLS"),
        _ if is_header_field(verb) => Err(BadCommand::HeaderField),
        _ => Err(BadCommand::Unknown),
    }
}

fn is_header_field(first_word: &str) -> bool {
    let name = first_word.split_once(':').map_or("", |(name, _)| name);
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic())
}

/// Names that clients give themselves are often not domains; anything printable without spaces is taken.
fn client_name<'a>(arguments: &'a str, verb: &'static str) -> Result<&'a str, BadCommand> {
    let name = arguments.trim_matches(' ');
    let is_well_formed = (1..=CLIENT_NAME_OCTETS_MAX).contains(&name.len())
        && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    if is_well_formed { Ok(name) } else { Err(BadCommand::Arguments(verb)) }
}

fn auth(arguments: &str) -> Result<Command<'_>, BadCommand> {
    let (name, initial) = match arguments.split_once(' ') {
        Some((name, initial)) => (name, Some(initial)),
        None => (arguments, None),
    };
    let is_name = (1..=MECHANISM_OCTETS_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !is_name || initial.is_some_and(|text| text.is_empty() || text.contains(' ')) {
        return Err(BadCommand::Arguments("AUTH"));
    }
    let mechanism = match name {
        _ if name.eq_ignore_ascii_case("PLAIN") => Mechanism::Plain,
        _ if name.eq_ignore_ascii_case("LOGIN") => Mechanism::Login,
        _ if name.eq_ignore_ascii_case("EXTERNAL") => Mechanism::External,
        _ => Mechanism::Other,
    };
    Ok(Command::Auth(mechanism, initial))
}

fn mail(arguments: &str) -> Result<Command<'_>, BadCommand> {
    let (reverse_path, rest) = path::parse(after(arguments, "FROM:")?).map_err(BadCommand::Sender)?;
    if reverse_path.is_some_and(|address| address.domain().is_empty()) {
        return Err(BadCommand::Sender(BadPath::Domain));
    }
    Ok(Command::Mail(reverse_path, params::parse_mail(rest).map_err(BadCommand::Params)?))
}

fn rcpt(arguments: &str) -> Result<Command<'_>, BadCommand> {
    let (forward_path, rest) = path::parse(after(arguments, "TO:")?).map_err(BadCommand::Recipient)?;
    let address = forward_path.ok_or(BadCommand::Recipient(BadPath::LocalPart))?;
    params::check_rcpt(rest).map_err(BadCommand::Params)?;
    Ok(Command::Rcpt(address))
}

/// The path after `FROM:` or `TO:`. Spaces before it are not in the grammar, but in many clients.
fn after<'a>(arguments: &'a str, prefix: &'static str) -> Result<&'a str, BadCommand> {
    let Some((start, path)) = arguments.split_at_checked(prefix.len()) else {
        return Err(BadCommand::Arguments(prefix));
    };
    if start.eq_ignore_ascii_case(prefix) {
        Ok(path.trim_start_matches(' '))
    } else {
        Err(BadCommand::Arguments(prefix))
    }
}

fn part(arguments: &str) -> Result<Command<'_>, BadCommand> {
    let (digits, is_last) = match arguments.split_once(' ') {
        Some((digits, word)) if word.eq_ignore_ascii_case("LAST") => (digits, true),
        Some(_) => return Err(BadCommand::Arguments("XPRT")),
        None => (arguments, false),
    };
    let is_number = (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| is_number).ok_or(BadCommand::Arguments("XPRT"))?;
    Ok(Command::Part { number, is_last })
}

fn bdat(arguments: &str) -> Result<Command<'_>, BadCommand> {
    let fault = BadCommand::Arguments("BDAT");
    let mut words = arguments.split(' ');
    let digits = words.next().unwrap_or_default();
    if !(1..=20).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(fault);
    }
    let octets = digits.parse().map_err(|_| fault)?;
    match (words.next(), words.next()) {
        (None, _) => Ok(Command::Bdat { octets, is_last: false }),
        (Some(word), None) if word.eq_ignore_ascii_case("LAST") => {
            Ok(Command::Bdat { octets, is_last: true })
        }
        _ => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_command_is_read() {
        assert_eq!(parse(b"ehlo [192.0.2.1]"), Ok(Command::Ehlo("[192.0.2.1]")));
        assert_eq!(parse(b"HELO my_host"), Ok(Command::Helo("my_host")));
        assert_eq!(parse(b"LHLO x"), Ok(Command::Lhlo("x")));
        assert_eq!(parse(b"StartTLS"), Ok(Command::StartTls));
        assert_eq!(parse(b"AUTH plain AGEAYg=="), Ok(Command::Auth(Mechanism::Plain, Some("AGEAYg=="))));
        assert_eq!(parse(b"AUTH LOGIN"), Ok(Command::Auth(Mechanism::Login, None)));
        assert_eq!(parse(b"AUTH EXTERNAL ="), Ok(Command::Auth(Mechanism::External, Some("="))));
        assert_eq!(parse(b"AUTH CRAM-MD5"), Ok(Command::Auth(Mechanism::Other, None)));
        assert_eq!(parse(b"MAIL FROM:<>"), Ok(Command::Mail(None, MailParams::default())));
        assert_eq!(parse(b"BDAT 86 LAST"), Ok(Command::Bdat { octets: 86, is_last: true }));
        assert_eq!(parse(b"BDAT 0"), Ok(Command::Bdat { octets: 0, is_last: false }));
        assert_eq!(parse(b"XMRG FROM:<>"), Ok(Command::Merge(None, MailParams::default())));
        assert_eq!(parse(b"XDFN a=\"b\""), Ok(Command::Define("a=\"b\"")));
        assert_eq!(parse(b"XPRT 1 last"), Ok(Command::Part { number: 1, is_last: true }));
        assert_eq!(parse(b"XPRT 2"), Ok(Command::Part { number: 2, is_last: false }));
        assert_eq!(parse(b"NOOP anything"), Ok(Command::Noop));
        assert_eq!(parse(b"QUIT "), Ok(Command::Quit));
        let Ok(Command::Mail(Some(sender), params)) = parse(b"Mail From: <a@b.example> SIZE=9") else {
            panic!()
        };
        assert_eq!((sender.written(), params.size), ("a@b.example", Some(9)));
        let Ok(Command::Rcpt(recipient)) = parse(b"rcpt to:<e_1234567@tokens.example> NOTIFY=NEVER") else {
            panic!()
        };
        assert_eq!(recipient.written(), "e_1234567@tokens.example");
    }

    #[test]
    fn malformed_commands_say_what_is_wrong() {
        for (line, fault) in [
            (&b"XCLIENT NAME=x"[..], BadCommand::Unknown),
            (b"", BadCommand::Unknown),
            (b" QUIT", BadCommand::Unknown),
            (b":", BadCommand::Unknown),
            (b"Subject: x", BadCommand::HeaderField),
            (b"x-odd:y", BadCommand::HeaderField),
            (b"\xff\xfe", BadCommand::Unknown),
            (b"EHLO", BadCommand::Arguments("EHLO")),
            (b"EHLO a b", BadCommand::Arguments("EHLO")),
            (b"EHLO a\x1b[31m", BadCommand::Arguments("EHLO")),
            (b"STARTTLS now", BadCommand::Arguments("STARTTLS")),
            (b"DATA x", BadCommand::Arguments("DATA")),
            (b"AUTH", BadCommand::Arguments("AUTH")),
            (b"AUTH PLAIN a b", BadCommand::Arguments("AUTH")),
            (b"MAIL", BadCommand::Arguments("FROM:")),
            (b"MAIL FROM x@y.example", BadCommand::Arguments("FROM:")),
            (b"MAIL FROM:x@y.example", BadCommand::Sender(BadPath::NoBrackets)),
            (b"MAIL FROM:<postmaster>", BadCommand::Sender(BadPath::Domain)),
            (b"MAIL FROM:<x@y.example>SIZE=1", BadCommand::Params(BadParams::Syntax)),
            (b"MAIL FROM:<x@y.example> X=1", BadCommand::Params(BadParams::Unknown)),
            (b"RCPT TO:<>", BadCommand::Recipient(BadPath::LocalPart)),
            (b"RCPT TO:<\"x> SIZE=1\"@y.example", BadCommand::Recipient(BadPath::LocalPart)),
            (b"XPRT LAST", BadCommand::Arguments("XPRT")),
            (b"XMRG FROM:<x@y.example> VERP", BadCommand::Params(BadParams::Unknown)),
            (b"BDAT", BadCommand::Arguments("BDAT")),
            (b"BDAT -1", BadCommand::Arguments("BDAT")),
            (b"BDAT 99999999999999999999", BadCommand::Arguments("BDAT")),
            (b"BDAT 1 LAST LAST", BadCommand::Arguments("BDAT")),
        ] {
            assert_eq!(parse(line), Err(fault), "{}", line.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parser_fall(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&line);
        }

        #[test]
        fn no_path_makes_the_parser_fall(path in "[<>@\".\\\\a-c \u{e9}\u{2028}\\[\\]:]{0,30}") {
            let line = format!("RCPT TO:<{path}");
            if let Ok(Command::Rcpt(address)) = parse(line.as_bytes()) {
                prop_assert!(!address.written().chars().any(char::is_control));
                prop_assert!(address.local_part().len() <= 64 && address.domain().len() <= 255);
            }
        }
    }
}
