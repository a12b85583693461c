//! What a request's head may not leave open: two programs that read it must see one host and one body (RFC 9112 §3.2, §6).
//!
//! hyper refuses, before this looks: a length that is no number or two that differ, `Transfer-Encoding` whose last coding is not
//! `chunked` or in HTTP/1.0, a bare CR or a folded line in the head. Of a request with a length
//! beside `Transfer-Encoding` it ends the connection behind the answer (RFC 9112 §6.1).

use super::problem::Problem;
use axum::http::header::{HOST, TRANSFER_ENCODING};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Request, StatusCode, Version};

/// Why nobody may act on this request. Its connection ends with the answer.
pub(super) fn refusal<B>(request: &Request<B>) -> Option<Problem> {
    if request.version() > Version::HTTP_11 {
        return None;
    }
    let headers = request.headers();
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host) => {}
        (None, None) if request.version() < Version::HTTP_11 => {}
        _ => return Some(bad_request("send one Host header, with the name of this relay")),
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let coding = codings.next()?;
    if codings.next().is_some() || !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") {
        return Some(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "unknown-transfer-coding",
            "the only transfer coding taken is 'chunked'; a compressed body is sent with Content-Encoding: gzip or zstd",
        ));
    }
    None
}

/// Nothing, or a host and perhaps a port.
fn is_host(value: &HeaderValue) -> bool {
    let value = value.as_bytes().trim_ascii();
    value.is_empty() || !value.contains(&b'@') && Authority::try_from(value).is_ok()
}

fn bad_request(detail: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad-request", detail)
}
