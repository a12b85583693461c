//! Reads the ESMTP parameters of `MAIL` and `RCPT` (RFC 5321 §4.1.2). Only what an extension defines gets
//! through, so a parameter can never carry anything else further.

/// RFC 3461 §4.4.
const ENVID_OCTETS_MAX: usize = 100;
/// RFC 3461 §4.2.
const ORCPT_OCTETS_MAX: usize = 500;
/// RFC 4954 §5.
const AUTH_OCTETS_MAX: usize = 500;

/// Parameters of `MAIL`. `RET`, `ENVID` and `AUTH` are checked and then not kept: the message that goes out is
/// another one than came in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MailParams {
    /// Octets the client says the message has (RFC 1870).
    pub size: Option<u64>,
    /// `SMTPUTF8` (RFC 6531).
    pub is_utf8: bool,
    /// `REQUIRETLS` (RFC 8689).
    pub requires_tls: bool,
}

/// What is wrong with the parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadParams {
    #[error("parameters are not well formed")]
    Syntax,
    #[error("a parameter is given twice")]
    Twice,
    #[error("the value of {0} is not well formed")]
    Value(&'static str),
    #[error("a parameter is not known here")]
    Unknown,
}

/// # Errors
/// [`BadParams`].
pub fn parse_mail(text: &str) -> Result<MailParams, BadParams> {
    const KNOWN: [&str; 7] = ["SIZE", "BODY", "SMTPUTF8", "REQUIRETLS", "AUTH", "RET", "ENVID"];
    let mut params = MailParams::default();
    for_each(text, &KNOWN, |name, value| match (name, value) {
        ("SIZE", Some(digits)) => {
            params.size = Some(number(digits)?);
            Some(())
        }
        ("BODY", Some(body)) => one_of(body, &["7BIT", "8BITMIME"]),
        ("SMTPUTF8", None) => {
            params.is_utf8 = true;
            Some(())
        }
        ("REQUIRETLS", None) => {
            params.requires_tls = true;
            Some(())
        }
        ("AUTH", Some(mailbox)) => xtext(mailbox, AUTH_OCTETS_MAX),
        ("RET", Some(ret)) => one_of(ret, &["FULL", "HDRS"]),
        ("ENVID", Some(id)) => xtext(id, ENVID_OCTETS_MAX),
        _ => None,
    })?;
    Ok(params)
}

/// Checks the parameters of `RCPT`, `NOTIFY` and `ORCPT` (RFC 3461). Nothing is kept of them: a delivery report
/// would go out under the person's address.
///
/// # Errors
/// [`BadParams`].
pub fn check_rcpt(text: &str) -> Result<(), BadParams> {
    for_each(text, &["NOTIFY", "ORCPT"], |name, value| match (name, value?) {
        ("NOTIFY", conditions) => notify(conditions),
        ("ORCPT", original) => {
            let (kind, address) = original.split_once(';')?;
            let is_atom = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if is_atom { xtext(address, ORCPT_OCTETS_MAX) } else { None }
        }
        _ => None,
    })
}

fn for_each<'a>(
    text: &'a str,
    known: &[&'static str],
    mut read: impl FnMut(&'static str, Option<&'a str>) -> Option<()>,
) -> Result<(), BadParams> {
    if !text.is_empty() && !text.starts_with(' ') {
        return Err(BadParams::Syntax);
    }
    let mut seen = 0u32;
    for param in text.split(' ').filter(|param| !param.is_empty()) {
        let (keyword, value) = match param.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (param, None),
        };
        let is_well_formed = is_keyword(keyword) && value.is_none_or(is_value);
        if !is_well_formed {
            return Err(BadParams::Syntax);
        }
        let found = known.iter().position(|name| name.eq_ignore_ascii_case(keyword));
        let at = found.ok_or(BadParams::Unknown)?;
        if seen & (1 << at) != 0 {
            return Err(BadParams::Twice);
        }
        seen |= 1 << at;
        read(known[at], value).ok_or(BadParams::Value(known[at]))?;
    }
    Ok(())
}

