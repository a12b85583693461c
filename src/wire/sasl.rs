//! Decodes what a client answers in an AUTH exchange: PLAIN (RFC 4616) and LOGIN. Everything decoded is wiped
//! when dropped.

use data_encoding::BASE64;
use std::fmt;
use zeroize::Zeroizing;

/// The base64 of `Username:`, as every client of AUTH LOGIN expects it.
pub const LOGIN_USERNAME_PROMPT: &str = "VXNlcm5hbWU6";
/// The base64 of `Password:`.
pub const LOGIN_PASSWORD_PROMPT: &str = "UGFzc3dvcmQ6";

/// RFC 4616 §2 sets no bound; a user name is an engine's name.
const USER_OCTETS_MAX: usize = 255;

/// A user name and a password as they were offered. `Debug` shows neither.
pub struct Credentials {
    pub user: Zeroizing<String>,
    pub password: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials([secret])")
    }
}

/// Why a response cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BadResponse {
    /// The client sent `*` (RFC 4954 §4).
    #[error("the exchange was cancelled")]
    Cancelled,
    #[error("the response is not base64")]
    NotBase64,
    #[error("the response is not well formed")]
    Malformed,
    /// The client asked to act as somebody else, which no engine may.
    #[error("the client asks to act as somebody else than it logs in as (authorization identity)")]
    AuthorizationIdentity,
}

/// Reads the name the client wants to act as, empty for its own (RFC 4422 appendix A.1). Empty is written `=` in an
/// initial response (RFC 4954 §4).
///
/// # Errors
/// [`BadResponse`].
pub fn external(response: &[u8]) -> Result<String, BadResponse> {
    if response == b"=" || response.is_empty() {
        return Ok(String::new());
    }
    String::from_utf8(decode(response)?.to_vec()).map_err(|_| BadResponse::Malformed)
}

/// Reads `[authzid] NUL authcid NUL passwd`. Who asks to act as itself asks for nothing (RFC 4616 §2): Perl's and GNU's
/// SASL libraries always do.
///
/// # Errors
/// [`BadResponse`].
pub fn plain(response: &[u8]) -> Result<Credentials, BadResponse> {
    let message = decode(response)?;
    let mut parts = message.split(|octet| *octet == 0);
    let (Some(authzid), Some(user), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(BadResponse::Malformed);
    };
    if !authzid.is_empty() && authzid != user {
        return Err(BadResponse::AuthorizationIdentity);
    }
    if password.is_empty() {
        return Err(BadResponse::Malformed);
    }
    Ok(Credentials { user: user_name(user)?, password: Zeroizing::new(password.to_vec()) })
}

/// Reads the user name of a LOGIN exchange.
///
/// # Errors
/// [`BadResponse`].
pub fn login_user(response: &[u8]) -> Result<Zeroizing<String>, BadResponse> {
    user_name(&decode(response)?)
}

/// Reads the password of a LOGIN exchange.
///
/// # Errors
/// [`BadResponse`].
pub fn login_password(response: &[u8]) -> Result<Zeroizing<Vec<u8>>, BadResponse> {
    let password = decode(response)?;
    if password.is_empty() { Err(BadResponse::Malformed) } else { Ok(password) }
}

