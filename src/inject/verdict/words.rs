//! Words in replies that tell whose they are, in lower case. Real MTAs say them; codes alone often do not tell.

pub const SHARE_OF_A_SESSION: &[&str] = &[
    "per session",
    "per connection",
    "in this session",
    "in this connection",
    "for this session",
    "for this connection",
    "in one session",
    "in one connection",
    "session limit",
];
pub const TOO_MANY_MESSAGES: &[&str] =
    &["too many messages", "too many mails", "too many transactions", "too many recipients"];
pub const TOO_MANY_ERRORS: &[&str] = &[
    "too many errors",
    "too many bad",
    "too many failed",
    "too many invalid",
    "too many nonmail",
    "too many protocol",
    "too many rejected",
    "too many syntax",
    "too many unknown",
    "too many unrecognized",
    "too many wrong",
];
/// A share of a time, which another session does not have anew.
pub const IN_A_TIME: &[&str] =
    &["this hour", "per hour", "hourly", "this minute", "per minute", "this day", "per day", "per second"];
pub const TOO_MUCH: &[&str] = &[
    "too many",
    "too much",
    "too fast",
    "slow down",
    "rate limit",
    "ratelimit",
    "rate-limit",
    "message rate",
    "throttl",
    "quota exceeded",
    "limit exceeded",
    "exceeded",
    "unexpected volume",
    "flood",
];
pub const SENDING_QUOTA: &[&str] = &[
    "sending quota",
    "sending limit",
    "sending rate",
    "rate limit",
    "rate overlimit",
    "throttl",
    "too many connections",
    "too many emails",
    "emails per hour",
    "messages per hour",
    "emails per day",
    "daily limit",
    "outgoing email quota",
    "submissionquota",
    "unusual sending activity",
    "outbound thread limit",
];
pub const OF_THE_SENDER: &[&str] = &[
    "sender address rejected",
    "sender address is not allowed",
    "sender mailbox",
    "sender rejected",
    "sender verif",
    "sender domain",
    "domain of sender",
    "send as",
    "sendas",
    "not owned by",
    "not authorized to send",
    "not allowed to send from",
    "unauthenticated email",
    "email address is not verified",
    "envelope sender",
    "unauthorized sender",
    "unknown sender address",
    "sender identity",
    "from address is not",
    "from address does not",
    "anti-spoofing",
    "dmarc",
    "dkim",
    "spf ",
];
pub const OF_THE_SENDER_AT_MAIL: &[&str] = &["sender", "from address", "return path", "your domain"];
/// Not "mailbox unavailable", which is the standard's own sentence for 550 and names policy as a cause (RFC 5321 §4.2.3).
pub const OF_THE_RECIPIENT: &[&str] = &[
    "user unknown",
    "unknown user",
    "no such user",
    "no such recipient",
    "no such mailbox",
    "no mailbox",
    "unknown recipient",
    "recipient unknown",
    "user not found",
    "mailbox not found",
    "does not exist",
    "unrouteable address",
    "mailbox full",
    "mailbox is full",
    "over quota",
    "account disabled",
    "address is marked as invalid",
    "greylist",
    "graylist",
    "grey-list",
    "greyed",
];
/// One mailbox, which says nothing of how much this relay may send.
pub const FULL_MAILBOX: &[&str] =
    &["mailbox quota", "mailbox for user is full", "mailbox full", "mailbox is full", "user over quota"];
/// Exchange's words of one mailbox or group: who may write to it, and how many at a time.
pub const RULES_OF_THE_RECIPIENT: &[&str] =
    &["resolver.rst", "does not accept mail from", "recipient restricted", "recipient thread limit"];
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
    "no space",
    "not available",
    "queue file",
    "service down",
    "timed out",
    "try again",
    "unreachable",
];
/// What only the account that this relay sends with can be told.
pub const OUR_ACCOUNT: &[&str] = &[
    "your access to",
    "your account",
    "your organization",
    "your subscription",
    "your plan",
    "sending paused",
    "sending disabled",
    "sending is disabled",
    "sending has been disabled",
    "disabled from sending",
    "blocked from sending",
    "suspended from sending",
    "not allowed to send mail",
    "not allowed to send email",
    "is not authorized to perform",
    "outboundspam",
    "bad outbound sender",
];
pub const REPUTATION: &[&str] = &[
    "helo host",
    "helo name",
    "ipcheck.",
    "poor reputation",
    "sending ip",
    "ip reputation",
    "originating from your ip",
    "sent from your ip",
    "reputation of your ip",
    "reputation of the sending",
    "ptr record",
    "ipv6 sending guidelines",
];
/// Postfix' own sentence where a milter cannot be reached, with the code that milters give for one message, and that of
/// Exchange's front end where no other server takes it.
pub const FILTER_GONE: &[&str] = &["service unavailable - try again later", "temporary server error"];
/// Yahoo's, with the code that speaks of authentication elsewhere.
pub const POLICY_REASONS: &[&str] = &["policy reasons"];
pub const SYNTAX_OF_AN_ADDRESS: &[&str] = &["address", "mailbox", "recipient", "domain", "local part"];
pub const ORDER_OF_COMMANDS: &[&str] = &[
    "pipelin",
    "synchroni",
    "protocol error",
    "early talk",
    "out of sequence",
    "out of order",
    "bad sequence",
];
pub const AUTHENTICATION: &[&str] = &[
    "authentication required",
    "authentication is required",
    "must authenticate",
    "not authenticated",
    "authenticate first",
    "proper authentication",
    "must be authenticated",
    "not logged in",
    "log in first",
    "auth first",
    "auth required",
    "starttls",
    "tls required",
    "tls is required",
    "requires tls",
    "encryption required",
    "encryption needed",
];
/// Not "relay recipient table", which is where Postfix looks a recipient up.
pub const RELAY_REFUSED_OUTRIGHT: &[&str] = &[
    "relay access denied",
    "relay denied",
    "relay not allowed",
    "relay not permitted",
    "relay prohibited",
    "relaying denied",
    "relaying is",
    "relaying not",
    "relaying prohibited",
    "not allowed to relay",
    "not permitted to relay",
    "unable to relay",
    "do not relay",
    "don't relay",
    "will not relay",
    "rcpthosts",
];
pub const RELAYING: &[&str] = &["relay", "rcpthosts", "not a gateway"];
/// Behind the content a word alone may be about the content.
pub const RELAYING_REFUSED: &[&str] =
    &["relay access denied", "relaying", "relay denied", "relay not", "to relay", "relay is not"];
pub const CLIENT_REFUSED: &[&str] =
    &["client host rejected", "client host blocked", "client host [", "sending ip", "your ip"];
/// The account that this relay sends with.
pub const ACCOUNT_REFUSED: &[&str] = &["account is suspended", "account suspended"];
pub const OF_THE_CLIENT: &[&str] = &[
    "client host",
    "client address",
    "helo command",
    "your ip",
    "sending ip",
    "ip address",
    "reverse dns",
    "rdns",
    "ptr record",
    "blocked using",
    "dnsbl",
    "spamhaus",
];
