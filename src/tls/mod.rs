//! The only room that names rustls' set-up: who we are (server) and whom we trust (client).
//! Files are read again when they change, so a renewed certificate needs no restart.

mod client;
mod client_names;
mod dev;
mod fresh;
mod server;
mod server_stream;

pub use client::{ClientTls, NeedsPin, Pin, Trust};
pub use client_names::names_of;
pub use dev::{DevAuthority, DevError};
pub use server::{ServerFiles, ServerTls};
pub use server_stream::ServerStream;

use crate::plain_file;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest file of certificates that is read, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Why TLS material could not be used; says which file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {0}: {1}")]
    Unreadable(PathBuf, pem::Error),
    #[error("{0} holds no certificate in PEM form")]
    NoCertificate(PathBuf),
    #[error("the private key for {0} cannot be used: {1}")]
    Key(PathBuf, String),
    #[error("{0} cannot be used: {1}")]
    Unusable(PathBuf, rustls::Error),
    #[error("the system has no usable CA certificates; install ca-certificates or set ca = \"...\"")]
    NoSystemRoots,
}

/// The one crypto provider of this program.
pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |cause| TlsError::Unreadable(path.into(), cause);
    let bytes = plain_file::read(path, FILE_BYTES_MAX).map_err(|cause| unreadable(pem::Error::Io(cause)))?;
    let chain = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    if chain.is_empty() { Err(TlsError::NoCertificate(path.into())) } else { Ok(chain) }
}

fn private_key(pem: &[u8], certificate: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|cause| TlsError::Key(certificate.into(), cause.to_string()))
}
