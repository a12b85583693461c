//! Submits a stream of jobs to a relay's HTTP door and reads the results while it is still writing.

use crate::wire::ndjson::{Frame as Line, Framer};
use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde::Deserialize;
use std::borrow::Cow;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

/// Jobs written in one chunk at most, in bytes.
const CHUNK_BYTES: usize = 16 * 1024;
const RESULT_BYTES_MAX: usize = 64 * 1024;
const PROBLEM_BYTES_MAX: usize = 64 * 1024;
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Where the relay is. `https://HOST[:PORT]`, or `http://` for loopback.
#[derive(Clone)]
pub struct Endpoint {
    authority: String,
    host: String,
    port: u16,
    tls: Option<Arc<rustls::ClientConfig>>,
}

/// Why jobs could not be submitted, or results not be read.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("'{0}' is not a URL of a relay; write https://HOST:PORT")]
    Url(String),
    #[error("cannot connect to {authority}: {cause}")]
    Connect { authority: String, cause: io::Error },
    #[error("{authority} does not speak HTTP: {cause}")]
    Handshake { authority: String, cause: hyper::Error },
    /// The door answered the request itself with an error.
    #[error("the relay refused the request: {status} {detail}")]
    Refused { status: StatusCode, detail: String },
    #[error("the connection to the relay was lost: {0}")]
    Lost(hyper::Error),
    #[error("the relay answered with a line that is no result")]
    NoResult,
}

/// What the door says about one job.
#[derive(Debug, Default, Deserialize)]
pub struct ResultText<'a> {
    #[serde(borrow, default)]
    pub job_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub send: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub state: Cow<'a, str>,
    #[serde(borrow, default)]
    pub reason: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub detail: Option<Cow<'a, str>>,
    #[serde(default)]
    pub line: Option<u64>,
    #[serde(default)]
    pub code: Option<u16>,
}

impl ResultText<'_> {
    /// What a line says that is about the rest of the body and about none of its jobs.
    pub fn of_the_rest(&self) -> Option<&str> {
        let is_of_a_job = self.job_id.is_some() || self.line.is_some();
        (!is_of_a_job).then(|| self.detail.as_deref().unwrap_or("the relay does not say why"))
    }
}

impl Endpoint {
    /// `tls` is used for `https`, with ALPN left as it is: the client speaks HTTP/1.1.
    ///
    /// # Errors
    /// [`ClientError::Url`] when it is no such URL, or `https` without `tls`.
    pub fn new(url: &str, tls: Option<Arc<rustls::ClientConfig>>) -> Result<Self, ClientError> {
        let bad = || ClientError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?;
        let (tls, port) = match uri.scheme_str() {
            Some("https") => (Some(tls.ok_or_else(bad)?), 443),
            Some("http") => (None, 80),
            _ => return Err(bad()),
        };
        Ok(Self {
            authority: authority.to_string(),
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(port),
            tls,
        })
    }
}

/// Submits jobs over one connection and hands every result to `on_result` as it comes.
///
/// # Errors
/// As [`Client::connect`], [`Client::submit`] and [`Results::next`]; results handed over before stay valid.
pub async fn submit(
    endpoint: &Endpoint,
    key: &Zeroizing<String>,
    jobs: impl Stream<Item = Bytes> + Send + 'static,
    mut on_result: impl FnMut(ResultText<'_>),
) -> Result<(), ClientError> {
    let mut client = Client::connect(endpoint, key).await?;
    let mut results = client.submit(jobs).await?;
    while let Some(line) = results.next().await? {
        on_result(ResultText::read(&line)?);
    }
    Ok(())
}

/// One connection to the door.
pub struct Client {
    sender: SendRequest<Jobs>,
    authority: HeaderValue,
    authorization: HeaderValue,
}

impl Client {
    /// Connects and, for `https`, verifies the relay. `key` is the engine's secret.
    ///
    /// # Errors
    /// [`ClientError::Connect`] within 10 seconds when the relay cannot be reached or verified.
    pub async fn connect(endpoint: &Endpoint, key: &Zeroizing<String>) -> Result<Self, ClientError> {
        let authority = endpoint.authority.clone();
        let sender = match timeout(CONNECT_MAX, open(endpoint)).await {
            Ok(opened) => opened?,
            Err(_) => return Err(ClientError::Connect { authority, cause: io::ErrorKind::TimedOut.into() }),
        };
        let bearer = Zeroizing::new(format!("Bearer {}", key.as_str()));
        let mut authorization = HeaderValue::from_str(&bearer).map_err(|_| ClientError::Refused {
            status: StatusCode::UNAUTHORIZED,
            detail: "the key holds characters that no header can carry".into(),
        })?;
        authorization.set_sensitive(true);
        let authority =
            HeaderValue::from_str(&authority).map_err(|_| ClientError::Url(endpoint.authority.clone()))?;
        Ok(Self { sender, authority, authorization })
    }

    /// Submits jobs, one JSON object each, without line end. They are taken from the stream as the relay has room
    /// for them; whatever is ready goes out together, and nothing waits for more. Read the results meanwhile.
    ///
    /// # Errors
    /// [`ClientError::Refused`] when the door refuses the whole request.
    pub async fn submit(
        &mut self,
        jobs: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Results, ClientError> {
        let body = Jobs { source: jobs.boxed(), ended: false, buffer: BytesMut::with_capacity(CHUNK_BYTES) };
        let request = Request::post("/v1/jobs")
            .header(HOST, self.authority.clone())
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/x-ndjson")
            .body(body)
            .expect("the parts of this request are valid");
        self.sender.ready().await.map_err(ClientError::Lost)?;
        let response = self.sender.send_request(request).await.map_err(ClientError::Lost)?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(ClientError::Refused { status, detail: problem_detail(response.into_body()).await });
        }
        Ok(Results { body: response.into_body(), framer: Framer::new(RESULT_BYTES_MAX), finished: false })
    }
}

/// The results of one stream, as they come.
pub struct Results {
    body: Incoming,
    framer: Framer,
    finished: bool,
}

impl Results {
    /// The next result as its line of JSON; `None` when there are no more. Cancel-safe.
    ///
    /// # Errors
    /// [`ClientError::Lost`] when the connection ends early: jobs without a result are unanswered.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let line =
                self.framer.next_frame().or_else(|| if self.finished { self.framer.finish() } else { None });
            match line {
                Some(Line::Line { bytes, .. }) => return Ok(Some(bytes)),
                Some(Line::TooLong { .. }) => return Err(ClientError::NoResult),
                None if self.finished => return Ok(None),
                None => {}
            }
            match self.body.frame().await {
                None => self.finished = true,
                Some(Ok(frame)) => self.framer.push(frame.into_data().unwrap_or_default()),
                Some(Err(cause)) => return Err(ClientError::Lost(cause)),
            }
        }
    }
}