fn user_name(octets: &[u8]) -> Result<Zeroizing<String>, BadResponse> {
    let name = std::str::from_utf8(octets).map_err(|_| BadResponse::Malformed)?;
    let is_well_formed = (1..=USER_OCTETS_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
    if is_well_formed { Ok(Zeroizing::new(String::from(name))) } else { Err(BadResponse::Malformed) }
}

fn decode(response: &[u8]) -> Result<Zeroizing<Vec<u8>>, BadResponse> {
    match response {
        b"*" => return Err(BadResponse::Cancelled),
        // An initial response of zero octets (RFC 4954 §4).
        b"=" => return Ok(Zeroizing::new(Vec::new())),
        _ => {}
    }
    // The decoder takes several padded texts in a row; a response is one (RFC 4648 §3.3).
    let padding = response.iter().position(|octet| *octet == b'=').map_or(&[][..], |at| &response[at..]);
    if padding.iter().any(|octet| *octet != b'=') {
        return Err(BadResponse::NotBase64);
    }
    let octets_max = BASE64.decode_len(response.len()).map_err(|_| BadResponse::NotBase64)?;
    let mut decoded = Zeroizing::new(vec![0; octets_max]);
    let octets = BASE64.decode_mut(response, &mut decoded).map_err(|_| BadResponse::NotBase64)?;
    decoded.truncate(octets);
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain_of(message: &[u8]) -> Result<(String, Vec<u8>), BadResponse> {
        plain(BASE64.encode(message).as_bytes()).map(|c| (c.user.to_string(), c.password.to_vec()))
    }

    #[test]
    fn plain_is_read() {
        assert_eq!(plain_of(b"\0campaigns\0s3cret"), Ok(("campaigns".into(), b"s3cret".to_vec())));
        assert_eq!(plain_of("\0דנה\0סוד".as_bytes()).unwrap().0, "דנה");
        for malformed in [&b""[..], b"a", b"\0a", b"\0a\0", b"\0\0b", b"\0a\0b\0", b"\0a\nb\0c", b"\0\xff\0c"]
        {
            assert_eq!(plain_of(malformed), Err(BadResponse::Malformed), "{}", malformed.escape_ascii());
        }
    }

    #[test]
    fn b1_who_asks_to_act_as_itself_asks_for_nothing() {
        let read = Ok(("campaigns".into(), b"s3cret".to_vec()));
        assert_eq!(plain_of(b"campaigns\0campaigns\0s3cret"), read);
        assert_eq!(plain_of("דנה\0דנה\0סוד".as_bytes()).unwrap().0, "דנה");
        for other in
            [&b"other\0campaigns\0s3cret"[..], b"Campaigns\0campaigns\0s3cret", b" \0campaigns\0s3cret"]
        {
            assert_eq!(plain_of(other), Err(BadResponse::AuthorizationIdentity));
        }
        assert_eq!(plain_of(b"campaigns\0\0s3cret"), Err(BadResponse::AuthorizationIdentity));
    }

    #[test]
    fn responses_that_are_not_base64_are_told_from_a_cancel() {
        assert_eq!(plain(b"*").unwrap_err(), BadResponse::Cancelled);
        for response in
            [&b"AGEAYg"[..], b"AGEAYg==\t", b"AG EAYg==", b"AGEAYh==", b"AGEAYg==AGEAYg==", b"***"]
        {
            assert_eq!(plain(response).unwrap_err(), BadResponse::NotBase64, "{}", response.escape_ascii());
        }
        assert_eq!(plain(b"=").unwrap_err(), BadResponse::Malformed);
    }

    #[test]
    fn login_is_read() {
        assert_eq!(*login_user(BASE64.encode(b"campaigns").as_bytes()).unwrap(), "campaigns");
        assert_eq!(*login_password(BASE64.encode(b"s3cret").as_bytes()).unwrap(), b"s3cret");
        assert!(login_user(b"=").is_err() && login_password(b"").is_err());
        assert_eq!(BASE64.encode(b"Username:"), LOGIN_USERNAME_PROMPT);
        assert_eq!(BASE64.encode(b"Password:"), LOGIN_PASSWORD_PROMPT);
    }

    #[test]
    fn debug_shows_no_credential() {
        let shown = format!("{:?}", plain(BASE64.encode(b"\0campaigns\0s3cret").as_bytes()).unwrap());
        assert!(!shown.contains("campaigns") && !shown.contains("s3cret"));
    }

    proptest! {
        #[test]
        fn no_response_makes_the_decoder_fall(response in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = (plain(&response), login_user(&response), login_password(&response));
        }
    }
}
