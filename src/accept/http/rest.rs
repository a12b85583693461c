//! What is left of a body when its request needs no more of it.
//!
//! Over HTTP/2 a body that is let go of in the middle resets its stream, and over HTTP/1.1 it ends the connection: a client
//! that is still sending then loses the answer it was given. So the rest is read and thrown away behind the answer, within bounds that hold
//! for clients without a key too.

use axum::body::Body;
use axum::http::header::EXPECT;
use axum::http::{Request, Version};
use bytes::Bytes;
use futures_util::StreamExt;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// Read beyond what one job may have.
const OVERRUN_BYTES: usize = 4 * 1024 * 1024;
/// The whole rest has to arrive within this.
const REST_MAX: Duration = Duration::from_secs(5);

/// A request body whose rest is read to its end when it is dropped.
pub(super) struct Whole {
    incoming: Option<Incoming>,
    reading: Reading,
    rest_bytes_max: usize,
    tasks: TaskTracker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// The client sends the body when it is told to, which reading it would do (RFC 9110 §10.1.1).
    Unasked,
    Begun,
    /// To its end, or until it broke.
    Ended,
}

impl Whole {
    pub fn of(request: Request<Incoming>, job_bytes_max: usize, tasks: &TaskTracker) -> Request<Body> {
        // Over HTTP/2 nobody is told, and clients send the body at once.
        let is_unasked = request.version() <= Version::HTTP_11 && request.headers().contains_key(EXPECT);
        let reading = if is_unasked { Reading::Unasked } else { Reading::Begun };
        let rest_bytes_max = job_bytes_max.saturating_add(OVERRUN_BYTES);
        let tasks = tasks.clone();
        request.map(|incoming| Body::new(Self { incoming: Some(incoming), reading, rest_bytes_max, tasks }))
    }
}

impl hyper::body::Body for Whole {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let polled = Pin::new(incoming).poll_frame(cx);
        self.reading = match &polled {
            Poll::Ready(None | Some(Err(_))) => Reading::Ended,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => Reading::Begun,
        };
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        let Some(rest) = self.incoming.take() else { return };
        if self.reading != Reading::Begun || rest.is_end_stream() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            self.tasks.spawn_on(discard(rest, self.rest_bytes_max), &runtime);
        }
    }
}

async fn discard(rest: Incoming, bytes_max: usize) {
    let mut left = bytes_max;
    let mut rest = Body::new(rest).into_data_stream();
    let reading = async {
        while let Some(Ok(chunk)) = rest.next().await {
            let Some(less) = left.checked_sub(chunk.len()) else { return };
            left = less;
        }
    };
    let _ = timeout(REST_MAX, reading).await;
}
