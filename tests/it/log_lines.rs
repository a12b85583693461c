//! What the log of a whole process holds after clients that wish to write into it, and after starts that fail.

use crate::program::{Program, serve};
use crate::set_up::Stage;
use crate::tls_client::config;
use crate::world::World;
use rustls::ClientConnection;
use rustls::version::TLS13;
use rustls_pki_types::ServerName;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use toml_edit::value;

/// A ClientHello that asks for an address where a name belongs (RFC 6066 §3).
fn hello_for(world: &World, name: &str, address: &str) -> Vec<u8> {
    assert_eq!(name.len(), address.len());
    let client = config(&world.dir.path().join("certs/ca.pem"), &TLS13);
    let name_in_it = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(client, name_in_it).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    let at = hello.windows(name.len()).position(|part| part == name.as_bytes()).unwrap();
    hello[at..at + name.len()].copy_from_slice(address.as_bytes());
    hello
}

async fn send(door: SocketAddr, bytes: &[u8]) {
    let mut socket = TcpStream::connect(door).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let _ = timeout(Duration::from_secs(2), socket.read(&mut [0; 100])).await.unwrap();
}

fn log_of(world: &World) -> (PathBuf, File) {
    let path = world.dir.path().join("log");
    let file = File::create(&path).unwrap();
    (path, file)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_words_of_a_client_come_into_the_log_by_way_of_a_library() {
    for level in ["info", "trace", "warn,rustls=trace,log=trace,tokenrelay=info"] {
        let stage = Stage::new().edit(move |file| {
            file["log"]["level"] = value(level);
            file["log"]["format"] = value("json");
        });
        let mut world = stage.for_a_program().await;
        let (path, log) = log_of(&world);
        let relay = Program::start(&mut world, |serve| serve.stderr(log)).await;
        let door = world.config.listeners[1].bind.tcp().unwrap();
        for address in ["geheim1@people.test", "geheim2@people.test", "geheim1@people.test"] {
            send(door, &hello_for(&world, &address.replace('@', "."), address)).await;
        }
        world.http().await.get("/readyz").await;
        relay.signal("-TERM");
        assert_eq!(relay.ended().await.code(), Some(0));
        let said = std::fs::read_to_string(path).unwrap();
        assert!(said.contains("\"listening\""), "{said}");
        for foreign in ["geheim", "SNI", "log.file", "rustls::", "\"h2::", "\"hyper"] {
            assert!(!said.contains(foreign), "{level}: {foreign} is in {said}");
        }
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_fails_is_no_run_that_was_killed() {
    let stage = Stage::new().accept("journal").edit(|file| file["log"]["level"] = value("info"));
    let mut world = stage.for_a_program().await;
    let taken = TcpListener::bind(world.config.listeners[1].bind.tcp().unwrap()).unwrap();
    let ended = serve(&world).stderr(std::process::Stdio::null()).status().unwrap();
    assert_eq!(ended.code(), Some(75));
    drop(taken);
    let (path, log) = log_of(&world);
    let relay = Program::start(&mut world, |serve| serve.stderr(log)).await;
    relay.signal("-TERM");
    assert_eq!(relay.ended().await.code(), Some(0));
    let said = std::fs::read_to_string(path).unwrap();
    let opened = said.lines().find(|line| line.contains("journal opened")).unwrap();
    assert!(!opened.contains("killed"), "{opened}");
    world.finish().await;
}
