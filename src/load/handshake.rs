//! What is wrong where a client's TLS handshake with the relay failed.

use rustls::{CertificateError, Error};
use std::io;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeFault {
    Untrusted,
    OtherName,
    /// Or not valid yet.
    Expired,
    NotTls,
    Other,
}

impl HandshakeFault {
    /// `None` for what TLS has not said.
    pub fn of(cause: &io::Error) -> Option<Self> {
        use CertificateError as Certificate;
        let said: &Error = cause.get_ref()?.downcast_ref()?;
        Some(match said {
            Error::InvalidCertificate(
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. },
            ) => Self::OtherName,
            Error::InvalidCertificate(
                Certificate::Expired
                | Certificate::ExpiredContext { .. }
                | Certificate::NotValidYet
                | Certificate::NotValidYetContext { .. },
            ) => Self::Expired,
            Error::InvalidCertificate(_) => Self::Untrusted,
            Error::InvalidMessage(_) => Self::NotTls,
            _ => Self::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tls_says_is_told_apart() {
        let of = |error: Error| HandshakeFault::of(&io::Error::new(io::ErrorKind::InvalidData, error));
        for (said, fault) in [
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), HandshakeFault::Untrusted),
            (Error::InvalidCertificate(CertificateError::NotValidForName), HandshakeFault::OtherName),
            (Error::InvalidCertificate(CertificateError::Expired), HandshakeFault::Expired),
            (Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType), HandshakeFault::NotTls),
            (Error::DecryptError, HandshakeFault::Other),
        ] {
            assert_eq!(of(said), Some(fault));
        }
        assert_eq!(HandshakeFault::of(&io::ErrorKind::ConnectionRefused.into()), None);
    }
}
