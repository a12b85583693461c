//! Why TLS material could not be used: the file, what it is instead, and what mends that.

use crate::plain_file;
use crate::secret::SecretError;
use rustls::InconsistentKeys;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why TLS material could not be used; [`TlsError::fix`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    #[error("{} {}", path.display(), found.instead_of("a certificate"))]
    NoCertificate { path: PathBuf, found: Content },
    #[error("{} holds a private key, and {key} the certificate", certificate.display())]
    Exchanged { certificate: PathBuf, key: String },
    #[error("the private key cannot be read: {0}")]
    KeyUnread(SecretError),
    #[error("{key} {}", found.instead_of("a private key"))]
    NoKey { key: String, found: Content },
    #[error("{key} holds a private key of a kind that cannot be used ({cause})")]
    KeyKind { key: String, cause: String },
    #[error("the private key {key} is not that of the certificate in {}", certificate.display())]
    OtherKey { key: String, certificate: PathBuf },
    #[error("{} cannot be used: {cause}", path.display())]
    Unusable { path: PathBuf, cause: rustls::Error },
    #[error("the system has no usable CA certificates")]
    NoSystemRoots,
}

/// What a file holds in place of what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Nothing,
    Certificate,
    /// With the trust that OpenSSL adds to it.
    TrustedCertificate,
    Key,
    EncryptedKey,
    OpenSshKey,
    PublicKey,
    Request,
    Parameters,
    /// DER or PKCS #12.
    Binary,
    Utf16,
    /// A section that does not end, or is not base64.
    Damaged,
    Text,
}

impl Content {
    pub fn of(bytes: &[u8]) -> Self {
        const LABELS: [(&str, Content); 9] = [
            ("ENCRYPTED PRIVATE KEY", Content::EncryptedKey),
            ("OPENSSH PRIVATE KEY", Content::OpenSshKey),
            ("PRIVATE KEY", Content::Key),
            ("PUBLIC KEY", Content::PublicKey),
            ("CERTIFICATE REQUEST", Content::Request),
            ("TRUSTED CERTIFICATE", Content::TrustedCertificate),
            ("CERTIFICATE", Content::Certificate),
            ("PARAMETERS", Content::Parameters),
            ("PKCS7", Content::Binary),
        ];
        let text = match std::str::from_utf8(bytes) {
            Ok(text) if text.trim().is_empty() => return Self::Nothing,
            Ok(text) => text,
            Err(_) if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") => return Self::Utf16,
            Err(_) => return Self::Binary,
        };
        let mut labels = text.lines().filter_map(|line| line.trim().strip_prefix("-----BEGIN "));
        let kinds = labels.by_ref().filter_map(|label| LABELS.iter().find(|(word, _)| label.contains(word)));
        // What stands before a key (RFC 5915's parameters) says less than the key.
        match kinds.map(|(_, content)| *content).max_by_key(|content| *content != Self::Parameters) {
            // RFC 1421 §4.6.1.1, as openssl wrote it for long.
            Some(Self::Key) if text.contains("Proc-Type: 4,ENCRYPTED") => Self::EncryptedKey,
            Some(kind) => kind,
            None => Self::Text,
        }
    }
}

impl Content {
    fn instead_of(self, wanted: &str) -> String {
        match self {
            Self::Damaged | Self::TrustedCertificate | Self::Utf16 => self.to_string(),
            other => format!("{other}, not {wanted} in PEM form"),
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "is empty",
            Self::Certificate => "holds a certificate",
            Self::TrustedCertificate => "holds a certificate in OpenSSL's own form (TRUSTED CERTIFICATE)",
            Self::Key => "holds a private key",
            Self::EncryptedKey => "holds a private key that is encrypted with a passphrase",
            Self::OpenSshKey => "holds a key of OpenSSH",
            Self::PublicKey => "holds a public key",
            Self::Request => "holds a certificate request",
            Self::Parameters => "holds the parameters of a key without the key",
            Self::Binary => "is binary (DER or PKCS #12)",
            Self::Utf16 => "is written in UTF-16, not in UTF-8",
            Self::Damaged => "is damaged (a section of it has no end, or is not base64)",
            Self::Text => "is some other text",
        })
    }
}

