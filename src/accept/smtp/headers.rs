//! Takes the `X-TokenRelay-` fields off a message: what the engine asks of the relay, never part of what is
//! sent on.

use crate::accept::data::{self, BadData};
use crate::fault::{Fault, Reason};
use crate::job::{Data, is_job_id};
use crate::wire::encoded_word;
use bytes::{Buf, Bytes};
use std::ops::Range;
use std::time::SystemTime;

/// Most header fields of a message, and most octets of them together.
pub const FIELDS_MAX: usize = 1000;
pub const HEADER_OCTETS_MAX: usize = 256 * 1024;
const PREFIX: &[u8] = b"X-TokenRelay-";
const WORD_OCTETS_MAX: usize = 128;
/// RFC 5646 §4.4.1 asks for 35.
const LOCALE_OCTETS_MAX: usize = 35;

/// What the engine asks for in header fields.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asked {
    pub template: Option<Box<str>>,
    pub data: Option<Data>,
    pub campaign: Option<Box<str>>,
    pub job_id: Option<Box<str>>,
    pub locale: Option<Box<str>>,
    pub purpose: Option<Box<str>>,
    pub target: Option<Box<str>>,
    pub expires: Option<SystemTime>,
}

/// Reads the fields and takes them out of the message, folded lines included, and with them the `From ` line that
/// mailbox files begin messages with. All else keeps its octets.
///
/// # Errors
/// `bad-job` when the header is not well formed or too large, or one of our fields cannot be used.
pub fn take(mut message: Vec<u8>) -> Result<(Asked, Bytes), Fault> {
    let mut asked = Asked::default();
    let envelope_line = envelope_line(&message);
    let ours = find_ours(&message, envelope_line.end)?;
    for field in &ours {
        let Some((name, value)) = split(&message[field.clone()]) else { continue };
        asked.read(&name[PREFIX.len()..], value).map_err(|fault| named(name, &fault))?;
    }
    let gaps: Vec<_> = [envelope_line].into_iter().filter(|line| !line.is_empty()).chain(ours).collect();
    let start = close_up(&mut message, &gaps);
    let mut rest = Bytes::from(message);
    rest.advance(start);
    Ok((asked, rest))
}

impl Asked {
    fn read(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        let unfolded: Vec<u8> =
            value.iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n')).collect();
        let text =
            std::str::from_utf8(&unfolded).map_err(|_| unusable("it is not UTF-8; write it in UTF-8"))?;
        let text = encoded_word::decode(text.trim_matches([' ', '\t']))
            .ok_or_else(|| unusable("it has an encoded-word that cannot be decoded; use UTF-8"))?;
        let is = |ours: &str| name.eq_ignore_ascii_case(ours.as_bytes());
        match () {
            () if is("Template") => put(&mut self.template, word(&text, WORD_OCTETS_MAX)),
            () if is("Campaign") => put(&mut self.campaign, word(&text, WORD_OCTETS_MAX)),
            () if is("Purpose") => put(&mut self.purpose, word(&text, WORD_OCTETS_MAX)),
            () if is("Target") => put(&mut self.target, word(&text, WORD_OCTETS_MAX)),
            () if is("Job-Id") => {
                put(&mut self.job_id, Some(&*text).filter(|id| is_job_id(id)).map(Into::into))
            }
            () if is("Locale") => put(&mut self.locale, locale(&text)),
            () if is("Expires") => put(&mut self.expires, time(&text)),
            () if is("Data") => put(&mut self.data, Some(data(&text)?)),
            () => Err(unusable(
                "there is no such field; known are Template, Data, Campaign, Job-Id, Locale, Purpose, Target, Expires",
            )),
        }
    }
}

/// Where our fields are, each with its folded lines and last line end.
fn find_ours(message: &[u8], start: usize) -> Result<Vec<Range<usize>>, Fault> {
    let (mut ours, mut fields, mut at) = (Vec::new(), 0, start);
    while at < message.len() && !message[at..].starts_with(b"\r\n") {
        let end = field_end(message, at);
        fields += 1;
        if fields > FIELDS_MAX || end > HEADER_OCTETS_MAX {
            let cause = format!(
                "the message's header has more than {FIELDS_MAX} fields or {HEADER_OCTETS_MAX} bytes; send fewer or shorter ones"
            );
            return Err(Fault::new(Reason::BadJob, cause));
        }
        let (name, _) = split(&message[at..end]).ok_or_else(|| malformed(&message[..at]))?;
        if name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX)) {
            ours.push(at..end);
        }
        at = end;
    }
    Ok(ours)
}

/// The end of the field at `start`: the first line end that no white space follows (RFC 5322 §2.2.3).
pub(super) fn field_end(message: &[u8], start: usize) -> usize {
    let line_ends = memchr::memchr_iter(b'\n', &message[start..]);
    line_ends
        .map(|at| start + at + 1)
        .find(|&next| !matches!(message.get(next), Some(b' ' | b'\t')))
        .unwrap_or(message.len())
}

/// Name and value of one field; the obsolete blank before the colon is let through (RFC 5322 §4.5.8).
pub(super) fn split(field: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', field)?;
    let name = field[..colon].trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    is_name.then_some((name, &field[colon + 1..]))
}

