//! Writes the jobs: each with its own recipient, id and date, all else the same.

use super::pace::Due;
use crate::job::SendNumber;
use bytes::Bytes;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

/// The line of an invented body that fills it up to its size.
const FILLER: &str = "A line of what everybody is told, the same for all of them, to fill the message.\r\n";

/// What is asked for.
#[derive(Debug, Clone)]
pub enum Jobs {
    /// A template of the relay, with data as a JSON object.
    Template { name: String, data: Option<String> },
    /// A message of about this many octets, with a placeholder.
    Invented { octets: usize },
    /// An engine's message; its own To, Date and Message-ID are replaced.
    Message(Vec<u8>),
}

/// A message that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the message has no empty line between header and body")]
pub struct BadMessage;

/// Makes one job after another.
#[derive(Debug)]
pub struct Source {
    /// Token addresses, in turn.
    recipients: Vec<String>,
    /// Tells the jobs of this run from those of others.
    run: String,
    /// Everything in a job behind its own fields.
    json_tail: String,
    /// Everything in a message behind its own fields, dot-stuffed, with the final dot.
    smtp_tail: Vec<u8>,
    /// Date of this run, RFC 5322 §3.3.
    date: String,
}

impl Source {
    /// `purpose` is asked for in every job.
    ///
    /// # Errors
    /// [`BadMessage`] for a message that cannot be split.
    ///
    /// # Panics
    /// Never where there is at least one recipient.
    pub fn new(recipients: Vec<String>, jobs: &Jobs, purpose: Option<&str>) -> Result<Self, BadMessage> {
        let timestamp = jiff::Timestamp::try_from(SystemTime::now()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let date = timestamp.to_zoned(jiff::tz::TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S +0000");
        Ok(Self {
            recipients,
            run: SendNumber::fresh().as_str()[2..10].to_owned(),
            json_tail: json_tail(jobs, purpose),
            smtp_tail: smtp_tail(jobs, purpose)?,
            date: date.to_string(),
        })
    }

    pub fn recipient(&self, number: u64) -> &str {
        let at = number % self.recipients.len().max(1) as u64;
        self.recipients.get(at as usize).map_or("", String::as_str)
    }

    /// The job as JSON. Its id holds when it was due, so that nothing has to be kept until its result comes.
    pub fn json(&self, due: Due) -> Bytes {
        let mut job = String::with_capacity(self.json_tail.len() + 128);
        let (run, at, to) = (&self.run, due.at.as_micros(), self.recipient(due.number));
        write!(job, "{{\"job_id\":\"{run}-{}-{at}\",\"to\":\"{to}\"{}", due.number, self.json_tail)
            .expect("a String takes everything");
        Bytes::from(job)
    }

    /// When the job with this id was due.
    pub fn due_at(&self, job_id: &str) -> Option<Duration> {
        let (_, micros) = job_id.strip_prefix(&self.run)?.rsplit_once('-')?;
        micros.parse().ok().map(Duration::from_micros)
    }

    /// Appends the message's content, from its first field to the final dot.
    pub fn put_message(&self, due: Due, out: &mut Vec<u8>) {
        let mut own = String::with_capacity(256);
        let (run, number, to) = (&self.run, due.number, self.recipient(due.number));
        write!(own, "To: <{to}>\r\nMessage-ID: <{run}.{number}@load.example>\r\nDate: {}\r\n", self.date)
            .expect("a String takes everything");
        out.extend_from_slice(own.as_bytes());
        out.extend_from_slice(&self.smtp_tail);
    }
}

fn invented_text(octets: usize) -> String {
    let mut text =
        String::from("Dear {{#if person.first_name}}{{person.first_name}}{{else}}customer{{/if}},\r\n\r\n");
    while text.len() < octets {
        text.push_str(FILLER);
    }
    text
}

fn json_tail(jobs: &Jobs, purpose: Option<&str>) -> String {
    let mut job = serde_json::Map::new();
    job.insert("campaign".into(), "load".into());
    if let Some(purpose) = purpose {
        job.insert("purpose".into(), purpose.into());
    }
    match jobs {
        Jobs::Template { name, data } => {
            job.insert("template".into(), name.as_str().into());
            if let Some(data) = data.as_deref().and_then(|data| serde_json::from_str(data).ok()) {
                job.insert("data".into(), data);
            }
        }
        Jobs::Invented { octets } => {
            let content = serde_json::json!({"from": "Load <load@load.example>", "subject": "A trial of the relay",
                "text": invented_text(*octets)});
            job.insert("content".into(), content);
        }
        Jobs::Message(_) => {}
    }
    // Behind the job's own fields: `{` becomes a comma.
    serde_json::Value::Object(job).to_string().replacen('{', ",", 1)
}

fn smtp_tail(jobs: &Jobs, purpose: Option<&str>) -> Result<Vec<u8>, BadMessage> {
    let mut header = String::from("X-TokenRelay-Campaign: load\r\n");
    if let Some(purpose) = purpose {
        header.push_str(&format!("X-TokenRelay-Purpose: {purpose}\r\n"));
    }
    let rest = match jobs {
        Jobs::Message(message) => without_own_fields(message)?,
        Jobs::Template { name, data } => {
            header.push_str(&format!("X-TokenRelay-Template: {name}\r\n"));
            if let Some(data) = data {
                let encoded = data_encoding::BASE64.encode(data.as_bytes());
                let lines: Vec<&str> =
                    encoded.as_bytes().chunks(70).filter_map(|line| std::str::from_utf8(line).ok()).collect();
                header.push_str(&format!("X-TokenRelay-Data: base64:{}\r\n", lines.join("\r\n ")));
            }
            b"From: load@load.example\r\n\r\n".to_vec()
        }
        Jobs::Invented { octets } => format!(
            "From: Load <load@load.example>\r\nSubject: A trial of the relay\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\n{}",
            invented_text(*octets)
        )
        .into_bytes(),
    };
    let mut tail = header.into_bytes();
    tail.extend_from_slice(&crate::wire::dot::stuffed(&rest));
    if !tail.ends_with(b"\r\n") {
        tail.extend_from_slice(b"\r\n");
    }
    tail.extend_from_slice(crate::wire::dot::FINAL_DOT);
    Ok(tail)
}

/// Files come with either line end; on the wire there is one (RFC 5321 §2.3.8).
fn with_crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 32);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(line) => {
                out.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
                out.extend_from_slice(b"\r\n");
            }
            None => out.extend_from_slice(line),
        }
    }
    out
}

