//! What the columns of a list, the keys of an object and the names of `--field` mean.

use super::cause::Cause;
use crate::person::{EMAIL, FIELD_NAME_BYTES_MAX, PHONE};
use std::sync::Arc;

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

    pub fn is_of_consent(&self) -> bool {
        matches!(self, Self::Consent | Self::Answer(_))
    }

    /// Whether the column tells who the person is.
    pub fn identifies(&self) -> bool {
        matches!(self, Self::Email | Self::Phone | Self::Token | Self::EmailToken | Self::MobileToken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_known_in_any_case_and_fields_keep_theirs() {
        assert_eq!(Column::named("E-Mail"), Err(Cause::ColumnName));
        assert_eq!(Column::named("EMAIL"), Ok(Column::Email));
        assert_eq!(Column::named("First_Name").unwrap().name(), "First_Name");
        for bad in ["", "1st", "first name", "vorname:", "שם", "{{x}}", "a.b", &"a".repeat(65)] {
            assert_eq!(Column::named(bad), Err(Cause::ColumnName), "{bad}");
        }
    }
}