/// Moves what stands before and between `gaps` to the end of the last of them, so that the body stays in its place.
/// Where the message now begins.
fn close_up(message: &mut [u8], gaps: &[Range<usize>]) -> usize {
    let mut start = gaps.last().map_or(0, |last| last.end);
    for (at, gap) in gaps.iter().enumerate().rev() {
        let kept = at.checked_sub(1).map_or(0, |before| gaps[before].end)..gap.start;
        start -= kept.len();
        message.copy_within(kept, start);
    }
    start
}

fn put<T>(place: &mut Option<T>, value: Option<T>) -> Result<(), Fault> {
    if place.is_some() {
        return Err(unusable("it is given twice; send it once"));
    }
    *place = Some(value.ok_or_else(|| unusable("its value is not well formed; see docs/smtp.md"))?);
    Ok(())
}

fn word(text: &str, octets_max: usize) -> Option<Box<str>> {
    let is_well_formed = (1..=octets_max).contains(&text.len()) && !text.chars().any(char::is_control);
    is_well_formed.then(|| text.into())
}

fn locale(text: &str) -> Option<Box<str>> {
    let is_tag = text
        .split('-')
        .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_alphanumeric()));
    (is_tag && text.len() <= LOCALE_OCTETS_MAX).then(|| text.into())
}

/// RFC 3339.
fn time(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}

/// A JSON object, as it is or as `base64:...`.
fn data(text: &str) -> Result<Data, Fault> {
    let read = |json: &[u8]| {
        data::from_json(json).map_err(|bad| match bad {
            BadData::Json(_) => unusable("its value is not one JSON object"),
            BadData::KeyTwice { .. } => unusable("its value holds a key twice"),
            BadData::TooMany => unusable("its value holds more than 10000 values"),
            BadData::TooDeep => unusable("its value is nested more than 120 levels deep"),
        })
    };
    let Some(encoded) = text.strip_prefix("base64:") else { return read(text.as_bytes()) };
    let encoded: Vec<u8> = encoded.bytes().filter(|octet| !octet.is_ascii_whitespace()).collect();
    let json = data_encoding::BASE64.decode(&encoded).map_err(|_| unusable("its value is not base64"))?;
    read(&json)
}

/// `before` is the header in front of the line that is no field.
fn malformed(before: &[u8]) -> Fault {
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let cause = format!(
        "line {line} of the message's header is no header field (RFC 5322 §2.2); write Name: value, begin folded lines \
         with a space, and leave an empty line before the text"
    );
    Fault::new(Reason::BadJob, cause)
}

/// [`named`] says which header it is about.
fn unusable(detail: &'static str) -> Fault {
    Fault::new(Reason::BadJob, detail)
}

fn named(name: &[u8], fault: &Fault) -> Fault {
    let detail = format!("the header {}: {}", String::from_utf8_lossy(name), fault.detail);
    Fault::new(fault.reason, detail)
}

