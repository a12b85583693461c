//! What a person looks like after a draft: the draft's values over those already known, tokens kept.

use super::cause::{Cause, Refusal};
use super::draft::Draft;
use crate::job::{Token, TokenKind};
use crate::person::{Consent, EMAIL, PHONE, Person, PersonBuilder};

/// The tokens a person has or is given now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    pub email: Option<Token>,
    pub mobile: Option<Token>,
}

/// Those that a person has.
pub fn tokens_in(person: &Person) -> Tokens {
    let token = |local: Option<&str>| local.and_then(|local| Token::from_local(local).ok());
    Tokens { email: token(person.email_token()), mobile: token(person.mobile_token()) }
}

/// The tokens after the draft: those the person has, else those given, else fresh ones for each address.
pub fn tokens_of(known: Option<&Person>, draft: &Draft) -> Result<Tokens, Refusal> {
    let has = |field: &str| draft.field(field).is_some() || known.is_some_and(|p| p.field(field).is_some());
    if !has(EMAIL) && !has(PHONE) {
        return Err(Cause::NoAddress.into());
    }
    let email_token = known.and_then(Person::email_token);
    let mobile_token = known.and_then(Person::mobile_token);
    Ok(Tokens {
        email: token_of(TokenKind::Email, email_token, draft.email_token.as_ref(), has(EMAIL))?,
        mobile: token_of(TokenKind::Mobile, mobile_token, draft.mobile_token.as_ref(), has(PHONE))?,
    })
}

fn token_of(
    kind: TokenKind,
    known: Option<&str>,
    given: Option<&Token>,
    has_address: bool,
) -> Result<Option<Token>, Refusal> {
    let refused = |cause| Err(Refusal::of("token", cause));
    match (known, given) {
        (Some(known), Some(given)) if known != given.as_str() => refused(Cause::OtherToken),
        (None, Some(_)) if !has_address => refused(Cause::TokenWithoutAddress),
        (_, Some(given)) => Ok(Some(given.clone())),
        (Some(known), None) => Ok(Token::from_local(known).ok()),
        (None, None) => Ok(has_address.then(|| fresh_token(kind))),
    }
}

/// 128 random bits, in lower-case base32.
fn fresh_token(kind: TokenKind) -> Token {
    let mut bits = [0u8; 16];
    aws_lc_rs::rand::fill(&mut bits).expect("the system's random source works");
    let local = format!("{}{}", kind.prefix(), crate::base32_lower(&bits));
    Token::from_local(&local).expect("prefix and base32 make a token")
}

/// `known` with the draft's values over it. A field the draft does not name stays, unless the draft clears it; so does what was said about
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

/// One of several people with the same address: as it is, but what one of them refused all refused, and where one is
/// restricted all are.
pub fn in_common<'a>(one: &Person, all: impl Iterator<Item = &'a Person> + Clone) -> Person {
    let mut person = PersonBuilder::default();
    if let Some(token) = one.email_token() {
        person.email_token(token);
    }
    if let Some(token) = one.mobile_token() {
        person.mobile_token(token);
    }
    for (name, value) in one.fields() {
        person.field(name, value);
    }
    let is_refused = |purpose: &str| all.clone().any(|other| other.consent(purpose) == Consent::Refused);
    for (purpose, said) in one.consents() {
        person.consent(purpose, if is_refused(purpose) { Consent::Refused } else { said });
    }
    let mut added: Vec<&str> = Vec::new();
    for (purpose, said) in all.clone().flat_map(Person::consents) {
        let is_new = one.consent(purpose) == Consent::Unstated && !added.contains(&purpose);
        if said == Consent::Refused && is_new {
            person.consent(purpose, said);
            added.push(purpose);
        }
    }
    if let Some(day) = one.keep_until() {
        person.keep_until(day);
    }
    if all.clone().any(Person::is_restricted) {
        person.restricted();
    }
    person.build()
}

/// Known fields keep their order, so a row that changes nothing gives the same record byte for byte.
fn fields(person: &mut PersonBuilder, known: Option<&Person>, draft: &Draft) {
    for (name, value) in known.iter().flat_map(|known| known.fields()) {
        if !draft.clears(name) {
            person.field(name, draft.field(name).unwrap_or(value));
        }
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
    fn b8_people_with_one_address_refused_and_are_restricted_together() {
        let person = |consent| {
            merged(None, &draft(&[("email", "a@x.test"), ("consent", consent)]), &Tokens::default())
        };
        let mut restricted = PersonBuilder::default();
        restricted.field("email", "a@x.test").consent("polls", Consent::Refused).restricted();
        let all = [person("service news"), person("-news service"), restricted.build()];
        for one in &all {
            let after = in_common(one, all.iter());
            assert!(after.is_restricted());
            assert_eq!([after.consent("news"), after.consent("polls")], [Consent::Refused; 2]);
            assert_eq!(
                after.consent("service"),
                one.consent("service"),
                "what was given to one is not given to all"
            );
        }
    }

    #[test]
    fn a_restriction_outlives_an_import() {
        let restricted = PersonBuilder::default().field("email", "dana@example.test").restricted().build();
        let after = merged(Some(&restricted), &draft(&[("first_name", "Dana")]), &Tokens::default());
        assert!(after.is_restricted());
    }
}
