//! Records as no TLS library sends them, at every door that speaks TLS: the connection ends and nothing else does.

use crate::set_up::{Stage, list};
use crate::tls_bytes::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, framed, handshake, record};
use crate::tls_client::{Encrypted, client_hello, config};
use crate::world::{PATIENCE, World};
use rustls::version::{TLS12, TLS13};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokenrelay::fault::State;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use toml_edit::{DocumentMut, Table, value};

type Client = Arc<rustls::ClientConfig>;

/// Panics of tasks, wherever they happen but in the tests themselves.
static PANICS: AtomicU64 = AtomicU64::new(0);

fn count_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.location().is_some_and(|place| place.file().starts_with("tests/")) {
            PANICS.fetch_add(1, Relaxed);
        }
        before(info);
    }));
}

/// A door, and how far a client is to go on it before TLS begins.
struct Door {
    name: &'static str,
    address: SocketAddr,
    begin: &'static [&'static str],
    /// Asked for over TLS, and how the answer begins.
    asks: (&'static str, &'static str),
}

async fn stage() -> World {
    let stage = Stage::new().edit(|file| {
        add(file, "smtp", "implicit");
        add(file, "lmtp", "starttls");
        add(file, "lmtp", "implicit");
    });
    stage.up().await
}

fn add(file: &mut DocumentMut, kind: &str, tls: &str) {
    let mut door = Table::new();
    for (key, text) in [("kind", kind), ("bind", "127.0.0.1:0"), ("tls", tls), ("accept", "handoff")] {
        door[key] = value(text);
    }
    door["cert"] = value("certs/relay.pem");
    door["key"] = value("file:certs/relay.key");
    door["token_domains"] = list(&["tokens.example"]);
    file["listener"].as_array_of_tables_mut().unwrap().push(door);
}

fn doors(world: &World) -> Vec<Door> {
    const STARTTLS: &[&str] = &["", "EHLO engine.example\r\n", "STARTTLS\r\n"];
    const LMTP_STARTTLS: &[&str] = &["", "LHLO engine.example\r\n", "STARTTLS\r\n"];
    let door = |index: usize, name, begin, asks| {
        let address = world.doors[index].address.tcp().unwrap();
        Door { name, address, begin, asks }
    };
    vec![
        door(0, "smtp, starttls", STARTTLS, ("EHLO a.example\r\n", "250")),
        door(1, "http", &[], ("GET /livez HTTP/1.1\r\nHost: relay\r\n\r\n", "HTTP/1.1 200")),
        door(2, "smtp, implicit", &[], ("EHLO a.example\r\n", "250")),
        door(3, "lmtp, starttls", LMTP_STARTTLS, ("LHLO a.example\r\n", "250")),
        door(4, "lmtp, implicit", &[], ("LHLO a.example\r\n", "250")),
    ]
}

impl Door {
    /// How the answer begins to what is no TLS: an alert, but HTTP in the clear is answered in words.
    fn first_of_refusal(&self, sent: &[u8]) -> u8 {
        match sent {
            [b'G', b'E', b'T', b' ', ..] if self.name == "http" => b'H',
            _ => ALERT,
        }
    }

    /// A connection on which the next byte belongs to TLS.
    async fn connect(&self) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        for command in self.begin {
            socket.write_all(command.as_bytes()).await.unwrap();
            let (mut reply, mut room) = (Vec::new(), [0; 1024]);
            // The last line of a reply has a blank behind its code.
            while !reply.ends_with(b"\r\n")
                || !reply.split(|byte| *byte == b'\n').any(|line| line.get(3) == Some(&b' '))
            {
                let bytes = socket.read(&mut room).await.unwrap();
                assert!(bytes > 0, "{}: hung up at {command}", self.name);
                reply.extend_from_slice(&room[..bytes]);
            }
        }
        socket
    }

    /// Somebody who does all as it should be.
    async fn serves(&self, tls: &Client, what: &str) {
        let served = async {
            let connector = tokio_rustls::TlsConnector::from(tls.clone());
            let socket = self.connect().await;
            let name = rustls_pki_types::ServerName::from(self.address.ip());
            let mut stream = connector.connect(name, socket).await.unwrap();
            stream.write_all(self.asks.0.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            let (mut heard, mut room) = (Vec::new(), [0; 1024]);
            while !holds(&heard, self.asks.1) {
                let bytes = stream.read(&mut room).await.unwrap();
                assert!(bytes > 0, "{}: hung up after {what}", self.name);
                heard.extend_from_slice(&room[..bytes]);
            }
        };
        timeout(PATIENCE, served)
            .await
            .unwrap_or_else(|_| panic!("{}: nobody is served after {what}", self.name));
    }
}

