//! An engine that speaks SMTP, command by command, so that a test can stop anywhere.

use crate::transcript::Transcript;
use rustls_pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A reply: its code and its text, lines joined by a blank.
#[derive(Debug, Clone)]
pub struct Reply {
    pub code: u16,
    pub text: String,
}

impl Reply {
    /// Code and enhanced code, as in `550 5.1.1`.
    pub fn codes(&self) -> String {
        format!("{} {}", self.code, self.text.split(' ').next().unwrap_or_default())
    }
}

/// One connection, encrypted.
pub struct Smtp {
    stream: BufReader<TlsStream<TcpStream>>,
    transcript: Transcript,
}

impl Smtp {
    /// Connects, STARTTLS, EHLO on both sides of it.
    pub async fn connect(
        door: SocketAddr,
        tls: Arc<rustls::ClientConfig>,
        transcript: Transcript,
    ) -> io::Result<Self> {
        let mut clear = BufReader::new(TcpStream::connect(door).await?);
        read(&mut clear, &transcript).await?;
        for command in ["EHLO engine.example\r\n", "STARTTLS\r\n"] {
            clear.get_mut().write_all(command.as_bytes()).await?;
            read(&mut clear, &transcript).await?;
        }
        let name = ServerName::from(door.ip());
        let stream = TlsConnector::from(tls).connect(name, clear.into_inner()).await?;
        let mut smtp = Self { stream: BufReader::new(stream), transcript };
        smtp.say("EHLO engine.example").await?;
        Ok(smtp)
    }

    pub async fn log_in(&mut self, user: &str, password: &str) -> Reply {
        let credentials = data_encoding::BASE64.encode(format!("\0{user}\0{password}").as_bytes());
        self.say(&format!("AUTH PLAIN {credentials}")).await.unwrap()
    }

    /// One command and its reply.
    pub async fn say(&mut self, command: &str) -> io::Result<Reply> {
        self.tell(format!("{command}\r\n").as_bytes()).await?;
        self.hear().await
    }

    /// Octets nobody answers yet.
    pub async fn tell(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(octets).await?;
        self.stream.get_mut().flush().await
    }

    pub async fn hear(&mut self) -> io::Result<Reply> {
        read(&mut self.stream, &self.transcript).await
    }

    /// A whole message up to its final dot, whose answer is not awaited. `Err` is the reply that refused it before.
    pub async fn hand_over(&mut self, to: &str, message: &str) -> Result<(), Reply> {
        for command in ["MAIL FROM:<bounces@shop.example>", &format!("RCPT TO:<{to}>"), "DATA"] {
            let reply = self.say(command).await.unwrap();
            if reply.code >= 400 {
                return Err(reply);
            }
        }
        self.tell(format!("{message}\r\n.\r\n").as_bytes()).await.unwrap();
        Ok(())
    }

    /// A whole message and what became of it.
    pub async fn send(&mut self, to: &str, message: &str) -> Reply {
        match self.hand_over(to, message).await {
            Ok(()) => self.hear().await.unwrap(),
            Err(refused) => {
                self.say("RSET").await.unwrap();
                refused
            }
        }
    }
}

async fn read(stream: &mut BufReader<impl AsyncRead + Unpin>, transcript: &Transcript) -> io::Result<Reply> {
    let mut texts = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        transcript.note(line.as_bytes());
        let line = line.trim_end();
        texts.push(line.get(4..).unwrap_or_default().to_owned());
        if line.as_bytes().get(3) != Some(&b'-') {
            let code = line.get(..3).and_then(|digits| digits.parse().ok()).unwrap_or(0);
            return Ok(Reply { code, text: texts.join(" ") });
        }
    }
}
