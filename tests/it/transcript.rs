//! Every octet the relay said to an engine, kept to be searched.

use std::sync::{Arc, Mutex, PoisonError};

#[derive(Clone, Default)]
pub struct Transcript(Arc<Mutex<Vec<u8>>>);

impl Transcript {
    pub fn note(&self, octets: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(octets);
    }

    pub fn whole(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
