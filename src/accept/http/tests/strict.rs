//! Heads that two readers would understand differently, byte by byte over a socket.

use super::*;
use tokio::io::AsyncWriteExt;

/// The status of each answer on one connection, which the door ends; what it has not read then resets the connection.
async fn statuses(world: &World, sent: &str) -> Vec<u16> {
    let mut socket = TcpStream::connect(world.address).await.unwrap();
    socket.write_all(sent.as_bytes()).await.unwrap();
    let mut answers = Vec::new();
    let _ = socket.read_to_end(&mut answers).await;
    let text = String::from_utf8(answers).unwrap();
    let heads = text.match_indices("HTTP/1.").filter_map(|(at, _)| text.get(at + 9..at + 12));
    heads.map(|status| status.parse().unwrap()).collect()
}

const GET: &str = "GET /livez HTTP/1.1\r\n";
const HOST: &str = "Host: relay\r\n";

fn post(fields: &str, body: &str) -> String {
    format!(
        "POST /v1/jobs HTTP/1.1\r\nHost: relay\r\nAuthorization: {KEY}\r\nContent-Type: application/json\r\n{fields}\r\n{body}"
    )
}

#[tokio::test]
async fn p11_a_request_names_one_host() {
    let world = World::new().await;
    for (head, status) in [
        (format!("{GET}{HOST}\r\n"), 200),
        (format!("{GET}Host:\r\n\r\n"), 200),
        (format!("{GET}Host: relay:8025\r\n\r\n"), 200),
        (format!("{GET}Host: [::1]:8025\r\n\r\n"), 200),
        (format!("{GET}\r\n"), 400),
        (format!("{GET}{HOST}{HOST}\r\n"), 400),
        (format!("{GET}{HOST}Host: other\r\n\r\n"), 400),
        (format!("{GET}Host: relay, other\r\n\r\n"), 400),
        (format!("{GET}Host: me@relay\r\n\r\n"), 400),
        (format!("{GET}Host: relay/x\r\n\r\n"), 400),
        (format!("GET http://relay/livez HTTP/1.1\r\n{HOST}\r\n"), 200),
        (format!("GET http://relay/livez HTTP/1.1\r\n{HOST}Host: b\r\n\r\n"), 400),
        (String::from("GET /livez HTTP/1.0\r\n\r\n"), 200),
        (format!("GET /livez HTTP/1.0\r\n{HOST}{HOST}\r\n"), 400),
    ] {
        // Whatever follows a refused request is not looked at.
        let next = format!("{GET}{HOST}Connection: close\r\n\r\n");
        let expected =
            if status == 200 && !head.contains("HTTP/1.0") { vec![200, 200] } else { vec![status] };
        assert_eq!(statuses(&world, &format!("{head}{next}")).await, expected, "{head:?}");
    }
    world.close().await;
}

#[tokio::test]
async fn p11_a_body_has_one_length() {
    let world = World::new().await;
    let whole = job("c1");
    let chunks = format!("{:x}\r\n{whole}\r\n0\r\n\r\n", whole.len());
    let length = |length: &str| format!("Content-Length: {length}\r\n");
    let exact = length(&whole.len().to_string());
    for (fields, body, status) in [
        (exact.clone(), &whole, 200),
        (String::from("Transfer-Encoding: chunked\r\n"), &chunks, 200),
        (String::from("Transfer-Encoding: CHUNKED\r\n"), &chunks, 200),
        (String::from("Transfer-Encoding: gzip, chunked\r\n"), &chunks, 501),
        (String::from("Transfer-Encoding: chunked, chunked\r\n"), &chunks, 501),
        (String::from("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), &chunks, 501),
        (String::from("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n"), &chunks, 400),
        (String::from("Transfer-Encoding: identity\r\n"), &chunks, 400),
        (String::from("Transfer-Encoding: xchunked\r\n"), &chunks, 400),
        (format!("{exact}{}", length("3")), &whole, 400),
        (length("+5"), &whole, 400),
        (length("5, 5"), &whole, 400),
        (length("0x10"), &whole, 400),
        (length("-1"), &whole, 400),
        (format!("X-A: b\r\n c\r\n{exact}"), &whole, 400),
        (format!("X-A: b\rc\r\n{exact}"), &whole, 400),
        (format!("X-A : b\r\n{exact}"), &whole, 400),
    ] {
        assert_eq!(
            statuses(&world, &post(&format!("Connection: close\r\n{fields}"), body)).await,
            [status],
            "{fields:?}"
        );
    }
    world.close().await;
}

/// The length is passed over, and nothing that follows is taken for a request.
#[tokio::test]
async fn p11_a_length_beside_chunks_ends_the_connection() {
    let world = World::new().await;
    let whole = job("c1");
    let chunks = format!("{:x}\r\n{whole}\r\n0\r\n\r\n", whole.len());
    for fields in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
    ] {
        let sent = format!("{}{GET}{HOST}\r\n", post(fields, &chunks));
        assert_eq!(statuses(&world, &sent).await.len(), 1, "{fields:?}");
    }
    world.close().await;
}
