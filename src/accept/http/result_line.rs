//! The result of a relayed job as text, written without a serialiser: there is one for every message of a stream.

use super::answer::Answer;
use crate::job::Repeat;
use crate::ticket::Relayed;
use bytes::{BufMut, BytesMut};
use std::time::Duration;

/// Longest line but for names, in octets.
const FRAME_OCTETS_MAX: usize = 320;

/// Writes the object, without a line end. False, and nothing written, where a name needs more than plain text, or there is more to say.
pub(super) fn relayed(answer: &Answer, relayed: &Relayed, out: &mut BytesMut) -> bool {
    let (Some(job_id), Some(send)) = (answer.job_id.as_deref(), &answer.send) else { return false };
    if !is_plain(job_id) || !is_plain(&relayed.target) || relayed.repeat == Repeat::Maybe {
        return false;
    }
    out.reserve(FRAME_OCTETS_MAX + job_id.len() + relayed.target.len());
    out.put_slice(b"{\"job_id\":\"");
    out.put_slice(job_id.as_bytes());
    out.put_slice(b"\",\"send\":\"");
    out.put_slice(send.as_str().as_bytes());
    out.put_slice(b"\",\"state\":\"relayed\",\"target\":\"");
    out.put_slice(relayed.target.as_bytes());
    out.put_slice(b"\",\"code\":");
    number(relayed.code.basic.into(), out);
    if let Some(enhanced) = relayed.code.enhanced {
        out.put_slice(b",\"enhanced\":\"");
        number(enhanced.0.into(), out);
        out.put_u8(b'.');
        number(enhanced.1.into(), out);
        out.put_u8(b'.');
        number(enhanced.2.into(), out);
        out.put_u8(b'"');
    }
    out.put_slice(b",\"attempt\":");
    number(relayed.attempt.into(), out);
    out.put_slice(b",\"ms\":{\"resolve\":");
    milliseconds(relayed.times.resolve, out);
    out.put_slice(b",\"render\":");
    milliseconds(relayed.times.render, out);
    out.put_slice(b",\"inject\":");
    milliseconds(relayed.times.inject, out);
    out.put_slice(b"}}");
    true
}

/// Stands in a JSON string as it is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}

/// With one decimal.
fn milliseconds(time: Duration, out: &mut BytesMut) {
    let tenths = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).saturating_add(50) / 100;
    number(tenths / 10, out);
    out.put_u8(b'.');
    number(tenths % 10, out);
}

fn number(mut number: u64, out: &mut BytesMut) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
}
