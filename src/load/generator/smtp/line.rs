//! One connection to an SMTP door: connected, encrypted, logged in; replies read one by one.

use crate::fault::ReplyCode;
use crate::tls::ClientTls;
use crate::wire::reply::{Reply, ReplyFramer};
use data_encoding::BASE64;
use rustls_pki_types::ServerName;
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

const CONNECT_MAX: Duration = Duration::from_secs(10);
const INBOX_OCTETS: usize = 4 * 1024;

/// Where the door is and who comes.
#[derive(Clone)]
pub struct SmtpDoor {
    pub host: String,
    pub port: u16,
    /// TLS from the first octet; else STARTTLS.
    pub is_implicit: bool,
    pub tls: ClientTls,
    pub user: String,
    pub password: Zeroizing<String>,
}

/// Why a connection cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SmtpTrouble {
    #[error("cannot connect to {host}:{port}: {cause}")]
    Connect { host: String, port: u16, cause: io::Error },
    #[error("no TLS with {host}:{port}: {cause}")]
    Handshake { host: String, port: u16, cause: io::Error },
    #[error("nothing was answered within {} s", CONNECT_MAX.as_secs())]
    Silent,
    #[error("the relay answered {code} to {at}")]
    Refused { at: &'static str, code: u16 },
    /// Credentials go out encrypted or, over loopback, not at all.
    #[error("the relay does not offer STARTTLS")]
    NoTls,
    #[error("the connection to the relay was lost: {0}")]
    Lost(io::Error),
    #[error("the relay answered with something that is no reply")]
    NoReply,
}

/// What the relay said.
pub struct Answer {
    pub code: ReplyCode,
    /// Of a refusal, without its codes.
    pub text: String,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

pub struct Line {
    stream: Box<dyn Stream>,
    framer: ReplyFramer,
    inbox: Vec<u8>,
    /// Octets of the inbox that were read as replies.
    read: usize,
    /// What goes out with the next [`Line::send`].
    pub out: Vec<u8>,
}

impl Line {
    pub async fn open(door: &SmtpDoor) -> Result<Self, SmtpTrouble> {
        match timeout(CONNECT_MAX, Self::greet(door)).await {
            Ok(opened) => opened,
            Err(_) => Err(SmtpTrouble::Silent),
        }
    }

    async fn greet(door: &SmtpDoor) -> Result<Self, SmtpTrouble> {
        let failed = |cause| door.cannot_connect(cause);
        let socket = TcpStream::connect((door.host.as_str(), door.port)).await.map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        let mut line = if door.is_implicit {
            Self::over(door.encrypt(socket).await?)
        } else {
            let mut clear = Self::over(socket);
            clear.expect("the connection", 220).await?;
            let offers_tls = clear.hello().await?;
            if !offers_tls {
                return Err(SmtpTrouble::NoTls);
            }
            clear.say("STARTTLS", b"STARTTLS\r\n", 220).await?;
            Self::over(door.encrypt(clear.stream).await?)
        };
        if door.is_implicit {
            line.expect("the connection", 220).await?;
        }
        line.hello().await?;
        let credentials = Zeroizing::new(format!("\0{}\0{}", door.user, door.password.as_str()));
        let auth = Zeroizing::new(format!("AUTH PLAIN {}\r\n", BASE64.encode(credentials.as_bytes())));
        line.say("AUTH", auth.as_bytes(), 235).await?;
        Ok(line)
    }

    fn over(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            framer: ReplyFramer::default(),
            inbox: Vec::with_capacity(INBOX_OCTETS),
            read: 0,
            out: Vec::new(),
        }
    }

    /// Whether STARTTLS is offered.
    async fn hello(&mut self) -> Result<bool, SmtpTrouble> {
        self.stream.write_all(b"EHLO load.example\r\n").await.map_err(SmtpTrouble::Lost)?;
        self.stream.flush().await.map_err(SmtpTrouble::Lost)?;
        let octets = self.reply_octets().await?;
        let reply = Reply::parse(&self.inbox[octets.clone()]).map_err(|_| SmtpTrouble::NoReply)?;
        let offers_tls = reply.lines().any(|line| line.eq_ignore_ascii_case(b"STARTTLS"));
        match reply.code.basic {
            250 => Ok(offers_tls),
            code => Err(SmtpTrouble::Refused { at: "EHLO", code }),
        }
    }

    async fn say(&mut self, at: &'static str, command: &[u8], wanted: u16) -> Result<(), SmtpTrouble> {
        self.stream.write_all(command).await.map_err(SmtpTrouble::Lost)?;
        self.stream.flush().await.map_err(SmtpTrouble::Lost)?;
        self.expect(at, wanted).await
    }

    async fn expect(&mut self, at: &'static str, wanted: u16) -> Result<(), SmtpTrouble> {
        match self.reply().await?.code.basic {
            code if code == wanted => Ok(()),
            code => Err(SmtpTrouble::Refused { at, code }),
        }
    }

    /// Sends what was put into `out`.
    pub async fn send(&mut self) -> Result<(), SmtpTrouble> {
        let sent = async {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await
        };
        let sent = sent.await;
        self.out.clear();
        sent.map_err(SmtpTrouble::Lost)
    }

    /// The next reply.
    pub async fn reply(&mut self) -> Result<Answer, SmtpTrouble> {
        let octets = self.reply_octets().await?;
        let reply = Reply::parse(&self.inbox[octets]).map_err(|_| SmtpTrouble::NoReply)?;
        let is_refusal = reply.code.basic >= 400;
        let text = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
        let text = is_refusal.then(|| reply.lines().next().map(text)).flatten().unwrap_or_default();
        Ok(Answer { code: reply.code, text })
    }

    async fn reply_octets(&mut self) -> Result<std::ops::Range<usize>, SmtpTrouble> {
        loop {
            let end = self.framer.find_end(&self.inbox[self.read..]).map_err(|_| SmtpTrouble::NoReply)?;
            if let Some(octets) = end {
                let start = self.read;
                self.read += octets;
                return Ok(start..self.read);
            }
            self.inbox.drain(..self.read);
            self.read = 0;
            let count = self.stream.read_buf(&mut self.inbox).await.map_err(SmtpTrouble::Lost)?;
            if count == 0 {
                return Err(SmtpTrouble::Lost(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Says good-bye. Nobody waits for the answer.
    pub async fn quit(&mut self) -> Result<(), SmtpTrouble> {
        self.out.extend_from_slice(b"QUIT\r\n");
        self.send().await
    }
}

impl SmtpDoor {
    async fn encrypt(&self, stream: impl Stream + 'static) -> Result<impl Stream + 'static, SmtpTrouble> {
        let name = match self.host.parse::<IpAddr>() {
            Ok(address) => ServerName::from(address),
            Err(_) => ServerName::try_from(self.host.clone())
                .map_err(|_| self.cannot_connect(io::ErrorKind::InvalidInput.into()))?,
        };
        let connector = TlsConnector::from(self.tls.config());
        let failed = |cause| SmtpTrouble::Handshake { host: self.host.clone(), port: self.port, cause };
        connector.connect(name, stream).await.map_err(failed)
    }

    fn cannot_connect(&self, cause: io::Error) -> SmtpTrouble {
        SmtpTrouble::Connect { host: self.host.clone(), port: self.port, cause }
    }
}
