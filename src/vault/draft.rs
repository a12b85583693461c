//! What is to be stored about one person, read column by column and checked; every refusal names the column
//! and the cause, never the value.

use super::address::{Address, Phone};
use super::cause::{Cause, Refusal};
use super::value::{self, Notice, Words};
use crate::job::{Token, TokenKind};
use crate::person::{Consent, EMAIL, FIELD_NAME_BYTES_MAX, FIELD_VALUE_BYTES_MAX, PHONE};
use crate::purpose::{self, Known, Standing, is_purpose};
use crate::table;
use std::collections::BTreeSet;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Most fields of one person.
const FIELDS_MAX: usize = 500;
/// Largest sum of a person's values, in bytes.
const RECORD_BYTES_MAX: usize = 512 * 1024;

/// What a column, JSON key or `--field` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Column {
    Email,
    Phone,
    /// Of either kind; its prefix tells.
    Token,
    EmailToken,
    MobileToken,
    Consent,
    /// A column of consent whose words say yes or no to this purpose.
    Answer(Arc<str>),
    Retention,
    Field(Arc<str>),
}

impl Column {
    /// Reads a name. The names with a meaning of their own are known in any case.
    ///
    /// # Errors
    /// [`Cause::ColumnName`] for what cannot be written as `{{person.NAME}}`.
    pub fn named(name: &str) -> Result<Self, Cause> {
        let known = [
            (EMAIL, Self::Email),
            (PHONE, Self::Phone),
            ("token", Self::Token),
            ("email_token", Self::EmailToken),
            ("mobile_token", Self::MobileToken),
            ("consent", Self::Consent),
            ("retention", Self::Retention),
        ];
        for (word, column) in known {
            if name.eq_ignore_ascii_case(word) {
                return Ok(column);
            }
        }
        let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let goes_well = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if starts_well && goes_well && name.len() <= FIELD_NAME_BYTES_MAX {
            Ok(Self::Field(name.into()))
        } else {
            Err(Cause::ColumnName)
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Email => EMAIL,
            Self::Phone => PHONE,
            Self::Token => "token",
            Self::EmailToken => "email_token",
            Self::MobileToken => "mobile_token",
            Self::Consent | Self::Answer(_) => "consent",
            Self::Retention => "retention",
            Self::Field(name) => name,
        }
    }

    /// Whether the column tells who the person is.
    pub fn identifies(&self) -> bool {
        matches!(self, Self::Email | Self::Phone | Self::Token | Self::EmailToken | Self::MobileToken)
    }
}

/// One person's checked values. Made by [`Draft::set`] column by column, then [`Draft::checked`].
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
    /// How cells are read; none for what a person has typed, which is what it says.
    words: Option<Words>,
    notices: BTreeSet<Notice>,
    bytes: usize,
}

/// Names of fields of which nothing stays but what the new rows say. Never an address.
#[derive(Debug, Clone)]
pub struct Cleared(Arc<[Arc<str>]>);

impl Cleared {
    /// # Errors
    /// Of the first name that is none of a person's own fields: why not.
    pub fn of(names: &[String]) -> Result<Option<Self>, Unclearable> {
        let fields = names.iter().map(|name| match Column::named(name) {
            Ok(Column::Field(name)) => Ok(name),
            Ok(Column::Consent | Column::Answer(_)) => Err(Unclearable::Consent),
            Ok(Column::Retention) => Err(Unclearable::Retention),
            Ok(_) => Err(Unclearable::Address),
            Err(_) => Err(Unclearable::NoName),
        });
        let fields: Arc<[_]> = fields.collect::<Result<_, _>>()?;
        Ok((!fields.is_empty()).then_some(Self(fields)))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|field| &**field)
    }
}

/// Why a column's values cannot be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unclearable {
    #[error("consent is said, not blanked")]
    Consent,
    #[error("the day until which a person is kept can be changed, not blanked")]
    Retention,
    #[error("addresses and tokens say who a person is")]
    Address,
    #[error("names of fields are letters, digits and _, as in {{{{person.first_name}}}}")]
    NoName,
}

impl Unclearable {
    /// What to do instead.
    pub fn fix(self) -> &'static str {
        match self {
            Self::Consent => "give the purpose, or -purpose for refused, in the column consent",
            Self::Retention => "give another one in the column retention",
            Self::Address => {
                "a new one goes in its column; taking one away without a new one is not available in this version"
            }
            Self::NoName => "name a person field, such as city",
        }
    }
}

impl Draft {
    /// One of a list, in which there is more than values.
    pub fn of_list(words: &Words) -> Self {
        Self { words: Some(words.clone()), ..Self::default() }
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
        self.take(column, value).map_err(|cause| Refusal { column: Some(column.name().into()), cause })
    }

    /// Sets a column by its name.
    ///
    /// # Errors
    /// As [`Draft::set`]; a name that is none is not repeated.
    pub fn set_named(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        self.set(&Column::named(name)?, value)
    }

    /// The draft, if it can be somebody.
    ///
    /// # Errors
    /// [`Cause::NoAddress`] when it says nothing about who it is.
    pub fn checked(self) -> Result<Self, Refusal> {
        let identified = self.email.is_some()
            || self.phone.is_some()
            || self.email_token.is_some()
            || self.mobile_token.is_some();
        if identified { Ok(self) } else { Err(Cause::NoAddress.into()) }
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
        let is_named = |cleared: &Cleared| cleared.0.iter().any(|field| **field == *name);
        self.cleared.as_ref().is_some_and(is_named) && self.field(name).is_none()
    }

