//! Who we are when somebody connects: certificate chain and private key, followed when they change.

use super::client::roots_of;
use super::error::Content;
use super::fresh::{Fresh, Reread};
use super::{FILE_BYTES_MAX, TlsError, certificates, private_key, provider};
use crate::plain_file;
use crate::secret::SecretRef;
use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Where a server's certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFiles {
    pub certificate: PathBuf,
    pub key: SecretRef,
}

/// Server side set-up that follows its files.
#[derive(Clone)]
pub struct ServerTls(Arc<Fresh<TlsAcceptor>>);

impl ServerTls {
    /// `alpn` lists the protocols offered (RFC 7301), none for SMTP.
    ///
    /// # Errors
    /// Says which file cannot be used and why.
    pub fn load(files: ServerFiles, alpn: &'static [&'static [u8]]) -> Result<Self, TlsError> {
        Self::load_with_clients(files, None, alpn)
    }

    /// With `client_ca` a client may show a certificate; one that this CA did not sign ends the handshake.
    ///
    /// # Errors
    /// Says which file cannot be used and why.
    pub fn load_with_clients(
        files: ServerFiles,
        client_ca: Option<PathBuf>,
        alpn: &'static [&'static [u8]],
    ) -> Result<Self, TlsError> {
        let watched = [Some(files.certificate.clone()), files.key.path(), client_ca.clone()];
        let watched = watched.into_iter().flatten().collect();
        let fresh = Fresh::new(watched, move || acceptor(&files, client_ca.as_deref(), alpn))?;
        Ok(Self(Arc::new(fresh)))
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        (*self.0.get()).clone()
    }

    /// Reads the files anew, whether they seem to have changed or not; what was read is not in use yet.
    ///
    /// # Errors
    /// Says which file cannot be used and why; what was read before stays in use.
    pub fn read_again(&self) -> Result<Reread<TlsAcceptor>, TlsError> {
        self.0.read_again()
    }

    /// Why what lies in the files is not what is in use.
    pub fn trouble(&self) -> Option<String> {
        self.0.trouble()
    }

    pub fn config(&self) -> Arc<ServerConfig> {
        self.acceptor().config().clone()
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}

fn acceptor(files: &ServerFiles, client_ca: Option<&Path>, alpn: &[&[u8]]) -> Result<TlsAcceptor, TlsError> {
    let chain = certificates(&files.certificate).map_err(|cause| exchanged(files).unwrap_or(cause))?;
    let pem = files.key.read().map_err(TlsError::KeyUnread)?;
    let key = private_key(&pem, &files.key)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .with_client_cert_verifier(client_verifier(client_ca)?)
        .with_single_cert(chain, key)
        .map_err(|cause| TlsError::of_pair(files.key.to_string(), files.certificate.clone(), cause))?;
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    if client_ca.is_some() {
        // A resumed session is not verified again: every client shows its certificate every time.
        config.session_storage = Arc::new(NoServerSessionStorage {});
    } else if let Ok(ticketer) = rustls::crypto::aws_lc_rs::Ticketer::new() {
        config.ticketer = ticketer;
    }
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Whether each of the two files is where the other should be.
fn exchanged(files: &ServerFiles) -> Option<TlsError> {
    let key = files.key.path()?;
    let in_place_of_the_key = certificates(&key).ok()?;
    let pem = plain_file::read(&files.certificate, FILE_BYTES_MAX).ok()?;
    let is_key = matches!(Content::of(&pem), Content::Key | Content::EncryptedKey);
    (is_key && !in_place_of_the_key.is_empty())
        .then(|| TlsError::Exchanged { certificate: files.certificate.clone(), key: files.key.to_string() })
}

fn client_verifier(client_ca: Option<&Path>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(file) = client_ca else { return Ok(WebPkiClientVerifier::no_client_auth()) };
    let roots = Arc::new(roots_of(file)?);
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots, provider()).allow_unauthenticated().build();
    verifier.map_err(|cause| TlsError::Unusable {
        path: file.into(),
        cause: rustls::Error::General(cause.to_string()),
    })
}