impl TlsError {
    /// What mends this very cause.
    pub fn fix(&self) -> String {
        match self {
            Self::Unreadable { path, cause } => plain_file::fix(path, cause),
            Self::NoCertificate { path, found } => certificate_fix(&path.display().to_string(), *found),
            Self::Exchanged { .. } => String::from(
                "exchange the two: cert names the certificate, key = \"file:...\" the private key",
            ),
            Self::KeyUnread(cause) => cause.fix(),
            Self::NoKey { key, found } => key_fix(key.strip_prefix("file:").unwrap_or("FILE"), *found),
            Self::KeyKind { .. } => String::from(
                "use a key of RSA (2048 bits or more), ECDSA (P-256, P-384, P-521) or Ed25519, with its certificate",
            ),
            Self::OtherKey { .. } => String::from(
                "name the key that the certificate was made with; in a chain the server's own certificate comes first. The two \
                 fit when openssl x509 -noout -pubkey -in CERT and openssl pkey -pubout -in KEY print the same",
            ),
            Self::Unusable { .. } => {
                String::from("see what is in it: openssl x509 -noout -text -in FILE; have it issued again")
            }
            Self::NoSystemRoots => String::from(
                "install ca-certificates, or name the authority's certificate with ca = \"FILE\"",
            ),
        }
    }

    /// What rustls says of a certificate and its key.
    pub(super) fn of_pair(key: String, certificate: PathBuf, cause: rustls::Error) -> Self {
        match cause {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                Self::OtherKey { key, certificate }
            }
            rustls::Error::General(cause) => Self::KeyKind { key, cause },
            cause => Self::Unusable { path: certificate, cause },
        }
    }
}

fn certificate_fix(path: &str, found: Content) -> String {
    match found {
        Content::Key | Content::EncryptedKey => String::from(
            "name the certificate here and the key in key = \"file:...\": are the two exchanged?",
        ),
        Content::TrustedCertificate => {
            format!("write it in the usual form: openssl x509 -in {path} -out {path}.pem")
        }
        Content::Utf16 => in_utf8(path),
        Content::Request => String::from("name the certificate that was issued for this request"),
        Content::Binary => format!(
            "write it in PEM form: openssl x509 -inform DER -in {path} -out {path}.pem (of a .p12 or .pfx: openssl pkcs12 \
             -nokeys -in {path} -out {path}.pem)"
        ),
        Content::Damaged | Content::Certificate => String::from("copy the file again, whole"),
        Content::Nothing => String::from("write the certificate into it, and those of its issuers behind it"),
        Content::OpenSshKey | Content::PublicKey | Content::Parameters | Content::Text => {
            String::from("name the file that begins with -----BEGIN CERTIFICATE-----")
        }
    }
}

fn in_utf8(path: &str) -> String {
    format!("save it as UTF-8: iconv -f UTF-16 -t UTF-8 {path} > {path}.pem")
}

