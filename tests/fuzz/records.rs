//! TLS at a door: records as a client sends them and as none would, in any order and in any pieces, into the stream that reads them.
//!
//! An input is a script: its bytes choose what happens next. Whatever it says, nothing panics, the stream comes to an end, it
//! gives out only what was sent, in order, and takes in no more than it may keep. A script without anything hostile loses nothing.

use crate::fuzz;
use crate::tls_bytes::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, Keys, framed, handshake, record,
};
use crate::wire::Wire;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};
use rustls_pki_types::ServerName;
use std::future::Future;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokenrelay::tls::{DevAuthority, ServerStream, accept, provider};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the stream may hold of what came: a handshake's messages, and a record of the longest length.
const HELD_BYTES_MAX: usize = (64 + 19) * 1024;
/// What frames, padding and records without content take of the wire beside the text; rustls bounds how many.
const BESIDE_BYTES_MAX: usize = 96 * 1024;

/// No script goes on behind so much.
const GIVEN_BYTES_MAX: usize = 400 * 1024;

#[test]
fn records() {
    let sides = Sides::new();
    // A whole conversation in each version, by the client and by hand; then a fragment before something else.
    let seeds: &[&[u8]] = &[
        &[0, 0, 0, 1, 40, 7, 9, 1, 200, 8, 7, 10],
        &[1, 0, 0, 1, 40, 7, 9, 1, 200, 8, 7, 10],
        &[2, 0, 0, 12, 23, 40, 12, 22, 3, 12, 23, 9, 7],
        &[3, 0, 0, 12, 23, 40, 12, 22, 3, 12, 23, 9, 7],
        &[0, 200, 3, 13, 22, 40, 13, 23, 1],
        &[0, 210, 1, 2, 3, 4, 5],
        &[0, 3, 3, 2, 2, 2, 1, 255, 1, 255, 8, 255, 7, 9, 10],
    ];
    fuzz(seeds, &[], |input, _| {
        let mut play = Play::begin(&sides, input);
        play.shake_hands();
        play.go_on();
        play.end()
    });
}

struct Sides {
    server: Arc<ServerConfig>,
    clients: [Arc<ClientConfig>; 2],
}

impl Sides {
    fn new() -> Self {
        let authority = DevAuthority::new("test").unwrap();
        let server = authority.server(&["relay.example"]).unwrap();
        let clients = [&TLS13, &TLS12].map(|version| {
            let mut narrow = (*provider()).clone();
            narrow.cipher_suites.retain(|suite| format!("{:?}", suite.suite()).contains("AES_128_GCM"));
            let mut roots = RootCertStore::empty();
            roots.add(authority.certificate_der().clone()).unwrap();
            let mut client = ClientConfig::builder_with_provider(Arc::new(narrow))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            client.enable_secret_extraction = true;
            Arc::new(client)
        });
        Self { server, clients }
    }
}

/// Its bytes, and zeros for ever behind them.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn next(&mut self) -> usize {
        self.0.split_off_first().copied().unwrap_or_default().into()
    }

    /// Small ones and awkward ones alike.
    fn length(&mut self) -> usize {
        const AWKWARD: [usize; 8] = [0, 255, 256, 4096, 16_383, 16_384, 16_385, 18_437];
        match self.next() {
            short @ 0..240 => short,
            long => AWKWARD[long % AWKWARD.len()],
        }
    }
}

enum Server {
    ShakingHands(Pin<Box<dyn Future<Output = io::Result<ServerStream<Wire>>>>>),
    Open(ServerStream<Wire>),
    Ended(ServerStream<Wire>, Option<String>),
    NeverOpen(String),
}

/// Who makes the records.
enum Client {
    Library(Box<ClientConnection>),
    /// The keys are known: records of any type and content.
    Hand(Box<Keys>),
}

struct Play<'a> {
    script: Script<'a>,
    server: Server,
    client: Client,
    by_hand: bool,
    wire: Wire,
    last: Vec<u8>,
    /// Plain text that was encrypted, in this order, and what came out of the stream.
    sent: Vec<u8>,
    read: Vec<u8>,
    to_write: Vec<u8>,
    room: Vec<u8>,
    records: usize,
    is_hostile: bool,
    is_shut_down: bool,
}

