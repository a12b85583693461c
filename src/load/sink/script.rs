//! How the sink behaves, as data: what it offers, and which replies differ from those of a well-behaved MTA.

use std::borrow::Cow;
use std::time::Duration;

/// A step of the dialogue at which a rule can apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    Greeting,
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Recipient,
    Data,
    /// The final dot, or the last chunk.
    Content,
    /// Every step, counted together.
    Any,
}

impl Step {
    pub(super) const COUNT: usize = 9;
}

/// To which occurrences of its step, counted over all sessions from one, a rule applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Always,
    /// Each nth.
    Every(u64),
    /// Those behind the nth.
    After(u64),
    /// The first n.
    First(u64),
}

impl When {
    pub(super) fn applies_to(self, nth: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Every(n) => nth.is_multiple_of(n.max(1)),
            Self::After(n) => nth > n,
            Self::First(n) => nth <= n,
        }
    }
}

/// What happens instead of, or beside, the usual reply. Reply texts hold code and text without line end, several
/// lines joined by CRLF; `{address}`, `{local}`, `{to}` and `{subject}` are filled in with what the client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// This reply. Its code decides what the step does to the transaction.
    Reply(Cow<'static, str>),
    /// One more reply behind the usual one, in the same write.
    Extra(Cow<'static, str>),
    /// The usual reply, spread over this many lines.
    Lines(usize),
    /// Octets that are no reply.
    Raw(Cow<'static, [u8]>),
    Delay(Duration),
    /// No reply, and nothing is read any more.
    Hang,
    /// What is to be said is still said, then the connection is closed.
    Close,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub step: Step,
    pub when: When,
    pub act: Act,
}

/// Service extensions in the answer to EHLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offers {
    pub pipelining: bool,
    pub eight_bit_mime: bool,
    pub smtputf8: bool,
    pub chunking: bool,
    pub starttls: bool,
    /// Within TLS (RFC 8689).
    pub require_tls: bool,
    /// The limit named with SIZE, in octets.
    pub size_octets_max: u64,
}

impl Default for Offers {
    fn default() -> Self {
        Self {
            pipelining: true,
            eight_bit_mime: true,
            smtputf8: true,
            chunking: true,
            starttls: true,
            require_tls: false,
            size_octets_max: 64 * 1024 * 1024,
        }
    }
}

/// A whole behaviour. The default accepts everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    pub offers: Offers,
    pub rules: Vec<Rule>,
}

/// A profile name that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no profile \"{name}\"")]
pub struct UnknownProfile {
    pub name: String,
}

/// What `NAME=N` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// There is none.
    None,
    /// Each Nth time only; every time without it.
    EachNth,
    /// So many of these, which have to be said.
    Of(&'static str),
    /// So many of these, or as many where nothing is said.
    Or(&'static str, &'static str),
}

/// A behaviour with a name.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    pub name: &'static str,
    pub number: Number,
    pub effect: &'static str,
}

const fn profile(name: &'static str, number: Number, effect: &'static str) -> Profile {
    Profile { name, number, effect }
}