fn key_fix(path: &str, found: Content) -> String {
    match found {
        Content::EncryptedKey => format!(
            "nobody can type the passphrase at each start: openssl pkey -in {path} -out {path}.clear (it asks once), chmod 600 \
             it and name it; or key = \"cmd:...\" with a command that prints the key in clear"
        ),
        Content::Utf16 => in_utf8(path),
        Content::Certificate | Content::TrustedCertificate => {
            String::from("name the key here and the certificate in cert = \"...\": are the two exchanged?")
        }
        Content::PublicKey | Content::Request | Content::Parameters => String::from(
            "name the private key that was made with it: it begins with -----BEGIN PRIVATE KEY-----",
        ),
        Content::OpenSshKey => String::from(
            "a server's certificate needs a key of its own: openssl genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-256",
        ),
        Content::Binary => format!(
            "write it in PEM form: openssl pkey -inform DER -in {path} -out {path}.pem (of a .p12 or .pfx: openssl pkcs12 \
             -nocerts -nodes -in {path} -out {path}.pem)"
        ),
        Content::Damaged | Content::Key => String::from("copy the file again, whole"),
        Content::Nothing => String::from("write the private key of the certificate into it"),
        Content::Text => String::from("name the file that begins with -----BEGIN PRIVATE KEY-----"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DevAuthority, ServerFiles, ServerTls};
    use super::*;
    use crate::secret::SecretRef;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn d_each_key_that_cannot_be_used_has_its_own_cause_and_fix() {
        let dir = tempfile::tempdir().unwrap();
        let authority = DevAuthority::new("test").unwrap();
        let [one, other] = [(); 2].map(|()| authority.issue(&["localhost"]).unwrap());
        let cut = &one.key_pem[..one.key_pem.len() / 2];
        let old = one.key_pem.replace("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\n\n");
        let certificate = dir.path().join("cert.pem");
        let key = dir.path().join("key.pem");
        let load = |cert: &[u8], key_bytes: &[u8]| {
            fs::write(&certificate, cert).unwrap();
            fs::write(&key, key_bytes).unwrap();
            let files = ServerFiles { certificate: certificate.clone(), key: SecretRef::File(key.clone()) };
            ServerTls::load(files, &[]).map(drop)
        };
        let good = one.certificate_pem.as_bytes();
        load(good, one.key_pem.as_bytes()).unwrap();
        for (bytes, cause, fix) in [
            (other.key_pem.as_bytes(), "is not that of the certificate", "name the key that the certificate"),
            (good, "holds a certificate, not a private key", "are the two exchanged?"),
            (cut.as_bytes(), "is damaged", "copy the file again"),
            (old.as_bytes(), "encrypted with a passphrase", "openssl pkey -in"),
            (
                b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n",
                "encrypted",
                "openssl",
            ),
            (
                b"-----BEGIN OPENSSH PRIVATE KEY-----\nAA==\n-----END OPENSSH PRIVATE KEY-----\n",
                "OpenSSH",
                "genpkey",
            ),
            (
                b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n",
                "a public key",
                "name the private key",
            ),
            (
                b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n",
                "of a kind that cannot be used",
                "RSA",
            ),
            (b"\x30\x82\x01\x00\xff", "is binary", "-inform DER"),
            (b"hello", "is some other text", "begins with -----BEGIN PRIVATE KEY"),
            (b"", "empty", "write"),
        ] {
            let error = load(good, bytes).unwrap_err();
            let (said, mend) = (error.to_string(), error.fix());
            assert!(said.contains(cause) && mend.contains(fix), "{cause}: {said}; fix: {mend}");
        }
        for (bytes, cause, fix) in [
            (one.key_pem.as_bytes(), "holds a private key, not a certificate", "are the two exchanged?"),
            (b"" as &[u8], "is empty", "write the certificate"),
            (b"\x30\x82\x01\x00\xff", "is binary", "openssl x509 -inform DER"),
            (b"-----BEGIN CERTIFICATE-----\nAA", "is damaged", "copy"),
        ] {
            let error = load(bytes, one.key_pem.as_bytes()).unwrap_err();
            let (said, mend) = (error.to_string(), error.fix());
            assert!(said.contains(cause) && mend.contains(fix), "{cause}: {said}; fix: {mend}");
        }
        let error = load(one.key_pem.as_bytes(), good).unwrap_err();
        assert!(error.to_string().contains("cert.pem holds a private key, and file:"), "{error}");
        assert!(error.fix().starts_with("exchange the two"), "{}", error.fix());
        fs::remove_file(&key).unwrap();
        fs::write(&certificate, good).unwrap();
        let files = ServerFiles { certificate, key: SecretRef::File(key) };
        let error = ServerTls::load(files, &[]).unwrap_err();
        assert!(error.fix().contains("there is no "), "{error}: {}", error.fix());
    }

    #[test]
    fn d_what_editors_and_openssl_make_of_a_file_is_read_or_named() {
        let dir = tempfile::tempdir().unwrap();
        let authority = DevAuthority::new("test").unwrap();
        let one = authority.issue(&["localhost"]).unwrap();
        let load = |cert: &[u8], key: &[u8]| {
            let [certificate, key_file] = ["cert.pem", "key.pem"].map(|name| dir.path().join(name));
            fs::write(&certificate, cert).unwrap();
            fs::write(&key_file, key).unwrap();
            let files = ServerFiles { certificate, key: SecretRef::File(key_file) };
            ServerTls::load(files, &[]).map(drop)
        };
        let marked = |pem: &str| ["\u{feff}", pem].concat();
        let chain = [&*one.certificate_pem, &authority.certificate_pem()].concat();
        load(marked(&chain).as_bytes(), marked(&one.key_pem).as_bytes()).unwrap();
        let trusted = one.certificate_pem.replace(" CERTIFICATE", " TRUSTED CERTIFICATE");
        let wide = |text: &str| -> Vec<u8> {
            [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
        };
        let good = (one.certificate_pem.as_bytes(), one.key_pem.as_bytes());
        for (certificate, key, cause, fix) in [
            (trusted.as_bytes(), good.1, "in OpenSSL's own form", "openssl x509 -in"),
            (&wide(&one.certificate_pem), good.1, "is written in UTF-16", "iconv -f UTF-16"),
            (good.0, &wide(&one.key_pem), "is written in UTF-16", "iconv -f UTF-16"),
        ] {
            let error = load(certificate, key).unwrap_err();
            let (said, mend) = (error.to_string(), error.fix());
            assert!(said.contains(cause) && mend.contains(fix), "{cause}: {said}; fix: {mend}");
        }
    }

    #[test]
    fn d_a_file_that_may_not_be_read_says_who_may() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key.pem");
        fs::write(&file, "x").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let fix = plain_file::fix(&file, &io::ErrorKind::PermissionDenied.into());
        assert!(fix.contains("mode 600") && fix.contains("user"), "{fix}");
    }
}
