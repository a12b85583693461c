//! What is said of the message: its size, its form, and what a check of it came to.

pub const SIZE: &[&str] = &[
    "message size",
    "message too large",
    "message is too large",
    "message too big",
    "message is too big",
    "message too long",
    "size limit",
    "maximum size",
    "exceeds size",
    "email size",
];
/// Header fields that are missing, double, or not as RFC 5322 has them.
pub const FORM: &[&str] = &[
    "missing*message-id",
    "message-id*missing",
    "no message-id",
    "without*message-id",
    "valid message-id",
    "message-id header",
    "rfc 5322",
    "rfc5322",
    "rfc 2822",
    "rfc2822",
    "rfc compliant",
    "not rfc",
    "duplicate header",
    "multiple*header",
    "missing*header",
    "invalid header",
    "bad header",
    "header error",
    "line too long",
    "lines longer than",
    "bare lf",
    "bare cr",
];
/// Lists of links that mail is not taken with.
pub const LISTED_LINKS: &[&str] =
    &["uribl", "surbl", "spam url", "url in content", "dbl.spamhaus", "spamhaus dbl"];
/// Checks of the content that did not come to an end, and where it could not be kept.
pub const NOT_LOOKED_AT: &[&str] = &[
    "backend",
    "be checked",
    "be scanned",
    "disk full",
    "file system",
    "filesystem",
    "filter error",
    "filter failed",
    "internal error",
    "is down",
    "malfunction",
    "no space",
    "not available",
    "queue file",
    "service down",
    "timed out",
    "try again",
    "unreachable",
];
/// Yahoo's, with the code that speaks of authentication elsewhere.
pub const POLICY_REASONS: &[&str] = &["policy reasons"];
