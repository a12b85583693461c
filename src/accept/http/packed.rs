//! A compressed body, member by member (RFC 1952 §2.2; frames of RFC 8878 §3). A member costs work also when nothing is in
//! it, so there may not be many more of them than content.

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncBufRead;
use tokio_util::io::{StreamReader, poll_read_buf};

/// Largest window a zstd body may ask for, as a power of two: 8 MiB (RFC 9659 §3).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Decompressed bytes handed on at a time.
const CHUNK_BYTES: usize = 16 * 1024;
/// So many members may hold as little as they like; beside them there is one for each so many bytes of content, which is
/// less than a job has.
const MEMBERS_FREE: u64 = 1000;
const MEMBER_BYTES: u64 = 128;
/// Empty members that are read in one go.
const TURN_MEMBERS: u64 = 32;

pub(super) type WireBytes = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;
type Wire = StreamReader<WireBytes, Bytes>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Zstd,
}

/// The body has many members and next to nothing in them.
#[derive(Debug, thiserror::Error)]
#[error("too many empty members")]
struct Hollow;

pub(super) fn is_hollow(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<Hollow>())
}

/// Chunks of content. Holds a window and a chunk, whatever the body swells to.
pub(super) struct Packed {
    coding: Coding,
    place: Place,
    members: u64,
    unpacked: u64,
    chunk: BytesMut,
}

/// How far it has been read.
enum Place {
    Between(Box<Wire>),
    Gzip(Box<GzipDecoder<Wire>>),
    Zstd(Box<ZstdDecoder<Wire>>),
    End,
}

impl Packed {
    pub fn new(coding: Coding, bytes: WireBytes) -> Self {
        let place = Place::Between(Box::new(StreamReader::new(bytes)));
        Self { coding, place, members: 0, unpacked: 0, chunk: BytesMut::new() }
    }

    fn begin(&self, wire: Wire) -> Place {
        match self.coding {
            Coding::Gzip => Place::Gzip(Box::new(GzipDecoder::new(wire))),
            Coding::Zstd => {
                let window = [DParameter::window_log_max(ZSTD_WINDOW_LOG_MAX)];
                Place::Zstd(Box::new(ZstdDecoder::with_params(wire, &window)))
            }
        }
    }

    fn end_member(&mut self, wire: Wire) -> io::Result<()> {
        self.place = Place::Between(Box::new(wire));
        self.members += 1;
        let is_hollow = self.members > MEMBERS_FREE + self.unpacked / MEMBER_BYTES;
        if is_hollow { Err(io::Error::other(Hollow)) } else { Ok(()) }
    }

    /// What the place has next; nothing at its end.
    fn poll_place(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.chunk.reserve(CHUNK_BYTES);
        match &mut self.place {
            Place::Between(wire) => Pin::new(wire.as_mut()).poll_fill_buf(cx).map_ok(<[u8]>::len),
            Place::Gzip(decoder) => poll_read_buf(Pin::new(decoder.as_mut()), cx, &mut self.chunk),
            Place::Zstd(decoder) => poll_read_buf(Pin::new(decoder.as_mut()), cx, &mut self.chunk),
            Place::End => Poll::Ready(Ok(0)),
        }
    }
}

impl Stream for Packed {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let turn_ends = this.members + TURN_MEMBERS;
        while this.members < turn_ends {
            let next = match ready!(this.poll_place(cx)) {
                Ok(next) => next,
                Err(error) => {
                    this.place = Place::End;
                    return Poll::Ready(Some(Err(error)));
                }
            };
            let ended = match std::mem::replace(&mut this.place, Place::End) {
                Place::End => return Poll::Ready(None),
                Place::Between(_) if next == 0 => return Poll::Ready(None),
                Place::Between(wire) => {
                    this.place = this.begin(*wire);
                    continue;
                }
                Place::Gzip(decoder) if next == 0 => this.end_member(decoder.into_inner()),
                Place::Zstd(decoder) if next == 0 => this.end_member(decoder.into_inner()),
                within => {
                    this.place = within;
                    this.unpacked += next as u64;
                    return Poll::Ready(Some(Ok(this.chunk.split().freeze())));
                }
            };
            if let Err(error) = ended {
                this.place = Place::End;
                return Poll::Ready(Some(Err(error)));
            }
        }
        // Others have their turn: the wire may be far ahead.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use futures_util::{StreamExt, stream};
    use std::io::Write;

    fn member(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// What comes of it, cut into pieces of so many bytes on the wire.
    async fn unpacked(coding: Coding, wire: Vec<u8>, piece: usize) -> Result<Vec<u8>, io::Error> {
        let pieces: Vec<io::Result<Bytes>> =
            wire.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let mut packed = Packed::new(coding, Box::pin(stream::iter(pieces)));
        let mut content = Vec::new();
        while let Some(chunk) = packed.next().await {
            content.extend_from_slice(&chunk?);
        }
        Ok(content)
    }

    #[tokio::test]
    async fn c3_members_with_content_are_read_to_the_last_one_however_they_are_cut() {
        let line = b"{\"job_id\":\"a-1\",\"to\":\"e_12345678@tokens.example\",\"template\":\"welcome\",\"data\":{}}\n";
        let content = [line.as_slice(), line].concat();
        let wire = [member(&content), member(b""), member(&content)].concat();
        let expected = [content.as_slice(), &content].concat();
        for piece in [1, 7, 10_000] {
            assert_eq!(unpacked(Coding::Gzip, wire.clone(), piece).await.unwrap(), expected);
        }
        let many = member(&content).repeat(5_000);
        assert_eq!(unpacked(Coding::Gzip, many, 4096).await.unwrap().len(), 5_000 * content.len());
        let cut = &wire[..wire.len() - 3];
        assert!(!is_hollow(&unpacked(Coding::Gzip, cut.to_vec(), 100).await.unwrap_err()));
    }

    #[tokio::test]
    async fn c3_members_that_hold_next_to_nothing_end_the_body() {
        // An empty zstd frame, and one that is to be skipped (RFC 8878 §3.1.2).
        let empty = zstd_frame();
        let skipped = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
        for (coding, member) in [
            (Coding::Gzip, member(b"")),
            (Coding::Gzip, member(b"\n")),
            (Coding::Zstd, empty.to_vec()),
            (Coding::Zstd, skipped.to_vec()),
        ] {
            let error = unpacked(coding, member.repeat(2_000), 5_000).await.unwrap_err();
            assert!(is_hollow(&error), "{coding:?}: {error}");
            unpacked(coding, member.repeat(500), 5_000).await.unwrap();
        }
    }

    /// Magic number, a header of one byte with a content size of 0, and one last raw block of no bytes.
    fn zstd_frame() -> [u8; 9] {
        [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00]
    }
}
