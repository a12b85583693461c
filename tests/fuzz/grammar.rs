//! Command lines and what AUTH carries.

use crate::fuzz;
use data_encoding::BASE64;
use tokenrelay::wire::command::{self, Command};
use tokenrelay::wire::path::Address;
use tokenrelay::wire::sasl;

const WORDS: &[&[u8]] = &[
    b"MAIL FROM:",
    b"RCPT TO:",
    b" SIZE=",
    b" BODY=8BITMIME",
    b" SMTPUTF8",
    b" REQUIRETLS",
    b" NOTIFY=NEVER,FAILURE",
    b" ORCPT=rfc822;",
    b" ENVID=",
    b" AUTH=<>",
    b"+0D+0A",
    b"<@a.example,@b.example:c@d.example>",
    b"\"a\\\"b\"@c.example",
    b"[127.0.0.1]",
    b"[IPv6:::1]",
    "é@例え.example".as_bytes(),
    b"XCLIENT",
    b"99999999999999999999",
];

#[test]
fn commands() {
    let seeds: &[&[u8]] = &[
        b"EHLO [192.0.2.1]",
        b"MAIL FROM:<bounce@shop.example> SIZE=1000 BODY=8BITMIME RET=HDRS ENVID=a+2Bb",
        b"RCPT TO:<e_1234567890@tokens.example> NOTIFY=NEVER ORCPT=rfc822;a@b.example",
        b"BDAT 1000 LAST",
        b"AUTH PLAIN AGNhbXBhaWducwBzM2NyZXQ=",
        b"VRFY root",
        b"Subject: x",
        b"STARTTLS",
    ];
    fuzz(seeds, WORDS, |line, _| {
        let read = command::parse(line);
        let spaced = [line, b"  "].concat();
        assert_eq!(command::parse(&spaced), read, "spaces at the end change nothing");
        match &read {
            Ok(Command::Rcpt(address) | Command::Mail(Some(address), _)) => check_address(*address),
            Ok(Command::Bdat { octets, is_last }) => {
                let last = if *is_last { " LAST" } else { "" };
                assert_eq!(command::parse(format!("BDAT {octets}{last}").as_bytes()), read);
            }
            Ok(Command::Ehlo(name) | Command::Helo(name) | Command::Lhlo(name)) => {
                assert!(!name.chars().any(|c| c.is_control() || c.is_whitespace()) && !name.is_empty());
            }
            Err(fault) => assert!(fault.to_string().len() < 100, "a fault repeats nothing of the line"),
            _ => {}
        }
        (format!("{read:?}").chars().take(16).collect::<String>(), line.len() / 16)
    });
}

/// Nothing that would be read otherwise further on.
fn check_address(address: Address<'_>) {
    let written = address.written();
    assert!(!written.chars().any(char::is_control), "{written:?}");
    assert!(address.local_part().len() <= 64 && address.domain().len() <= 255);
    let is_quoted = written.starts_with('"');
    assert!(is_quoted || !written.contains(['<', '>', ' ', ',', '"', '\\']), "{written:?}");
    assert!(address.domain().is_empty() || written.contains('@'), "{written:?}");
}

#[test]
fn sasl_responses() {
    let seeds: &[&[u8]] =
        &[b"AGNhbXBhaWducwBzM2NyZXQ=", b"AA==", b"=", b"*", b"Y2FtcGFpZ25z", b"YQBiAGM=", b"AGEAYgBj"];
    fuzz(seeds, &[b"AA", b"AGEA", b"==", b"*", b"\r\n"], |response, _| {
        let plain = sasl::plain(response);
        if let Ok(credentials) = &plain {
            assert!(!credentials.user.is_empty() && !credentials.user.chars().any(char::is_control));
            assert!(!credentials.password.contains(&0) && !credentials.password.is_empty());
            let login = [b"\0", credentials.user.as_bytes(), b"\0", &credentials.password].concat();
            let as_itself = [credentials.user.as_bytes(), &login].concat();
            let ways = [login, as_itself].map(|message| BASE64.encode(&message));
            assert!(ways.iter().any(|way| way.as_bytes() == response), "two ways to write one login");
        }
        let (user, password) = (sasl::login_user(response), sasl::login_password(response));
        if let Ok(user) = &user {
            assert!(!user.is_empty() && BASE64.encode(user.as_bytes()).as_bytes() == response);
        }
        (plain.err(), user.err().map(|fault| fault.to_string()), password.is_ok(), response.len() / 8)
            .hash_form()
    });
}

/// Faults do not hash; their names do.
trait HashForm {
    fn hash_form(self) -> String;
}

impl<T: std::fmt::Debug> HashForm for T {
    fn hash_form(self) -> String {
        format!("{self:?}")
    }
}