/// What [`Script::profile`] knows.
pub const PROFILES: &[Profile] = &[
    profile("accept", Number::None, "takes everything"),
    profile("refuse-mail", Number::EachNth, "550 5.7.1 to MAIL: the sender is not welcome"),
    profile("refuse-rcpt", Number::EachNth, "550 5.1.1 to RCPT: no such user; names the address"),
    profile("refuse-data", Number::EachNth, "554 5.7.0 to DATA"),
    profile("refuse-content", Number::EachNth, "554 5.7.1 to the message: spam; names subject, To"),
    profile("refuse-auth", Number::EachNth, "535 5.7.8 to AUTH"),
    profile("tempfail", Number::EachNth, "451 4.7.1 to RCPT: greylisted"),
    profile("decline", Number::EachNth, "451 4.3.0 to MAIL: not now"),
    profile("354-after-refused-rcpt", Number::EachNth, "550 5.1.1 to RCPT, and 354 to DATA all the same"),
    profile("hang-greeting", Number::EachNth, "connects and never greets"),
    profile("hang-at-ehlo", Number::EachNth, "no answer to EHLO, for ever"),
    profile("hang-at-starttls", Number::EachNth, "no answer to STARTTLS, for ever"),
    profile("hang-at-mail", Number::EachNth, "no answer to MAIL, for ever"),
    profile("hang-after-data", Number::EachNth, "takes a message and never answers it: in doubt"),
    profile("drop-at-mail", Number::EachNth, "closes the connection at MAIL"),
    profile("drop-before-data", Number::EachNth, "closes the connection at DATA"),
    profile("drop-after-data", Number::EachNth, "takes a message, closes without an answer: in doubt"),
    profile("421-greeting", Number::EachNth, "421 as the greeting: too many connections"),
    profile("421-ehlo", Number::EachNth, "421 to EHLO"),
    profile("421-after", Number::Or("messages", "10"), "421 to each MAIL behind N"),
    profile("421-final", Number::EachNth, "421 behind the message, then closes"),
    profile("554-greeting", Number::EachNth, "554 as the greeting: no service here"),
    profile("garbage", Number::EachNth, "bytes that are no reply to MAIL"),
    profile("overlong-line", Number::EachNth, "a reply line of 5,000 bytes to MAIL"),
    profile("endless-reply", Number::EachNth, "200 lines of a reply to MAIL that does not end"),
    profile("extra-reply", Number::EachNth, "one reply too many behind the answer to DATA"),
    profile("extra-final-reply", Number::EachNth, "one reply too many behind the answer to a message"),
    profile("extra-reply-before-tls", Number::EachNth, "one reply too many behind the answer to STARTTLS"),
    profile("long-replies", Number::EachNth, "every reply in 20 lines"),
    profile("slow", Number::Or("ms", "50"), "every reply late by so much"),
    profile("one-message-per-second", Number::None, "a second for each message"),
    profile("no-starttls", Number::None, "does not offer STARTTLS"),
    profile("no-pipelining", Number::None, "does not offer PIPELINING"),
    profile("no-8bitmime", Number::None, "does not offer 8BITMIME"),
    profile("no-smtputf8", Number::None, "does not offer SMTPUTF8"),
    profile("no-chunking", Number::None, "does not offer CHUNKING"),
    profile("requiretls", Number::None, "offers REQUIRETLS within TLS"),
    profile("size", Number::Of("bytes"), "offers SIZE with this limit"),
];

impl Script {
    /// A behaviour by name, `NAME` or `NAME=N`, several joined by commas. N is the number of the profile: each nth
    /// occurrence for the refusals, milliseconds for `slow`, messages for `421-after`, octets for `size`.
    ///
    /// # Errors
    /// [`UnknownProfile`], also for a number that is none.
    pub fn profile(names: &str) -> Result<Self, UnknownProfile> {
        let mut script = Self::default();
        for name in names.split(',') {
            script.add(name.trim()).ok_or_else(|| UnknownProfile { name: name.trim().to_owned() })?;
        }
        Ok(script)
    }

    /// One more rule.
    pub fn with(mut self, step: Step, when: When, act: Act) -> Self {
        self.rules.push(Rule { step, when, act });
        self
    }

    /// Whether a reply repeats what only the content says.
    pub(super) fn echoes_content(&self) -> bool {
        self.rules.iter().any(|rule| match &rule.act {
            Act::Reply(text) | Act::Extra(text) => text.contains("{to}") || text.contains("{subject}"),
            _ => false,
        })
    }