fn holds(heard: &[u8], words: &str) -> bool {
    heard.windows(words.len()).any(|stretch| stretch == words.as_bytes())
}

/// How a connection has to end.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// The first thing that the door says is an alert in the clear, and then it closes.
    Alert,
    /// It closes, whatever it said.
    Closed,
    /// It goes on.
    Serves,
}
use End::{Alert, Closed, Serves};

struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    end: End,
}

fn case(name: &'static str, bytes: impl Into<Vec<u8>>, end: End) -> Case {
    Case { name, bytes: bytes.into(), end }
}

fn many(count: usize, one: &[u8]) -> Vec<u8> {
    one.repeat(count)
}

/// Where the client has shown nothing yet. `hello` is its first flight.
fn in_the_clear(hello: &[u8]) -> Vec<Case> {
    let message = &hello[5..];
    let part = record(HANDSHAKE, &message[..40]);
    let with = |first: &[u8], second: &[u8]| [first, second].concat();
    let pieces: Vec<u8> = message.iter().flat_map(|byte| record(HANDSHAKE, &[*byte])).collect();
    let ccs = record(CHANGE_CIPHER_SPEC, &[1]);
    vec![
        case("a fragment, then data", with(&part, &record(APPLICATION_DATA, b"x")), Closed),
        case("a fragment, then a type nobody knows", with(&part, &record(99, b"x")), Alert),
        case("a fragment, then an alert", with(&part, &record(ALERT, &[1, 90])), Closed),
        case("a fragment, then a fatal alert", with(&part, &record(ALERT, &[2, 40])), Closed),
        case("a fragment, then a cipher change", with(&part, &ccs), Closed),
        case("a fragment, then an empty record", with(&part, &record(HANDSHAKE, b"")), Closed),
        case("a fragment, then the same again", with(&part, &part), Closed),
        case(
            "a fragment, then a record too long",
            with(&part, &framed(HANDSHAKE, 0x0303, 0x4801, &[0; 64])),
            Alert,
        ),
        case("a fragment, then no version", with(&part, &framed(HANDSHAKE, 0x0909, 1, b"x")), Alert),
        case("a fragment, then plain text", with(&part, b"EHLO me\r\nQUIT\r\n"), Alert),
        case("a fragment, then the end", part.clone(), Closed),
        case(
            "a hello of single bytes, then plain text",
            with(&pieces, b"MAIL FROM:<a@b.example>\r\n"),
            Closed,
        ),
        case("a hello, then plain text", with(hello, b"EHLO me\r\nQUIT\r\n"), Closed),
        case("a hello, then data in the clear", with(hello, &record(APPLICATION_DATA, b"QUIT\r\n")), Closed),
        case("a hello, then another one", with(hello, hello), Closed),
        case(
            "a hello, then a fragment and data",
            [hello, &part, &record(APPLICATION_DATA, &[0; 32])].concat(),
            Closed,
        ),
        case("a hello, then a flood of cipher changes", with(hello, &many(5000, &ccs)), Closed),
        case("a flood of cipher changes", many(5000, &ccs), Closed),
        case("a cipher change to something else", record(CHANGE_CIPHER_SPEC, &[2]), Alert),
        case("a long cipher change", record(CHANGE_CIPHER_SPEC, &[1; 300]), Alert),
        case("a flood of warnings", many(5000, &record(ALERT, &[1, 90])), Closed),
        case("half an alert", record(ALERT, &[1]), Closed),
        case("an empty alert", record(ALERT, &[]), Closed),
        case("a long alert", record(ALERT, &[1, 90, 1, 90, 1]), Closed),
        case("an empty record", record(HANDSHAKE, b""), Closed),
        case("a flood of empty records", many(20_000, &record(HANDSHAKE, b"")), Closed),
        case("a flood of empty data", many(20_000, &record(APPLICATION_DATA, b"")), Alert),
        case("a record of the longest length", framed(HANDSHAKE, 0x0301, 0xffff, &[1; 70_000]), Alert),
        case("a record just too long", framed(HANDSHAKE, 0x0301, 0x4801, &[1; 0x4801]), Alert),
        case("a message of 16 MB", record(HANDSHAKE, &[1, 255, 255, 255, 3, 3]), Closed),
        case("a message that grows", many(9000, &record(HANDSHAKE, &[1, 0, 255, 255])), Closed),
        case("SSL 2", [0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10].to_vec(), Alert),
        case("SSL 3", [&framed(HANDSHAKE, 0x0300, message.len(), message)[..], b"x"].concat(), Closed),
        case("a version to come", framed(HANDSHAKE, 0x0909, message.len(), message), Alert),
        case("the other side's hello", record(HANDSHAKE, &handshake(2, &[3; 70])), Alert),
        case("the end of a handshake", record(HANDSHAKE, &handshake(20, &[0; 12])), Alert),
        case("an empty hello", record(HANDSHAKE, &handshake(1, b"")), Alert),
        case("a heartbeat", record(24, &[1, 255, 255]), Alert),
        case("no TLS at all", b"GET / HTTP/1.0\r\n\r\n".to_vec(), Alert),
        case("a hello, then half a frame", with(hello, &hello[..3]), Closed),
        case("a hello, then a record too long", with(hello, &framed(22, 0x0303, 0x4801, &[0; 64])), Closed),
        case(
            "a hello, then the end of a handshake",
            with(hello, &record(HANDSHAKE, &[20, 0, 0, 1, 9])),
            Closed,
        ),
        case("half a frame", hello[..3].to_vec(), Closed),
        case("half a hello", hello[..hello.len() / 2].to_vec(), Closed),
        case("nothing", Vec::new(), Closed),
    ]
}

