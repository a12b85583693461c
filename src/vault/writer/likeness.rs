//! Whether somebody in the vault is who a draft means.

use crate::person::{PHONE, Person};
use crate::vault::address;
use crate::vault::draft::Draft;
use crate::vault::reader::stands_for;

/// Whether a token that the draft names would stand for another address than before.
pub fn moves_token(person: &Person, draft: &Draft) -> bool {
    let email = draft.email_token.is_some() && draft.email.is_some() && person.email().is_some();
    let known_phone = person.field(PHONE).map(address::normalised_phone);
    let phone = draft.mobile_token.is_some() && draft.phone.is_some() && known_phone.is_some();
    (email && !same_email(person, draft))
        || (phone && known_phone != draft.phone.as_ref().map(|phone| phone.normalised()))
}

/// Whether the person is one whom the draft means: a phone that several people share is somebody's only where no e-mail address says
/// otherwise.
pub fn is_named_by(person: &Person, draft: &Draft) -> bool {
    let tokens = [&draft.email_token, &draft.mobile_token];
    let has_phone = || {
        let phone = person.field(PHONE).map(address::normalised_phone);
        phone.is_some() && phone == draft.phone.as_ref().map(|phone| phone.normalised())
    };
    tokens.into_iter().flatten().any(|token| stands_for(person, token))
        || draft.email.is_some() && same_email(person, draft)
        || (draft.email.is_none() || person.email().is_none()) && has_phone()
}

pub fn same_email(person: &Person, draft: &Draft) -> bool {
    person.email().map(address::normalised) == draft.email.as_ref().map(|email| email.normalised())
}
