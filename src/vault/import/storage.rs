//! Where the rows of an import go: into the vault, or nowhere, to learn what would become of them.

use crate::vault::draft::Draft;
use crate::vault::error::VaultError;
use crate::vault::writer::{AddressChange, Put, Rehearsal, Writer};
use std::collections::BTreeSet;

pub enum Storage<'a> {
    Vault(&'a mut Writer),
    Nowhere(Box<Rehearsal>),
}

impl Storage<'_> {
    pub fn put(&mut self, drafts: &[Draft], change: AddressChange) -> Result<Vec<Put>, VaultError> {
        match self {
            Self::Vault(writer) => writer.put_batch(drafts, change),
            Self::Nowhere(rehearsal) => rehearsal.put_batch(drafts, change),
        }
    }

    pub fn field_names(&self, wanted: &[&str]) -> Result<BTreeSet<String>, VaultError> {
        match self {
            Self::Vault(writer) => writer.field_names(wanted),
            Self::Nowhere(rehearsal) => rehearsal.field_names(wanted),
        }
    }

    pub fn withdrawals_forgotten(&self) -> u64 {
        match self {
            Self::Vault(writer) => writer.withdrawals_forgotten(),
            Self::Nowhere(rehearsal) => rehearsal.withdrawals_forgotten(),
        }
    }

    pub fn settle(&mut self) -> Result<(), VaultError> {
        match self {
            Self::Vault(writer) => writer.settle(),
            Self::Nowhere(_) => Ok(()),
        }
    }
}
