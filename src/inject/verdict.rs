//! Whose reply is it? One table from what a target answered, and to what, to whom the answer is about. Pure: what
//! follows from a verdict is the session's affair.
//!
//! Only what a target says of the recipient at RCPT, or of the content behind it, may end a job for good. Whatever is
//! about the sender, the session, the order of our commands, or how the target and this relay stand to each other says
//! nothing about the person: it never becomes a person's outcome.

use crate::fault::{Enhanced, ReplyCode};
use std::ops::RangeInclusive;

/// The command that a reply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Reset,
    Mail,
    Recipient,
    Data,
    /// The final dot, or the last chunk.
    Content,
}

impl Command {
    /// As it is named in a fault.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reset => "RSET",
            Self::Mail => "MAIL",
            Self::Recipient => "RCPT",
            Self::Data => "DATA",
            Self::Content => "the message",
        }
    }
}

/// When the command went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// Behind the answer to the one before.
    InTurn,
    /// Before that answer was there, or with more behind it: the target may dislike that alone.
    Ahead,
}

/// One refusal with all that tells whose it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard<'a> {
    pub command: Command,
    pub sent: Sent,
    pub code: ReplyCode,
    /// The reply's text in lower case.
    pub text: &'a str,
    /// Messages that the session took before.
    pub taken_before: u64,
}

impl Heard<'_> {
    /// Without what a server further on said, which a verifying MTA quotes.
    fn own_text(&self) -> &str {
        self.text.split(" said: ").next().unwrap_or_default()
    }
}

/// Whom a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Recipient,
    Message,
    /// The person's or message's as long as the target takes others; the target's when it takes nobody.
    Unclear,
    /// This sender's messages wait, those of others go on.
    Sender,
    /// The session has had its share: the message goes on another one.
    SessionFull,
    /// The session is over, or good for nothing any more.
    Session,
    /// The target wants less of us.
    Throttle,
    /// How the target and this relay stand to each other: relaying, authentication, TLS, its own troubles.
    Target,
    /// The order in which our commands came.
    Order,
}

/// One line of the table: what it looks at, and whose such a reply is.
struct Row {
    commands: &'static [Command],
    basic: RangeInclusive<u16>,
    detail: Detail,
    /// Any of these in the text; none: the text is not looked at.
    words: &'static [&'static str],
    whose: Whose,
    only: Only,
}

/// Subject and detail of the enhanced code (RFC 3463 §3).
enum Detail {
    Any,
    /// None was given.
    Absent,
    Subject(u16),
    Of(u16, &'static [RangeInclusive<u16>]),
}

/// What else has to be so.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Only {
    Always,
    /// The command was sent ahead.
    Ahead,
    /// The session has taken messages: it was good for something until now.
    UsedSession,
}

/// Whom this refusal is about: the first row that fits.
pub(super) fn whose(heard: &Heard<'_>) -> Whose {
    TABLE.iter().find(|row| row.fits(heard)).map_or(Whose::Target, |row| row.whose)
}

impl Row {
    fn fits(&self, heard: &Heard<'_>) -> bool {
        let is_so = match self.only {
            Only::Always => true,
            Only::Ahead => heard.sent == Sent::Ahead,
            Only::UsedSession => heard.taken_before > 0,
        };
        is_so
            && self.commands.contains(&heard.command)
            && self.basic.contains(&heard.code.basic)
            && self.detail.fits(heard.code)
            && (self.words.is_empty() || self.words.iter().any(|word| heard.own_text().contains(word)))
    }

    const fn ahead(self) -> Self {
        Self { only: Only::Ahead, ..self }
    }

    const fn on_a_used_session(self) -> Self {
        Self { only: Only::UsedSession, ..self }
    }
}

impl Detail {
    fn fits(&self, code: ReplyCode) -> bool {
        let Some(Enhanced(_, subject, detail)) = code.enhanced else {
            return matches!(self, Self::Any | Self::Absent);
        };
        match self {
            Self::Any => true,
            Self::Absent => false,
            Self::Subject(wanted) => subject == *wanted,
            Self::Of(wanted, details) => {
                subject == *wanted && details.iter().any(|range| range.contains(&detail))
            }
        }
    }
}

