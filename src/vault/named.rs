//! Who a draft is about, as the indexes know people.

use super::draft::Draft;
use super::keyring::{Keyring, LookupHash, LookupOf};
use crate::job::Token;

/// The hashes of everything a draft says about who it is.
pub struct Named {
    pub email_token: Option<LookupHash>,
    pub mobile_token: Option<LookupHash>,
    pub email: Option<LookupHash>,
    pub phone: Option<LookupHash>,
}

impl Named {
    pub fn of(keys: &Keyring, draft: &Draft) -> Self {
        let token = |token: &Token| keys.lookup_hash(LookupOf::Token, token.as_str());
        Self {
            email_token: draft.email_token.as_ref().map(token),
            mobile_token: draft.mobile_token.as_ref().map(token),
            email: draft.email.as_ref().map(|email| keys.lookup_hash(LookupOf::Email, &email.normalised())),
            phone: draft.phone.as_ref().map(|phone| keys.lookup_hash(LookupOf::Phone, &phone.normalised())),
        }
    }

    pub fn tokens(&self) -> impl Iterator<Item = LookupHash> {
        self.email_token.into_iter().chain(self.mobile_token)
    }

    pub fn addresses(&self) -> impl Iterator<Item = LookupHash> {
        self.email.into_iter().chain(self.phone)
    }
}
