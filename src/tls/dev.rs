//! A certificate authority for one machine: `init`, `demo` and tests make theirs with it, and its key is
//! never written anywhere.

use super::provider;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;
use zeroize::Zeroizing;

/// A certificate made this year ends when so many more years have begun.
const YEARS_VALID: i32 = 3;

/// Makes certificates for names of this machine. Its own key lives in memory only.
pub struct DevAuthority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its private key, both in PEM form.
pub struct DevIdentity {
    pub certificate_pem: String,
    pub key_pem: Zeroizing<String>,
}

/// A certificate could not be made; says why.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("cannot use the certificate: {0}")]
    Unusable(#[from] rustls::Error),
}

impl DevAuthority {
    /// # Errors
    /// Only when the crypto provider cannot make a key.
    pub fn new(name: &str) -> Result<Self, DevError> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        limit(&mut params);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    pub fn certificate_pem(&self) -> String {
        self.issuer.pem()
    }

    pub fn certificate_der(&self) -> &CertificateDer<'static> {
        self.issuer.der()
    }

    /// A server certificate for DNS names and IP addresses.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn issue(&self, names: &[&str]) -> Result<DevIdentity, DevError> {
        let (certificate, key) = self.sign(names, |_| {})?;
        Ok(DevIdentity { certificate_pem: certificate.pem(), key_pem: Zeroizing::new(key.serialize_pem()) })
    }

    /// A client certificate for one name: a DNS name, a URI, or a mail address.
    ///
    /// # Errors
    /// When the name cannot stand in a certificate.
    pub fn issue_client(&self, name: &str) -> Result<DevIdentity, DevError> {
        let san = match name {
            _ if name.contains("://") => SanType::URI(name.try_into()?),
            _ if name.contains('@') => SanType::Rfc822Name(name.try_into()?),
            _ => SanType::DnsName(name.try_into()?),
        };
        let (certificate, key) = self.sign(&[], |params| {
            params.subject_alt_names = vec![san];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })?;
        Ok(DevIdentity { certificate_pem: certificate.pem(), key_pem: Zeroizing::new(key.serialize_pem()) })
    }

    /// The same as the server side of TLS, ready for use and never on disk.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn server(&self, names: &[&str]) -> Result<Arc<ServerConfig>, DevError> {
        self.server_with(names, |_| {})
    }

    /// The same with the certificate's content changed before it is signed: an expired one, say.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn server_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<Arc<ServerConfig>, DevError> {
        let (certificate, key) = self.sign(names, change)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok(Arc::new(config))
    }

    fn sign(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Result<(Certificate, KeyPair), DevError> {
        let mut params = CertificateParams::new(names.iter().map(|n| (*n).into()).collect::<Vec<_>>())?;
        params.distinguished_name.push(DnType::CommonName, names.first().copied().unwrap_or("tokenrelay"));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        limit(&mut params);
        change(&mut params);
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &self.issuer)?, key))
    }
}

/// Development certificates are not for ever: rcgen's own default ends in the year 4096.
fn limit(params: &mut CertificateParams) {
    let year = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year();
    params.not_before = rcgen::date_time_ymd(i32::from(year) - 1, 1, 1);
    params.not_after = rcgen::date_time_ymd(i32::from(year) + YEARS_VALID, 1, 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SecretRef;
    use crate::tls::{ClientTls, Pin, ServerFiles, ServerTls, Trust};
    use rustls_pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsConnector;

    async fn handshake(server: &ServerTls, client: &ClientTls, name: &'static str) -> std::io::Result<()> {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let acceptor = server.acceptor();
        tokio::spawn(async move {
            if let Ok(mut stream) = acceptor.accept(far).await {
                let _ = stream.write_all(b"ok").await;
                let _ = stream.flush().await;
            }
        });
        let name = ServerName::try_from(name).unwrap();
        let mut stream = TlsConnector::from(client.config()).connect(name, near).await?;
        stream.read_exact(&mut [0; 2]).await.map(drop)
    }

    #[tokio::test]
    async fn the_authority_is_trusted_for_its_names_only_and_a_pin_for_its_key_only() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let authority = DevAuthority::new("test authority").unwrap();
        let identity = authority.issue(&["mta.test", "127.0.0.1"]).unwrap();
        std::fs::write(at("ca.pem"), authority.certificate_pem()).unwrap();
        std::fs::write(at("mta.pem"), &identity.certificate_pem).unwrap();
        std::fs::write(at("mta.key"), identity.key_pem.as_bytes()).unwrap();
        let files = ServerFiles { certificate: at("mta.pem"), key: SecretRef::File(at("mta.key")) };
        let server = ServerTls::load(files, &[]).unwrap();

        let by_ca = ClientTls::load(Trust::CaFile(at("ca.pem"))).unwrap();
        handshake(&server, &by_ca, "mta.test").await.unwrap();
        handshake(&server, &by_ca, "127.0.0.1").await.unwrap();
        handshake(&server, &by_ca, "other.test").await.unwrap_err();

        let pin = Pin::of(&crate::tls::certificates(&at("mta.pem")).unwrap()[0]).unwrap();
        let pin = Pin::parse(&pin.to_string()).unwrap();
        let by_pin = ClientTls::load(Trust::Pins(vec![pin])).unwrap();
        handshake(&server, &by_pin, "any.test").await.unwrap();
        let other = Pin::of(&crate::tls::certificates(&at("ca.pem")).unwrap()[0]).unwrap();
        let by_other = ClientTls::load(Trust::Pins(vec![other])).unwrap();
        handshake(&server, &by_other, "mta.test").await.unwrap_err();
    }
}
