//! Why a job was not relayed: a reason from the closed list of the contract, whether it is worth another
//! try, and a text that never holds personal data.

use serde::Serialize;
use std::borrow::Cow;

/// The closed list of reasons that engines may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    UnknownToken,
    ExpiredToken,
    NotAToken,
    NoConsent,
    Restricted,
    Erased,
    Duplicate,
    MissingField,
    FieldNotGranted,
    PurposeNotGranted,
    SenderNotGranted,
    TemplateNotFound,
    BadTemplate,
    BadJob,
    TooLarge,
    TargetRejected,
    TargetUnavailable,
    VaultUnavailable,
    VaultSealed,
    OverQuota,
    JournalFull,
}

impl Reason {
    pub const ALL: [Self; 21] = [
        Self::UnknownToken,
        Self::ExpiredToken,
        Self::NotAToken,
        Self::NoConsent,
        Self::Restricted,
        Self::Erased,
        Self::Duplicate,
        Self::MissingField,
        Self::FieldNotGranted,
        Self::PurposeNotGranted,
        Self::SenderNotGranted,
        Self::TemplateNotFound,
        Self::BadTemplate,
        Self::BadJob,
        Self::TooLarge,
        Self::TargetRejected,
        Self::TargetUnavailable,
        Self::VaultUnavailable,
        Self::VaultSealed,
        Self::OverQuota,
        Self::JournalFull,
    ];

    /// The reason a word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// The word used on every edge: HTTP results, events, SMTP texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownToken => "unknown-token",
            Self::ExpiredToken => "expired-token",
            Self::NotAToken => "not-a-token",
            Self::NoConsent => "no-consent",
            Self::Restricted => "restricted",
            Self::Erased => "erased",
            Self::Duplicate => "duplicate",
            Self::MissingField => "missing-field",
            Self::FieldNotGranted => "field-not-granted",
            Self::PurposeNotGranted => "purpose-not-granted",
            Self::SenderNotGranted => "sender-not-granted",
            Self::TemplateNotFound => "template-not-found",
            Self::BadTemplate => "bad-template",
            Self::BadJob => "bad-job",
            Self::TooLarge => "too-large",
            Self::TargetRejected => "target-rejected",
            Self::TargetUnavailable => "target-unavailable",
            Self::VaultUnavailable => "vault-unavailable",
            Self::VaultSealed => "vault-sealed",
            Self::OverQuota => "over-quota",
            Self::JournalFull => "journal-full",
        }
    }

    /// What a job with this reason becomes. A refusal by the target depends on its reply code instead.
    pub fn state(self) -> State {
        match self {
            Self::NoConsent | Self::Restricted | Self::Erased | Self::Duplicate => State::Suppressed,
            Self::TargetUnavailable
            | Self::VaultUnavailable
            | Self::VaultSealed
            | Self::OverQuota
            | Self::JournalFull => State::Deferred,
            _ => State::Rejected,
        }
    }
}

/// What became of a job. Every accepted recipient ends in exactly one of the final ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The first MTA answered 250.
    Relayed,
    /// Durably held, will be relayed.
    Journaled,
    /// Temporary, nothing held: submit again.
    Deferred,
    Rejected,
    Suppressed,
    Expired,
    Cancelled,
    /// The connection was lost after the final dot: it may have been delivered.
    Unknown,
    /// A ticket was dropped unsettled: a defect of the relay itself, counted and reported, never normal.
    Lost,
}

impl State {
    pub const ALL: [State; 9] = [
        Self::Relayed,
        Self::Journaled,
        Self::Deferred,
        Self::Rejected,
        Self::Suppressed,
        Self::Expired,
        Self::Cancelled,
        Self::Unknown,
        Self::Lost,
    ];

    /// The state a word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing more will become of the job by itself. `unknown` is one of them: it is sent again only where
    /// the configuration or a person says so. A `deferred` job is not held, which ends it here.
    pub fn is_final(self) -> bool {
        self != Self::Journaled
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Relayed => "relayed",
            Self::Journaled => "journaled",
            Self::Deferred => "deferred",
            Self::Rejected => "rejected",
            Self::Suppressed => "suppressed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
            Self::Lost => "lost",
        }
    }
}

/// A reply of the first MTA: basic code and, where it gave one, the enhanced code (RFC 3463).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyCode {
    pub basic: u16,
    pub enhanced: Option<Enhanced>,
}

impl ReplyCode {
    pub const fn new(basic: u16, class: u8, subject: u16, detail: u16) -> Self {
        Self { basic, enhanced: Some(Enhanced(class, subject, detail)) }
    }

    pub fn is_positive(self) -> bool {
        (200..300).contains(&self.basic)
    }

    pub fn is_transient(self) -> bool {
        (400..500).contains(&self.basic)
    }
}

/// Enhanced status code `class.subject.detail` (RFC 3463 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enhanced(pub u8, pub u16, pub u16);

impl Enhanced {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let code =
            Self(parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next().is_none().then_some(code)
    }
}

impl std::fmt::Display for Enhanced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Why a job failed. `detail` says the cause and, where there is one, the fix; it holds names of fields,
/// templates and targets, never a value of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub reason: Reason,
    pub detail: Cow<'static, str>,
    /// What the target said, when the target said it.
    pub reply: Option<ReplyCode>,
    /// The name of the target that caused it, when one did.
    pub target: Option<std::sync::Arc<str>>,
    state: State,
    circumstance: Circumstance,
    repeat: Repeat,
}

/// Whether a job that the ledger does not know may have been carried before, and have been forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Repeat {
    #[default]
    No,
    Maybe,
}

