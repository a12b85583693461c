//! The names a client's certificate carries.

use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;

/// Subject alternative names of a certificate (RFC 5280 §4.2.1.6): DNS names in lower case, URIs and mail addresses
/// as they are written. None when it cannot be read.
pub fn names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else { return Vec::new() };
    let Ok(Some(extension)) = parsed.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        GeneralName::RFC822Name(address) => Some((*address).to_owned()),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).collect()
}
