//! Whose reply is it? One table from what a target answered, and to what, to whom the answer is about. Pure: what
//! follows from a verdict is the session's affair.
//!
//! Only what a target says of the recipient at RCPT, or of the content behind it, may end a job for good. Whatever is
//! about the sender, the session, the order of our commands, or how the target and this relay stand to each other says
//! nothing about the person: it never becomes a person's outcome.

mod words;

use crate::fault::{Enhanced, ReplyCode};
use std::ops::RangeInclusive;
use words::*;

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
    /// The person's or message's as long as others are taken; the session's or the target's when it takes nobody.
    Unclear,
    /// This sender's messages wait, those of others go on.
    Sender,
    /// The sender's if another session says so too: nothing else was named yet.
    UnclearSender,
    /// The session has had its share: the message goes on another one.
    SessionFull,
    /// The session is over, or good for nothing any more.
    Session,
    /// The target wants less of us.
    Throttle,
    /// It wants fewer connections of us.
    Connections,
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
    /// The session has taken none yet.
    NewSession,
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
            Only::NewSession => heard.taken_before == 0,
        };
        is_so
            && self.commands.contains(&heard.command)
            && self.basic.contains(&heard.code.basic)
            && self.detail.fits(heard.code)
            && (self.words.is_empty() || self.words.iter().any(|word| says(heard.own_text(), word)))
    }

    const fn ahead(self) -> Self {
        Self { only: Only::Ahead, ..self }
    }

    const fn on_a_used_session(self) -> Self {
        Self { only: Only::UsedSession, ..self }
    }

    const fn on_a_new_session(self) -> Self {
        Self { only: Only::NewSession, ..self }
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
/// Without 421, behind which there is no session.
const FOR_NOW: RangeInclusive<u16> = 422..=499;
const PERMANENT: RangeInclusive<u16> = 500..=599;

/// Looked at from the top. The rows that know more stand before those that know less.
static TABLE: &[Row] = &[
    // What limits the session. A new one has a share of its own, so only one that took something can be full.
    row(EVERY, CLOSING, Any, SHARE_OF_A_SESSION, Whose::SessionFull).on_a_used_session(),
    row(&[Rcpt, Content], FOR_NOW, Any, RATE_OF_THE_RECIPIENT, Whose::Recipient),
    row(&[Rcpt], FOR_NOW, Of(2, &[1..=2]), IN_A_TIME, Whose::Recipient),
    row(EVERY, TRANSIENT, Any, IN_A_TIME, Whose::Throttle),
    row(EVERY, CLOSING, Any, TOO_MANY_MESSAGES, Whose::SessionFull).on_a_used_session(),
    // Errors are counted by the session, of refused recipients too.
    row(EVERY, CLOSING, Any, TOO_MANY_ERRORS, Whose::Session),
    row(EVERY, CLOSING, Any, TOO_MANY_CONNECTIONS, Whose::Connections),
    row(EVERY, CLOSING, Any, TOO_MUCH, Whose::Throttle),
    row(EVERY, CLOSING, Any, &[], Whose::Session),
    row(EVERY, REFUSED, Any, SHARE_OF_A_SESSION, Whose::SessionFull).on_a_used_session(),
    row(EVERY, TRANSIENT, Subject(7), TOO_MUCH, Whose::Throttle),
    row(ENVELOPE, REFUSED, Of(5, &[3..=3]), &[], Whose::SessionFull).on_a_used_session(),
    row(ENVELOPE, REFUSED, Any, TOO_MANY_MESSAGES, Whose::SessionFull).on_a_used_session(),
    row(ALL_BUT_RESET, PERMANENT, Any, TAKES_NONE_OF_OURS, Whose::Target),
    // Rules of the recipient's own, which name authentication and senders too.
    row(&[Rcpt], REFUSED, Any, RULES_OF_THE_RECIPIENT, Whose::Recipient),
    row(&[Content], REFUSED, Any, RULES_OF_THE_RECIPIENT, Whose::Recipient),
    row(ALL_BUT_RESET, PERMANENT, Any, SENDER_LISTED, Whose::Sender),
    // What it says of our account, also with a mailbox's code.
    row(ALL_BUT_RESET, REFUSED, Any, OUR_ACCOUNT, Whose::Target),
    // Links that are on a list are of this content, whoever sends it.
    row(&[Content], PERMANENT, Any, LISTED_LINKS, Whose::Unclear),
    // The machine we send from: its reputation, which names the sending domain too, and its name.
    row(ALL_BUT_RESET, REFUSED, Any, REPUTATION, Whose::Target),
    row(ALL_BUT_RESET, PERMANENT, Any, LISTED, Whose::Target),
    row(ALL_BUT_RESET, REFUSED, Any, NAME_OF_THE_CLIENT, Whose::Target),
    // Relaying refused in so many words, also with a recipient's code: some MTAs give it to every address that is not theirs.
    row(&[Rcpt], REFUSED, Any, RELAY_REFUSED_OUTRIGHT, Whose::Target),
    // The account that logged in (RFC 5248 §2.4), not the recipient's, whatever the enhanced code.
    row(ALL_BUT_RESET, 525..=525, Any, &[], Whose::Target),
    row(ALL_BUT_RESET, PERMANENT, Any, OUT_OF_ORDER, Whose::Target),
    // The recipient's own codes, before any other word: the text may quote what another server said of somebody else.
    row(&[Rcpt], REFUSED, Of(1, &[1..=6]), &[], Whose::Recipient),
    row(&[Rcpt], REFUSED, Of(2, &[1..=2]), &[], Whose::Recipient),
    row(&[Content], REFUSED, Of(2, &[1..=2]), &[], Whose::Recipient),
    row(&[Rcpt], REFUSED, Any, FULL_MAILBOX, Whose::Recipient),
    row(&[Content], REFUSED, Any, FULL_MAILBOX, Whose::Recipient),
    row(&[Content], PERMANENT, Of(7, &[9..=9]), POLICY_REASONS, Whose::Unclear),
    // Authentication and TLS.
    row(ALL_BUT_RESET, 530..=538, Any, &[], Whose::Target),
    row(ALL_BUT_RESET, REFUSED, Of(7, &[8..=12, 14..=14, 57..=57]), &[], Whose::Target),
    row(ALL_BUT_RESET, REFUSED, Any, AUTHENTICATION, Whose::Target),
    // The sender. Postfix keeps its refusals of clients, HELO and senders back until RCPT.
    row(&[Mail], REFUSED, Subject(1), &[], Whose::Sender),
    row(BEHIND_MAIL, REFUSED, Of(1, &[7..=8]), &[], Whose::Sender),
    row(
        ALL_BUT_RESET,
        REFUSED,
        Of(7, &[20..=24, 26..=27, 29..=29, 60..=60, 509..=509, 515..=515]),
        &[],
        Whose::Sender,
    ),
    row(ALL_BUT_RESET, REFUSED, Any, OF_THE_SENDER, Whose::Sender),
    row(&[Mail], REFUSED, Any, OF_THE_SENDER_AT_MAIL, Whose::Sender),
    row(&[Mail], 553..=553, Any, &[], Whose::Sender),
    // The order of our commands, in words that no other cause has.
    row(EVERY, PERMANENT, Any, ORDER_OF_COMMANDS, Whose::Order).ahead(),
    // What the target could not look at is no fault of the message, whatever the code.
    row(ALL_BUT_RCPT, PERMANENT, Of(3, &[4..=4]), NOT_LOOKED_AT, Whose::Unclear),
    row(&[Content], PERMANENT, Subject(6), NOT_LOOKED_AT, Whose::Unclear),
    row(&[Content], PERMANENT, Detail::Absent, NOT_LOOKED_AT, Whose::Unclear),
    // The message: its size, its kind. Before the content was seen that is what MAIL says of it: SIZE, BODY, SMTPUTF8.
    row(ALL_BUT_RCPT, REFUSED, Of(3, &[4..=4]), &[], Whose::Message),
    row(&[Content], REFUSED, Of(2, &[3..=3]), &[], Whose::Message),
    row(ENVELOPE, REFUSED, Of(6, &[1..=3, 6..=10]), &[], Whose::Message),
    row(&[Content], REFUSED, Subject(6), &[], Whose::Message),
    row(ALL_BUT_RESET, REFUSED, Of(7, &[30..=30]), &[], Whose::Message),
    row(ALL_BUT_RCPT, PERMANENT, Any, SIZE, Whose::Message),
    row(&[Content], PERMANENT, Of(7, &[512..=512]), &[], Whose::Message),
    row(&[Content], PERMANENT, Any, FORM, Whose::Message),
    // "Exceeded storage allocation" (RFC 5321 §4.2.3): the message's size, or the target's own disk.
    row(ALL_BUT_RCPT, 552..=552, Detail::Absent, &[], Whose::Unclear),
    // The recipient.
    row(&[Rcpt], REFUSED, Of(1, &[9..=89, 91..=999]), &[], Whose::Recipient),
    row(&[Rcpt], REFUSED, Of(2, &[3..=999]), &[], Whose::Recipient),
    row(&[Rcpt], REFUSED, Of(7, &[13..=13, 17..=19, 124..=136, 504..=505, 513..=513]), &[], Whose::Recipient),
    row(&[Rcpt], REFUSED, Any, OF_THE_RECIPIENT, Whose::Recipient),
    row(&[Rcpt], PERMANENT, Of(4, &[1..=1]), DENIED_AT_THE_EDGE, Whose::Recipient),
    // Put off: one that means it says so with a code that is for now, and one that does not is asked again all the same.
    row(&[Rcpt], TRANSIENT, Any, GREYLISTED, Whose::Recipient),
    row(ALL_BUT_RESET, PERMANENT, Any, GREYLISTED, Whose::Target),
    row(&[Rcpt], 501..=501, Any, SYNTAX_OF_AN_ADDRESS, Whose::Recipient),
    row(&[Rcpt], 504..=504, Any, SYNTAX_OF_AN_ADDRESS, Whose::Recipient),
    // Too much of us.
    row(EVERY, TRANSIENT, Any, TOO_MUCH, Whose::Throttle),
    row(EVERY, PERMANENT, Of(7, &[28..=28]), &[], Whose::Throttle),
    // Exchange Online: the sender's share of the day.
    row(EVERY, REFUSED, Of(1, &[90..=90]), &[], Whose::Throttle),
    row(EVERY, PERMANENT, Any, SENDING_QUOTA, Whose::Throttle),
    // The target's own state, whatever the code: a loop is in its routes (RFC 3463 §3.5).
    row(ALL_BUT_RESET, PERMANENT, Of(4, &[6..=6, 14..=14]), &[], Whose::Target),
    row(ALL_BUT_RESET, PERMANENT, Any, STATE_OF_THE_TARGET, Whose::Target),
    row(&[Rcpt], PERMANENT, Any, NOT_NOW, Whose::Target),
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
    row(&[Rcpt], 501..=501, Subject(7), &[], Whose::Unclear),
    row(&[Rcpt], 501..=501, Any, &[], Whose::Recipient),
    row(ALL_BUT_RESET, 500..=504, Any, &[], Whose::Target),
    // What is left.
    row(&[Reset], TRANSIENT, Any, &[], Whose::Session),
    row(&[Mail], TRANSIENT, Any, &[], Whose::Session).on_a_used_session(),
    row(&[Mail], TRANSIENT, Any, &[], Whose::Target),
    // It takes no mail at all (RFC 7504), or not with these parameters (RFC 5321 §4.1.1.11).
    row(&[Mail], 521..=521, Any, &[], Whose::Target),
    row(&[Mail], 555..=556, Any, &[], Whose::Target),
    row(&[Mail], PERMANENT, Any, &[], Whose::UnclearSender),
    // A filter of its own that the target does not reach, and says so of everything.
    row(&[Rcpt, Content], TRANSIENT, Any, FILTER_GONE, Whose::Unclear),
    // Put off for now: greylisting, in whatever words, is of each recipient by itself. The system's own troubles are not.
    // Postfix' postscreen, of the first session of a client: the next one may be handed on.
    row(&[Rcpt], FOR_NOW, Of(3, &[2..=2]), SERVICE_UNAVAILABLE, Whose::Target).on_a_new_session(),
    row(&[Rcpt], TRANSIENT, Subject(3), &[], Whose::Unclear),
    row(&[Rcpt], TRANSIENT, Subject(4), &[], Whose::Unclear),
    row(&[Rcpt], TRANSIENT, Any, &[], Whose::Recipient),
    row(&[Content], TRANSIENT, Of(7, &[0..=1]), &[], Whose::Message),
    // What a restriction on recipients says without telling why may be its rule for everybody.
    row(&[Rcpt], PERMANENT, Any, DENIED_AT_THE_EDGE, Whose::Unclear),
    row(&[Rcpt], PERMANENT, Any, &[], Whose::Unclear),
    // Nothing but the envelope was seen, and its recipient was taken: never the end of a job.
    row(&[Data], PERMANENT, Any, &[], Whose::Target),
    row(&[Data], TRANSIENT, Any, &[], Whose::Unclear),
    // The content's, of which others are taken; or a filter that refuses everything.
    row(&[Content], REFUSED, Any, &[], Whose::Unclear),
];

#[cfg(test)]
mod tests;
