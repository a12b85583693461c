//! One reply of a real MTA for each row of the table, and the replies whose neighbours lead astray.

mod gateways;
mod sayings;

use super::*;
use crate::wire::reply::Reply;
use Sent::{Ahead, InTurn};

/// What a target said, to what, and whose it is. `taken_before` is the session's.
struct Example(Command, Sent, u64, &'static str, Whose);

const EXAMPLES: &[Example] = &[
    Example(Mail, InTurn, 20, "421 4.4.5 Maximum messages per session exceeded", Whose::SessionFull),
    Example(
        Rcpt,
        Ahead,
        9,
        "452 The recipient has exceeded their limit for the number of messages they can receive per hour",
        Whose::Recipient,
    ),
    Example(Rcpt, Ahead, 9, "450 4.2.1 too many messages per hour", Whose::Recipient),
    Example(Rcpt, Ahead, 9, "452 Too many recipients received this hour", Whose::Throttle),
    Example(Mail, Ahead, 100, "421 too many messages in one go", Whose::SessionFull),
    Example(Rcpt, Ahead, 0, "421 4.7.0 mx Error: too many errors", Whose::Session),
    Example(Mail, InTurn, 0, "421 4.7.0 mx Error: too many connections from 192.0.2.1", Whose::Connections),
    Example(Mail, InTurn, 0, "421 4.7.0 slow down", Whose::Throttle),
    Example(Content, Ahead, 3, "421 4.3.2 Service shutting down", Whose::Session),
    Example(Data, Ahead, 9, "452 4.4.5 Maximum number of messages per session exceeded.", Whose::SessionFull),
    Example(Mail, InTurn, 0, "450 4.7.1 Error: too much mail from 192.0.2.1", Whose::Throttle),
    Example(Mail, InTurn, 100, "452 4.5.3 Command refused: enough for now", Whose::SessionFull),
    Example(Mail, InTurn, 100, "452 too many messages", Whose::SessionFull),
    Example(Rcpt, Ahead, 0, "550 We do not accept mail from dynamic IPs", Whose::Target),
    Example(Rcpt, Ahead, 0, "550 5.7.1 RESOLVER.RST.AuthRequired; authentication required", Whose::Recipient),
    Example(
        Content,
        Ahead,
        0,
        "550 5.7.1 RESOLVER.RST.AuthRequired; authentication required",
        Whose::Recipient,
    ),
    Example(
        Rcpt,
        Ahead,
        0,
        "550 5.7.1 Service unavailable, MailFrom domain is listed in Spamhaus. (S8002)",
        Whose::Sender,
    ),
    Example(Rcpt, Ahead, 0, "550 5.2.0 Your account has been blocked, contact us", Whose::Target),
    Example(Content, InTurn, 0, "554 5.7.1 Blocked, a link in it is on uribl.com", Whose::Unclear),
    Example(
        Content,
        InTurn,
        0,
        "550-5.7.1 [192.0.2.1] This message is likely suspicious due to the very low\r\n550 5.7.1 reputation of the sending domain.",
        Whose::Target,
    ),
    Example(
        Rcpt,
        Ahead,
        0,
        "550 5.2.1 Mailbox unavailable. Your IP address 192.0.2.1 is blacklisted using SPAMHAUS-XBL.",
        Whose::Target,
    ),
    Example(Rcpt, Ahead, 0, "550 5.7.1 Fix reverse DNS for 192.0.2.1", Whose::Target),
    Example(Rcpt, Ahead, 0, "550 5.1.2 Relay not allowed.", Whose::Target),
    Example(Rcpt, Ahead, 9, "525 5.7.13 User account disabled", Whose::Target),
    Example(Rcpt, Ahead, 9, "550 User unknown; directory server is down", Whose::Target),
    Example(
        Rcpt,
        Ahead,
        0,
        "550 5.1.1 <[address]>: Recipient address rejected: undeliverable address: host mx.test said: 554 5.7.1 Sender address rejected",
        Whose::Recipient,
    ),
    Example(Rcpt, Ahead, 0, "452 4.2.2 mailbox over quota, limit exceeded", Whose::Recipient),
    Example(
        Content,
        Ahead,
        0,
        "452 4.2.2 <[address]> Quota exceeded (mailbox for user is full)",
        Whose::Recipient,
    ),
    Example(Rcpt, Ahead, 0, "452 <[address]> Mailbox quota exceeded", Whose::Recipient),
    Example(Content, Ahead, 0, "552 mailbox full", Whose::Recipient),
    Example(Content, InTurn, 9, "554 5.7.9 Message not accepted for policy reasons.", Whose::Unclear),
    Example(Mail, InTurn, 0, "530 5.7.0 Must issue a STARTTLS command first", Whose::Target),
    Example(Rcpt, Ahead, 5, "550 5.7.57 Client not known", Whose::Target),
    Example(Rcpt, Ahead, 5, "553 5.7.1 <[address]>: Sender address rejected: not logged in", Whose::Target),
    Example(Mail, Ahead, 5, "501 5.1.7 Bad sender address syntax", Whose::Sender),
    Example(Rcpt, Ahead, 5, "450 4.1.8 <[address]>: Domain not found", Whose::Sender),
    Example(Content, InTurn, 5, "550 5.7.60 SMTP; Client does not have permissions", Whose::Sender),
    Example(Rcpt, Ahead, 5, "554 5.7.1 <[address]>: Sender address rejected: Access denied", Whose::Sender),
    Example(Mail, InTurn, 0, "550 5.7.1 sender not welcome", Whose::Sender),
    Example(Mail, InTurn, 0, "553 not in this form", Whose::Sender),
    Example(Content, Ahead, 1, "554 SMTP synchronization error", Whose::Order),
    Example(Content, InTurn, 1, "552 5.3.4 Message not kept: queue file system full", Whose::Unclear),
    Example(Content, InTurn, 1, "554 5.6.0 content filter, service down", Whose::Unclear),
    Example(Content, InTurn, 1, "554 Message size limit could not be checked; backend down", Whose::Unclear),
    Example(Mail, InTurn, 1, "552 5.3.4 Message size exceeds fixed limit", Whose::Message),
    Example(Content, InTurn, 1, "552 5.2.3 Message exceeds local size limit", Whose::Message),
    Example(Mail, InTurn, 1, "550 5.6.7 address needs SMTPUTF8", Whose::Message),
    Example(Content, InTurn, 1, "554 5.6.0 a part of it is not MIME", Whose::Message),
    Example(Content, InTurn, 1, "550 5.7.30 REQUIRETLS needed", Whose::Message),
    Example(Mail, InTurn, 1, "552 Message size exceeds maximum permitted", Whose::Message),
    Example(
        Content,
        InTurn,
        1,
        "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant",
        Whose::Message,
    ),
    Example(Content, InTurn, 1, "550 5.7.1 Messages missing a valid Message-ID header", Whose::Message),
    Example(Mail, InTurn, 1, "552 exceeded storage allocation", Whose::Unclear),
    Example(Rcpt, Ahead, 0, "550 5.1.10 <[address]>: not found in the relay's table", Whose::Recipient),
    Example(Rcpt, Ahead, 0, "452 4.2.4 busy, limit exceeded", Whose::Recipient),
    Example(Rcpt, Ahead, 0, "550 5.7.133 Sender not in the group's list", Whose::Recipient),
    Example(Rcpt, Ahead, 0, "550 no mailbox here by that name", Whose::Recipient),
    Example(
        Rcpt,
        Ahead,
        0,
        "550 5.4.1 Recipient address rejected: Access denied. [AS(201806281)]",
        Whose::Recipient,
    ),
    Example(Rcpt, Ahead, 0, "451 4.7.1 <[address]>: greylisted, try again later", Whose::Recipient),
    Example(Rcpt, Ahead, 0, "550 5.7.1 Greylisted, come back in five minutes", Whose::Target),
    Example(Rcpt, Ahead, 0, "501 <[address]>: malformed address", Whose::Recipient),
    Example(
        Rcpt,
        Ahead,
        0,
        "504 5.5.2 <[removed]>: Recipient address rejected: need fully-qualified address",
        Whose::Recipient,
    ),
    Example(Rcpt, Ahead, 9, "452 4.3.1 quota exceeded", Whose::Throttle),
    Example(Mail, InTurn, 9, "550 5.7.28 please wait", Whose::Throttle),
    Example(Content, InTurn, 9, "550 5.1.90 Your message can't be sent", Whose::Throttle),
    Example(Content, InTurn, 9, "550 5.4.5 Daily user sending quota exceeded", Whose::Throttle),
    Example(Rcpt, Ahead, 9, "554 5.4.6 enough", Whose::Target),
    Example(Rcpt, Ahead, 9, "550 5.7.1 License exceeded", Whose::Target),
    Example(Rcpt, Ahead, 9, "550 5.7.1 Administrative prohibition", Whose::Target),
    Example(Rcpt, Ahead, 9, "550 5.7.64 TenantAttribution", Whose::Target),
    Example(Rcpt, Ahead, 9, "550 5.7.1 this host is not a gateway", Whose::Target),
    Example(Content, InTurn, 9, "554 5.7.1 Relay access denied", Whose::Target),
    Example(
        Rcpt,
        Ahead,
        9,
        "554 5.7.1 <host.test[192.0.2.1]>: Client host rejected: Access denied",
        Whose::Target,
    ),
    Example(Content, InTurn, 9, "554 5.7.1 Client host rejected: access denied", Whose::Target),
    Example(Content, InTurn, 9, "554 This account is suspended", Whose::Target),
    Example(Rcpt, Ahead, 9, "550 5.3.2 not today", Whose::Target),
    Example(Rcpt, Ahead, 9, "503 MAIL required first", Whose::Order),
    Example(Reset, InTurn, 9, "503 5.5.2 Need mail command", Whose::Order),
    Example(Rcpt, InTurn, 9, "501 5.7.1 Permission denied", Whose::Unclear),
    Example(Rcpt, InTurn, 9, "501 Syntax error in parameters", Whose::Recipient),
    Example(Mail, InTurn, 9, "502 Not implemented", Whose::Target),
    Example(Reset, Ahead, 9, "451 4.3.0 not now", Whose::Session),
    Example(Mail, Ahead, 9, "451 4.3.0 try again later", Whose::Session),
    Example(Mail, InTurn, 0, "451 4.3.0 try again later", Whose::Target),
    Example(Mail, InTurn, 0, "521 no mail here", Whose::Target),
    Example(Mail, InTurn, 0, "555 MAIL FROM parameters not recognized", Whose::Target),
    Example(Mail, InTurn, 0, "550 5.7.1 Access denied", Whose::UnclearSender),
    Example(Content, InTurn, 0, "451 4.7.1 Service unavailable - try again later", Whose::Unclear),
    Example(Rcpt, InTurn, 0, "450 4.3.2 Service currently unavailable", Whose::Target),
    Example(Rcpt, InTurn, 0, "451 4.3.0 <[address]>: Temporary lookup failure", Whose::Unclear),
    Example(Rcpt, InTurn, 0, "451 4.4.3 Name service error, try again", Whose::Unclear),
    Example(Rcpt, InTurn, 0, "451 Temporary local problem - please try later", Whose::Recipient),
    Example(Content, InTurn, 0, "451 4.7.1 Try again later", Whose::Message),
    Example(
        Rcpt,
        Ahead,
        9,
        "554 5.7.1 <[address]>: Recipient address rejected: Access denied",
        Whose::Unclear,
    ),
    Example(Rcpt, Ahead, 9, "550 5.7.1 Access denied", Whose::Unclear),
    Example(Data, Ahead, 9, "554 5.7.0 no data today", Whose::Target),
    Example(Data, Ahead, 9, "451 4.3.0 filter not ready", Whose::Unclear),
    Example(Content, InTurn, 9, "554 5.7.1 message looks like spam", Whose::Unclear),
];

/// Replies for which another row stands ready that would be wrong.
const NEIGHBOURS: &[Example] = &[
    // Of a content that was not seen yet nobody can know what it is.
    Example(Mail, InTurn, 0, "554 5.6.0 MIME filter failed", Whose::UnclearSender),
    Example(Rcpt, Ahead, 0, "550 5.6.0 content filter not available", Whose::Unclear),
    Example(Mail, InTurn, 0, "552 5.2.3 quota", Whose::UnclearSender),
    Example(Mail, InTurn, 0, "554 5.6.1 body type not supported", Whose::Message),
    Example(Rcpt, InTurn, 9, "450 4.3.2 Service currently unavailable", Whose::Unclear),
    Example(Rcpt, Ahead, 9, "421 4.7.0 too many invalid recipients, goodbye", Whose::Session),
    Example(Rcpt, Ahead, 9, "554 5.7.1 <[address]>: Relay access denied", Whose::Target),
    Example(Rcpt, Ahead, 9, "550 5.1.1 <[address]>: Relay access denied", Whose::Target),
    Example(
        Rcpt,
        Ahead,
        9,
        "553 5.1.3 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
        Whose::Target,
    ),
    Example(Rcpt, Ahead, 9, "550 5.7.13 The recipient's account is disabled", Whose::Recipient),
    Example(
        Rcpt,
        Ahead,
        9,
        "550-Requested action not taken: mailbox unavailable\r\n550 Failure sending mail. Try again later",
        Whose::Target,
    ),
    Example(
        Rcpt,
        Ahead,
        9,
        "550-Requested action not taken: mailbox unavailable\r\n550 Sender address is not allowed.",
        Whose::Sender,
    ),
    Example(Rcpt, Ahead, 9, "550 5.2.1 mailbox unavailable", Whose::Recipient),
    // Haraka, go-smtp and others to what was sent too early.
    Example(Mail, Ahead, 9, "503 5.5.1 pipelined after end of DATA", Whose::Order),
    Example(Data, Ahead, 9, "503 RCPT required first", Whose::Order),
    Example(Content, Ahead, 9, "502 5.5.1 Missing RCPT TO command.", Whose::Order),
    Example(Content, Ahead, 9, "500 5.5.2 Syntax error, BDAT command unrecognized", Whose::Order),
    Example(
        Data,
        Ahead,
        9,
        "503 5.5.0 <DATA>: Data command rejected: Improper use of SMTP command pipelining",
        Whose::Order,
    ),
    Example(Rcpt, Ahead, 0, "550 5.1.1 <[address]>: User unknown in relay recipient table", Whose::Recipient),
    // Behind the dot, of the sender, the account, its share of the day, and the machine.
    Example(Content, InTurn, 0, "550 5.7.0 From address is not one of your addresses", Whose::Sender),
    Example(Content, InTurn, 0, "554 Transaction failed Unauthorized sender address.", Whose::Sender),
    Example(
        Content,
        InTurn,
        0,
        "550 The from address does not match a verified Sender Identity.",
        Whose::Sender,
    ),
    Example(
        Content,
        InTurn,
        0,
        "554 Access denied: User `x' is not authorized to perform `ses:SendRawEmail'",
        Whose::Target,
    ),
    Example(Content, InTurn, 0, "554 5.3.0 out of disk space", Whose::Target),
    Example(
        Content,
        InTurn,
        0,
        "554 5.7.1 Service unavailable; client host [192.0.2.1] listed by a list",
        Whose::Target,
    ),
    Example(Content, InTurn, 0, "550 Domain x.test has exceeded the max emails per hour", Whose::Throttle),
    Example(Content, InTurn, 0, "550 User has exceeded outgoing email quota", Whose::Throttle),
    Example(Content, InTurn, 0, "550 5.4.6 Unusual sending activity detected", Whose::Throttle),
    // Without enhanced codes.
    Example(Rcpt, Ahead, 0, "550 No such user here", Whose::Recipient),
    Example(Rcpt, Ahead, 0, "550 relay not permitted", Whose::Target),
    Example(Rcpt, Ahead, 0, "550 Administrative prohibition", Whose::Target),
    Example(Rcpt, Ahead, 0, "550 Invalid recipient", Whose::Unclear),
    Example(Rcpt, Ahead, 0, "550-Verification failed\r\n550 Sender verify failed", Whose::Sender),
    Example(
        Rcpt,
        Ahead,
        0,
        "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
        Whose::Target,
    ),
    // A mailing limit that names the person.
    Example(
        Rcpt,
        Ahead,
        0,
        "450 4.7.1 <[address]>: Recipient address rejected: Policy Rejection- Quota Exceeded.",
        Whose::Throttle,
    ),
    Example(
        Rcpt,
        Ahead,
        0,
        "450 4.2.1 The user is receiving mail at a rate that prevents additional messages",
        Whose::Recipient,
    ),
    // The same words on a session that took nothing: another one would be told the same.
    Example(Mail, InTurn, 0, "452 4.5.3 Too many messages sent", Whose::Throttle),
    Example(
        Mail,
        InTurn,
        5,
        "451-Requested action aborted\r\n451 Mails per session limit exceeded",
        Whose::SessionFull,
    ),
    Example(
        Content,
        InTurn,
        0,
        "550 5.7.1 Client does not have permissions to send as this sender",
        Whose::Sender,
    ),
    Example(
        Content,
        InTurn,
        0,
        "550-5.7.26 This mail has been blocked because the sender is unauthenticated.\r\n550 5.7.26 x",
        Whose::Sender,
    ),
    Example(Content, InTurn, 0, "554 5.7.1 a blacklisted link in the text", Whose::Unclear),
    Example(Content, InTurn, 0, "550 spam", Whose::Unclear),
    Example(Content, InTurn, 0, "530 5.7.1 Client was not authenticated", Whose::Target),
    Example(Mail, InTurn, 0, "452 4.3.1 Insufficient system storage", Whose::Target),
    Example(Content, InTurn, 0, "451 4.3.0 queue file write error", Whose::Unclear),
    Example(Content, InTurn, 0, "554 Sending paused for this account", Whose::Target),
    // A mailbox that is disabled, and an account that is.
    Example(
        Rcpt,
        Ahead,
        0,
        "550 5.2.1 The email account that you tried to reach is disabled",
        Whose::Recipient,
    ),
    Example(Rcpt, Ahead, 0, "550 5.2.1 Your account is disabled from sending", Whose::Target),
    Example(Rcpt, Ahead, 0, "550 5.1.0 Address rejected", Whose::Unclear),
    Example(Rcpt, Ahead, 0, "550 5.2.0 not here", Whose::Unclear),
    Example(
        Mail,
        InTurn,
        0,
        "550 5.7.25 The IP address sending this message does not have a PTR record setup",
        Whose::Target,
    ),
    Example(Rcpt, Ahead, 0, "555 5.5.4 Unsupported option", Whose::Unclear),
];

impl Example {
    fn decides(&self) {
        assert_eq!(self.judge().0, self.4, "{:?} {}", self.0, self.3);
    }

    /// The verdict, and the row that gives it.
    fn judge(&self) -> (Whose, Option<usize>) {
        let Self(command, sent, taken_before, said, _) = self;
        let octets = format!("{said}\r\n");
        let reply = Reply::parse(octets.as_bytes()).unwrap();
        let text = String::from_utf8(reply.lines().collect::<Vec<_>>().join(b" ".as_slice())).unwrap();
        let heard = Heard {
            command: *command,
            sent: *sent,
            code: reply.code,
            text: &text.to_lowercase(),
            taken_before: *taken_before,
        };
        (whose(&heard), TABLE.iter().position(|row| row.fits(&heard)))
    }
}

#[test]
fn a3_each_row_of_the_table_decides_its_reply() {
    let mut decided = Vec::new();
    for example in EXAMPLES {
        let (whose, row) = example.judge();
        assert_eq!(whose, example.4, "{:?} {}", example.0, example.3);
        decided.push(row.unwrap());
    }
    let rows: Vec<usize> = (0..TABLE.len()).collect();
    assert_eq!(decided, rows, "an example for each row, in their order");
}

#[test]
fn a3_replies_that_look_like_others_find_their_owner() {
    NEIGHBOURS.iter().for_each(Example::decides);
}

/// Whatever else is said, these end no job for good.
#[test]
fn a3_only_a_recipient_at_rcpt_or_a_refusal_of_content_is_the_persons() {
    for command in [Reset, Mail, Data] {
        for basic in 400..600 {
            for text in ["", "user unknown", "no such user", "spam", "over quota"] {
                let code = ReplyCode { basic, enhanced: None };
                for sent in [InTurn, Ahead] {
                    let heard = Heard { command, sent, code, text, taken_before: 1 };
                    let whose = whose(&heard);
                    assert!(whose != Whose::Recipient, "{command:?} {basic} {text}");
                    assert!(whose != Whose::Message || basic == 552, "{command:?} {basic} {text}");
                }
            }
        }
    }
}