/// One or several encrypted records.
type Records = fn(&mut Encrypted) -> Vec<u8>;

fn encrypted_13() -> Vec<(&'static str, Records, End)> {
    vec![
        ("a storm of new keys", |tls| repeat(tls, 1000, HANDSHAKE, &[24, 0, 0, 1, 1]), Closed),
        ("new keys of no kind", |tls| tls.record(HANDSHAKE, &[24, 0, 0, 1, 7]), Closed),
        (
            "new keys and more in one record",
            |tls| tls.record(HANDSHAKE, &[24, 0, 0, 1, 0, 24, 0, 0, 1, 0]),
            Closed,
        ),
        ("a fragment, then data", |tls| fragment_then(tls, APPLICATION_DATA, b"QUIT\r\n"), Closed),
        ("a fragment, then an alert", |tls| fragment_then(tls, ALERT, &[1, 90]), Closed),
        ("a fragment, then a type nobody knows", |tls| fragment_then(tls, 77, b"x"), Closed),
        (
            "a fragment, then a changed record",
            |tls| changed(fragment_then(tls, APPLICATION_DATA, b"QUIT\r\n")),
            Closed,
        ),
        ("a fragment, then the end", |tls| tls.record(HANDSHAKE, &[24, 0, 0]), Closed),
        ("a changed record", |tls| changed(tls.record(APPLICATION_DATA, b"QUIT\r\n")), Closed),
        ("some empty data", |tls| repeat(tls, 20, APPLICATION_DATA, b""), Serves),
        ("a flood of empty data", |tls| repeat(tls, 5000, APPLICATION_DATA, b""), Closed),
        (
            "new keys in two records, then the old ones",
            |tls| {
                let halves = [tls.record(HANDSHAKE, &[24, 0]), tls.record(HANDSHAKE, &[0, 1, 0])];
                [halves.concat(), tls.record(APPLICATION_DATA, b"QUIT\r\n")].concat()
            },
            Closed,
        ),
        ("some warnings", |tls| repeat(tls, 3, ALERT, &[1, 90]), Serves),
        ("a warning that is none any more", |tls| tls.record(ALERT, &[1, 100]), Closed),
        (
            "data, then plain text",
            |tls| [&tls.record(APPLICATION_DATA, b"x"), &b"MAIL FROM:<a@b.example>\r\n"[..]].concat(),
            Closed,
        ),
        (
            "data, then a record too long",
            |tls| {
                let long = framed(APPLICATION_DATA, 0x0303, 0x4801, &[0; 100]);
                [tls.record(APPLICATION_DATA, b"x"), long].concat()
            },
            Closed,
        ),
        ("a record of padding only", |tls| tls.record(0, &[0; 100]), Closed),
        ("a type nobody knows", |tls| tls.record(77, b"x"), Closed),
        ("a cipher change", |_| record(CHANGE_CIPHER_SPEC, &[1]), Closed),
        ("data in the clear", |_| record(APPLICATION_DATA, b"QUIT\r\n"), Closed),
        ("an alert in the clear", |_| record(ALERT, &[2, 40]), Closed),
        ("a record too long", |tls| tls.record(APPLICATION_DATA, &[b'a'; (1 << 14) + 1]), Closed),
        ("a flood of warnings", |tls| repeat(tls, 5000, ALERT, &[1, 90]), Closed),
        ("a fatal alert", |tls| tls.record(ALERT, &[2, 40]), Closed),
        ("half an alert", |tls| tls.record(ALERT, &[2]), Closed),
        (
            "its end, then more",
            |tls| [tls.record(ALERT, &[1, 0]), tls.record(APPLICATION_DATA, b"QUIT\r\n")].concat(),
            Closed,
        ),
        ("another hello", |tls| tls.record(HANDSHAKE, &handshake(1, &[3; 80])), Closed),
        ("an empty handshake record", |tls| tls.record(HANDSHAKE, b""), Closed),
        ("a heartbeat", |tls| tls.record(24, &[1, 255, 255]), Closed),
        ("half a record", |tls| tls.record(APPLICATION_DATA, b"QUIT\r\n")[..9].to_vec(), Closed),
        ("nothing", |_| Vec::new(), Closed),
    ]
}

