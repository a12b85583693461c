//! A person as the vault knows them: named fields in one compact buffer that is wiped when dropped.
//!
//! The buffer is a sequence of entries `tag u8 · name length u8 · name · value length u32 LE · value`. It is
//! what the vault encrypts, so a record is opened and used without being taken apart.

use std::fmt;
use zeroize::Zeroizing;

/// The address field. Always the full address, as it is used in RCPT.
pub const EMAIL: &str = "email";
/// The phone field, as imported.
pub const PHONE: &str = "phone";

/// Longest name of a field, in bytes.
pub const FIELD_NAME_BYTES_MAX: usize = 64;
/// Longest value of a field, in bytes.
pub const FIELD_VALUE_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Tag {
    Field = 1,
    ConsentGiven = 2,
    ConsentRefused = 3,
    Restricted = 4,
    KeepUntil = 5,
    EmailToken = 6,
    MobileToken = 7,
}

/// What a person said about one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    Given,
    Refused,
    Unstated,
}

/// One person, read only. `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    record: Zeroizing<Vec<u8>>,
}

impl Person {
    /// Takes a decrypted record after checking its shape.
    ///
    /// # Errors
    /// [`BadRecord`] when an entry reaches past the end or is not UTF-8; nothing of it is kept.
    pub fn from_record(record: Zeroizing<Vec<u8>>) -> Result<Self, BadRecord> {
        let mut rest = record.as_slice();
        while !rest.is_empty() {
            let (entry, tail) = split_entry(rest).ok_or(BadRecord)?;
            std::str::from_utf8(entry.name).map_err(|_| BadRecord)?;
            std::str::from_utf8(entry.value).map_err(|_| BadRecord)?;
            rest = tail;
        }
        Ok(Self { record })
    }

    /// The bytes that the vault encrypts.
    pub fn record(&self) -> &[u8] {
        &self.record
    }

    /// The value of a field; `None` when the person has no such field or it is empty.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.entries()
            .find(|entry| entry.tag == Tag::Field as u8 && entry.name == name.as_bytes())
            .and_then(|entry| std::str::from_utf8(entry.value).ok())
            .filter(|value| !value.is_empty())
    }

    pub fn email(&self) -> Option<&str> {
        self.field(EMAIL)
    }

    /// What the person said about a purpose, in whatever case it was written.
    pub fn consent(&self, purpose: &str) -> Consent {
        let is_it = |value: &[u8]| value.eq_ignore_ascii_case(purpose.as_bytes());
        let stated = |tag: Tag| self.entries().any(|e| e.tag == tag as u8 && is_it(e.value));
        if stated(Tag::ConsentRefused) {
            Consent::Refused
        } else if stated(Tag::ConsentGiven) {
            Consent::Given
        } else {
            Consent::Unstated
        }
    }

    /// Processing is restricted (GDPR Art. 18): held, not mailed.
    pub fn is_restricted(&self) -> bool {
        self.entries().any(|entry| entry.tag == Tag::Restricted as u8)
    }

    /// Day after which the person may no longer be used, as `YYYY-MM-DD`.
    pub fn keep_until(&self) -> Option<&str> {
        self.text(Tag::KeepUntil)
    }

    pub fn email_token(&self) -> Option<&str> {
        self.text(Tag::EmailToken)
    }

    pub fn mobile_token(&self) -> Option<&str> {
        self.text(Tag::MobileToken)
    }

    /// Every field with its value, in the order they were written.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries().filter(|entry| entry.tag == Tag::Field as u8).filter_map(|entry| {
            Some((std::str::from_utf8(entry.name).ok()?, std::str::from_utf8(entry.value).ok()?))
        })
    }

    /// Purposes with what was said about them.
    pub fn consents(&self) -> impl Iterator<Item = (&str, Consent)> {
        self.entries().filter_map(|entry| {
            let said = match entry.tag {
                tag if tag == Tag::ConsentGiven as u8 => Consent::Given,
                tag if tag == Tag::ConsentRefused as u8 => Consent::Refused,
                _ => return None,
            };
            Some((std::str::from_utf8(entry.value).ok()?, said))
        })
    }

    fn text(&self, tag: Tag) -> Option<&str> {
        self.entries().find(|e| e.tag == tag as u8).and_then(|e| std::str::from_utf8(e.value).ok())
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut rest = self.record.as_slice();
        std::iter::from_fn(move || {
            let (entry, tail) = split_entry(rest)?;
            rest = tail;
            Some(entry)
        })
    }
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Person([personal])")
    }
}

/// A record that is not well formed. Carries nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record is not well formed")]
pub struct BadRecord;