const fn row(
    commands: &'static [Command],
    basic: RangeInclusive<u16>,
    detail: Detail,
    words: &'static [&'static str],
    whose: Whose,
) -> Row {
    Row { commands, basic, detail, words, whose, only: Only::Always }
}

use Command::{Content, Data, Mail, Recipient as Rcpt, Reset};
use Detail::{Any, Of, Subject};

const EVERY: &[Command] = &[Reset, Mail, Rcpt, Data, Content];
const ENVELOPE: &[Command] = &[Mail, Rcpt, Data];
const ALL_BUT_RESET: &[Command] = &[Mail, Rcpt, Data, Content];
const BEHIND_MAIL: &[Command] = &[Rcpt, Data, Content];
const ALL_BUT_RCPT: &[Command] = &[Mail, Data, Content];

const CLOSING: RangeInclusive<u16> = 421..=421;
const REFUSED: RangeInclusive<u16> = 400..=599;
const TRANSIENT: RangeInclusive<u16> = 400..=499;
const PERMANENT: RangeInclusive<u16> = 500..=599;

const SHARE_OF_A_SESSION: &[&str] = &[
    "per session",
    "per connection",
    "in this session",
    "in this connection",
    "for this session",
    "for this connection",
    "in one session",
    "in one connection",
    "session limit",
];
const TOO_MANY_MESSAGES: &[&str] =
    &["too many messages", "too many mails", "too many transactions", "too many recipients"];
const TOO_MUCH: &[&str] = &[
    "too many",
    "too much",
    "too fast",
    "slow down",
    "rate limit",
    "ratelimit",
    "rate-limit",
    "message rate",
    "throttl",
    "quota exceeded",
    "limit exceeded",
    "exceeded",
    "unexpected volume",
    "flood",
];
const SENDING_QUOTA: &[&str] = &[
    "sending quota",
    "sending limit",
    "sending rate",
    "rate limit",
    "rate overlimit",
    "throttl",
    "too many connections",
    "too many emails",
    "emails per hour",
    "messages per hour",
    "emails per day",
    "daily limit",
    "outgoing email quota",
    "submissionquota",
    "unusual sending activity",
];
const OF_THE_SENDER: &[&str] = &[
    "sender address rejected",
    "sender rejected",
    "sender verif",
    "sender domain",
    "domain of sender",
    "send as",
    "sendas",
    "not owned by",
    "not authorized to send",
    "not allowed to send from",
    "unauthenticated email",
    "email address is not verified",
    "envelope sender",
    "unauthorized sender",
    "unknown sender address",
    "sender identity",
    "from address is not",
    "from address does not",
    "dmarc",
    "dkim",
    "spf ",
];
const OF_THE_SENDER_AT_MAIL: &[&str] = &["sender", "from address", "return path", "your domain"];
const OF_THE_RECIPIENT: &[&str] = &[
    "user unknown",
    "unknown user",
    "no such user",
    "no such recipient",
    "no such mailbox",
    "no mailbox",
    "unknown recipient",
    "recipient unknown",
    "user not found",
    "mailbox not found",
    "mailbox unavailable",
    "does not exist",
    "unrouteable address",
    "mailbox full",
    "mailbox is full",
    "over quota",
    "account disabled",
    "greylist",
    "graylist",
    "grey-list",
    "greyed",
];
/// One mailbox, which says nothing of how much this relay may send.
const FULL_MAILBOX: &[&str] =
    &["mailbox quota", "mailbox for user is full", "mailbox full", "mailbox is full", "user over quota"];
/// Exchange's checks of who may write to a mailbox or group.
const RULES_OF_THE_RECIPIENT: &[&str] =
    &["resolver.rst", "does not accept mail from", "recipient restricted"];
