//! Header fields that make somebody's software write later, past this relay: receipts, reports, errors, and answers that go
//! elsewhere than From, Sender and Reply-To say.

/// Whether a field asks for such mail, or redirects it. Case does not matter (RFC 5322 §1.2.2).
pub fn asks_for_mail(name: &str) -> bool {
    const RESENT: &str = "resent-";
    let is_resent = name.get(..RESENT.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESENT));
    is_resent || FIELDS.iter().any(|known| known.eq_ignore_ascii_case(name))
}

const FIELDS: [&str; 32] = [
    // RFC 8098 §2, and what was there before it.
    "disposition-notification-to",
    "disposition-notification-options",
    "original-recipient",
    "return-receipt-to",
    "return-receipt-requested",
    "read-receipt-to",
    "x-read-receipt-to",
    "x-confirm-reading-to",
    "x-confirm-delivery-to",
    "x-return-receipt-to",
    "x-pmrqc",
    "x-chameleon-return-to",
    "delivery-receipt-to",
    "notice-requested-upon-delivery-to",
    "registered-mail-reply-requested-by",
    // X.400 over RFC 822 (RFC 2156 §2.3).
    "generate-delivery-report",
    "prevent-nondelivery-report",
    "requested-delivery-method",
    "content-return",
    "alternate-recipient",
    "disclose-recipients",
    // Errors.
    "errors-to",
    "x-errors-to",
    "bounces-to",
    "x-bounces-to",
    "x-return-path",
    // Answers.
    "mail-reply-to",
    "mail-followup-to",
    "mail-copies-to",
    "followup-to",
    "x-reply-to",
    "return-to",
];
