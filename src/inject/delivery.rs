//! One finished message on its way to a target, and what became of it.

use super::breaker::Kind;
use super::flow::Pass;
use super::inquiry::Whom;
use super::unclear::Doubt;
use crate::fault::{Fault, Reason, ReplyCode};
use crate::message::Message;
use crate::person::Person;
use crate::personal::Personal;
use crate::wire::dot;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Longest address put into MAIL or RCPT: 64 + 1 + 255 octets (RFC 5321 §4.5.3.1).
const ADDRESS_OCTETS_MAX: usize = 320;

/// Notes that a message is about to leave.
pub type OnOffer = Arc<dyn Fn() -> bool + Send + Sync>;

/// Whether the content holds octets above 127, and so needs 8BITMIME (RFC 6152).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EightBit {
    None,
    /// It can be rendered without them.
    Convertible,
    /// This part of the message cannot be written anew.
    Fixed(Box<str>),
}

/// A finished message with its envelope. The content is wiped when it is dropped.
pub struct Delivery {
    /// Headers and body with CRLF line ends, not dot-stuffed.
    pub message: Message,
    /// The reverse-path without angle brackets; empty for the null reverse-path.
    pub sender: String,
    pub recipient: Personal<String>,
    pub whom: Whom,
    pub eight_bit: EightBit,
    /// Headers hold UTF-8 and need SMTPUTF8 (RFC 6531). An address that is not ASCII needs it in any case.
    pub smtputf8: bool,
    /// Ask the target to keep TLS on the way onwards (RFC 8689).
    pub require_tls: bool,
    /// When it has to be on its way: a delivery that no session has taken by then is given back, unsent.
    pub give_up_at: Option<Instant>,
    /// Called right before the content leaves: from there on a crash leaves the message in doubt. False: that could
    /// not be noted, so it must not leave.
    pub on_offer: Option<OnOffer>,
    /// Whose values are taken out of what the target says.
    pub person: Option<Arc<Person>>,
}

impl Delivery {
    pub(super) fn needs_smtputf8(&self) -> bool {
        self.smtputf8 || !self.recipient.reveal().is_ascii() || !self.sender.is_ascii()
    }

    /// Refuses what would break the dialogue. Addresses and content were judged before; this is the last door.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if !is_safe_in_path(self.recipient.reveal()) || self.recipient.reveal().is_empty() {
            return Err(Fault::new(
                Reason::BadJob,
                "the person's address cannot be written into RCPT; correct the address in the vault",
            ));
        }
        if !is_safe_in_path(&self.sender) {
            return Err(Fault::new(
                Reason::BadJob,
                "the envelope sender cannot be written into MAIL; use a plain address",
            ));
        }
        if self.message.has_dot_line() && dot::has_dot_after_bare_line_end(&self.message.to_octets()) {
            return Err(Fault::new(
                Reason::BadJob,
                "the message has a dot behind a bare CR or LF, which some servers take for its end; use CRLF",
            ));
        }
        Ok(())
    }

    /// Why a message stayed that was not allowed to leave.
    pub fn unnoted() -> Fault {
        let detail = "the journal could not note that the message leaves; nothing was sent";
        Fault::new(Reason::TargetUnavailable, detail)
    }

    /// The target says that it takes none so large. How large it is, is not said: that depends on the person's values.
    pub fn too_large(target: &Arc<str>) -> Fault {
        let detail = format!("the message may be larger than target {target} takes; make it smaller");
        let mut fault = Fault::new(Reason::TooLarge, detail).at(target);
        fault.reply = Some(ReplyCode::new(552, 5, 3, 4));
        fault
    }

    pub(super) fn may_leave(&self) -> bool {
        self.on_offer.as_ref().is_none_or(|note| note())
    }

    /// The person's values a target might echo.
    pub(super) fn known_values(&self) -> impl Iterator<Item = &str> {
        let fields = self.person.iter().flat_map(|person| person.fields().map(|(_, value)| value));
        std::iter::once(self.recipient.reveal().as_str()).chain(fields)
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").field("octets", &self.message.len()).finish_non_exhaustive()
    }
}

/// No octet that ends a path, a parameter or a line. Spaces and angle brackets only inside quotes.
fn is_safe_in_path(address: &str) -> bool {
    let mut quoted = false;
    let mut escaped = false;
    for octet in address.bytes() {
        match octet {
            0..=0x1f | 0x7f => return false,
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b' ' | b'<' | b'>' if !quoted => return false,
            _ => {}
        }
    }
    !quoted && address.len() <= ADDRESS_OCTETS_MAX
}

/// The target answered 2xx after the final dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub target: Arc<str>,
    pub code: ReplyCode,
    /// How many times the message was offered, this time included.
    pub attempts: u32,
    /// When the stream had taken its last octet.
    pub sent_at: Instant,
}

/// Why a delivery has not been relayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliverError {
    /// The target does not offer 8BITMIME: render the message in 7 bits and deliver again. Nothing was sent.
    NeedsSevenBit,
    Failed(Fault),
}

impl From<Fault> for DeliverError {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

/// Who else could take a message that this target does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// A target that has not seen it yet, and is up or has only refused everybody until now.
    AnotherTarget,
    Nowhere,
}