const SYNTAX_OF_AN_ADDRESS: &[&str] = &["address", "mailbox", "recipient", "domain", "local part"];
const ORDER_OF_COMMANDS: &[&str] = &[
    "pipelin",
    "synchroni",
    "protocol error",
    "early talk",
    "out of sequence",
    "out of order",
    "bad sequence",
];
const AUTHENTICATION: &[&str] = &[
    "authentication required",
    "authentication is required",
    "must authenticate",
    "not authenticated",
    "authenticate first",
    "proper authentication",
    "must be authenticated",
    "not logged in",
    "log in first",
    "auth first",
    "auth required",
    "starttls",
    "tls required",
    "tls is required",
    "requires tls",
    "encryption required",
    "encryption needed",
];
const RELAYING: &[&str] = &["relay", "rcpthosts", "not a gateway"];
/// Behind the content a word alone may be about the content.
const RELAYING_REFUSED: &[&str] =
    &["relay access denied", "relaying", "relay denied", "relay not", "to relay", "relay is not"];
const CLIENT_REFUSED: &[&str] =
    &["client host rejected", "client host blocked", "client host [", "sending ip", "your ip"];
/// The account that this relay sends with.
const ACCOUNT_REFUSED: &[&str] = &[
    "sending paused",
    "sending disabled",
    "sending is disabled",
    "is not authorized to perform",
    "outboundspam",
    "account is suspended",
    "account suspended",
];
const OF_THE_CLIENT: &[&str] = &[
    "client host",
    "client address",
    "helo command",
    "your ip",
    "sending ip",
    "ip address",
    "reverse dns",
    "rdns",
    "ptr record",
    "blocked using",
    "dnsbl",
    "spamhaus",
];

