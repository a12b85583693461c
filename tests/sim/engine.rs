//! Model campaign engines: they submit job after job, again under the same job id whatever they got no answer for, and
//! remember every answer.

use crate::dice::Dice;
use crate::relay::{ENGINE, Member};
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
const NOBODY: &str = "e_00000000000000000000000000@tokens.example";

/// What an engine was told of a job, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub state: String,
    /// Refusals of an address name none.
    pub send: Option<String>,
}

impl Answer {
    /// The relay has taken the job, and the engine is not to submit it again.
    pub fn is_positive(&self) -> bool {
        ["relayed", "journaled", "unknown"].contains(&self.state.as_str())
    }
}

/// A job, and every answer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub job_id: String,
    /// Whom the message is to reach; nobody, for a token of nobody.
    pub email: Option<String>,
    pub submissions: u32,
    pub answers: Vec<Answer>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Http,
    Smtp,
}

/// One engine on one door.
#[derive(Clone)]
pub struct Engine {
    pub door: Door,
    pub address: SocketAddr,
    pub secret: String,
    pub members: Arc<Vec<Member>>,
    pub number: u64,
    pub seed: u64,
}

/// A job to be submitted.
struct Job {
    id: String,
    to: String,
    order: u64,
}

impl Engine {
    /// Submits until it is over, and then until every job has an answer that settles it for the engine.
    pub async fn run(self, is_over: Arc<AtomicBool>) -> Vec<Told> {
        let mut told = Vec::new();
        while !is_over.load(Relaxed) {
            // Each job has dice of its own: how often it was submitted changes nothing for the next.
            let number = told.len() as u64;
            let mut dice = Dice::stream(self.seed, "job", self.number << 32 | number);
            told.push(self.settle(number, &mut dice).await);
            tokio::time::sleep(dice.pause(0, 40)).await;
        }
        told
    }

    async fn settle(&self, number: u64, dice: &mut Dice) -> Told {
        let member = &self.members[dice.below(self.members.len() as u64) as usize];
        let is_somebody = !dice.percent(5);
        let to = if is_somebody { member.token_address.clone() } else { NOBODY.to_owned() };
        let job = Job { id: format!("j-{}-{number}", self.number), to, order: dice.below(1_000_000) };
        let email = is_somebody.then(|| member.email.clone());
        let mut told = Told { job_id: job.id.clone(), email, submissions: 0, answers: Vec::new() };
        let repeats = dice.percent(12);
        loop {
            // Some engines hang up before the answer.
            let patience = if dice.percent(10) { dice.pause(1, 60) } else { PATIENCE };
            told.submissions += 1;
            let Ok(Ok(answer)) = timeout(patience, self.submit(&job)).await else {
                tokio::time::sleep(dice.pause(10, 60)).await;
                continue;
            };
            let is_deferred = answer.state == "deferred";
            told.answers.push(answer);
            // A deferred job is given up now and then; a settled one is submitted once more.
            let goes_on = if is_deferred { !dice.percent(25) } else { repeats && told.answers.len() < 2 };
            if !goes_on {
                return told;
            }
            tokio::time::sleep(dice.pause(5, 50)).await;
        }
    }

