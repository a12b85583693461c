//! What is to be stored about one person, read column by column and checked; every refusal names the column
//! and the cause, never the value.

use super::address::{Address, Phone};
use super::cause::{Cause, Refusal};
use super::cleared::Cleared;
use super::column::Column;
use super::consent_cell;
use super::value::{self, Notice, Signs, Words};
use crate::job::{Token, TokenKind};
use crate::person::{Consent, EMAIL, FIELD_VALUE_BYTES_MAX, PHONE};
use crate::purpose::{self, Known, Standing, is_purpose};
use crate::table;
use std::collections::BTreeSet;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Most fields of one person.
const FIELDS_MAX: usize = 500;
/// Largest sum of a person's values, in bytes.
const RECORD_BYTES_MAX: usize = 512 * 1024;

/// One person's checked values. Made by [`Draft::set`] column by column, then [`Draft::checked`]; of a row by [`Draft::read`], then
/// [`Draft::finished`].
#[derive(Default)]
pub struct Draft {
    pub(super) email: Option<Address>,
    pub(super) phone: Option<Phone>,
    pub(super) email_token: Option<Token>,
    pub(super) mobile_token: Option<Token>,
    pub(super) fields: Vec<(Arc<str>, Zeroizing<String>)>,
    pub(super) consents: Vec<(Box<str>, Consent)>,
    pub(super) keep_until: Option<Box<str>>,
    /// Fields that go where the draft has no value for them.
    cleared: Option<Cleared>,
    words: Words,
    notices: BTreeSet<Notice>,
    bytes: usize,
    /// Why it is not stored: then only what it withdraws is.
    refusal: Option<Refusal>,
}

impl Draft {
    pub fn reading(words: &Words) -> Self {
        Self { words: words.clone(), ..Self::default() }
    }

    /// A row of which no cell can be told from another.
    pub fn unreadable(cause: Cause) -> Self {
        Self { refusal: Some(cause.into()), ..Self::default() }
    }

    /// What may be wrong about it.
    pub fn notices(&self) -> impl Iterator<Item = Notice> {
        self.notices.iter().copied()
    }

    /// Takes one value; an empty one is as if the column were absent.
    ///
    /// # Errors
    /// [`Refusal`] naming the column and the cause.
    pub fn set(&mut self, column: &Column, value: &str) -> Result<(), Refusal> {
        self.take(column, value).map_err(|cause| Refusal::of(column.name(), cause))
    }

    /// Sets a column by its name.
    ///
    /// # Errors
    /// As [`Draft::set`]; a name that is none is not repeated.
    pub fn set_named(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        self.set(&Column::named(name)?, value)
    }

    /// As [`Draft::set`], of a row: where the cell is refused the row is, and the next ones are read all the same, for what they withdraw.
    pub fn read(&mut self, column: &Column, value: &str) {
        if let Err(refusal) = self.set(column, value) {
            self.refuse(refusal);
        }
    }

