//! Clients of the HTTP door that come without TLS, or ask for nothing newer than HTTP/1.0.

use crate::set_up::Stage;
use crate::tls_client::config;
use crate::world::{PATIENCE, World};
use rustls::version::TLS13;
use rustls_pki_types::ServerName;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> String {
    let talk = async {
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    timeout(PATIENCE, talk).await.unwrap()
}

async fn in_the_clear(world: &World, request: &[u8]) -> String {
    ask(TcpStream::connect(world.door("http")).await.unwrap(), request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_without_tls_to_the_http_door_is_told_so() {
    let world = Stage::new().up().await;
    let mark = crate::log::mark();
    let long =
        [&b"POST /v1/jobs HTTP/1.1\r\nhost: relay\r\ncontent-length: 20000\r\n\r\n"[..], &[b'x'; 20_000]]
            .concat();
    for request in [&b"GET /readyz HTTP/1.0\r\n\r\n"[..], &long, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let answer = in_the_clear(&world, request).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{answer}");
        assert!(body.contains("this door speaks https"), "{answer}");
    }
    let said = String::from_utf8(crate::log::since(mark)).unwrap();
    assert!(said.contains("without TLS to a door with TLS"), "{said}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_knows_http_1_0_alone_is_served() {
    let world = Stage::new().up().await;
    let mut client = (*config(&world.dir.path().join("certs/ca.pem"), &TLS13)).clone();
    client.alpn_protocols = vec![b"http/1.0".to_vec()];
    let address = world.door("http");
    let socket = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(client));
    let stream = connector.connect(ServerName::from(address.ip()), socket).await.unwrap();
    let answer = ask(stream, b"GET /readyz HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"), "{answer}");
    world.finish().await;
}
