//! What is left of a body when its request needs no more of it.
//!
//! Over HTTP/2 a body that is let go of in the middle resets its stream, and over HTTP/1.1 it ends the connection: a client
//! that is still sending then loses the answer it was given. So the rest is read and thrown away behind the answer, for clients without a key
//! too. It is bounded in time and not in bytes: a client may send as many bytes in as many requests, and it is the longest
//! bodies (a file of jobs under the wrong type) whose senders read nothing before they have written all.

use super::connection::Door;
use axum::body::Body;
use axum::http::header::EXPECT;
use axum::http::{Request, Version};
use bytes::Bytes;
use futures_util::StreamExt;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Reads what is left of the bodies of one connection.
pub(super) struct Rests {
    rest_max: Duration,
    silence_max: Duration,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A request body whose rest is read to its end when it is dropped.
pub(super) struct Whole {
    incoming: Option<Incoming>,
    reading: Reading,
    rests: Arc<Rests>,
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
    pub fn of(request: Request<Incoming>, rests: &Arc<Rests>) -> Request<Body> {
        // Over HTTP/2 nobody is told, and clients send the body at once.
        let is_unasked = request.version() <= Version::HTTP_11 && request.headers().contains_key(EXPECT);
        let reading = if is_unasked { Reading::Unasked } else { Reading::Begun };
        let rests = rests.clone();
        request.map(|incoming| Body::new(Self { incoming: Some(incoming), reading, rests }))
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
            self.rests.tasks.spawn_on(self.rests.clone().discard(rest), &runtime);
        }
    }
}

impl Rests {
    pub fn of(door: &Door) -> Arc<Self> {
        let limits = &door.settings.limits;
        Arc::new(Self {
            rest_max: limits.rest_max,
            silence_max: limits.rest_silence_max,
            stop: door.stop.clone(),
            tasks: door.tasks.clone(),
        })
    }

    async fn discard(self: Arc<Self>, rest: Incoming) {
        let mut rest = Body::new(rest).into_data_stream();
        let reading = async { while let Ok(Some(Ok(_))) = timeout(self.silence_max, rest.next()).await {} };
        // Who was answered because the door closes hears that too, but the drain does not wait for a slow sender.
        let closing = async {
            self.stop.cancelled().await;
            sleep(self.silence_max).await;
        };
        tokio::select! {
            _ = timeout(self.rest_max, reading) => {}
            () = closing => {}
        }
    }
}