    /// Where more than one of its cells is refused, the first one is told; what it says about consent before all others, because it may be
    /// a withdrawal that is not read.
    pub fn refuse(&mut self, refusal: Refusal) {
        match &self.refusal {
            Some(first) if first.is_of_consent() || !refusal.is_of_consent() => {}
            _ => self.refusal = Some(refusal),
        }
    }

    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }

    fn says_who(&self) -> bool {
        self.email.is_some()
            || self.phone.is_some()
            || self.email_token.is_some()
            || self.mobile_token.is_some()
    }

    /// Refused where it says nothing about who it is.
    pub fn finished(mut self) -> Self {
        if !self.says_who() {
            self.refuse(Cause::NoAddress.into());
        }
        self
    }

    /// The draft, if it can be somebody, and nothing of it was refused.
    ///
    /// # Errors
    /// [`Cause::NoAddress`] when it says nothing about who it is.
    pub fn checked(self) -> Result<Self, Refusal> {
        let mut finished = self.finished();
        finished.refusal.take().map_or(Ok(finished), Err)
    }

    /// The value for a field of the record, the two addresses included.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        match name {
            EMAIL => self.email.as_ref().map(Address::as_str),
            PHONE => self.phone.as_ref().map(Phone::as_str),
            _ => self.fields.iter().find(|(known, _)| **known == *name).map(|(_, value)| value.as_str()),
        }
    }

    pub(super) fn consent(&self, purpose: &str) -> Consent {
        let stated = self.consents.iter().find(|(known, _)| purpose::is_same(known, purpose));
        stated.map_or(Consent::Unstated, |(_, said)| *said)
    }

    /// From here on these fields go where it has no value for them.
    pub fn clearing(self, cleared: Option<Cleared>) -> Self {
        Self { cleared, ..self }
    }

    /// Whether what is known of this field goes.
    pub(super) fn clears(&self, name: &str) -> bool {
        self.cleared.as_ref().is_some_and(|cleared| cleared.has(name)) && self.field(name).is_none()
    }

    /// Refused where its purposes are not spelled as the configuration spells them: a refusal of a misspelled one would be lost.
    pub fn spelled(mut self, known: &Known) -> Self {
        let (notices, mut slip) = (&mut self.notices, None);
        self.consents.retain(|(purpose, _)| match known.standing(purpose) {
            Standing::Named => true,
            Standing::Nobodys => {
                notices.insert(Notice::NobodysPurpose);
                true
            }
            Standing::SlipOf(meant) => {
                slip.get_or_insert(Refusal::of("consent", Cause::NearPurpose(meant.into())));
                false
            }
        });
        slip.into_iter().for_each(|slip| self.refuse(slip));
        self
    }

    /// One that refuses these purposes, about nobody in particular.
    pub(super) fn withdrawing<'a>(purposes: impl IntoIterator<Item = &'a str>) -> Self {
        let consents = purposes.into_iter().map(|purpose| (purpose.into(), Consent::Refused)).collect();
        Self { consents, ..Self::default() }
    }

    /// Whether it withdraws a consent of somebody.
    pub fn withdraws(&self) -> bool {
        self.withdrawal().is_some()
    }

    /// Whether all it says of purposes is a withdrawal, of somebody known by a phone number alone that lacks its country.
    pub(super) fn withdraws_by_local_phone(&self) -> bool {
        let is_local = |phone: &Phone| !phone.normalised().starts_with('+');
        let all_refused = self.consents.iter().all(|(_, said)| *said == Consent::Refused);
        self.email.is_none()
            && self.phone.as_ref().is_some_and(is_local)
            && !self.consents.is_empty()
            && all_refused
    }

    /// What it says of purposes, about nobody in particular.
    pub(super) fn consents_only(&self) -> Self {
        Self { consents: self.consents.clone(), ..Self::default() }
    }

    /// What it refuses of purposes, about nobody in particular, where it does and says who it is about.
    pub(super) fn withdrawal(&self) -> Option<Self> {
        let refused = self.consents.iter().filter(|(_, said)| *said == Consent::Refused);
        let withdrawal = Self { consents: refused.cloned().collect(), ..Self::default() };
        (self.says_who() && !withdrawal.consents.is_empty()).then_some(withdrawal)
    }

    fn take(&mut self, column: &Column, value: &str) -> Result<(), Cause> {
        let trimmed = value.trim();
        let signs = Signs::of(trimmed);
        if trimmed.is_empty() || signs.has(Signs::NOT_ASCII) && value::is_unseen(trimmed) {
            return Ok(());
        }
        match column {
            Column::Field(name) if self.words.takes_as_is(name) => {
                value::fit(trimmed, signs).map_err(Cause::NoValue)?;
                return self.take_field(name, value, signs);
            }
            _ if self.is_silent(column, trimmed) => return Ok(()),
            Column::Consent | Column::Answer(_) => {}
            _ => self.words.look(trimmed, signs, column.name()).map_err(|cause| match column {
                Column::Field(_) if cause.may_be_meant() => Cause::Unlikely(cause),
                _ => Cause::NoValue(cause),
            })?,
        }
        match column {
            Column::Email | Column::Phone if trimmed.starts_with('\'') => Err(Cause::TextMark),
            Column::Email => put_once(&mut self.email, Address::parse(trimmed).map_err(Cause::Email)?),
            Column::Phone => put_once(&mut self.phone, Phone::parse(trimmed).map_err(Cause::Phone)?),
            Column::Token => self.take_token(trimmed, None),
            Column::EmailToken => self.take_token(trimmed, Some(TokenKind::Email)),
            Column::MobileToken => self.take_token(trimmed, Some(TokenKind::Mobile)),
            Column::Consent => self.take_consent(trimmed),
            Column::Answer(purpose) => self.take_answer(purpose, trimmed),
            Column::Retention => put_once(&mut self.keep_until, day(trimmed).ok_or(Cause::Day)?),
            Column::Field(name) => {
                no_mark_of_a_sheet(trimmed, signs)?;
                self.notices.extend(value::oddity(value, signs).filter(|_| self.words.of_list));
                self.take_field(name, value, signs)
            }
        }
    }

    /// Whether the cell is as if it were empty. A word that is an answer is one where an answer is asked for, whatever it is elsewhere.
    fn is_silent(&mut self, column: &Column, value: &str) -> bool {
        if !self.words.is_empty_word(value) {
            return false;
        }
        if column.is_of_consent() && value == "-" {
            self.notices.insert(Notice::SilentDash);
        }
        if value == "\\N" {
            self.notices.insert(Notice::NullMark);
        }
        !column.is_of_consent() || purpose::answer(value).is_none()
    }

    fn take_token(&mut self, value: &str, kind: Option<TokenKind>) -> Result<(), Cause> {
        let token = Token::from_local(value).map_err(|_| Cause::Token)?;
        if kind.is_some_and(|kind| kind != token.kind()) {
            return Err(Cause::TokenKind);
        }
        let place = match token.kind() {
            TokenKind::Email => &mut self.email_token,
            TokenKind::Mobile => &mut self.mobile_token,
        };
        put_once(place, token)
    }

    fn take_field(&mut self, name: &Arc<str>, value: &str, signs: Signs) -> Result<(), Cause> {
        self.bytes += name.len() + value.len();
        if value.len() > FIELD_VALUE_BYTES_MAX {
            return Err(Cause::ValueLength);
        }
        if self.bytes > RECORD_BYTES_MAX || self.fields.len() >= FIELDS_MAX {
            return Err(Cause::RecordLength);
        }
        if signs.has(Signs::CONTROL) && value.contains('\0') {
            return Err(Cause::Nul);
        }
        if self.fields.iter().any(|(known, _)| known == name) {
            return Err(Cause::Twice);
        }
        self.fields.push((name.clone(), Zeroizing::new(value.to_owned())));
        Ok(())
    }

    fn take_consent(&mut self, value: &str) -> Result<(), Cause> {
        let mut taken = Ok(());
        for (purpose, said) in consent_cell::purposes(value) {
            taken = taken.and(self.take_purpose(purpose, said));
        }
        taken
    }

    /// Beside what is no answer the purpose may be refused by its name all the same.
    fn take_answer(&mut self, asked: &str, value: &str) -> Result<(), Cause> {
        if let Some(said) = consent_cell::answer(value, asked) {
            return self.say(asked, said);
        }
        let refuses =
            |(purpose, said): (&str, Consent)| said == Consent::Refused && purpose::is_same(purpose, asked);
        if consent_cell::purposes(value).any(refuses) {
            self.say(asked, Consent::Refused)?;
        }
        Err(Cause::NoAnswer)
    }

    fn take_purpose(&mut self, purpose: &str, said: Consent) -> Result<(), Cause> {
        match () {
            () if is_purpose(purpose) => self.say(purpose, said),
            () if purpose::is_answer(purpose) => Err(Cause::Answer),
            () => Err(Cause::Purpose),
        }
    }

    /// Of what is said both ways the refusal stays.
    fn say(&mut self, purpose: &str, said: Consent) -> Result<(), Cause> {
        match self.consent(purpose) {
            Consent::Unstated => self.consents.push((purpose::normal(purpose).into(), said)),
            stated if stated == said => {}
            _ => {
                let is_it = |(known, _): &&mut (Box<str>, Consent)| purpose::is_same(known, purpose);
                self.consents.iter_mut().filter(is_it).for_each(|(_, said)| *said = Consent::Refused);
                return Err(Cause::Contradiction);
            }
        }
        Ok(())
    }
}