    /// An error is: no answer.
    async fn submit(&self, job: &Job) -> io::Result<Answer> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        match self.door {
            Door::Http => self.over_http(tcp, job).await,
            Door::Smtp => Talk(BufReader::new(tcp)).submit(&self.secret, job).await,
        }
    }

    async fn over_http(&self, mut tcp: TcpStream, job: &Job) -> io::Result<Answer> {
        let body = json!({
            "job_id": job.id, "to": job.to, "purpose": "service", "campaign": "sim",
            "content": {
                "from": "news@brand.example", "subject": "Hello {{person.first_name}}",
                "text": format!("Dear {{{{person.first_name}}}}, order {}\n", job.order),
            },
        })
        .to_string();
        let head = format!(
            "POST /v1/jobs HTTP/1.1\r\nHost: relay\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.secret,
            body.len()
        );
        tcp.write_all((head + &body).as_bytes()).await?;
        let mut octets = Vec::new();
        tcp.read_to_end(&mut octets).await?;
        let text = String::from_utf8_lossy(&octets);
        let (_, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let body: Value = serde_json::from_str(body).map_err(|_| io::ErrorKind::InvalidData)?;
        let word = |key: &str| body[key].as_str().map(str::to_owned);
        // A relay that is stopping takes nothing and says nothing about the job.
        if body["type"] == "urn:tokenrelay:problem:closing" {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let state = word("state").unwrap_or_else(|| panic!("no result: {text}"));
        Ok(Answer { state, send: word("send") })
    }
}

/// An SMTP session, in clear.
struct Talk(BufReader<TcpStream>);

impl Talk {
    async fn submit(mut self, secret: &str, job: &Job) -> io::Result<Answer> {
        let credentials = data_encoding::BASE64.encode(format!("\0{ENGINE}\0{secret}").as_bytes());
        self.hear().await?;
        self.ask("EHLO engine.example\r\n").await?;
        self.ask(&format!("AUTH PLAIN {credentials}\r\n")).await?;
        let rcpt = format!("RCPT TO:<{}>\r\n", job.to);
        for command in ["MAIL FROM:<news@brand.example>\r\n", &rcpt, "DATA\r\n"] {
            let reply = self.ask(command).await?;
            if !reply.starts_with(['2', '3']) {
                return Ok(answer(&reply));
            }
        }
        let message = format!(
            "From: news@brand.example\r\nTo: {}\r\nSubject: Hello {{{{person.first_name}}}}\r\n\
             X-TokenRelay-Job-Id: {}\r\nX-TokenRelay-Campaign: sim\r\nX-TokenRelay-Purpose: service\r\n\r\n\
             Dear {{{{person.first_name}}}}, order {}\r\n.\r\n",
            job.to, job.id, job.order
        );
        self.ask(&message).await.map(|reply| answer(&reply))
    }

    async fn ask(&mut self, octets: &str) -> io::Result<String> {
        self.0.get_mut().write_all(octets.as_bytes()).await?;
        self.hear().await
    }

    /// The last line of a reply.
    async fn hear(&mut self) -> io::Result<String> {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await?;
            if !line.ends_with('\n') {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line);
            }
        }
    }
}

/// What a reply means to an engine.
fn answer(reply: &str) -> Answer {
    let state = match reply.as_bytes().first() {
        Some(b'2') if reply.contains(": relayed as ") => "relayed",
        Some(b'2') if reply.contains(": journaled as ") => "journaled",
        Some(b'2') if reply.contains(": outcome unknown") => "unknown",
        Some(b'4') => "deferred",
        // Told as a refusal, because nobody is to submit it again.
        Some(b'5') if reply.contains("outcome unknown") => "unknown",
        Some(b'5') => "rejected",
        _ => panic!("not a reply an engine understands: {reply}"),
    };
    let is_digit = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let send = reply.rsplit_once(" s_").or_else(|| reply.rsplit_once("(s_"));
    let send = send.map(|(_, rest)| format!("s_{}", rest.split(|l| !is_digit(l)).next().unwrap_or_default()));
    Answer { state: state.to_owned(), send }
}

#[test]
fn replies_are_understood() {
    let told = |reply| {
        let Answer { state, send } = answer(reply);
        (state, send.unwrap_or_default())
    };
    assert_eq!(told("250 2.0.0 Ok: relayed as s_ab2\r\n"), ("relayed".into(), "s_ab2".into()));
    assert_eq!(told("250 2.0.0 Ok: outcome unknown, held as s_ab2\r\n"), ("unknown".into(), "s_ab2".into()));
    assert_eq!(told("550 5.1.1 no such token (s_x)\r\n"), ("rejected".into(), "s_x".into()));
    assert_eq!(told("451 4.3.0 later\r\n"), ("deferred".into(), String::new()));
}