impl<'a> Play<'a> {
    fn begin(sides: &Sides, input: &'a [u8]) -> Self {
        let mut script = Script(input);
        let first = script.next();
        let wire = Wire::new(first);
        let name = ServerName::try_from("relay.example").unwrap();
        let client = ClientConnection::new(sides.clients[first & 1].clone(), name).unwrap();
        Self {
            script,
            server: Server::ShakingHands(Box::pin(accept(sides.server.clone(), wire.clone()))),
            client: Client::Library(Box::new(client)),
            by_hand: first & 2 != 0,
            wire,
            last: Vec::new(),
            sent: Vec::new(),
            read: Vec::new(),
            to_write: Vec::new(),
            room: vec![0; 20_000],
            records: 0,
            is_hostile: false,
            is_shut_down: false,
        }
    }

    /// Most scripts leave it as it is.
    fn shake_hands(&mut self) {
        while matches!(self.server, Server::ShakingHands(_)) {
            let flight = self.client_says();
            if flight.is_empty() {
                break;
            }
            for record in split(&flight) {
                self.send(record);
                if self.script.next() >= 200 {
                    self.disturb();
                }
            }
            self.run();
            self.client_hears();
            assert!(
                matches!(self.server, Server::Open(_))
                    || self.wire.taken() <= HELD_BYTES_MAX + BESIDE_BYTES_MAX
            );
        }
        if self.by_hand && matches!(self.server, Server::Open(_)) {
            self.take_over();
        }
    }

    /// From here on records are made by hand.
    fn take_over(&mut self) {
        self.client_hears();
        let before = std::mem::replace(&mut self.client, Client::Library(idle_client()));
        self.client = match before {
            Client::Library(client) if !client.is_handshaking() && !client.wants_write() => {
                let version = client.protocol_version().unwrap();
                let secrets = client.dangerous_extract_secrets().unwrap();
                Client::Hand(Box::new(Keys::of(version, secrets.tx)))
            }
            other => other,
        };
    }

    fn go_on(&mut self) {
        while !self.script.0.is_empty() && self.wire.given() < GIVEN_BYTES_MAX {
            match self.script.next() % 16 {
                0 => self.run(),
                1 | 2 => self.say_text(),
                3 => self.disturb(),
                4 => self.wire.read_at_most(self.script.length()),
                5 => self.new_keys(),
                6 => self.to_write.resize(self.to_write.len() + self.script.length(), b'w'),
                7 => {
                    self.run();
                    self.client_hears();
                }
                8 => self.say_many(),
                9 => self.shut_down(),
                10 => self.goodbye(),
                11 => self.wire.hold_writes(),
                12 => self.say_anything(),
                _ => self.disturb(),
            }
        }
    }

    /// Everything is over: the wire ends, and what the stream is asked for behind its end it answers without a fault.
    fn end(mut self) -> (bool, usize, Option<String>) {
        self.wire.end();
        self.run();
        let (opened, fault) = match &mut self.server {
            Server::NeverOpen(fault) => (false, Some(fault.clone())),
            Server::Ended(stream, fault) => {
                call_again(stream);
                (true, fault.clone())
            }
            Server::ShakingHands(_) | Server::Open(_) => panic!("it does not end"),
        };
        if !self.is_hostile && opened {
            assert!(self.read == self.sent, "{} of {} bytes", self.read.len(), self.sent.len());
        }
        (opened, self.read.len().min(40_000) / 4000, fault)
    }

    /// What the stream does with all that came, until it waits for more.
    fn run(&mut self) {
        let mut turns = 0;
        let limit = 1000 + 4 * (self.wire.waiting() + self.to_write.len());
        while self.turn() {
            turns += 1;
            assert!(turns < limit, "it goes on for ever");
        }
        assert!(self.sent.starts_with(&self.read), "it gives out what was not sent");
        let beside = BESIDE_BYTES_MAX + 64 * self.records;
        // Behind its own goodbye it passes over what comes.
        let is_bounded = self.wire.taken() <= self.read.len() + HELD_BYTES_MAX + beside;
        assert!(self.is_shut_down || is_bounded, "it takes in without end");
    }