fn encrypted_12() -> Vec<(&'static str, Records, End)> {
    vec![
        ("a renegotiation that cannot be read", |tls| tls.record(HANDSHAKE, &handshake(1, &[3; 80])), Closed),
        ("renegotiation again and again", |tls| repeat(tls, 100, HANDSHAKE, &handshake(1, &[3; 80])), Closed),
        ("a fragment, then data", |tls| fragment_then(tls, APPLICATION_DATA, b"QUIT\r\n"), Closed),
        (
            "a fragment, then a changed record",
            |tls| changed(fragment_then(tls, APPLICATION_DATA, b"QUIT\r\n")),
            Closed,
        ),
        ("the end of a handshake", |tls| tls.record(HANDSHAKE, &handshake(20, &[0; 12])), Closed),
        ("a cipher change", |tls| tls.record(CHANGE_CIPHER_SPEC, &[1]), Closed),
        ("some empty data", |tls| repeat(tls, 20, APPLICATION_DATA, b""), Serves),
        ("a flood of empty data", |tls| repeat(tls, 5000, APPLICATION_DATA, b""), Closed),
        ("a flood of warnings", |tls| repeat(tls, 5000, ALERT, &[1, 90]), Closed),
        ("some warnings", |tls| repeat(tls, 3, ALERT, &[1, 90]), Serves),
        (
            "its end, then more",
            |tls| [tls.record(ALERT, &[1, 0]), tls.record(APPLICATION_DATA, b"QUIT\r\n")].concat(),
            Closed,
        ),
        ("a record too short for its tag", |_| record(APPLICATION_DATA, &[0; 7]), Closed),
        ("a changed record", |tls| changed(tls.record(APPLICATION_DATA, b"QUIT\r\n")), Closed),
        ("nothing", |_| Vec::new(), Closed),
    ]
}

fn repeat(tls: &mut Encrypted, count: usize, kind: u8, payload: &[u8]) -> Vec<u8> {
    (0..count).flat_map(|_| tls.record(kind, payload)).collect()
}

fn fragment_then(tls: &mut Encrypted, kind: u8, payload: &[u8]) -> Vec<u8> {
    [tls.record(HANDSHAKE, &[24, 0, 0]), tls.record(kind, payload)].concat()
}

fn changed(mut record: Vec<u8>) -> Vec<u8> {
    *record.last_mut().unwrap() ^= 1;
    record
}