/// # Errors
/// What a spreadsheet has made of a value, or written in front of it.
fn no_mark_of_a_sheet(trimmed: &str, signs: Signs) -> Result<(), Cause> {
    match () {
        () if (signs.has(Signs::HASH) || trimmed.starts_with('E')) && table::is_failed_formula(trimmed) => {
            Err(Cause::SheetError)
        }
        () if signs.has(Signs::APOSTROPHE) && value::is_marked_as_text(trimmed) => Err(Cause::TextMark),
        () => Ok(()),
    }
}

fn put_once<T>(place: &mut Option<T>, value: T) -> Result<(), Cause> {
    if place.is_some() {
        return Err(Cause::Twice);
    }
    *place = Some(value);
    Ok(())
}

/// A real day of the calendar, written `YYYY-MM-DD`.
fn day(text: &str) -> Option<Box<str>> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = &bytes[from..to];
        let all = digits.iter().all(u8::is_ascii_digit);
        all.then(|| digits.iter().fold(0i16, |number, digit| number * 10 + i16::from(digit - b'0')))
    };
    let (year, month, of_month) = (number(0, 4)?, number(5, 7)? as i8, number(8, 10)? as i8);
    jiff::civil::Date::new(year, month, of_month).ok()?;
    Some(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str, value: &str) -> Cause {
        Draft::default().set_named(name, value).expect_err(value).cause
    }

    #[test]
    fn values_are_checked_and_the_refusal_names_the_column_only() {
        assert!(matches!(refusal("email", "dana@@example.test"), Cause::Email(_)));
        assert!(matches!(refusal("phone", "call me"), Cause::Phone(_)));
        assert_eq!(refusal("token", "dana@example.test"), Cause::Token);
        assert_eq!(refusal("email_token", "m_0123456789"), Cause::TokenKind);
        assert_eq!(refusal("first_name", "a\0b"), Cause::Nul);
        for failed in [
            "#N/A",
            "#REF!",
            " #NAME?",
            "#DIV/0!",
            "#NV",
            "#BEZUG!",
            "#WERT!",
            "#\u{a1}REF!",
            "#Н/Д",
            "#I/T",
            "#YOK",
            "#ССЫЛКА!",
            "Err:502",
            "###",
            "##########",
        ] {
            assert_eq!(refusal("first_name", failed), Cause::SheetError, "{failed}");
        }
        for fine in
            ["#1!", "#1", "#hello!", "#A!", "N/A", "# NAME?", "C#", "#N/A for now", "##", "Err:x", "### 1"]
        {
            Draft::default().set_named("first_name", fine).unwrap();
        }
        for none in ["NULL", "null", " NaN", "nan", "(null)", "\\N", "undefined", "[object Object]"] {
            assert!(matches!(refusal("first_name", none), Cause::Unlikely(_)), "{none}");
            assert!(matches!(refusal("email", none), Cause::NoValue(_)), "{none}");
        }
        for fine in ["Null", "Nan", "None", "Undefined Ltd", "NULL & Sons", "N"] {
            Draft::default().set_named("first_name", fine).unwrap();
        }
        assert_eq!(refusal("first_name", &"a".repeat(64 * 1024 + 1)), Cause::ValueLength);
        assert_eq!(refusal("consent", "service:marketing"), Cause::Purpose);
        assert_eq!(refusal("consent", "--service"), Cause::Purpose);
        assert_eq!(refusal("consent", "service -service"), Cause::Contradiction);
        for bad in ["2030-02-30", "2030-1-1", "30-01-2030", "0000-00-01", "2030-01-0x", "2030-13-01"] {
            assert_eq!(refusal("retention", bad), Cause::Day, "{bad}");
        }
        let text = Draft::default().set_named("email", "dana@@example.test").unwrap_err().to_string();
        assert!(text.starts_with("email: ") && !text.contains("dana"), "{text}");
    }

    #[test]
    fn b11_what_is_taken_as_it_is_is_no_less_safe() {
        let as_is: Arc<[String]> = [String::from("code")].into();
        let words = Words { as_is, of_list: true, empty: ["None".into()].into(), ..Words::default() };
        for value in [
            "None",
            "{vip}",
            "%vip%",
            "[[vip]]",
            "<<Sale>>",
            "/a/${b}",
            "JIRA ${PROJ-12}",
            "#N/A",
            "'0049",
            "J%C3%B6rg",
            "&amp;",
        ] {
            let mut draft = Draft::reading(&words);
            draft.set_named("code", value).unwrap();
            assert_eq!(draft.field("code"), Some(value));
        }
        for (value, cause) in [
            ("a\u{1b}[31m", Cause::NoValue(value::NoValue::Escape)),
            ("a\u{9b}b", Cause::NoValue(value::NoValue::Control)),
            ("a\0b", Cause::Nul),
        ] {
            assert_eq!(Draft::reading(&words).set_named("code", value).unwrap_err().cause, cause);
        }
        let long = "a".repeat(FIELD_VALUE_BYTES_MAX + 1);
        assert_eq!(Draft::reading(&words).set_named("code", &long).unwrap_err().cause, Cause::ValueLength);
        let told = Draft::reading(&words).set_named("first_name", "{vip}").unwrap_err().to_string();
        assert!(told.ends_with("; where it is right as it stands, add --as-is first_name"), "{told}");
        let told = Draft::reading(&words).set_named("email", "{vip}").unwrap_err().to_string();
        assert!(!told.contains("--as-is"), "{told}");
    }

    #[test]
    fn empty_values_are_absent_and_nothing_is_taken_twice() {
        let mut draft = Draft::default();
        draft.set_named("email", "  ").unwrap();
        draft.set_named("first_name", "").unwrap();
        draft.set_named("first_name", "\u{200b}\u{feff} ").unwrap();
        assert_eq!(draft.field("first_name"), None);
        draft.set_named("email", "\u{a0}dana@example.test\u{202f} ").unwrap();
        assert_eq!(draft.field("email"), Some("dana@example.test"));
        assert_eq!(draft.set_named("email", "eve@example.test").unwrap_err().cause, Cause::Twice);
        draft.set_named("consent", "service -marketing").unwrap();
        assert_eq!(draft.consent("marketing"), Consent::Refused);
        assert!(draft.checked().is_ok());
        assert_eq!(Draft::default().checked().err().map(|r| r.cause), Some(Cause::NoAddress));
    }
}
