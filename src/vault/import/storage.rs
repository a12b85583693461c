//! Where the rows of an import go: into the vault, or nowhere, to learn what would become of them.

use crate::vault::draft::Draft;
use crate::vault::error::VaultError;
use crate::vault::merge::tokens_of;
use crate::vault::writer::{AddressChange, Change, Put, Stored, Writer};
use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher, RandomState};

pub enum Storage<'a> {
    Vault(&'a mut Writer),
    /// Nothing is stored.
    Trial(Trial<'a>),
}

/// Rows that are looked up in the vault, where there is one.
pub struct Trial<'a> {
    writer: Option<&'a mut Writer>,
    /// Whom the file would have made, by a hash of what it is known by.
    new: HashSet<u64>,
    hasher: RandomState,
}

impl<'a> Trial<'a> {
    pub fn on(writer: Option<&'a mut Writer>) -> Self {
        Self { writer, new: HashSet::new(), hasher: RandomState::new() }
    }

    fn put(&mut self, drafts: &[Draft], change: AddressChange) -> Result<Vec<Put>, VaultError> {
        let mut answers = match &mut self.writer {
            Some(writer) => writer.try_batch(drafts, change)?,
            None => drafts.iter().map(stored_as_new).collect(),
        };
        for (draft, answer) in drafts.iter().zip(&mut answers) {
            self.note(draft, answer);
        }
        Ok(answers)
    }

    /// Nothing of an earlier batch is in the vault, so whoever comes again would be new again.
    fn note(&mut self, draft: &Draft, answer: &mut Put) {
        let Ok(stored) = answer else { return };
        let key = match (&draft.email, &draft.phone, &draft.email_token, &draft.mobile_token) {
            (Some(email), ..) => self.hasher.hash_one(email.normalised().as_str()),
            (_, Some(phone), ..) => self.hasher.hash_one(phone.normalised().as_str()),
            (_, _, Some(token), _) | (_, _, _, Some(token)) => self.hasher.hash_one(token.as_str()),
            _ => return,
        };
        if stored.change == Change::Created && !self.new.insert(key) {
            stored.change = Change::Updated;
        }
    }
}

fn stored_as_new(draft: &Draft) -> Put {
    let tokens = tokens_of(None, draft)?;
    Ok(Stored { id: 0, email_token: tokens.email, mobile_token: tokens.mobile, change: Change::Created })
}

impl Storage<'_> {
    pub fn put(&mut self, drafts: &[Draft], change: AddressChange) -> Result<Vec<Put>, VaultError> {
        match self {
            Self::Vault(writer) => writer.put_batch(drafts, change),
            Self::Trial(trial) => trial.put(drafts, change),
        }
    }

    pub fn field_names(&self, wanted: &[&str]) -> Result<BTreeSet<String>, VaultError> {
        match self {
            Self::Vault(writer) | Self::Trial(Trial { writer: Some(writer), .. }) => {
                writer.field_names(wanted)
            }
            Self::Trial(_) => Ok(BTreeSet::new()),
        }
    }

    pub fn settle(&mut self) -> Result<(), VaultError> {
        match self {
            Self::Vault(writer) => writer.settle(),
            Self::Trial(_) => Ok(()),
        }
    }
}