/// `From sender date`, also quoted, as mailbox files have it (RFC 4155): no header field, and seen in front of messages
/// that were taken from one.
fn envelope_line(message: &[u8]) -> Range<usize> {
    let is_one = [b"From ".as_slice(), b">From "].iter().any(|start| message.starts_with(start));
    let end = if is_one { memchr::memchr(b'\n', message).map_or(message.len(), |at| at + 1) } else { 0 };
    0..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(message: &str) -> Result<(Asked, String), Fault> {
        let (asked, rest) = take(message.replace('\n', "\r\n").into_bytes())?;
        Ok((asked, String::from_utf8(rest.into()).unwrap().replace("\r\n", "\n")))
    }

    #[test]
    fn our_fields_are_read_and_removed() {
        let (asked, rest) = taken(
            "X-TokenRelay-Template: welcome\nSubject: hi\n there\nx-tokenrelay-DATA: {\"order\":\n \"A-17\"}\n\
             X-TokenRelay-Job-Id: c42-17\nX-TokenRelay-Locale: he-IL\nTo: e_1234567@tokens.example\n\
             X-TokenRelay-Expires: 2030-01-01T00:00:00Z\n\nX-TokenRelay-Template: body\n",
        )
        .unwrap();
        assert_eq!(
            rest,
            "Subject: hi\n there\nTo: e_1234567@tokens.example\n\nX-TokenRelay-Template: body\n"
        );
        assert_eq!(asked.template.as_deref(), Some("welcome"));
        assert_eq!(asked.data.unwrap()["order"], "A-17");
        assert_eq!(asked.job_id.as_deref(), Some("c42-17"));
        assert_eq!(asked.locale.as_deref(), Some("he-IL"));
        assert!(asked.expires.is_some() && asked.campaign.is_none());
    }

    #[test]
    fn data_comes_plain_encoded_or_as_encoded_words() {
        let json = "{\"name\":\"שלום\"}";
        let base64 = data_encoding::BASE64.encode(json.as_bytes());
        let (first, second) = base64.split_at(8);
        for value in [
            String::from(json),
            format!("base64:{first}\n {second}"),
            format!("=?utf-8?b?{first}?=\n =?utf-8?b?{second}?="),
        ] {
            let (asked, _) = taken(&format!("X-TokenRelay-Data: {value}\n\nx\n")).unwrap();
            assert_eq!(asked.data.unwrap()["name"], "שלום");
        }
    }

    #[test]
    fn b6_numbers_keep_their_digits_in_a_header_too() {
        let json = r#"{"order":420941119400111899223197428099,"price":10.00}"#;
        let (asked, _) = taken(&format!("X-TokenRelay-Data: {json}\n\nx\n")).unwrap();
        assert_eq!(serde_json::to_string(&asked.data.unwrap()).unwrap(), json);
    }

    proptest::proptest! {
        /// What one door takes for the name of a job, the other takes too.
        #[test]
        fn b6_a_job_id_is_one_at_every_door(id in "[ -~éדנ\u{301}]{0,20}|[!-~]{120,300}|[a-z\u{0}\u{7f}\u{85}\t]{1,9}") {
            let json = serde_json::json!({"job_id": id, "to": "e_684384628@tokens.example", "template": "x"}).to_string();
            let over_http = crate::accept::jobs::tests::read(json.as_bytes());
            // What looks like an encoded word is written as one.
            let field = match id.contains("=?") {
                true => format!("=?utf-8?B?{}?=", data_encoding::BASE64.encode(id.as_bytes())),
                false => id.clone(),
            };
            let over_smtp = taken(&format!("X-TokenRelay-Job-Id: {field}\n\nx\n"));
            match over_http {
                Ok((http, _)) => {
                    proptest::prop_assert!(is_job_id(&id) && *http == *id);
                    let (asked, _) = over_smtp.unwrap();
                    proptest::prop_assert_eq!(asked.job_id.as_deref(), Some(id.as_str()));
                }
                Err(_) => {
                    let smtp = over_smtp.ok().and_then(|(asked, _)| asked.job_id);
                    proptest::prop_assert!(!is_job_id(&id) && smtp.is_none_or(|smtp| *smtp == *id.trim()));
                }
            }
        }
    }

    #[test]
    fn a_message_without_our_fields_keeps_every_octet() {
        let message = "Received: a\n\tb\nX-Tokenrelayed: y\nSubject : x\n\nbody\n";
        assert_eq!(taken(message).unwrap(), (Asked::default(), String::from(message)));
        assert_eq!(taken("Subject: only a header\n").unwrap().1, "Subject: only a header\n");
        assert_eq!(taken("\nonly a body\n").unwrap().1, "\nonly a body\n");
    }

    #[test]
    fn b14_a_mailbox_files_line_is_no_field_and_goes() {
        for line in ["From a@b.example Thu Jan  1 00:00:00 2026\n", ">From a@b.example\n"] {
            let (asked, rest) =
                taken(&format!("{line}Subject: x\nX-TokenRelay-Campaign: c\nTo: y\n\nz\n")).unwrap();
            assert_eq!((asked.campaign.as_deref(), rest.as_str()), (Some("c"), "Subject: x\nTo: y\n\nz\n"));
        }
        assert_eq!(taken("From: a@b.example\n\nFrom x\n").unwrap().1, "From: a@b.example\n\nFrom x\n");
    }

    #[test]
    fn b14_a_refusal_names_the_field_or_the_line() {
        for (message, words) in [
            ("Subject: x\nY: z\n w\nno colon\n\n", "line 4"),
            (
                "X-TokenRelay-Campaign: a\nX-TokenRelay-Campaign: b\n\n",
                "X-TokenRelay-Campaign: it is given twice",
            ),
            ("X-TokenRelay-Locale: ../etc\n\n", "X-TokenRelay-Locale: its value"),
            ("X-TokenRelay-Data: {\n\n", "X-TokenRelay-Data: its value"),
        ] {
            let detail = taken(message).unwrap_err().detail;
            assert!(detail.contains(words), "{detail}");
        }
    }

    #[test]
    fn unusable_headers_are_refused() {
        let many = "a: b\n".repeat(FIELDS_MAX + 1);
        let long = format!("a: {}\n", "b".repeat(HEADER_OCTETS_MAX));
        for message in [
            "no colon\n\n",
            " folded: first\n\n",
            ": nameless\n\n",
            "דנה: x\n\n",
            "X-TokenRelay-Template: a\nX-TokenRelay-Template: b\n\n",
            "X-TokenRelay-Template:\n\n",
            "X-TokenRelay-Tempalte: a\n\n",
            "X-TokenRelay-Data: [1]\n\n",
            "X-TokenRelay-Data: {\"a\":1,\"a\":1}\n\n",
            "X-TokenRelay-Data: {\n\n",
            "X-TokenRelay-Data: base64:!\n\n",
            "X-TokenRelay-Locale: ../etc\n\n",
            "X-TokenRelay-Expires: tomorrow\n\n",
            "X-TokenRelay-Campaign: =?utf-8?q?a=0D=0Ab?=\n\n",
            &many,
            &long,
        ] {
            assert_eq!(taken(message).unwrap_err().reason, Reason::BadJob, "{:.60}", message);
        }
    }
}
