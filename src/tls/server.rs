//! Who we are when somebody connects: certificate chain and private key, followed when they change.

use super::fresh::Fresh;
use super::{TlsError, certificates, private_key, provider};
use crate::secret::SecretRef;
use rustls::ServerConfig;
use std::fmt;
use std::path::PathBuf;
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
        let watched = [Some(files.certificate.clone()), files.key.path()].into_iter().flatten().collect();
        let fresh = Fresh::new(watched, move || acceptor(&files, alpn))?;
        Ok(Self(Arc::new(fresh)))
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        (*self.0.get()).clone()
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

fn acceptor(files: &ServerFiles, alpn: &[&[u8]]) -> Result<TlsAcceptor, TlsError> {
    let chain = certificates(&files.certificate)?;
    let pem =
        files.key.read().map_err(|cause| TlsError::Key(files.certificate.clone(), cause.to_string()))?;
    let key = private_key(&pem, &files.certificate)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|cause| TlsError::Unusable(files.certificate.clone(), cause))?;
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    if let Ok(ticketer) = rustls::crypto::aws_lc_rs::Ticketer::new() {
        config.ticketer = ticketer;
    }
    Ok(TlsAcceptor::from(Arc::new(config)))
}