/// What a door says in a code of its own though the reason has a wider meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circumstance {
    Usual,
    /// Another job came before under the same id.
    SameIdOtherBody,
    /// The content needs 8BITMIME and no target offers it (RFC 6152 §3).
    NeedsEightBit,
    /// The person's values are the cause, and nothing that the engine sent.
    PersonsValues,
    /// What the target says it said to others: this job was not its turn yet.
    Untried,
}

impl Fault {
    pub fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            reply: None,
            target: None,
            state: reason.state(),
            circumstance: Circumstance::Usual,
            repeat: Repeat::No,
        }
    }

    /// The target answered with a refusal: 4xx defers, 5xx rejects.
    pub fn refused(code: ReplyCode, detail: impl Into<Cow<'static, str>>) -> Self {
        let state = if code.is_transient() { State::Deferred } else { State::Rejected };
        Self { reply: Some(code), state, ..Self::new(Reason::TargetRejected, detail) }
    }

    /// The connection was lost after the final dot and before its answer.
    pub fn in_doubt(detail: impl Into<Cow<'static, str>>) -> Self {
        let fault = Self::new(Reason::TargetUnavailable, detail);
        Self { state: State::Unknown, ..fault }
    }

    /// The job's own deadline has passed.
    pub fn expired() -> Self {
        let fault = Self::new(Reason::BadJob, "the job's 'expires' has passed; it was not sent");
        Self { state: State::Expired, ..fault }
    }

    /// The journal takes no more: it is full, or its disk is.
    pub fn no_storage(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Reason::JournalFull, detail)
    }

    /// The engine gave this job an id that another job of its has.
    pub fn other_body() -> Self {
        let detail = "this job_id came before with another body; give each job an id of its own";
        Self { circumstance: Circumstance::SameIdOtherBody, ..Self::new(Reason::BadJob, detail) }
    }

    /// No target takes 8-bit octets, and `part` of the message cannot be encoded anew.
    pub fn needs_eight_bit(part: &str) -> Self {
        let detail = format!(
            "{part} has 8-bit octets that cannot be encoded without changing it, and no target offers 8BITMIME; \
             encode the part in base64 or quoted-printable"
        );
        Self { circumstance: Circumstance::NeedsEightBit, ..Self::new(Reason::BadJob, detail) }
    }

    /// What only the person's values can have caused, and so was not seen before they were filled in. It says nothing that
    /// an engine could learn them by: neither where, nor by how much.
    pub fn of_values() -> Self {
        let detail =
            "the message cannot be made for this person: the values that it shows are too long for it";
        Self { circumstance: Circumstance::PersonsValues, ..Self::new(Reason::TooLarge, detail) }
    }

    /// The same cause, of a job that was not offered for it: it was not refused either, and its turn comes soon.
    pub fn untried(self) -> Self {
        if self.circumstance == Circumstance::Untried {
            return self;
        }
        let detail = format!(
            "not offered yet: the target refuses others and is asked a few at a time ({})",
            self.detail
        );
        Self { circumstance: Circumstance::Untried, detail: detail.into(), reply: None, ..self }
    }

    /// Nothing of the job was offered: it was not its turn.
    pub fn is_untried(&self) -> bool {
        self.circumstance == Circumstance::Untried
    }

    pub fn is_no_storage(&self) -> bool {
        self.reason == Reason::JournalFull
    }

    pub fn circumstance(&self) -> Circumstance {
        self.circumstance
    }

    /// The same cause with another outcome: what was temporary has gone on for too long, or is called off.
    pub fn into_state(self, state: State) -> Self {
        Self { state, ..self }
    }

    /// The same, of a job that may have been carried before, or not.
    pub fn of_repeat(self, repeat: Repeat) -> Self {
        Self { repeat, ..self }
    }

    pub fn repeat(&self) -> Repeat {
        self.repeat
    }

    pub fn at(mut self, target: &std::sync::Arc<str>) -> Self {
        self.target = Some(target.clone());
        self
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the relay refused the job itself, with nothing of it offered to a target by then: what was wrong may be mended,
    /// so that the same job is judged anew when it comes again.
    pub fn is_before_any_offer(&self) -> bool {
        matches!(self.state, State::Rejected | State::Suppressed)
            && self.reply.is_none()
            && !matches!(self.reason, Reason::TargetRejected | Reason::Duplicate)
    }

    /// Whether the same job may succeed later.
    pub fn is_transient(&self) -> bool {
        self.state == State::Deferred
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.reason.as_str(), self.detail)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_code_decides_between_deferred_and_rejected() {
        assert_eq!(Fault::refused(ReplyCode::new(451, 4, 3, 0), "busy").state(), State::Deferred);
        assert_eq!(Fault::refused(ReplyCode::new(550, 5, 1, 1), "no").state(), State::Rejected);
        assert_eq!(Fault::in_doubt("gone").state(), State::Unknown);
    }

    #[test]
    fn the_closed_list_of_reasons_is_told_as_it_is() {
        let told = include_str!("../docs/http.md").split("`reason` is one of `").nth(1).unwrap();
        let told: Vec<&str> = told.split('`').next().unwrap().split_whitespace().collect();
        assert_eq!(told, Reason::ALL.map(Reason::as_str));
    }

    #[test]
    fn words_on_the_edge_equal_their_serialised_form() {
        for state in State::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
            assert_eq!(Reason::parse(reason.as_str()), Some(reason));
        }
        assert!(State::ALL.iter().all(|state| State::parse(state.as_str()) == Some(*state)));
        assert_eq!(Enhanced::parse("4.3.1"), Some(Enhanced(4, 3, 1)));
        assert!(["", "4.3", "4.3.1.1", "a.b.c"].iter().all(|text| Enhanced::parse(text).is_none()));
    }
}