    /// The draft, if its purposes are spelled as the configuration spells them: a refusal of a misspelled one would be lost.
    ///
    /// # Errors
    /// [`Cause::NearPurpose`].
    pub fn spelled(mut self, known: &Known) -> Result<Self, Refusal> {
        for (purpose, _) in &self.consents {
            match known.standing(purpose) {
                Standing::Named => {}
                Standing::Nobodys => _ = self.notices.insert(Notice::NobodysPurpose),
                Standing::SlipOf(meant) => {
                    let cause = Cause::NearPurpose(meant.into());
                    return Err(Refusal { column: Some("consent".into()), cause });
                }
            }
        }
        Ok(self)
    }

    /// What it says of purposes, about nobody in particular.
    pub(super) fn consents_only(&self) -> Self {
        Self { consents: self.consents.clone(), ..Self::default() }
    }

    fn take(&mut self, column: &Column, value: &str) -> Result<(), Cause> {
        let trimmed = value.trim();
        if trimmed.is_empty() || self.words.as_ref().is_some_and(|words| words.is_empty_word(trimmed)) {
            return Ok(());
        }
        if !matches!(column, Column::Consent | Column::Answer(_)) {
            let looked = match &self.words {
                Some(words) => words.look(trimmed),
                None => value::broken(trimmed),
            };
            looked.map_err(Cause::NoValue)?;
        }
        match column {
            Column::Email | Column::Phone if trimmed.starts_with('\'') => Err(Cause::TextMark),
            Column::Email => put_once(&mut self.email, Address::parse(trimmed).map_err(Cause::Email)?),
            Column::Phone => put_once(&mut self.phone, Phone::parse(trimmed).map_err(Cause::Phone)?),
            Column::Token => self.take_token(trimmed, None),
            Column::EmailToken => self.take_token(trimmed, Some(TokenKind::Email)),
            Column::MobileToken => self.take_token(trimmed, Some(TokenKind::Mobile)),
            Column::Consent => self.take_consent(trimmed),
            Column::Answer(purpose) => self.say(purpose, purpose::answer(trimmed).ok_or(Cause::NoAnswer)?),
            Column::Retention => put_once(&mut self.keep_until, day(trimmed).ok_or(Cause::Day)?),
            Column::Field(name) => self.take_field(name, value),
        }
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

    fn take_field(&mut self, name: &Arc<str>, value: &str) -> Result<(), Cause> {
        self.bytes += name.len() + value.len();
        if value.len() > FIELD_VALUE_BYTES_MAX {
            return Err(Cause::ValueLength);
        }
        if self.bytes > RECORD_BYTES_MAX || self.fields.len() >= FIELDS_MAX {
            return Err(Cause::RecordLength);
        }
        if memchr::memchr(0, value.as_bytes()).is_some() {
            return Err(Cause::Nul);
        }
        if table::is_failed_formula(value.trim()) {
            return Err(Cause::SheetError);
        }
        if value::is_marked_as_text(value.trim()) {
            return Err(Cause::TextMark);
        }
        self.notices.extend(value::oddity(value).filter(|_| self.words.is_some()));
        if self.fields.iter().any(|(known, _)| known == name) {
            return Err(Cause::Twice);
        }
        self.fields.push((name.clone(), Zeroizing::new(value.to_owned())));
        Ok(())
    }

    fn take_consent(&mut self, value: &str) -> Result<(), Cause> {
        for word in value.split_ascii_whitespace() {
            let (purpose, said) = match word.strip_prefix('-') {
                Some(purpose) => (purpose, Consent::Refused),
                None => (word, Consent::Given),
            };
            match () {
                () if purpose::is_answer(purpose) => return Err(Cause::Answer),
                () if !is_purpose(purpose) => return Err(Cause::Purpose),
                () => self.say(purpose, said)?,
            }
        }
        Ok(())
    }

    fn say(&mut self, purpose: &str, said: Consent) -> Result<(), Cause> {
        match self.consent(purpose) {
            Consent::Unstated => self.consents.push((purpose::normal(purpose).into(), said)),
            stated if stated == said => {}
            _ => return Err(Cause::Contradiction),
        }
        Ok(())
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
    fn columns_are_known_in_any_case_and_fields_keep_theirs() {
        assert_eq!(Column::named("E-Mail"), Err(Cause::ColumnName));
        assert_eq!(Column::named("EMAIL"), Ok(Column::Email));
        assert_eq!(Column::named("First_Name").unwrap().name(), "First_Name");
        for bad in ["", "1st", "first name", "vorname:", "שם", "{{x}}", "a.b", &"a".repeat(65)] {
            assert_eq!(Column::named(bad), Err(Cause::ColumnName), "{bad}");
        }
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
            assert!(matches!(refusal("first_name", none), Cause::NoValue(_)), "{none}");
        }
        for fine in ["Null", "Nan", "None", "Undefined Ltd", "NULL & Sons", "N"] {
            Draft::default().set_named("first_name", fine).unwrap();
        }
        assert_eq!(refusal("first_name", &"a".repeat(64 * 1024 + 1)), Cause::ValueLength);
        assert_eq!(refusal("consent", "service,marketing"), Cause::Purpose);
        assert_eq!(refusal("consent", "--service"), Cause::Purpose);
        assert_eq!(refusal("consent", "service -service"), Cause::Contradiction);
        for bad in ["2030-02-30", "2030-1-1", "30-01-2030", "0000-00-00", "2030-01-0x", "2030-13-01"] {
            assert_eq!(refusal("retention", bad), Cause::Day, "{bad}");
        }
        let text = Draft::default().set_named("email", "dana@@example.test").unwrap_err().to_string();
        assert!(text.starts_with("email: ") && !text.contains("dana"), "{text}");
    }

    #[test]
    fn empty_values_are_absent_and_nothing_is_taken_twice() {
        let mut draft = Draft::default();
        draft.set_named("email", "  ").unwrap();
        draft.set_named("first_name", "").unwrap();
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
