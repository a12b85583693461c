//! A throw-away authority and server certificates, for a sink that nobody configured.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;

/// An authority whose key lives in memory only.
pub struct ThrowAwayCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Certificates could not be made; says why.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a throw-away certificate: {0}")]
pub struct CertificateError(String);

impl From<rcgen::Error> for CertificateError {
    fn from(error: rcgen::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<rustls::Error> for CertificateError {
    fn from(error: rustls::Error) -> Self {
        Self(error.to_string())
    }
}

impl ThrowAwayCa {
    /// # Errors
    /// The system has no randomness to give.
    pub fn new() -> Result<Self, CertificateError> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "tokenrelay sink throw-away authority");
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// The authority's certificate for the client to trust.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub fn der(&self) -> &rustls_pki_types::CertificateDer<'static> {
        self.issuer.der()
    }

    /// A server identity for `names`, host names and addresses alike.
    ///
    /// # Errors
    /// A name that cannot stand in a certificate.
    pub fn server(&self, names: &[&str]) -> Result<Arc<rustls::ServerConfig>, CertificateError> {
        self.server_with(names, |_| {})
    }

    /// The same with the certificate's content changed before it is signed.
    ///
    /// # Errors
    /// A name that cannot stand in a certificate.
    pub fn server_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<Arc<rustls::ServerConfig>, CertificateError> {
        let names: Vec<String> = names.iter().map(|name| String::from(*name)).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "tokenrelay sink");
        change(&mut params);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let chain = vec![certificate.der().clone()];
        let config = rustls::ServerConfig::builder_with_provider(crate::tls::provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Arc::new(config))
    }
}
