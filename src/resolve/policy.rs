//! Whether a known person may be mailed for a purpose.

use crate::fault::{Fault, Reason};
use crate::person::{Consent, Person};

/// What silence means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentRule {
    /// Mailed unless the purpose was refused or withdrawn.
    OptOut,
    /// Mailed only where the purpose was given.
    OptIn,
}

/// Judges the person. `today` gives the current UTC day as `YYYY-MM-DD`, asked only where it matters.
///
/// # Errors
/// `restricted`, `expired-token` or `no-consent`; the text names the purpose, never the person.
pub fn admit(
    person: &Person,
    purpose: &str,
    rule: ConsentRule,
    today: impl FnOnce() -> String,
) -> Result<(), Fault> {
    if person.is_restricted() {
        return Err(Fault::new(Reason::Restricted, "processing of this person is restricted"));
    }
    if person.keep_until().is_some_and(|last_day| last_day < today().as_str()) {
        return Err(Fault::new(Reason::ExpiredToken, "the person's retention date has passed"));
    }
    match (person.consent(purpose), rule) {
        (Consent::Given, _) | (Consent::Unstated, ConsentRule::OptOut) => Ok(()),
        (Consent::Refused, _) => Err(Fault::new(Reason::NoConsent, "the person refused this purpose")),
        (Consent::Unstated, ConsentRule::OptIn) => {
            Err(Fault::new(Reason::NoConsent, "the person has not consented to this purpose"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::person::PersonBuilder;

    fn judge(person: &Person, purpose: &str, rule: ConsentRule) -> Result<(), Reason> {
        admit(person, purpose, rule, || "2026-06-01".into()).map_err(|fault| fault.reason)
    }

    #[test]
    fn silence_is_read_by_the_rule_and_a_refusal_always_counts() {
        let person = PersonBuilder::default()
            .consent("service", Consent::Given)
            .consent("marketing", Consent::Refused)
            .build();
        for rule in [ConsentRule::OptOut, ConsentRule::OptIn] {
            assert_eq!(judge(&person, "service", rule), Ok(()));
            assert_eq!(judge(&person, "marketing", rule), Err(Reason::NoConsent));
        }
        assert_eq!(judge(&person, "survey", ConsentRule::OptOut), Ok(()));
        assert_eq!(judge(&person, "survey", ConsentRule::OptIn), Err(Reason::NoConsent));
    }

    #[test]
    fn restriction_and_retention_come_before_consent() {
        let restricted = PersonBuilder::default().consent("service", Consent::Given).restricted().build();
        assert_eq!(judge(&restricted, "service", ConsentRule::OptOut), Err(Reason::Restricted));
        let past = PersonBuilder::default().keep_until("2026-05-31").build();
        assert_eq!(judge(&past, "service", ConsentRule::OptOut), Err(Reason::ExpiredToken));
        let last_day = PersonBuilder::default().keep_until("2026-06-01").build();
        assert_eq!(judge(&last_day, "service", ConsentRule::OptOut), Ok(()));
    }
}
