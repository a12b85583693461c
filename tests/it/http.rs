//! An engine that speaks HTTP: single jobs, streams of jobs, and the pages beside them.

use crate::transcript::Transcript;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use serde_json::Value;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// One connection. Dropping it cuts it, whatever is under way.
pub struct Http {
    sender: SendRequest<Body>,
    connection: JoinHandle<()>,
    pub key: String,
    transcript: Transcript,
}

/// The answer to one job or page.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }
}

impl Http {
    pub async fn connect(
        door: SocketAddr,
        tls: Arc<rustls::ClientConfig>,
        key: &str,
        transcript: Transcript,
    ) -> io::Result<Self> {
        let tcp = TcpStream::connect(door).await?;
        let stream = TlsConnector::from(tls).connect(ServerName::from(door.ip()), tcp).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let connection = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, connection, key: key.to_owned(), transcript })
    }

    /// A page that asks who reads it.
    pub async fn get_with_key(&mut self, path: &str) -> Answer {
        let request = Request::get(path).header(HOST, "relay");
        let request = request.header(AUTHORIZATION, format!("Bearer {}", self.key));
        self.sender.ready().await.unwrap();
        let response =
            self.sender.send_request(request.body(UnsyncBoxBody::default()).unwrap()).await.unwrap();
        self.whole(response).await
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        let body = UnsyncBoxBody::default();
        let request = Request::get(path).header(HOST, "relay").body(body).unwrap();
        // The answer before may be read before its connection is free again.
        self.sender.ready().await.unwrap();
        let response = self.sender.send_request(request).await.unwrap();
        self.whole(response).await
    }

    /// Submits one job.
    pub async fn post(&mut self, job: &Value) -> Answer {
        let octets = Bytes::from(job.to_string());
        let response = self.request("application/json", stream::iter([octets])).await.unwrap();
        self.whole(response).await
    }

    /// Submits a stream, whose octets may be anything.
    pub async fn stream(
        &mut self,
        octets: impl Stream<Item = Bytes> + Send + 'static,
    ) -> hyper::Result<Results> {
        let response = self.request("application/x-ndjson", octets).await?;
        assert_eq!(response.status(), 200);
        let transcript = self.transcript.clone();
        Ok(Results { body: response.into_body(), unread: BytesMut::new(), transcript })
    }

    /// Submits jobs as one stream and waits for all results.
    pub async fn submit(&mut self, jobs: impl IntoIterator<Item = Value>) -> Vec<Value> {
        let lines: Vec<Bytes> = jobs.into_iter().map(|job| Bytes::from(format!("{job}\n"))).collect();
        self.stream(stream::iter(lines)).await.unwrap().rest().await.unwrap()
    }

    async fn request(
        &mut self,
        content_type: &str,
        octets: impl Stream<Item = Bytes> + Send + 'static,
    ) -> hyper::Result<Response<Incoming>> {
        let body = StreamBody::new(octets.map(|octets| Ok::<_, Infallible>(Frame::data(octets))));
        let request = Request::post("/v1/jobs")
            .header(HOST, "relay")
            .header(AUTHORIZATION, format!("Bearer {}", self.key))
            .header(CONTENT_TYPE, content_type)
            .body(body.boxed_unsync())
            .unwrap();
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        self.transcript.note(format!("{:?}\n", response.headers()).as_bytes());
        Ok(response)
    }

    async fn whole(&self, response: Response<Incoming>) -> Answer {
        let status = response.status().as_u16();
        let octets = response.into_body().collect().await.unwrap().to_bytes();
        self.transcript.note(&octets);
        Answer { status, text: String::from_utf8(octets.to_vec()).unwrap() }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// The results of one stream, as they come.
pub struct Results {
    body: Incoming,
    unread: BytesMut,
    transcript: Transcript,
}

impl Results {
    /// `None` when there are no more; an error when the connection was cut.
    pub async fn next(&mut self) -> hyper::Result<Option<Value>> {
        loop {
            if let Some(end) = self.unread.iter().position(|octet| *octet == b'\n') {
                let line = self.unread.split_to(end + 1);
                return Ok(Some(serde_json::from_slice(&line).unwrap()));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let octets = frame?.into_data().unwrap_or_default();
            self.transcript.note(&octets);
            self.unread.extend_from_slice(&octets);
        }
    }

    pub async fn rest(mut self) -> hyper::Result<Vec<Value>> {
        let mut results = Vec::new();
        while let Some(result) = self.next().await? {
            results.push(result);
        }
        Ok(results)
    }
}