/// Collects a person's entries into a record.
#[derive(Default)]
pub struct PersonBuilder {
    record: Zeroizing<Vec<u8>>,
}

impl PersonBuilder {
    /// Adds or, for a name given twice, shadows nothing: the first one written wins on reading.
    pub fn field(&mut self, name: &str, value: &str) -> &mut Self {
        self.entry(Tag::Field, name, value)
    }

    pub fn consent(&mut self, purpose: &str, said: Consent) -> &mut Self {
        match said {
            Consent::Given => self.entry(Tag::ConsentGiven, "", purpose),
            Consent::Refused => self.entry(Tag::ConsentRefused, "", purpose),
            Consent::Unstated => self,
        }
    }

    pub fn restricted(&mut self) -> &mut Self {
        self.entry(Tag::Restricted, "", "")
    }

    /// `day` is `YYYY-MM-DD`.
    pub fn keep_until(&mut self, day: &str) -> &mut Self {
        self.entry(Tag::KeepUntil, "", day)
    }

    pub fn email_token(&mut self, token: &str) -> &mut Self {
        self.entry(Tag::EmailToken, "", token)
    }

    pub fn mobile_token(&mut self, token: &str) -> &mut Self {
        self.entry(Tag::MobileToken, "", token)
    }

    pub fn build(&mut self) -> Person {
        Person { record: std::mem::take(&mut self.record) }
    }

    fn entry(&mut self, tag: Tag, name: &str, value: &str) -> &mut Self {
        debug_assert!(name.len() <= FIELD_NAME_BYTES_MAX && value.len() <= FIELD_VALUE_BYTES_MAX);
        self.make_room(6 + name.len() + value.len());
        self.record.push(tag as u8);
        self.record.push(name.len() as u8);
        self.record.extend_from_slice(name.as_bytes());
        self.record.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.record.extend_from_slice(value.as_bytes());
        self
    }

    /// Grows by hand: a plain `Vec` would leave an unwiped copy behind when it moves.
    fn make_room(&mut self, more: usize) {
        let needed = self.record.len() + more;
        if needed > self.record.capacity() {
            let mut wider = Zeroizing::new(Vec::with_capacity((needed * 2).max(512)));
            wider.extend_from_slice(&self.record);
            self.record = wider;
        }
    }
}

struct Entry<'a> {
    tag: u8,
    name: &'a [u8],
    value: &'a [u8],
}

fn split_entry(bytes: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (&[tag, name_len], rest) = bytes.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(name_len as usize)?;
    let (value_len, rest) = rest.split_first_chunk::<4>()?;
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*value_len) as usize)?;
    Some((Entry { tag, name, value }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dana() -> Person {
        PersonBuilder::default()
            .field(EMAIL, "dana@example.test")
            .field("first_name", "דנה")
            .field("empty", "")
            .consent("service", Consent::Given)
            .consent("marketing", Consent::Refused)
            .keep_until("2030-01-01")
            .build()
    }

    #[test]
    fn b11_a_purpose_is_one_in_any_case_and_a_refusal_counts() {
        let person = PersonBuilder::default()
            .consent("Marketing", Consent::Given)
            .consent("marketing", Consent::Refused)
            .consent("SERVICE", Consent::Given)
            .build();
        assert_eq!(person.consent("MARKETING"), Consent::Refused);
        assert_eq!(person.consent("service"), Consent::Given);
        assert_eq!(person.consent("serv"), Consent::Unstated);
    }

    #[test]
    fn a_record_reads_back_what_was_written() {
        let person = Person::from_record(Zeroizing::new(dana().record().to_vec())).unwrap();
        assert_eq!(person.email(), Some("dana@example.test"));
        assert_eq!(person.field("first_name"), Some("דנה"));
        assert_eq!(person.field("empty"), None);
        assert_eq!(person.field("no_such"), None);
        assert_eq!(person.consent("service"), Consent::Given);
        assert_eq!(person.consent("marketing"), Consent::Refused);
        assert_eq!(person.consent("other"), Consent::Unstated);
        assert_eq!(person.keep_until(), Some("2030-01-01"));
        assert!(!person.is_restricted());
    }

    #[test]
    fn a_cut_record_is_refused() {
        let whole = dana().record().to_vec();
        let cut = Zeroizing::new(whole[..whole.len() - 1].to_vec());
        assert_eq!(Person::from_record(cut), Err(BadRecord));
    }

    #[test]
    fn debug_shows_nothing_of_the_person() {
        assert_eq!(format!("{:?}", dana()), "Person([personal])");
    }
}
