//! What a person looks like after a draft: the draft's values over those already known, tokens kept.

use super::draft::Draft;
use crate::job::Token;
use crate::person::{Consent, EMAIL, PHONE, Person, PersonBuilder};

/// The tokens a person has or is given now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    pub email: Option<Token>,
    pub mobile: Option<Token>,
}

/// `known` with the draft's values over it. A field the draft does not name stays; so does what was said about
/// other purposes, the restriction, and the day until which the person is kept.
pub fn merged(known: Option<&Person>, draft: &Draft, tokens: &Tokens) -> Person {
    let mut person = PersonBuilder::default();
    if let Some(token) = &tokens.email {
        person.email_token(token.as_str());
    }
    if let Some(token) = &tokens.mobile {
        person.mobile_token(token.as_str());
    }
    fields(&mut person, known, draft);
    consents(&mut person, known, draft);
    if let Some(day) = draft.keep_until.as_deref().or(known.and_then(Person::keep_until)) {
        person.keep_until(day);
    }
    if known.is_some_and(Person::is_restricted) {
        person.restricted();
    }
    person.build()
}

/// Known fields keep their order, so a row that changes nothing gives the same record byte for byte.
fn fields(person: &mut PersonBuilder, known: Option<&Person>, draft: &Draft) {
    for (name, value) in known.iter().flat_map(|known| known.fields()) {
        person.field(name, draft.field(name).unwrap_or(value));
    }
    let is_new = |name: &str| known.is_none_or(|known| known.fields().all(|(other, _)| other != name));
    for name in [EMAIL, PHONE].into_iter().chain(draft.fields.iter().map(|(name, _)| &**name)) {
        if let Some(value) = draft.field(name).filter(|_| is_new(name)) {
            person.field(name, value);
        }
    }
}

fn consents(person: &mut PersonBuilder, known: Option<&Person>, draft: &Draft) {
    for (purpose, said) in known.iter().flat_map(|known| known.consents()) {
        let said = match draft.consent(purpose) {
            Consent::Unstated => said,
            newer => newer,
        };
        person.consent(purpose, said);
    }
    for (purpose, said) in &draft.consents {
        if known.is_none_or(|known| known.consent(purpose) == Consent::Unstated) {
            person.consent(purpose, *said);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(values: &[(&str, &str)]) -> Draft {
        let mut draft = Draft::default();
        for (name, value) in values {
            draft.set_named(name, value).unwrap();
        }
        draft
    }

    #[test]
    fn newer_values_win_and_the_rest_stays() {
        let tokens = Tokens { email: Token::from_local("e_0123456789").ok(), mobile: None };
        let before = merged(
            None,
            &draft(&[
                ("email", "dana@example.test"),
                ("first_name", "Dana"),
                ("city", "Haifa"),
                ("consent", "service marketing"),
                ("retention", "2030-01-01"),
            ]),
            &tokens,
        );
        let after = merged(
            Some(&before),
            &draft(&[("first_name", "Dana-Ruth"), ("phone", "+972501234567"), ("consent", "-marketing")]),
            &tokens,
        );
        assert_eq!(after.field("first_name"), Some("Dana-Ruth"));
        assert_eq!(after.field("city"), Some("Haifa"));
        assert_eq!(after.email(), Some("dana@example.test"));
        assert_eq!(after.field("phone"), Some("+972501234567"));
        assert_eq!(after.consent("service"), Consent::Given);
        assert_eq!(after.consent("marketing"), Consent::Refused);
        assert_eq!(after.keep_until(), Some("2030-01-01"));
        assert_eq!(after.email_token(), Some("e_0123456789"));
    }

    #[test]
    fn a_draft_that_changes_nothing_gives_the_same_record() {
        let values =
            [("email", "dana@example.test"), ("first_name", "Dana"), ("consent", "service -marketing")];
        let before = merged(None, &draft(&values), &Tokens::default());
        let after = merged(Some(&before), &draft(&values[1..]), &Tokens::default());
        assert_eq!(before.record(), after.record());
    }

    #[test]
    fn a_restriction_outlives_an_import() {
        let restricted = PersonBuilder::default().field("email", "dana@example.test").restricted().build();
        let after = merged(Some(&restricted), &draft(&[("first_name", "Dana")]), &Tokens::default());
        assert!(after.is_restricted());
    }
}