/// Looked at from the top. The rows that know more stand before those that know less.
static TABLE: &[Row] = &[
    // What limits the session. A new one has a share of its own, so only one that took something can be full.
    row(EVERY, CLOSING, Any, SHARE_OF_A_SESSION, Whose::SessionFull).on_a_used_session(),
    row(EVERY, CLOSING, Any, TOO_MANY_MESSAGES, Whose::SessionFull).on_a_used_session(),
    row(EVERY, CLOSING, Any, TOO_MUCH, Whose::Throttle),
    row(EVERY, CLOSING, Any, &[], Whose::Session),
    row(EVERY, REFUSED, Any, SHARE_OF_A_SESSION, Whose::SessionFull).on_a_used_session(),
    row(EVERY, TRANSIENT, Subject(7), TOO_MUCH, Whose::Throttle),
    row(ENVELOPE, REFUSED, Of(5, &[3..=3]), &[], Whose::SessionFull).on_a_used_session(),
    row(ENVELOPE, REFUSED, Any, TOO_MANY_MESSAGES, Whose::SessionFull).on_a_used_session(),
    // Rules of the recipient's own, which name authentication and senders too.
    row(&[Rcpt], REFUSED, Any, RULES_OF_THE_RECIPIENT, Whose::Recipient),
    row(&[Content], REFUSED, Any, RULES_OF_THE_RECIPIENT, Whose::Message),
    // The recipient's own codes, before any word: the text may quote what another server said of somebody else.
    row(&[Rcpt], REFUSED, Of(1, &[1..=6]), &[], Whose::Recipient),
    row(&[Rcpt], REFUSED, Of(2, &[1..=2]), &[], Whose::Recipient),
    row(&[Content], REFUSED, Of(2, &[1..=2]), &[], Whose::Message),
    row(&[Rcpt], REFUSED, Any, FULL_MAILBOX, Whose::Recipient),
    row(&[Content], REFUSED, Any, FULL_MAILBOX, Whose::Message),
    // Authentication and TLS.
    row(ALL_BUT_RESET, 530..=538, Any, &[], Whose::Target),
    row(ALL_BUT_RESET, REFUSED, Of(7, &[8..=12, 14..=14, 57..=57]), &[], Whose::Target),
    row(ALL_BUT_RESET, REFUSED, Any, AUTHENTICATION, Whose::Target),
    // The sender. Postfix keeps its refusals of clients, HELO and senders back until RCPT.
    row(&[Mail], REFUSED, Subject(1), &[], Whose::Sender),
    row(BEHIND_MAIL, REFUSED, Of(1, &[7..=8]), &[], Whose::Sender),
    row(ALL_BUT_RESET, REFUSED, Of(7, &[20..=24, 26..=27, 29..=29, 60..=60, 509..=509]), &[], Whose::Sender),
    row(ALL_BUT_RESET, REFUSED, Any, OF_THE_SENDER, Whose::Sender),
    row(&[Mail], REFUSED, Any, OF_THE_SENDER_AT_MAIL, Whose::Sender),
    row(&[Mail], 553..=553, Any, &[], Whose::Sender),
    // The order of our commands, in words that no other cause has.
    row(EVERY, PERMANENT, Any, ORDER_OF_COMMANDS, Whose::Order).ahead(),
    // The message: its size, its kind.
    row(ALL_BUT_RCPT, REFUSED, Of(3, &[4..=4]), &[], Whose::Message),
    row(ALL_BUT_RCPT, REFUSED, Of(2, &[3..=3]), &[], Whose::Message),
    row(ALL_BUT_RESET, REFUSED, Subject(6), &[], Whose::Message),
    row(ALL_BUT_RESET, REFUSED, Of(7, &[30..=30]), &[], Whose::Message),
    row(ALL_BUT_RCPT, 552..=552, Detail::Absent, &[], Whose::Message),
    // The recipient.
    row(&[Rcpt], REFUSED, Of(1, &[0..=0, 9..=89, 91..=999]), &[], Whose::Recipient),
    row(&[Rcpt], REFUSED, Subject(2), &[], Whose::Recipient),
    row(&[Rcpt], REFUSED, Of(7, &[13..=13, 17..=19, 124..=136, 504..=505, 513..=513]), &[], Whose::Recipient),
    row(&[Rcpt], REFUSED, Any, OF_THE_RECIPIENT, Whose::Recipient),
    row(&[Rcpt], 501..=501, Any, SYNTAX_OF_AN_ADDRESS, Whose::Recipient),
    row(&[Rcpt], 504..=504, Any, SYNTAX_OF_AN_ADDRESS, Whose::Recipient),
    // Too much of us.
    row(EVERY, TRANSIENT, Any, TOO_MUCH, Whose::Throttle),
    row(EVERY, PERMANENT, Of(7, &[28..=28]), &[], Whose::Throttle),
    // Exchange Online: the sender's share of the day.
    row(EVERY, REFUSED, Of(1, &[90..=90]), &[], Whose::Throttle),
    row(EVERY, PERMANENT, Any, SENDING_QUOTA, Whose::Throttle),
    // How we and the target stand to each other.
    row(ALL_BUT_RESET, REFUSED, Of(7, &[25..=25, 50..=99, 500..=799]), &[], Whose::Target),
    row(ENVELOPE, REFUSED, Any, RELAYING, Whose::Target),
    row(&[Content], REFUSED, Any, RELAYING_REFUSED, Whose::Target),
    row(ENVELOPE, REFUSED, Any, OF_THE_CLIENT, Whose::Target),
    row(&[Content], REFUSED, Any, CLIENT_REFUSED, Whose::Target),
    row(ALL_BUT_RCPT, REFUSED, Any, ACCOUNT_REFUSED, Whose::Target),
    // The mail system's own state (RFC 3463 §3.4); its 3.4, the size, was the message's above.
    row(ALL_BUT_RESET, PERMANENT, Of(3, &[0..=3, 5..=999]), &[], Whose::Target),
    // The order of our commands, where nothing else explains the code.
    row(ALL_BUT_RESET, 500..=503, Any, &[], Whose::Order).ahead(),
    row(&[Reset], PERMANENT, Any, &[], Whose::Order),
    row(&[Rcpt], 501..=501, Any, &[], Whose::Recipient),
    row(ALL_BUT_RESET, 500..=504, Any, &[], Whose::Target),
    // What is left.
    row(&[Reset], TRANSIENT, Any, &[], Whose::Session),
    row(&[Mail], TRANSIENT, Any, &[], Whose::Session).on_a_used_session(),
    row(&[Mail], REFUSED, Any, &[], Whose::Target),
    row(&[Rcpt], REFUSED, Any, &[], Whose::Unclear),
    // Nothing but the envelope was seen, and its recipient was taken: never the end of a job.
    row(&[Data], PERMANENT, Any, &[], Whose::Target),
    row(&[Data], TRANSIENT, Any, &[], Whose::Unclear),
    row(&[Content], TRANSIENT, Any, &[], Whose::Unclear),
    row(&[Content], PERMANENT, Any, &[], Whose::Message),
];

#[cfg(test)]
mod tests;