    fn add(&mut self, profile: &str) -> Option<()> {
        let (name, number) = match profile.split_once('=') {
            Some((name, number)) => (name, Some(number.parse::<u64>().ok()?)),
            None => (profile, None),
        };
        if self.change_offers(name, number) {
            return Some(());
        }
        let when = number.map_or(When::Always, When::Every);
        let reply = |text: &'static str| Act::Reply(text.into());
        let rules = match name {
            "accept" => vec![],
            "refuse-mail" => vec![(Step::Mail, when, reply("550 5.7.1 sender not welcome"))],
            "refuse-rcpt" => vec![(Step::Recipient, when, reply(NO_SUCH_USER))],
            "refuse-data" => vec![(Step::Data, when, reply("554 5.7.0 no data today"))],
            "refuse-content" => vec![(Step::Content, when, reply(CONTENT_REFUSED))],
            "refuse-auth" => vec![(Step::Auth, when, reply("535 5.7.8 authentication failed"))],
            "tempfail" => vec![(Step::Recipient, when, reply(GREYLISTED))],
            "354-after-refused-rcpt" => vec![
                (Step::Recipient, when, reply(NO_SUCH_USER)),
                (Step::Data, when, reply("354 go ahead all the same")),
            ],
            "hang-after-data" => vec![(Step::Content, when, Act::Hang)],
            "drop-after-data" => vec![(Step::Content, when, reply("")), (Step::Content, when, Act::Close)],
            "drop-before-data" => vec![(Step::Data, when, reply("")), (Step::Data, when, Act::Close)],
            "drop-at-mail" => vec![(Step::Mail, when, reply("")), (Step::Mail, when, Act::Close)],
            "garbage" => vec![(Step::Mail, when, Act::Raw(GARBAGE.into()))],
            "overlong-line" => vec![(Step::Mail, when, Act::Raw(vec![b'2'; 5000].into()))],
            "endless-reply" => vec![(Step::Mail, when, Act::Raw(b"250-more\r\n".repeat(200).into()))],
            "extra-reply" => vec![(Step::Data, when, Act::Extra("250 2.0.0 taken already".into()))],
            "extra-final-reply" => vec![(Step::Content, when, Act::Extra("554 5.0.0 or not".into()))],
            "long-replies" => vec![(Step::Any, when, Act::Lines(20))],
            "slow" => {
                vec![(Step::Any, When::Always, Act::Delay(Duration::from_millis(number.unwrap_or(50))))]
            }
            "one-message-per-second" => {
                vec![(Step::Content, When::Always, Act::Delay(Duration::from_secs(1)))]
            }
            "421-greeting" => closing(Step::Greeting, when, "421 4.3.2 too many connections"),
            "421-after" => closing(Step::Mail, When::After(number.unwrap_or(10)), "421 4.3.2 enough for now"),
            "421-final" => closing(Step::Content, when, "421 4.3.2 going down"),
            "421-ehlo" => closing(Step::Ehlo, when, "421 4.3.2 not now"),
            "554-greeting" => closing(Step::Greeting, when, "554 5.3.2 no service here"),
            "hang-at-ehlo" => vec![(Step::Ehlo, when, Act::Hang)],
            "hang-at-starttls" => vec![(Step::StartTls, when, Act::Hang)],
            "hang-at-mail" => vec![(Step::Mail, when, Act::Hang)],
            "decline" => vec![(Step::Mail, when, reply("451 4.3.0 not now"))],
            "hang-greeting" => vec![(Step::Greeting, when, Act::Hang)],
            "extra-reply-before-tls" => {
                vec![(Step::StartTls, when, Act::Extra("250 2.0.0 injected".into()))]
            }
            _ => return None,
        };
        self.rules.extend(rules.into_iter().map(|(step, when, act)| Rule { step, when, act }));
        Some(())
    }

    fn change_offers(&mut self, name: &str, number: Option<u64>) -> bool {
        match (name, number) {
            ("no-starttls", None) => self.offers.starttls = false,
            ("no-pipelining", None) => self.offers.pipelining = false,
            ("no-8bitmime", None) => self.offers.eight_bit_mime = false,
            ("no-smtputf8", None) => self.offers.smtputf8 = false,
            ("requiretls", None) => self.offers.require_tls = true,
            ("no-chunking", None) => self.offers.chunking = false,
            ("size", Some(octets)) => self.offers.size_octets_max = octets,
            _ => return false,
        }
        true
    }
}

const NO_SUCH_USER: &str =
    "550-5.1.1 <{address}>: recipient address rejected\r\n550 5.1.1 user {local} unknown";
const CONTENT_REFUSED: &str = "554 5.7.1 message \"{subject}\" for {to} at {address} looks like spam";
const GREYLISTED: &str = "451 4.7.1 <{address}>: greylisted, try again later";
const GARBAGE: &[u8] = b"\x00\xff\xfeHELLO?\r\n\r\n200\r\n";

fn closing(step: Step, when: When, text: &'static str) -> Vec<(Step, When, Act)> {
    vec![(step, when, Act::Reply(text.into())), (step, when, Act::Close)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_profile_exists_and_they_can_be_joined() {
        for Profile { name, number, .. } in PROFILES {
            let alone = Script::profile(name);
            let numbered = Script::profile(&format!("{name}=1000"));
            match number {
                // An offer takes none; a rule passes over it.
                Number::None => assert!(alone.is_ok(), "{name}"),
                Number::Of(_) => assert!(alone.is_err() && numbered.is_ok(), "{name}"),
                Number::EachNth | Number::Or(..) => assert_ne!(alone.unwrap(), numbered.unwrap(), "{name}"),
            }
        }
        let script = Script::profile("no-pipelining, refuse-rcpt=3").unwrap();
        assert!(!script.offers.pipelining);
        assert_eq!(script.rules[0].when, When::Every(3));
        assert_eq!(Script::profile("acept").unwrap_err().name, "acept");
        assert!(Script::profile("slow=x").is_err());
    }

    #[test]
    fn when_counts_from_one() {
        let hits = |when: When| (1..=6).filter(|nth| when.applies_to(*nth)).collect::<Vec<_>>();
        assert_eq!(hits(When::Every(3)), [3, 6]);
        assert_eq!(hits(When::After(4)), [5, 6]);
        assert_eq!(hits(When::First(2)), [1, 2]);
    }
}
