//! Whom we trust when we connect: the system's CAs, one CA file, or pinned public keys. There is no way to
//! switch verification off.

use super::fresh::{Fresh, Reread};
use super::{TlsError, certificates, provider};
use aws_lc_rs::digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// SHA-256 of a certificate's SubjectPublicKeyInfo, written `sha256/BASE64` (as in RFC 7469 §2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin([u8; 32]);

impl Pin {
    pub fn parse(text: &str) -> Option<Self> {
        let digest = data_encoding::BASE64.decode(text.strip_prefix("sha256/")?.as_bytes()).ok()?;
        Some(Self(digest.try_into().ok()?))
    }

    /// The pin of the first certificate in a PEM file, if there is one.
    pub fn of_file(path: &Path) -> Option<Self> {
        Self::of(certificates(path).ok()?.first()?)
    }

    /// The pin of a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let digest = digest::digest(&digest::SHA256, parsed.public_key().raw);
        Some(Self(digest.as_ref().try_into().ok()?))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256/{}", data_encoding::BASE64.encode(&self.0))
    }
}

/// What makes a server's certificate good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    SystemRoots,
    CaFile(PathBuf),
    /// The server's own key is one of these; chain, name and dates are then not looked at.
    Pins(Vec<Pin>),
}

/// Client side set-up that follows its CA file.
#[derive(Clone)]
pub struct ClientTls(Arc<Fresh<Arc<ClientConfig>>>);

impl ClientTls {
    /// # Errors
    /// Says which file cannot be used and why.
    pub fn load(trust: Trust) -> Result<Self, TlsError> {
        let files = match &trust {
            Trust::CaFile(path) => vec![path.clone()],
            Trust::SystemRoots | Trust::Pins(_) => Vec::new(),
        };
        Ok(Self(Arc::new(Fresh::new(files, move || config(&trust).map(Arc::new))?)))
    }

    /// Reads the files anew, whether they seem to have changed or not; what was read is not in use yet.
    ///
    /// # Errors
    /// Says which file cannot be used and why; what was read before stays in use.
    pub fn read_again(&self) -> Result<Reread<Arc<ClientConfig>>, TlsError> {
        self.0.read_again()
    }

    /// Why what lies in the files is not what is in use.
    pub fn trouble(&self) -> Option<String> {
        self.0.trouble()
    }

    pub fn config(&self) -> Arc<ClientConfig> {
        (*self.0.get()).clone()
    }
}

impl From<Arc<ClientConfig>> for ClientTls {
    /// A set-up that follows no file.
    fn from(config: Arc<ClientConfig>) -> Self {
        let fresh = Fresh::new(Vec::new(), move || Ok(config.clone()));
        Self(Arc::new(fresh.expect("a made configuration needs nothing that can fail")))
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

fn config(trust: &Trust) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3");
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::SystemRoots => Arc::new(ChainVerifier::new(system_roots()?)?),
        Trust::CaFile(path) => Arc::new(ChainVerifier::new(roots_of(path)?)?),
        Trust::Pins(pins) => Arc::new(PinVerifier::new(pins.clone())),
    };
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// A certificate that no authority could make good: its own key has to be pinned. With the pin that would do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NeedsPin {
    #[error("self-signed")]
    SelfSigned(Pin),
    #[error("none of the pinned keys")]
    NotPinned(Pin),
}

impl NeedsPin {
    /// What a failed handshake says of it.
    pub fn of(error: &CertificateError) -> Option<&Self> {
        let CertificateError::Other(OtherError(cause)) = error else { return None };
        cause.downcast_ref()
    }

    fn into_error(self) -> rustls::Error {
        CertificateError::Other(OtherError(Arc::new(self))).into()
    }
}

/// Verifies as rustls does; where it does not trust a certificate that signed itself, it says so.
#[derive(Debug)]
struct ChainVerifier(Arc<WebPkiServerVerifier>);

impl ChainVerifier {
    fn new(roots: RootCertStore) -> Result<Self, TlsError> {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        verifier.map(Self).map_err(|_| TlsError::NoSystemRoots)
    }
}

impl ServerCertVerifier for ChainVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verified.map_err(|error| match error {
            rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature | CertificateError::Other(_),
            ) => self_signed(end_entity).map_or(error, |pin| NeedsPin::SelfSigned(pin).into_error()),
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// The pin of a certificate that names itself as its issuer.
fn self_signed(certificate: &CertificateDer<'_>) -> Option<Pin> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let is_its_own = parsed.issuer().as_raw() == parsed.subject().as_raw();
    is_its_own.then(|| Pin::of(certificate))?
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsError::NoSystemRoots) } else { Ok(roots) }
}

pub(super) fn roots_of(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|cause| TlsError::Unusable { path: path.into(), cause })?;
    }
    Ok(roots)
}

/// Accepts a server by its public key alone, and still checks that it holds the private key.
#[derive(Debug)]
struct PinVerifier {
    pins: Vec<Pin>,
    provider: Arc<CryptoProvider>,
}

impl PinVerifier {
    fn new(pins: Vec<Pin>) -> Self {
        Self { pins, provider: provider() }
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let pin = Pin::of(end_entity).ok_or(CertificateError::BadEncoding)?;
        if self.pins.contains(&pin) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(NeedsPin::NotPinned(pin).into_error())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
