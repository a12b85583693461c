//! Connections that fail in the midst of a write.

use super::*;
use crate::inject::delivery::{Errand, Parcel, Settled};
use crate::inject::ehlo::Capabilities;
use crate::inject::session::Session;
use crate::inject::talk::Talk;
use crate::inject::target::Target;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const DOT: &[u8] = b"\r\n.\r\n";

/// Takes messages by DATA, and nothing any more behind the final dot of this one.
struct Torn {
    last: usize,
    dots: usize,
    says: Vec<u8>,
}

impl AsyncRead for Torn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = self.says.len().min(buf.remaining());
        if bytes == 0 && self.dots < self.last {
            return Poll::Pending;
        }
        buf.put_slice(&self.says.drain(..bytes).collect::<Vec<_>>());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Torn {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.dots == self.last {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let dot = memchr::memmem::find(buf, DOT).or_else(|| buf.starts_with(&DOT[2..]).then_some(0));
        if let Some(at) = dot {
            self.dots += 1;
            self.says.extend_from_slice(b"250 2.0.0 taken\r\n");
            return Poll::Ready(Ok((at + DOT.len()).min(buf.len())));
        }
        if buf.ends_with(b"DATA\r\n") {
            self.says.extend_from_slice(b"250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go\r\n");
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What the target said of a message is read, though what was to follow its final dot did not get out.
#[tokio::test]
async fn a4_an_answer_that_is_there_counts_though_the_write_behind_the_dot_failed() {
    let target = Target::new(TargetSettings::new("mta1", "127.0.0.1", 1), 0);
    let mut outcomes = Vec::new();
    for number in 0..3 {
        let (parcel, settled, _) = Parcel::new(delivery(&message(number)), Errand::Usual);
        assert!(target.queue.try_push(parcel).is_ok());
        outcomes.push(settled);
    }
    let offered = Capabilities { pipelining: true, ..Capabilities::default() };
    let torn = Torn { last: 2, dots: 0, says: Vec::new() };
    let peer = "127.0.0.1:1".parse().unwrap();
    let ended = Session::new(Talk::new(torn), offered, false, peer).serve(&target, Vec::new()).await;
    assert_eq!(ended.unsent.len(), 1);
    drop(ended);
    let accepted = outcomes.iter_mut().map(|settled| matches!(settled.try_recv(), Ok(Settled::Accepted(_))));
    assert_eq!(accepted.collect::<Vec<_>>(), [true, true, false]);
}