impl<'a> ResultText<'a> {
    /// # Errors
    /// [`ClientError::NoResult`] when the line is none.
    pub fn read(line: &'a [u8]) -> Result<Self, ClientError> {
        serde_json::from_slice(line).map_err(|_| ClientError::NoResult)
    }
}

async fn open(endpoint: &Endpoint) -> Result<SendRequest<Jobs>, ClientError> {
    let failed = |cause| ClientError::Connect { authority: endpoint.authority.clone(), cause };
    let socket = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await.map_err(failed)?;
    socket.set_nodelay(true).map_err(failed)?;
    let Some(tls) = &endpoint.tls else { return speak(endpoint, socket).await };
    let name = ServerName::try_from(endpoint.host.clone())
        .map_err(|_| ClientError::Url(endpoint.authority.clone()))?;
    let socket = TlsConnector::from(tls.clone()).connect(name, socket).await.map_err(failed)?;
    speak(endpoint, socket).await
}

async fn speak<S>(endpoint: &Endpoint, socket: S) -> Result<SendRequest<Jobs>, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(socket))
        .await
        .map_err(|cause| ClientError::Handshake { authority: endpoint.authority.clone(), cause })?;
    // Ends with the sender and the answer; its error reaches both.
    tokio::spawn(connection);
    Ok(sender)
}

async fn problem_detail(mut body: Incoming) -> String {
    #[derive(Deserialize)]
    struct Problem {
        #[serde(default)]
        detail: String,
    }
    let mut text = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        text.extend_from_slice(&frame.into_data().unwrap_or_default());
        if text.len() > PROBLEM_BYTES_MAX {
            break;
        }
    }
    serde_json::from_slice::<Problem>(&text).map(|problem| problem.detail).unwrap_or_default()
}

/// The request body: jobs joined to chunks.
struct Jobs {
    source: BoxStream<'static, Bytes>,
    ended: bool,
    buffer: BytesMut,
}

impl Body for Jobs {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        while !this.ended && this.buffer.len() < CHUNK_BYTES {
            match this.source.poll_next_unpin(cx) {
                Poll::Ready(Some(job)) => {
                    this.buffer.extend_from_slice(&job);
                    this.buffer.extend_from_slice(b"\n");
                }
                Poll::Ready(None) => this.ended = true,
                Poll::Pending if this.buffer.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        if this.buffer.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(Frame::data(this.buffer.split().freeze()))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.buffer.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_say_where_and_how() {
        let endpoint = Endpoint::new("http://[::1]:8080", None).unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port), ("::1", 8080));
        assert_eq!(Endpoint::new("http://relay.example/", None).unwrap().port, 80);
        for bad in ["relay:8080", "ftp://relay", "/v1/jobs", "https://relay"] {
            assert!(matches!(Endpoint::new(bad, None), Err(ClientError::Url(_))), "{bad}");
        }
    }

    #[test]
    fn a_result_is_read_without_copying() {
        let result = ResultText::read(br#"{"job_id":"c1","send":"s_1","state":"relayed","ms":{}}"#).unwrap();
        assert!(matches!(result.state, Cow::Borrowed("relayed")));
        assert!(ResultText::read(b"{}").is_err());
    }

    #[tokio::test]
    async fn what_is_ready_goes_out_together_and_waits_for_nothing() {
        let (send, jobs) = async_channel::bounded(8);
        for job in ["{}", "{1}"] {
            send.send(Bytes::from(job)).await.unwrap();
        }
        let mut body = Jobs { source: jobs.boxed(), ended: false, buffer: BytesMut::new() };
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "{}\n{1}\n");
        send.send(Bytes::from("{2}")).await.unwrap();
        drop(send);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "{2}\n");
        assert!(body.frame().await.is_none());
    }
}