/// The message without its To, Date and Message-ID, which every job has anew.
fn without_own_fields(message: &[u8]) -> Result<Vec<u8>, BadMessage> {
    let message = with_crlf(message);
    let end = memchr::memmem::find(&message, b"\r\n\r\n").ok_or(BadMessage)? + 2;
    let (header, body) = message.split_at(end);
    let mut kept = Vec::with_capacity(message.len());
    let mut is_kept = true;
    for line in header.split_inclusive(|byte| *byte == b'\n') {
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default().trim_ascii();
            let own: [&[u8]; 3] = [b"to", b"date", b"message-id"];
            is_kept = !own.iter().any(|own| name.eq_ignore_ascii_case(own));
        }
        if is_kept {
            kept.extend_from_slice(line);
        }
    }
    kept.extend_from_slice(body);
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(number: u64) -> Due {
        Due { number, at: Duration::from_micros(number * 500) }
    }

    #[test]
    fn an_id_says_when_its_job_was_due() {
        let jobs = Jobs::Template { name: "welcome".into(), data: Some(r#"{"a":{"b":1}}"#.into()) };
        let people = vec![String::from("e_1111111111@t.example"), String::from("e_2222222222@t.example")];
        let source = Source::new(people, &jobs, Some("service")).unwrap();
        let job: serde_json::Value = serde_json::from_slice(&source.json(due(3))).unwrap();
        assert_eq!(source.due_at(job["job_id"].as_str().unwrap()), Some(Duration::from_micros(1_500)));
        assert_eq!((&job["to"], &job["purpose"]), (&"e_2222222222@t.example".into(), &"service".into()));
        assert_eq!((&job["template"], &job["data"]["a"]["b"]), (&"welcome".into(), &1.into()));
        assert_eq!(source.due_at("other-3-1500"), None);
    }

    #[test]
    fn a_message_keeps_all_but_its_own_recipient_date_and_id() {
        let message = b"To: a@b.example,\r\n c@d.example\r\nFrom: n@shop.example\r\nDATE: x\r\nMessage-Id: <y>\r\nX-To: z\r\n\r\n.dot\r\nend";
        let source =
            Source::new(vec!["e_1111111111@t.example".into()], &Jobs::Message(message.to_vec()), None)
                .unwrap();
        let mut sent = Vec::new();
        source.put_message(due(7), &mut sent);
        let text = String::from_utf8(sent).unwrap();
        assert!(text.starts_with("To: <e_1111111111@t.example>\r\nMessage-ID: <"), "{text}");
        let tail =
            "X-TokenRelay-Campaign: load\r\nFrom: n@shop.example\r\nX-To: z\r\n\r\n..dot\r\nend\r\n.\r\n";
        assert!(text.ends_with(tail), "{text}");
        assert!(Source::new(Vec::new(), &Jobs::Message(b"x".to_vec()), None).is_err());
    }

    #[test]
    fn d_a_message_is_taken_with_either_line_end() {
        let sent = |message: &[u8]| {
            let people = vec!["e_1111111111@t.example".into()];
            let source = Source::new(people, &Jobs::Message(message.to_vec()), None).unwrap();
            let mut sent = Vec::new();
            source.put_message(due(7), &mut sent);
            String::from_utf8(sent).unwrap()
        };
        for message in [
            "To: a@b.example\nFrom: n@shop.example\n\n.dot\n\nend",
            "To: a@b.example\r\nFrom: n@shop.example\n\r\n.dot\r\n\nend\n",
        ] {
            let tail = "X-TokenRelay-Campaign: load\r\nFrom: n@shop.example\r\n\r\n..dot\r\n\r\nend\r\n.\r\n";
            assert!(sent(message.as_bytes()).ends_with(tail), "{}", sent(message.as_bytes()));
        }
    }

    #[test]
    fn an_invented_message_has_the_size_asked_for() {
        let source =
            Source::new(vec!["e_1111111111@t.example".into()], &Jobs::Invented { octets: 10_000 }, None);
        let source = source.unwrap();
        let mut sent = Vec::new();
        source.put_message(due(0), &mut sent);
        assert!((10_000..10_600).contains(&sent.len()), "{}", sent.len());
        assert!((10_000..10_600).contains(&source.json(due(0)).len()));
    }
}