    /// Whether there was anything to do.
    fn turn(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let before = self.wire.progress();
        match &mut self.server {
            Server::ShakingHands(future) => match future.as_mut().poll(&mut cx) {
                Poll::Ready(Ok(stream)) => self.server = Server::Open(stream),
                Poll::Ready(Err(fault)) => self.server = Server::NeverOpen(fault.to_string()),
                Poll::Pending => return self.wire.progress() != before,
            },
            Server::Open(stream) => {
                if !self.to_write.is_empty() {
                    match Pin::new(&mut *stream).poll_write(&mut cx, &self.to_write) {
                        Poll::Ready(Ok(bytes)) => drop(self.to_write.drain(..bytes)),
                        Poll::Ready(Err(_)) => self.to_write.clear(),
                        Poll::Pending => {}
                    }
                }
                let _ = Pin::new(&mut *stream).poll_flush(&mut cx);
                let room = self.wire.piece().min(self.room.len());
                let mut room = ReadBuf::new(&mut self.room[..room]);
                let fault = match Pin::new(&mut *stream).poll_read(&mut cx, &mut room) {
                    Poll::Pending => return self.wire.progress() != before,
                    Poll::Ready(Ok(())) if !room.filled().is_empty() => {
                        self.read.extend_from_slice(room.filled());
                        return true;
                    }
                    Poll::Ready(Ok(())) => None,
                    Poll::Ready(Err(fault)) => Some(fault.to_string()),
                };
                let placeholder = Server::NeverOpen(String::new());
                if let Server::Open(stream) = std::mem::replace(&mut self.server, placeholder) {
                    self.server = Server::Ended(stream, fault);
                }
            }
            Server::Ended(..) | Server::NeverOpen(_) => return false,
        }
        true
    }

    fn send(&mut self, bytes: Vec<u8>) {
        self.records += 1;
        self.wire.put(&bytes);
        self.last = bytes;
    }

    fn client_says(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Client::Library(client) = &mut self.client {
            while client.wants_write() && client.write_tls(&mut bytes).is_ok_and(|written| written > 0) {}
        }
        bytes
    }

    fn client_hears(&mut self) {
        let said = self.wire.said();
        let Client::Library(client) = &mut self.client else { return };
        let mut said = said.as_slice();
        while !said.is_empty() && client.read_tls(&mut said).is_ok_and(|read| read > 0) {
            if client.process_new_packets().is_err() {
                break;
            }
            let mut heard = Vec::new();
            let _ = client.reader().read_to_end(&mut heard);
            assert!(heard.iter().all(|byte| *byte == b'w'), "the client hears what was not said");
        }
    }

    fn say_text(&mut self) {
        let length = self.script.length();
        let text: Vec<u8> = (0..length).map(|n| (n + self.sent.len()) as u8).collect();
        match &mut self.client {
            Client::Library(client) => {
                if client.is_handshaking() || client.writer().write_all(&text).is_err() {
                    return;
                }
                self.sent.extend_from_slice(&text);
                for record in split(&self.client_says()) {
                    self.send(record);
                }
            }
            Client::Hand(keys) => {
                let record = keys.record(APPLICATION_DATA, &text);
                self.sent.extend_from_slice(&text);
                // Longer than a record may be (RFC 8446 §5.1).
                self.is_hostile |= length > 16_384;
                self.send(record);
            }
        }
    }

    /// Several records at once; where the wire gives a byte at a time, they take long.
    fn say_many(&mut self) {
        for _ in 0..self.script.next() % 40 {
            if self.wire.given() < GIVEN_BYTES_MAX.min(2000 * self.wire.piece()) {
                self.say_text();
            }
        }
    }

    fn new_keys(&mut self) {
        if let Client::Library(client) = &mut self.client
            && !client.is_handshaking()
            && client.refresh_traffic_keys().is_ok()
        {
            // rustls takes no more than a number of them.
            self.is_hostile |= self.records > 20;
            let bytes = self.client_says();
            self.send(bytes);
        }
    }

    fn goodbye(&mut self) {
        match &mut self.client {
            Client::Library(client) => client.send_close_notify(),
            Client::Hand(keys) => {
                let record = keys.record(ALERT, &[1, 0]);
                self.send(record);
            }
        }
        let bytes = self.client_says();
        self.send(bytes);
        // Whatever is said behind it is not read.
        self.is_hostile = true;
    }

