//! What the operator should hear of a session: why an engine was not let in, or its mail not taken as it came.

use crate::wire::data::BadData;
use crate::wire::sasl::BadResponse;

/// Something to be told to the operator, with the place of the client that the session does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Notice {
    Login(LoginRefusal),
    /// A further recipient where one answer carries one outcome.
    OneRecipient,
    /// Bare LFs were taken as line ends.
    BareLfTaken,
    Content(BadData),
}

/// Why a login came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoginRefusal {
    /// Mail without a login.
    Missing,
    Unencrypted,
    Mechanism,
    Response(BadResponse),
    /// EXTERNAL, and the channel shows nobody or another engine.
    External,
    UnknownEngine,
    WrongSecret,
    Locked,
}

impl Notice {
    /// What happened, and what to do about it.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Login(refusal) => refusal.words(),
            Self::OneRecipient => (
                "several recipients in one transaction where accept = \"handoff\" takes one; the further ones got 452 4.5.3, \
                 which some clients do not report",
                "set accept = \"auto\" or \"journal\" for this [[listener]], or let the engine send a message a recipient",
            ),
            Self::BareLfTaken => (
                "bare LF in the content, taken as a line end",
                "nothing has to be done; bare_newline = \"refuse\" of this [[listener]] refuses such content",
            ),
            Self::Content(BadData::BareLf) => (
                "bare LF in the content, refused",
                "let the engine end lines with CR LF, or set bare_newline = \"normalize\" for this [[listener]]",
            ),
            Self::Content(BadData::BareCr) => {
                ("bare CR in the content, refused", "let the engine end lines with CR LF")
            }
            Self::Content(BadData::Nul) => {
                ("NUL in the content, refused", "let the engine encode binary content (base64)")
            }
            Self::Content(BadData::LoneDot) => (
                "content that stopped behind a dot between bare line ends, refused",
                "let the engine end the message with CR LF . CR LF",
            ),
        }
    }
}

impl LoginRefusal {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Missing => ("mail without a login", "set user and password of an [[engine]] in the client"),
            Self::Unencrypted => {
                ("AUTH without TLS", "set the client to STARTTLS, or to TLS where tls = \"implicit\"")
            }
            Self::Mechanism => ("a mechanism that is not offered", "set the client to PLAIN or LOGIN"),
            Self::Response(BadResponse::Cancelled) => {
                ("the client gave up", "look into the client's own log")
            }
            Self::Response(BadResponse::NotBase64) => {
                ("a response that is not base64", "let the client encode it as RFC 4954 says")
            }
            Self::Response(BadResponse::Malformed) => (
                "a response without user or password, or with characters that no name has",
                "set user and password of an [[engine]] in the client",
            ),
            Self::Response(BadResponse::AuthorizationIdentity) => (
                "an authorization identity other than the user",
                "leave the authorization identity (authzid) of the client empty",
            ),
            Self::External => (
                "EXTERNAL without a client certificate of that engine",
                "see client_cert_san of [[engine]] and client_ca of [[listener]]",
            ),
            Self::UnknownEngine => ("no engine has this name", "use the name of an [[engine]] as user"),
            Self::WrongSecret => {
                ("the password is not the engine's secret", "use what [[engine]] secret points to")
            }
            Self::Locked => {
                ("too many failed logins lately", "mend the failed ones; it is over after five minutes")
            }
        }
    }
}