/// What a session answers for a parcel.
pub(super) enum Settled {
    Accepted(Accepted),
    Failed(DeliverError),
    /// No session could be made and nothing was sent: another target may have it.
    Unreached(Fault, Box<Delivery>),
    /// The target does not take it, for a reason that is not the message's own: another target may have it.
    Passed(Fault, Box<Delivery>),
}

/// A delivery in a target's queue together with who waits for it.
pub(super) struct Parcel {
    pub delivery: Delivery,
    pub attempts: u32,
    pub queued_at: Instant,
    /// When the stream had taken its last octet; `queued_at` until then.
    pub sent_at: Instant,
    pub errand: Errand,
    pub elsewhere: Elsewhere,
    /// Held while the target has it.
    pub pass: Option<Pass>,
    /// Sessions that ended while they waited for the answer to this one. It goes behind the others, and alone.
    pub strikes: u32,
    /// Times it was put off for a reason of the session's or the target's.
    pub detours: u32,
    /// Sessions that lacked what it needs.
    pub misfits: u32,
    /// What sessions said of it without telling whose that is.
    pub doubt: Doubt,
    waiting: oneshot::Sender<Settled>,
    claim: Claim,
    is_taken: bool,
}

impl Errand {
    /// Whether a message on this errand is given to a target that is down in this way.
    pub(super) fn bears(self, kind: Kind) -> bool {
        match self {
            Self::Attempt => true,
            Self::Patient => kind.is_silence(),
            Self::Hasty | Self::Usual => false,
        }
    }
}

/// On what terms a message goes to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// There is another way for it: it is given back when the target is down, or has no session free soon.
    Hasty,
    /// It is given back as soon as the target is down.
    Usual,
    /// It may wait for a target that is silent for a while.
    Patient,
    /// The target is down, and this message finds out whether it still is.
    Attempt,
}

/// Who decides about a parcel: the session that takes it, or whoever waits and gives up. Only one of them gets it,
/// so nothing is reported as unsent and sent all the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Claim(Arc<AtomicBool>);

impl Claim {
    /// True for the first who asks.
    pub fn get(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// By whoever has it: it is to be had again.
    fn give_up(&self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Parcel {
    pub fn new(delivery: Delivery, errand: Errand) -> (Self, oneshot::Receiver<Settled>, Claim) {
        let (waiting, settled) = oneshot::channel();
        let claim = Claim::default();
        let queued_at = Instant::now();
        let parcel = Self {
            delivery,
            attempts: 0,
            queued_at,
            sent_at: queued_at,
            errand,
            elsewhere: Elsewhere::Nowhere,
            pass: None,
            strikes: 0,
            detours: 0,
            misfits: 0,
            doubt: Doubt::default(),
            waiting,
            claim: claim.clone(),
            is_taken: false,
        };
        (parcel, settled, claim)
    }

    /// Whoever wanted this has gone: as long as it was not offered, it need not be.
    pub fn is_abandoned(&self) -> bool {
        self.waiting.is_closed()
    }

    /// Completes when nobody waits for it any more. Cancel-safe.
    pub async fn abandoned(&mut self) {
        self.waiting.closed().await;
    }

    /// Takes it for a session; false when it was given up before. A taken parcel stays taken.
    pub fn take(&mut self) -> bool {
        self.is_taken = self.is_taken || self.claim.get();
        self.is_taken && !self.is_abandoned()
    }

    /// It is not with the target, and may be withdrawn until it is taken again.
    pub fn release(&mut self) {
        self.pass = None;
        if std::mem::take(&mut self.is_taken) {
            self.claim.give_up();
        }
    }

    pub fn accept(self, target: &Arc<str>, code: ReplyCode) {
        if let Some(pass) = &self.pass {
            pass.answered();
        }
        let accepted =
            Accepted { target: target.clone(), code, attempts: self.attempts, sent_at: self.sent_at };
        let _ = self.waiting.send(Settled::Accepted(accepted));
    }

    pub fn fail(self, error: impl Into<DeliverError>) {
        let _ = self.waiting.send(Settled::Failed(error.into()));
    }

    /// Whoever waits had patience until then.
    pub fn is_overdue(&self) -> bool {
        self.delivery.give_up_at.is_some_and(|at| Instant::now() >= at)
    }

    /// Gives the delivery back, unsent, for another target.
    pub fn pass_on(self, fault: Fault) {
        let _ = self.waiting.send(Settled::Passed(fault, Box::new(self.delivery)));
    }

    /// Gives the delivery back, unsent.
    pub fn give_back(self, fault: Fault) {
        let _ = self.waiting.send(Settled::Unreached(fault, Box::new(self.delivery)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_cannot_carry_a_second_command() {
        for good in ["a@b.test", "\"a b\"@b.test", "\"<\\\">\"@b.test", "", "דנה@b.test", "a+b=c@[127.0.0.1]"]
        {
            assert!(is_safe_in_path(good), "{good}");
        }
        let long = "a".repeat(321);
        for bad in ["a@b\r\nDATA", "a@b> SIZE=1", "a b@c", "\"a@b", "a\0@b", "<a@b", &long, "\"a\n\"@b"] {
            assert!(!is_safe_in_path(bad), "{bad:?}");
        }
    }
}