/// Sends, says that no more comes, and reads to the end. A door that closes early may reset what is still on its way.
async fn send_and_end(mut socket: TcpStream, bytes: &[u8], what: &str) -> Vec<u8> {
    let talk = async {
        let (mut reader, mut writer) = socket.split();
        let mut said = Vec::new();
        let send = async {
            let _ = writer.write_all(bytes).await;
            let _ = writer.shutdown().await;
        };
        let hear = async { drop(reader.read_to_end(&mut said).await) };
        tokio::join!(send, hear);
        said
    };
    timeout(PATIENCE, talk).await.unwrap_or_else(|_| panic!("{what}: the door does not close"))
}

/// The same in an encrypted session: what goes on answers a command.
async fn goes_on(mut tls: Encrypted, bytes: &[u8], door: &Door, what: &str) {
    let question = tls.record(APPLICATION_DATA, door.asks.0.as_bytes());
    let talk = async {
        let sent = [bytes, &question].concat();
        tls.socket.write_all(&sent).await.unwrap_or_else(|fault| panic!("{what}: {fault}"));
        // Tickets, a greeting or a warning may come first.
        let mut heard = Vec::new();
        while !holds(&heard, door.asks.1) {
            let (kind, payload) = tls.next().await.unwrap_or_else(|fault| panic!("{what}: {fault}"));
            if kind == APPLICATION_DATA {
                heard.extend_from_slice(&payload);
            }
        }
    };
    timeout(PATIENCE, talk).await.unwrap_or_else(|_| panic!("{what}: no answer"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p7_no_record_in_the_clear_makes_a_door_fall_over() {
    count_panics();
    let world = stage().await;
    let new = config(&world.dir.path().join("certs/ca.pem"), &TLS13);
    for door in doors(&world) {
        for Case { name, bytes, end } in in_the_clear(&client_hello(&new, door.address)) {
            let what = format!("{}: {name}", door.name);
            let before = PANICS.load(Relaxed);
            let said = send_and_end(door.connect().await, &bytes, &what).await;
            if end == Alert {
                assert_eq!(said.first(), Some(&door.first_of_refusal(&bytes)), "{what}");
            }
            assert_eq!(PANICS.load(Relaxed), before, "{what}: a task panicked");
        }
        door.serves(&new, "all of it").await;
    }
    assert_eq!(world.settled(State::Lost), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p7_no_encrypted_record_makes_a_door_fall_over() {
    count_panics();
    let world = stage().await;
    let ca = world.dir.path().join("certs/ca.pem");
    for (version, cases) in [(&TLS13, encrypted_13()), (&TLS12, encrypted_12())] {
        let tls = config(&ca, version);
        for door in doors(&world) {
            for (name, records, end) in &cases {
                let what = format!("{}, {:?}: {name}", door.name, version.version);
                let before = PANICS.load(Relaxed);
                let mut session = Encrypted::shake_hands(door.connect().await, &tls).await.unwrap();
                let bytes = records(&mut session);
                match end {
                    Serves => goes_on(session, &bytes, &door, &what).await,
                    Alert | Closed => drop(send_and_end(session.socket, &bytes, &what).await),
                }
                assert_eq!(PANICS.load(Relaxed), before, "{what}: a task panicked");
            }
            door.serves(&tls, "all of it").await;
        }
    }
    assert_eq!(world.settled(State::Lost), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_in_pieces_of_any_length_is_one() {
    let world = stage().await;
    let ca = world.dir.path().join("certs/ca.pem");
    for (version, door) in [&TLS13, &TLS12]
        .into_iter()
        .flat_map(|version| doors(&world).into_iter().map(move |door| (version, door)))
    {
        let tls = config(&ca, version);
        for piece in [1, 2, 3, 4, 5, 6, 39, 100, 150] {
            let what = format!("{}, {:?}: pieces of {piece}", door.name, version.version);
            let socket = door.connect().await;
            socket.set_nodelay(true).unwrap();
            let mut session = Encrypted::shake_hands_in_pieces(socket, &tls, piece).await.unwrap();
            // The question as well, an octet at a time.
            for byte in session.record(APPLICATION_DATA, b"") {
                session.socket.write_all(&[byte]).await.unwrap();
            }
            goes_on(session, b"", &door, &what).await;
        }
    }
    world.finish().await;
}
