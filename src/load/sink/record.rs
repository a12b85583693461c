//! A line for each content that arrived, written before its answer leaves: what a test holds against what the relay
//! says, whatever happens to the relay in between.

use super::store::SunkEnvelope;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

/// A file that only grows. Lines are JSON: `at` (Unix time in milliseconds), `id` (Message-ID), `to` (recipients),
/// `code` (what was answered; 0: nothing).
#[derive(Debug)]
pub struct Record(File);

#[derive(serde::Serialize)]
struct Line<'a> {
    at: u64,
    id: &'a str,
    to: &'a [String],
    code: u16,
}

impl Record {
    /// Goes on behind what the file holds already.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        File::options().create(true).append(true).open(path).map(Self)
    }

    /// One write a line, so that lines of several sessions never mix.
    pub(super) fn note(&self, envelope: &SunkEnvelope, message_id: &str, code: u16) -> io::Result<()> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let line = Line { at: since.as_millis() as u64, id: message_id, to: &envelope.recipients, code };
        let mut line = serde_json::to_vec(&line)?;
        line.push(b'\n');
        (&self.0).write_all(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_content_is_a_line_and_an_old_file_is_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        let envelope = SunkEnvelope {
            sender: String::new(),
            parameters: String::new(),
            recipients: vec!["a\"b@x.test".into()],
            tls: false,
            session: 1,
        };
        for code in [250, 0] {
            Record::open(&path).unwrap().note(&envelope, "<1@x>", code).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0]["id"], &lines[0]["to"][0]), (&"<1@x>".into(), &"a\"b@x.test".into()));
        assert_eq!((&lines[0]["code"], &lines[1]["code"]), (&250.into(), &0.into()));
    }
}
