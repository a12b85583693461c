//! The bytes of a request body, decompressed where the engine compressed them.

use super::packed::{Coding, Packed, WireBytes};
use super::problem::Problem;
use super::swelling::{Received, Swelling};
use axum::body::{Body, BodyDataStream};
use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

/// Chunks of the body.
pub(super) struct JobBytes {
    unpacked: Unpacked,
    received: Received,
}

enum Unpacked {
    Plain(BodyDataStream),
    Packed(Packed),
}

impl JobBytes {
    /// # Errors
    /// 415 for an encoding other than gzip and zstd, or more than one.
    pub fn new(headers: &HeaderMap, body: Body) -> Result<Self, Problem> {
        let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
        let encoding = encodings.next().map_or(&b"identity"[..], |value| value.as_bytes());
        let unsupported = || {
            Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-encoding",
                "Content-Encoding has to be absent, gzip or zstd",
            )
        };
        if encodings.next().is_some() {
            return Err(unsupported());
        }
        let received = Received::default();
        let wire = |body: Body| -> WireBytes {
            let counter = received.clone();
            let count = move |chunk: &Bytes| {
                counter.fetch_add(chunk.len() as u64, Relaxed);
            };
            Box::pin(body.into_data_stream().map_err(io::Error::other).inspect_ok(count))
        };
        let unpacked = if encoding.eq_ignore_ascii_case(b"identity") {
            Unpacked::Plain(body.into_data_stream())
        } else if encoding.eq_ignore_ascii_case(b"gzip") || encoding.eq_ignore_ascii_case(b"x-gzip") {
            Unpacked::Packed(Packed::new(Coding::Gzip, wire(body)))
        } else if encoding.eq_ignore_ascii_case(b"zstd") {
            Unpacked::Packed(Packed::new(Coding::Zstd, wire(body)))
        } else {
            return Err(unsupported());
        };
        Ok(Self { unpacked, received })
    }

    pub fn is_compressed(&self) -> bool {
        !matches!(self.unpacked, Unpacked::Plain(_))
    }

    /// The account of what it swells to; none where nothing is unpacked.
    pub fn swelling(&self) -> Option<Swelling> {
        self.is_compressed().then(|| Swelling::new(self.received.clone()))
    }
}

impl Stream for JobBytes {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.unpacked {
            Unpacked::Plain(body) => body.poll_next_unpin(cx).map_err(io::Error::other),
            Unpacked::Packed(packed) => packed.poll_next_unpin(cx),
        }
    }
}
