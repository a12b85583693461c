//! What a server says and hears in TLS, without I/O: rustls decrypts each record where it lies and keeps no buffers of its own.
//!
//! After an error rustls is asked for nothing but the alert that lies ready, and is gone then: the state has no connection
//! any more that could be called again.

use super::buffer::{Buffer, RECORD_BYTES_MAX};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{Error, ServerConfig};
use rustls_pki_types::CertificateDer;
use std::io;
use std::sync::Arc;

/// Plain text of one record (RFC 8446 §5.1).
pub const PLAIN_BYTES_MAX: usize = 16 << 10;
/// What a record may be longer than its plain text, for all that is known here; whoever needs more says so.
const FRAME_BYTES: usize = 64;
/// A message of the handshake may come in many records, which stay until it is whole.
const WAITING_BYTES_MAX: usize = 64 << 10;
/// What a client sends on after we said goodbye; behind it the connection counts as ended.
const PASSED_OVER_BYTES_MAX: usize = 1 << 20;

type Connection = Box<UnbufferedServerConnection>;

pub struct Dialogue {
    state: State,
    /// As the client sent it, and not used yet.
    pub incoming: Buffer,
    /// To be sent as it is.
    pub outgoing: Buffer,
}

enum State {
    /// Shaking hands, or at work.
    Open(Connection),
    /// The client has said that nothing follows; it may be spoken to.
    Heard(Connection),
    /// We have said that nothing follows, the client not yet. What it still says is passed over,
    /// and counted.
    Closing {
        passed_over: usize,
    },
    /// Both have.
    Closed,
    Failed(Error),
}

/// What the client's bytes came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// The plain text of one record, and it has been shown.
    Plain,
    /// More bytes are needed.
    Part,
    /// Nothing follows.
    End,
}

impl Dialogue {
    /// # Errors
    /// The configuration cannot be used.
    pub fn new(config: Arc<ServerConfig>) -> io::Result<Self> {
        let tls = UnbufferedServerConnection::new(config).map_err(io::Error::other)?;
        let state = State::Open(Box::new(tls));
        Ok(Self { state, incoming: Buffer::default(), outgoing: Buffer::default() })
    }

    pub fn is_handshaking(&self) -> bool {
        matches!(&self.state, State::Open(tls) if tls.is_handshaking())
    }