    fn shut_down(&mut self) {
        self.run();
        if let Server::Open(stream) = &mut self.server {
            let _ = Pin::new(stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
            (self.is_hostile, self.is_shut_down) = (true, true);
        }
    }

    /// One that only hands make: of any type, whole or in fragments.
    fn say_anything(&mut self) {
        const KINDS: [u8; 7] = [CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, 24, 0, 77];
        self.is_hostile = true;
        let kind = KINDS[self.script.next() % KINDS.len()];
        let length = self.script.length();
        let payload = match (kind, length % 8) {
            (HANDSHAKE, 0) => handshake(24, &[1]),
            (HANDSHAKE, 1) => handshake(24, &[0]).repeat(1 + length / 8),
            (HANDSHAKE, 2) => handshake(1, &vec![3; length]),
            (HANDSHAKE, 3) => handshake(24, &[1])[..length % 5].to_vec(),
            (HANDSHAKE, 4) => vec![24, 0, 255, 255],
            (ALERT, _) => vec![(length % 4) as u8, (length / 4) as u8],
            _ => vec![length as u8; length],
        };
        let record = match &mut self.client {
            Client::Hand(keys) => {
                // Zeros are padding: before them stands the type (RFC 8446 §5.4).
                match payload.split_last() {
                    Some((&APPLICATION_DATA, text)) if kind == 0 && keys.is_new() => {
                        self.sent.extend_from_slice(text)
                    }
                    _ if kind == APPLICATION_DATA => self.sent.extend_from_slice(&payload),
                    _ => {}
                }
                keys.record(kind, &payload)
            }
            Client::Library(_) => record(kind, &payload),
        };
        self.send(record);
    }

    /// Does something to the wire that no client does.
    fn disturb(&mut self) {
        self.is_hostile = true;
        let (what, length) = (self.script.next(), self.script.length());
        let mut last = self.last.clone();
        last.truncate(20_000);
        match what % 12 {
            0 => self.send(last),
            1 => self.wire.flip(length),
            2 => self.wire.drop_last(length),
            3 => self.wire.exchange(last.len()),
            4 => self.wire.put(&vec![length as u8; length]),
            5 => self.send(record(length as u8, &vec![0; length])),
            6 => self.send(framed(HANDSHAKE, 0x0303, length, &last)),
            7 => self.send(record(CHANGE_CIPHER_SPEC, &[1])),
            8 => self.send(record(ALERT, &[(length % 3) as u8, (length / 3) as u8])),
            9 => {
                // A message of the handshake in pieces.
                let piece = 1 + length % 50;
                let pieces = last.get(5..).unwrap_or_default().chunks(piece);
                let pieces: Vec<u8> = pieces.flat_map(|piece| record(HANDSHAKE, piece)).collect();
                self.wire.drop_last(last.len());
                self.send(pieces);
            }
            10 => self.send(record(HANDSHAKE, &handshake(length as u8, &vec![3; length]))),
            _ => self.send(record(HANDSHAKE, b"").repeat(length)),
        }
    }
}

/// Nothing may come of it but an answer.
fn call_again(stream: &mut ServerStream<Wire>) {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        let mut room = [0; 100];
        let mut room = ReadBuf::new(&mut room);
        let read = Pin::new(&mut *stream).poll_read(&mut cx, &mut room);
        assert!(read.is_ready() && room.filled().is_empty(), "it gives out more behind its end");
        let _ = Pin::new(&mut *stream).poll_write(&mut cx, b"more");
        let _ = Pin::new(&mut *stream).poll_flush(&mut cx);
        let _ = Pin::new(&mut *stream).poll_shutdown(&mut cx);
    }
}

/// The records of a flight, each by itself.
fn split(mut flight: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while flight.len() >= 5 {
        let end = 5 + usize::from(u16::from_be_bytes([flight[3], flight[4]]));
        let (record, rest) = flight.split_at(end.min(flight.len()));
        records.push(record.to_vec());
        flight = rest;
    }
    records
}

/// Stands where one is taken away.
fn idle_client() -> Box<ClientConnection> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Box::new(
        ClientConnection::new(Arc::new(config), ServerName::try_from("nobody.example").unwrap()).unwrap(),
    )
}
