//! The one place where an outcome becomes an SMTP reply. Basic and enhanced code come from one value; the text
//! is the reason's word, its cause and the send number.

use crate::accept::smtp::reply::Reply;
use crate::fault::{Circumstance, Enhanced, Fault, Reason, Repeat, ReplyCode, State};
use crate::job::SendNumber;
use crate::ticket::Outcome;

/// Longest cause shown, so that the send number always fits behind it.
const DETAIL_OCTETS_MAX: usize = 300;

/// Said of a job that may have been carried before; the word that results and the ledger have for it.
const MAYBE_REPEATED: &str = "; maybe_repeated";

/// The answer to a message that was submitted.
pub fn to_outcome(send: &SendNumber, outcome: &Outcome) -> Reply {
    let repeated = match outcome.repeat() {
        Repeat::No => "",
        Repeat::Maybe => MAYBE_REPEATED,
    };
    let ok = |what| Reply::new(ReplyCode::new(250, 2, 0, 0), format!("Ok: {what} as {send}{repeated}"));
    match outcome {
        Outcome::Relayed(_) => ok("relayed"),
        Outcome::Journaled(_) => ok("journaled"),
        // It is ours now: the engine has nothing to repeat.
        Outcome::HeldInDoubt(_) => ok("outcome unknown, held"),
        Outcome::Failed(fault) => Reply::new(code(fault), text(fault, Some(send)) + repeated),
        Outcome::Lost => Reply::new(
            ReplyCode::new(451, 4, 3, 0),
            format!("the relay could not say what became of it; see {send}"),
        ),
    }
}

/// The answer to a recipient or a message that was refused before it became a job.
pub fn to_refusal(fault: &Fault) -> Reply {
    Reply::new(code(fault), text(fault, None))
}

fn text(fault: &Fault, send: Option<&SendNumber>) -> String {
    let word = match fault.state() {
        State::Unknown => "outcome unknown, not sent again",
        _ => fault.reason.as_str(),
    };
    let detail: String = fault.detail.chars().take(DETAIL_OCTETS_MAX).collect();
    match send {
        Some(send) => format!("{word}: {detail} ({send})"),
        None => format!("{word}: {detail}"),
    }
}

fn code(fault: &Fault) -> ReplyCode {
    // A 4xx would make the engine send again what may have been delivered: a silent duplicate.
    if fault.state() == State::Unknown {
        return ReplyCode::new(554, 5, 4, 2);
    }
    match fault.reason {
        // The relay's own fault, and soon mended.
        Reason::TemplateNotFound | Reason::BadTemplate if fault.is_transient() => {
            ReplyCode::new(451, 4, 3, 0)
        }
        Reason::UnknownToken | Reason::ExpiredToken => ReplyCode::new(550, 5, 1, 1),
        Reason::NotAToken
        | Reason::NoConsent
        | Reason::Restricted
        | Reason::Erased
        | Reason::Duplicate
        | Reason::FieldNotGranted
        | Reason::PurposeNotGranted
        | Reason::SenderNotGranted => ReplyCode::new(550, 5, 7, 1),
        // RFC 6152 §3: conversion is required and not possible.
        Reason::BadJob if fault.circumstance() == Circumstance::NeedsEightBit => ReplyCode::new(554, 5, 6, 3),
        Reason::MissingField | Reason::TemplateNotFound | Reason::BadJob => ReplyCode::new(550, 5, 6, 0),
        Reason::BadTemplate => ReplyCode::new(554, 5, 6, 0),
        Reason::TooLarge => ReplyCode::new(552, 5, 3, 4),
        Reason::VaultUnavailable | Reason::VaultSealed => ReplyCode::new(451, 4, 3, 0),
        Reason::TargetUnavailable => ReplyCode::new(451, 4, 4, 1),
        Reason::JournalFull => ReplyCode::new(452, 4, 3, 1),
        Reason::OverQuota => ReplyCode::new(450, 4, 7, 1),
        Reason::TargetRejected => passed_on(fault),
    }
}

