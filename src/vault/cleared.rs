//! Fields that an import takes away where it has no value for them.

use super::column::Column;
use std::sync::Arc;

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

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|field| **field == *name)
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