fn is_keyword(keyword: &str) -> bool {
    keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
        && keyword.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_value(value: &str) -> bool {
    !value.is_empty()
        && value.chars().all(|c| c.is_ascii_graphic() && c != '=' || !c.is_ascii() && !c.is_control())
}

/// RFC 1870 §6: up to 20 digits; more than fits is as good as the most that fits.
fn number(digits: &str) -> Option<u64> {
    let is_number = (1..=20).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

fn one_of(value: &str, allowed: &[&str]) -> Option<()> {
    allowed.iter().any(|word| word.eq_ignore_ascii_case(value)).then_some(())
}

fn notify(conditions: &str) -> Option<()> {
    if conditions.eq_ignore_ascii_case("NEVER") {
        return Some(());
    }
    conditions.split(',').all(|word| one_of(word, &["SUCCESS", "FAILURE", "DELAY"]).is_some()).then_some(())
}

/// `xtext` (RFC 3461 §4) that decodes to printable ASCII.
fn xtext(text: &str, octets_max: usize) -> Option<()> {
    if text.is_empty() || text.len() > octets_max || !text.is_ascii() {
        return None;
    }
    let mut pieces = text.split('+');
    let is_plain = |piece: &str| piece.bytes().all(|b| b.is_ascii_graphic() && b != b'=');
    let is_escaped = |piece: &str| {
        let Some((hex, rest)) = piece.split_at_checked(2) else { return false };
        let is_upper_hex = hex.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b));
        let is_printable = u8::from_str_radix(hex, 16).is_ok_and(|octet| (b' '..=b'~').contains(&octet));
        is_upper_hex && is_printable && is_plain(rest)
    };
    (pieces.next().is_some_and(is_plain) && pieces.all(is_escaped)).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters_are_read_in_any_case() {
        let text = " SIZE=1024 body=8BITMIME smtputf8 RET=HDRS ENVID=a+2Bb AUTH=<> REQUIRETLS";
        let params = MailParams { size: Some(1024), is_utf8: true, requires_tls: true };
        assert_eq!(parse_mail(text), Ok(params));
        assert_eq!(parse_mail(" SIZE=99999999999999999999").unwrap().size, Some(u64::MAX));
        assert_eq!(parse_mail(""), Ok(MailParams::default()));
        assert_eq!(check_rcpt(" NOTIFY=SUCCESS,delay ORCPT=rfc822;a+40b.example"), Ok(()));
        assert_eq!(check_rcpt(" NOTIFY=NEVER"), Ok(()));
    }

    #[test]
    fn abuse_is_refused() {
        for (text, fault) in [
            ("SIZE=1", BadParams::Syntax),
            (" SIZE", BadParams::Value("SIZE")),
            (" SIZE=", BadParams::Syntax),
            (" SIZE=-1", BadParams::Value("SIZE")),
            (" SIZE=+31", BadParams::Value("SIZE")),
            (" SIZE=1=2", BadParams::Syntax),
            (" SIZE=1 SIZE=2", BadParams::Twice),
            (" BODY=BINARYMIME", BadParams::Value("BODY")),
            (" SMTPUTF8=1", BadParams::Value("SMTPUTF8")),
            (" ENVID=a+0D+0Ab", BadParams::Value("ENVID")),
            (" ENVID=a+0", BadParams::Value("ENVID")),
            (" ENVID=a+2b", BadParams::Value("ENVID")),
            (" AUTH=a\u{e9}", BadParams::Value("AUTH")),
            (" RET=BOTH", BadParams::Value("RET")),
            (" XFORWARD=1", BadParams::Unknown),
            (" \u{1}=1", BadParams::Syntax),
        ] {
            assert_eq!(parse_mail(text), Err(fault), "{text:?}");
        }
        for text in [" NOTIFY=NEVER,SUCCESS", " NOTIFY=", " ORCPT=rfc822", " ORCPT=;x", " NOTIFY", " SIZE=1"]
        {
            assert!(check_rcpt(text).is_err(), "{text:?}");
        }
    }
}