/// The target's own code where it means the same on this side. Codes about its session with us (421, 530, 503)
/// would be read as being about the engine's session and become the general ones.
fn passed_on(fault: &Fault) -> ReplyCode {
    let is_transient = fault.is_transient();
    let general = if is_transient { ReplyCode::new(451, 4, 0, 0) } else { ReplyCode::new(554, 5, 0, 0) };
    let Some(reply) = fault.reply else { return general };
    let basic = match (reply.basic, is_transient) {
        (450..=452 | 455, true) | (550..=554 | 556, false) => reply.basic,
        _ => general.basic,
    };
    let class = if is_transient { 4 } else { 5 };
    let enhanced = reply
        .enhanced
        .filter(|Enhanced(stated, subject, detail)| *stated == class && *subject <= 999 && *detail <= 999);
    ReplyCode { basic, enhanced: enhanced.or(general.enhanced) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticket::{Relayed, StageTimes};

    fn line(outcome: &Outcome) -> String {
        let mut out = Vec::new();
        to_outcome(&SendNumber::from_bits([7; 16]), outcome).write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_reason_has_its_codes() {
        for (reason, codes) in [
            (Reason::UnknownToken, "550 5.1.1"),
            (Reason::ExpiredToken, "550 5.1.1"),
            (Reason::NotAToken, "550 5.7.1"),
            (Reason::NoConsent, "550 5.7.1"),
            (Reason::Restricted, "550 5.7.1"),
            (Reason::Erased, "550 5.7.1"),
            (Reason::Duplicate, "550 5.7.1"),
            (Reason::MissingField, "550 5.6.0"),
            (Reason::FieldNotGranted, "550 5.7.1"),
            (Reason::PurposeNotGranted, "550 5.7.1"),
            (Reason::SenderNotGranted, "550 5.7.1"),
            (Reason::TemplateNotFound, "550 5.6.0"),
            (Reason::BadTemplate, "554 5.6.0"),
            (Reason::BadJob, "550 5.6.0"),
            (Reason::TooLarge, "552 5.3.4"),
            (Reason::TargetUnavailable, "451 4.4.1"),
            (Reason::VaultUnavailable, "451 4.3.0"),
            (Reason::VaultSealed, "451 4.3.0"),
            (Reason::OverQuota, "450 4.7.1"),
            (Reason::JournalFull, "452 4.3.1"),
        ] {
            let fault = Fault::new(reason, "the cause");
            let line = line(&Outcome::Failed(fault.clone()));
            assert!(line.starts_with(&format!("{codes} {}: the cause (s_", reason.as_str())), "{line}");
            assert_eq!(
                line.starts_with('4'),
                fault.is_transient(),
                "a 4xx exactly when it may be sent again"
            );
        }
    }

    #[test]
    fn relayed_lost_and_in_doubt() {
        let code = ReplyCode::new(250, 2, 0, 0);
        let relayed = Relayed {
            target: "mta1".into(),
            code,
            attempt: 1,
            times: StageTimes::default(),
            repeat: Repeat::No,
        };
        assert!(line(&Outcome::Relayed(relayed)).starts_with("250 2.0.0 Ok: relayed as s_"));
        assert!(line(&Outcome::Lost).starts_with("451 4.3.0 "));
        assert!(line(&Outcome::Failed(Fault::in_doubt("gone"))).starts_with("554 5.4.2 outcome unknown"));
    }

    #[test]
    fn c8_what_may_be_a_repeat_is_said_whatever_came_of_it() {
        let doubt = || Fault::in_doubt("gone").of_repeat(Repeat::Maybe);
        for (outcome, expected) in [
            (Outcome::Journaled(Repeat::Maybe), "250 2.0.0 Ok: journaled as s_"),
            (Outcome::HeldInDoubt(doubt()), "250 2.0.0 Ok: outcome unknown, held as s_"),
            (Outcome::Failed(doubt()), "554 5.4.2 outcome unknown, not sent again: gone (s_"),
        ] {
            let line = line(&outcome);
            assert!(line.starts_with(expected) && line.ends_with("; maybe_repeated\r\n"), "{line}");
        }
        assert!(!line(&Outcome::Journaled(Repeat::No)).contains("maybe_repeated"));
    }

    #[test]
    fn the_targets_code_is_passed_on_where_it_means_the_same() {
        let refused = |basic, enhanced| {
            let code = ReplyCode { basic, enhanced };
            line(&Outcome::Failed(Fault::refused(code, "mta1 refused it")))[..9].to_string()
        };
        assert_eq!(refused(550, Some(Enhanced(5, 1, 1))), "550 5.1.1");
        assert_eq!(refused(452, Some(Enhanced(4, 2, 2))), "452 4.2.2");
        assert_eq!(refused(450, None), "450 4.0.0");
        assert_eq!(refused(421, Some(Enhanced(4, 3, 2))), "451 4.3.2");
        assert_eq!(refused(530, Some(Enhanced(5, 7, 0))), "554 5.7.0");
        assert_eq!(refused(550, Some(Enhanced(2, 0, 0))), "550 5.0.0");
        assert_eq!(refused(299, None), "554 5.0.0");
    }

    #[test]
    fn a_long_cause_leaves_room_for_the_send_number() {
        let fault = Fault::new(Reason::BadTemplate, "x".repeat(5000)).of_repeat(Repeat::Maybe);
        let line = line(&Outcome::Failed(fault));
        assert!(line.len() < 420 && line.contains("(s_") && line.ends_with("; maybe_repeated\r\n"));
    }
}
