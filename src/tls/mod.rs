//! The only room that names rustls' set-up: who we are (server) and whom we trust (client).
//! Files are read again when they change, so a renewed certificate needs no restart.

mod buffer;
mod client;
mod client_names;
mod dev;
mod dialogue;
mod error;
mod fresh;
mod server;
mod server_stream;
mod validity;

pub use client::{ClientTls, NeedsPin, Pin, Trust};
pub use client_names::names_of;
pub use dev::{DevAuthority, DevError};
pub use error::TlsError;
pub use fresh::Reread;
pub use server::{ServerFiles, ServerTls};
pub use server_stream::{ServerStream, accept};
pub use validity::Validity;

use crate::plain_file;
use crate::secret::SecretRef;
use error::Content;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;

/// Largest file of certificates that is read, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The one crypto provider of this program.
pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = plain_file::read(path, FILE_BYTES_MAX)
        .map_err(|cause| TlsError::Unreadable { path: path.into(), cause })?;
    let none = |found| TlsError::NoCertificate { path: path.into(), found };
    let chain = CertificateDer::pem_slice_iter(without_mark(&bytes)).collect::<Result<Vec<_>, _>>();
    match chain {
        Ok(chain) if chain.is_empty() => Err(none(Content::of(&bytes))),
        Ok(chain) => Ok(chain),
        Err(_) => Err(none(Content::Damaged)),
    }
}

/// Some editors put a mark before UTF-8, behind which the first section would be passed over: of a chain the server's own.
fn without_mark(pem: &[u8]) -> &[u8] {
    pem.strip_prefix(b"\xef\xbb\xbf").unwrap_or(pem)
}

/// `key` is how the configuration refers to it.
fn private_key(pem: &[u8], key: &SecretRef) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(without_mark(pem)).map_err(|_| {
        let found = match Content::of(pem) {
            Content::Key => Content::Damaged,
            other => other,
        };
        TlsError::NoKey { key: key.to_string(), found }
    })
}