    /// One of both has said that nothing follows.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Heard(_) | State::Closing { .. } | State::Closed)
    }

    /// What the client showed, verified; its own certificate first.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        match &self.state {
            State::Open(tls) | State::Heard(tls) => tls.peer_certificates(),
            State::Closing { .. } | State::Closed | State::Failed(_) => None,
        }
    }

    /// Where bytes of the client go, next to those that wait for their end.
    ///
    /// # Errors
    /// Too many wait.
    pub fn room(&mut self) -> io::Result<&mut [u8]> {
        let waiting = self.incoming.len();
        if waiting >= WAITING_BYTES_MAX {
            return Err(self.fail(Error::General("a message without end".into())));
        }
        let least = RECORD_BYTES_MAX - waiting % RECORD_BYTES_MAX;
        Ok(self.incoming.room(least.min(WAITING_BYTES_MAX - waiting)))
    }

    /// Hears up to the next plain text, which is shown.
    ///
    /// # Errors
    /// What the client did wrong, now or before. The alert for it is among what is to be sent.
    pub fn hear(&mut self, show: &mut dyn FnMut(&[u8])) -> io::Result<Heard> {
        match &mut self.state {
            State::Open(_) if self.incoming.is_empty() => Ok(Heard::Part),
            State::Open(_) => self.advance(show, Wish::Hear).map_err(|error| self.fail(error)),
            State::Closing { passed_over } => {
                *passed_over += self.incoming.len();
                let is_enough = *passed_over >= PASSED_OVER_BYTES_MAX;
                self.incoming.discard(self.incoming.len());
                if is_enough {
                    self.state = State::Closed;
                    return Ok(Heard::End);
                }
                Ok(Heard::Part)
            }
            State::Heard(_) | State::Closed => Ok(Heard::End),
            State::Failed(_) => Err(self.failure()),
        }
    }

    /// Encrypts `plain`, at most [`PLAIN_BYTES_MAX`]. What came in before is heard on the way, and shown.
    ///
    /// # Errors
    /// As [`Dialogue::hear`], or the connection is closed.
    pub fn say(&mut self, plain: &[u8], show: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        debug_assert!(plain.len() <= PLAIN_BYTES_MAX);
        match &self.state {
            State::Open(_) | State::Heard(_) => {
                self.until_said(show, Wish::Say(plain)).map_err(|error| self.fail(error))
            }
            State::Closing { .. } | State::Closed => Err(io::ErrorKind::BrokenPipe.into()),
            State::Failed(_) => Err(self.failure()),
        }
    }

    /// Says that nothing follows, once.
    pub fn say_goodbye(&mut self, show: &mut dyn FnMut(&[u8])) {
        if !matches!(self.state, State::Open(_) | State::Heard(_)) {
            return;
        }
        match self.until_said(show, Wish::SayGoodbye) {
            Ok(()) => {
                let is_last = matches!(self.state, State::Heard(_));
                self.state = if is_last { State::Closed } else { State::Closing { passed_over: 0 } };
            }
            Err(error) => drop(self.fail(error)),
        }
    }

    fn until_said(&mut self, show: &mut dyn FnMut(&[u8]), wish: Wish<'_>) -> Result<(), Error> {
        while self.advance(show, wish)? != Heard::Part {}
        Ok(())
    }

    /// Works off what came in up to the next plain text or its end, or to where the wish can be fulfilled.
    fn advance(&mut self, show: &mut dyn FnMut(&[u8]), wish: Wish<'_>) -> Result<Heard, Error> {
        loop {
            let (State::Open(tls) | State::Heard(tls)) = &mut self.state else {
                return Err(Error::General("nothing follows any more".into()));
            };
            let outgoing = &mut self.outgoing;
            let UnbufferedStatus { mut discard, state, .. } =
                tls.process_tls_records(self.incoming.held_mut());
            let heard =
                match state? {
                    ConnectionState::ReadTraffic(mut traffic) => {
                        while let Some(record) = traffic.next_record() {
                            let record = record?;
                            discard += record.discard;
                            show(record.payload);
                        }
                        Some(Heard::Plain)
                    }
                    ConnectionState::EncodeTlsData(mut data) => {
                        put(outgoing, 0, |room| Ok(data.encode(room)?))?;
                        None
                    }
                    // It lies in `outgoing`, which is sent before anything else is.
                    ConnectionState::TransmitTlsData(data) => {
                        data.done();
                        None
                    }
                    ConnectionState::WriteTraffic(mut traffic) => {
                        match wish {
                            Wish::Hear => {}
                            Wish::Say(plain) => put(outgoing, plain.len() + FRAME_BYTES, |room| {
                                Ok(traffic.encrypt(plain, room)?)
                            })?,
                            Wish::SayGoodbye => {
                                put(outgoing, FRAME_BYTES, |room| Ok(traffic.queue_close_notify(room)?))?;
                            }
                        }
                        Some(Heard::Part)
                    }
                    ConnectionState::BlockedHandshake if matches!(wish, Wish::Hear) => Some(Heard::Part),
                    ConnectionState::PeerClosed => Some(Heard::End),
                    _ => return Err(Error::General("the connection is in no state for this".into())),
                };
            self.incoming.discard(discard);
            match heard {
                None => {}
                Some(Heard::End) => {
                    self.hear_the_end();
                    return Ok(Heard::End);
                }
                Some(heard) => return Ok(heard),
            }
        }
    }

    /// What lies behind the client's last word is none of its words (RFC 8446 §6.1).
    fn hear_the_end(&mut self) {
        self.incoming.discard(self.incoming.len());
        self.state = match std::mem::replace(&mut self.state, State::Closed) {
            State::Open(tls) => State::Heard(tls),
            other => other,
        };
    }

    /// The end of the connection: takes the alert that rustls has ready, and gives rustls up.
    fn fail(&mut self, error: Error) -> io::Error {
        self.incoming.discard(self.incoming.len());
        let before = std::mem::replace(&mut self.state, State::Failed(error));
        if let State::Open(mut tls) | State::Heard(mut tls) = before {
            // As long as it has something to send it looks at nothing that came.
            while tls.wants_write() {
                let Ok(ConnectionState::EncodeTlsData(mut data)) = tls.process_tls_records(&mut []).state
                else {
                    break;
                };
                if put(&mut self.outgoing, 0, |room| Ok(data.encode(room)?)).is_err() {
                    break;
                }
            }
        }
        self.failure()
    }

    fn failure(&self) -> io::Error {
        match &self.state {
            State::Failed(error) => io::Error::new(io::ErrorKind::InvalidData, error.clone()),
            State::Open(_) | State::Heard(_) | State::Closing { .. } | State::Closed => {
                io::ErrorKind::BrokenPipe.into()
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Wish<'a> {
    Hear,
    Say(&'a [u8]),
    SayGoodbye,
}

/// Why something was not written.
enum Unwritten {
    Needs(InsufficientSizeError),
    Never(Error),
}

impl From<EncodeError> for Unwritten {
    fn from(fault: EncodeError) -> Self {
        match fault {
            EncodeError::InsufficientSize(size) => Self::Needs(size),
            EncodeError::AlreadyEncoded => Self::Never(Error::General(fault.to_string())),
        }
    }
}

impl From<EncryptError> for Unwritten {
    fn from(fault: EncryptError) -> Self {
        match fault {
            EncryptError::InsufficientSize(size) => Self::Needs(size),
            EncryptError::EncryptExhausted => Self::Never(Error::EncryptError),
        }
    }
}

/// Lets `write` put something behind what is there, with more room if that is what it needs.
fn put(
    buffer: &mut Buffer,
    room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Unwritten>,
) -> Result<(), Error> {
    let written = match write(buffer.room(room)) {
        Err(Unwritten::Needs(size)) => write(buffer.room(size.required_size)),
        written => written,
    };
    match written {
        Ok(bytes) => {
            buffer.add(bytes);
            Ok(())
        }
        Err(Unwritten::Needs(_)) => Err(Error::EncryptError),
        Err(Unwritten::Never(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::DevAuthority;

    /// Types of records (RFC 8446 §5.1).
    const HANDSHAKE: u8 = 22;
    const ALERT: u8 = 21;

    fn dialogue() -> Dialogue {
        let authority = DevAuthority::new("test").unwrap();
        Dialogue::new(authority.server(&["relay.example"]).unwrap()).unwrap()
    }

    fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
        let [high, low] = (payload.len() as u16).to_be_bytes();
        [&[kind, 3, 3, high, low], payload].concat()
    }

    fn hear(dialogue: &mut Dialogue, mut bytes: &[u8]) -> io::Result<Heard> {
        loop {
            let room = dialogue.room()?;
            let fit = room.len().min(bytes.len());
            room[..fit].copy_from_slice(&bytes[..fit]);
            dialogue.incoming.add(fit);
            bytes = &bytes[fit..];
            let heard = dialogue.hear(&mut |_| {})?;
            if bytes.is_empty() {
                return Ok(heard);
            }
        }
    }

    #[test]
    fn p7_behind_an_error_nothing_is_asked_of_the_library_but_its_alert() {
        let fragment = record(HANDSHAKE, &[1, 0, 1, 0, 3, 3]);
        for refused in [record(99, b"x"), record(HANDSHAKE, &[1; 20_000]), b"EHLO me\r\n".to_vec()] {
            let mut dialogue = dialogue();
            assert_eq!(hear(&mut dialogue, &fragment).unwrap(), Heard::Part);
            let fault = hear(&mut dialogue, &refused).unwrap_err();
            assert_eq!(fault.kind(), io::ErrorKind::InvalidData);
            assert!(matches!(dialogue.state, State::Failed(_)), "the connection is gone");
            assert_eq!(dialogue.outgoing.held().first(), Some(&ALERT));
            let (alert, fault) = (dialogue.outgoing.held().to_vec(), fault.to_string());
            for _ in 0..3 {
                assert_eq!(hear(&mut dialogue, &fragment).unwrap_err().to_string(), fault);
                assert_eq!(dialogue.say(b"250 Ok", &mut |_| {}).unwrap_err().to_string(), fault);
                dialogue.say_goodbye(&mut |_| {});
            }
            assert_eq!(dialogue.outgoing.held(), alert, "one alert, and nothing behind it");
        }
    }

    #[test]
    fn who_goes_on_sending_after_our_goodbye_is_heard_out_to_a_bound() {
        let mut dialogue = dialogue();
        dialogue.state = State::Closing { passed_over: 0 };
        let record = record(23, &[7; 16_000]);
        let heard = (0..).position(|_| hear(&mut dialogue, &record).unwrap() == Heard::End).unwrap();
        assert!((64..=67).contains(&heard), "{heard}");
        assert!(dialogue.has_ended() && dialogue.incoming.capacity() == 0);
    }

    #[test]
    fn a_message_without_end_ends_the_connection_and_takes_little_memory() {
        for length in [1, 3, 100, 4000, 16_384] {
            let mut dialogue = dialogue();
            let fragment = record(HANDSHAKE, &[&[1, 0, 255, 255][..], &vec![0; length]].concat());
            let mut most = 0;
            let ended = (0..100_000).any(|_| {
                let heard = hear(&mut dialogue, &fragment);
                most = most.max(dialogue.incoming.capacity());
                heard.is_err()
            });
            assert!(ended && most <= WAITING_BYTES_MAX, "{length}: {most}");
            assert_eq!(dialogue.incoming.capacity(), 0);
        }
    }
}
