//! Rows of the input file as jobs: NDJSON passed on as it is, CSV turned into job JSON.

use crate::job::is_job_id;
use crate::table::{self, Decoded, Key, Table, TableFault};
use crate::wire::ndjson::{Frame, Framer};
use bytes::{Bytes, BytesMut};
use serde::de::{Deserializer, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::io::{self, Read};

const CHUNK_BYTES: usize = 64 * 1024;

/// How rows become jobs.
#[derive(Debug, Clone, Default)]
pub(super) struct Filling {
    /// In front of the line number where a row has no `job_id`.
    pub id_prefix: String,
    /// Behind a token that comes without its domain.
    pub token_domain: Option<String>,
    pub line_bytes_max: usize,
    /// Used by rows that say nothing of their own.
    pub template: Option<String>,
    pub campaign: Option<String>,
    pub purpose: Option<String>,
}

/// One row: a job as a line of JSON, or why it is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Row {
    Job { job_id: String, json: Bytes },
    Bad { job_id: String, line: u64, detail: String },
}

/// Rows until the end of the input, or one error of reading it.
pub(super) type Rows = Box<dyn Iterator<Item = io::Result<Row>> + Send>;

/// Rows of newline-delimited JSON.
pub(super) fn ndjson(source: Box<dyn Read + Send>, filling: Filling) -> Rows {
    let framer = Framer::new(filling.line_bytes_max);
    Box::new(Ndjson { source: Decoded::new(source), framer, ended: false, filling })
}

/// Rows of a table (CSV) with a header line.
///
/// # Errors
/// When the header cannot be read, or names neither `to` nor `token`.
pub(super) fn table(source: Box<dyn Read + Send>, filling: Filling) -> io::Result<Rows> {
    let mut table = Table::open(source, filling.line_bytes_max).map_err(unreadable)?;
    let columns: Vec<Column> = table.header().iter().map(|name| Column::named(name)).collect();
    let twice = |at: &usize| columns[..*at].contains(&columns[*at]);
    if let Some(at) = (0..columns.len()).find(twice) {
        return Err(invalid(format!("column {} of the CSV header has the name of an earlier one", at + 1)));
    }
    let Some(column) = columns.iter().position(|column| *column == Column::Recipient) else {
        return Err(invalid("the CSV header has no column 'to' or 'token'"));
    };
    table.known_by(Key { column, is_one: is_like_recipient });
    Ok(Box::new(TableRows { table, columns, filling, has_ended: false }))
}

fn is_like_recipient(cell: &[u8]) -> bool {
    cell.starts_with(b"e_") || cell.starts_with(b"m_") || cell.contains(&b'@') && !cell.contains(&b' ')
}

fn unreadable(fault: TableFault) -> io::Error {
    match fault {
        TableFault::Read(error) => error,
        fault => invalid(fault.to_string()),
    }
}

fn invalid(cause: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, cause.into())
}

struct TableRows {
    table: Table<Box<dyn Read + Send>>,
    columns: Vec<Column>,
    filling: Filling,
    has_ended: bool,
}

impl Iterator for TableRows {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        match self.table.next_row() {
            Ok(Some(row)) => Some(Ok(table_row(row, &self.columns, &self.filling))),
            Ok(None) => None,
            Err(fault) => {
                self.has_ended = true;
                Some(Err(unreadable(fault)))
            }
        }
    }
}

struct Ndjson {
    source: Decoded<Box<dyn Read + Send>>,
    framer: Framer,
    ended: bool,
    filling: Filling,
}

impl Iterator for Ndjson {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let frame = match self.framer.next_frame() {
                None if self.ended => self.framer.finish()?,
                None => {
                    if let Err(error) = self.fill() {
                        self.ended = true;
                        return Some(Err(error));
                    }
                    continue;
                }
                Some(frame) => frame,
            };
            return Some(Ok(self.row(frame)));
        }
    }
}

impl Ndjson {
    fn fill(&mut self) -> io::Result<()> {
        let mut chunk = BytesMut::zeroed(CHUNK_BYTES);
        let count = loop {
            match self.source.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        chunk.truncate(count);
        self.ended = count == 0;
        self.framer.push(chunk.freeze());
        Ok(())
    }

    fn row(&self, frame: Frame) -> Row {
        let (line, read) = match frame {
            Frame::Line { number, bytes } => (number, json_row(&bytes, number, &self.filling)),
            Frame::TooLong { number } => {
                (number, Err(format!("the line is over {} bytes", self.filling.line_bytes_max)))
            }
        };
        read.unwrap_or_else(|detail| Row::Bad { job_id: id_of_line(&self.filling, line), line, detail })
    }
}

/// The keys that decide what is filled in. Everything else is the door's to judge.
#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(borrow, default, deserialize_with = "given")]
    job_id: Option<Option<Cow<'a, str>>>,
    #[serde(default, deserialize_with = "present")]
    template: bool,
    #[serde(default, deserialize_with = "present")]
    content: bool,
    #[serde(default, deserialize_with = "present")]
    campaign: bool,
    #[serde(default, deserialize_with = "present")]
    purpose: bool,
}

fn present<'de, D: Deserializer<'de>>(source: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(source).map(|_| true)
}

fn given<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Option<Cow<'de, str>>>, D::Error> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    Ok(Some(Option::<Text<'de>>::deserialize(source)?.map(|text| text.0)))
}

/// The line as it is, with what it lacks written in front: nothing the engine wrote is rewritten.
fn json_row(bytes: &Bytes, line: u64, filling: &Filling) -> Result<Row, String> {
    let unread =
        |column| format!("not one JSON object with a string 'job_id' and each key once (column {column})");
    let inside = bytes.trim_ascii().strip_prefix(b"{").ok_or_else(|| unread(1))?.trim_ascii_start();
    let peek: Peek<'_> = serde_json::from_slice(bytes).map_err(|error| unread(error.column()))?;
    let job_id = match peek.job_id {
        Some(Some(id)) if is_job_id(&id) => Some(id.into_owned()),
        Some(_) => {
            return Err(
                "'job_id' is not 1 to 255 bytes without control characters; correct it or leave it out"
                    .into(),
            );
        }
        None => None,
    };
    let own_id = job_id.is_some();
    let job_id = job_id.unwrap_or_else(|| id_of_line(filling, line));
    let template = filling.template.as_deref().filter(|_| !peek.template && !peek.content);
    let added = [
        ("job_id", (!own_id).then_some(job_id.as_str())),
        ("template", template),
        ("campaign", filling.campaign.as_deref().filter(|_| !peek.campaign)),
        ("purpose", filling.purpose.as_deref().filter(|_| !peek.purpose)),
    ];
    if added.iter().all(|(_, value)| value.is_none()) {
        return Ok(Row::Job { job_id, json: bytes.clone() });
    }
    let mut json = Vec::with_capacity(bytes.len() + 128);
    json.push(b'{');
    for (key, value) in added {
        let Some(value) = value else { continue };
        if json.len() > 1 {
            json.push(b',');
        }
        json.extend_from_slice(Value::from(key).to_string().as_bytes());
        json.push(b':');
        json.extend_from_slice(Value::from(value).to_string().as_bytes());
    }
    if inside != b"}" {
        json.push(b',');
    }
    json.extend_from_slice(inside);
    Ok(Row::Job { job_id, json: json.into() })
}

#[derive(Debug, PartialEq, Eq)]
enum Column {
    Recipient,
    JobId,
    /// A key of the job.
    Key(&'static str),
    Data(String),
}

impl Column {
    fn named(name: &str) -> Self {
        match name {
            "to" | "token" => Self::Recipient,
            "job_id" => Self::JobId,
            "template" => Self::Key("template"),
            "locale" => Self::Key("locale"),
            "campaign" => Self::Key("campaign"),
            "purpose" => Self::Key("purpose"),
            other => Self::Data(other.to_owned()),
        }
    }
}

#[derive(Serialize, Default)]
struct CsvJob<'a> {
    job_id: &'a str,
    to: String,
    #[serde(flatten)]
    keys: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    data: Map<String, Value>,
}

fn table_row(row: table::Row<'_>, columns: &[Column], filling: &Filling) -> Row {
    let line = row.line;
    let bad = |detail: String| Row::Bad { job_id: id_of_line(filling, line), line, detail };
    let cells = match row.cells {
        Ok(cells) => cells,
        Err(flaw) => return bad(flaw.to_string()),
    };
    let mut own_id = None;
    let mut job = CsvJob::default();
    for (cell, column) in cells.iter().zip(columns).filter(|(cell, _)| !cell.is_empty()) {
        let Ok(cell) = std::str::from_utf8(cell) else { return bad("the row is not UTF-8 text".to_owned()) };
        match column {
            Column::Recipient => job.to = with_domain(cell.trim(), filling.token_domain.as_deref()),
            Column::JobId => own_id = Some(cell.to_owned()),
            Column::Key(key) => {
                job.keys.insert((*key).to_owned(), cell.into());
            }
            Column::Data(name) => {
                job.data.insert(name.clone(), cell.into());
            }
        }
    }
    if own_id.as_deref().is_some_and(|id| !is_job_id(id)) {
        return bad("'job_id' is not 1 to 255 bytes without control characters".to_owned());
    }
    for (key, value) in
        [("template", &filling.template), ("campaign", &filling.campaign), ("purpose", &filling.purpose)]
    {
        if let Some(value) = value {
            job.keys.entry(key).or_insert_with(|| value.as_str().into());
        }
    }
    let job_id = own_id.unwrap_or_else(|| id_of_line(filling, line));
    job.job_id = &job_id;
    let json = serde_json::to_vec(&job).expect("strings always serialise");
    Row::Job { json: json.into(), job_id }
}

fn with_domain(token: &str, domain: Option<&str>) -> String {
    match domain {
        Some(domain) if !token.contains('@') => format!("{token}@{domain}"),
        _ => token.to_owned(),
    }
}

/// The same for the same file name and line, so a row sent again is the same job.
fn id_of_line(filling: &Filling, line: u64) -> String {
    format!("{}-{line}", filling.id_prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filling() -> Filling {
        Filling {
            id_prefix: "may".into(),
            token_domain: Some("tokens.example".into()),
            line_bytes_max: 200,
            template: Some("welcome".into()),
            campaign: Some("c42".into()),
            purpose: None,
        }
    }

    fn text(rows: Rows) -> Vec<String> {
        rows.map(|row| match row.unwrap() {
            Row::Job { job_id, json } => format!("{job_id} {}", std::str::from_utf8(&json).unwrap()),
            Row::Bad { job_id, line, detail } => format!("{job_id} {line} {detail}"),
        })
        .collect()
    }

    #[test]
    fn ndjson_is_passed_on_and_only_filled_in() {
        let long = "x".repeat(300);
        let input = format!(
            "{{ \"job_id\":\"a\", \"to\":\"t\",\"template\":\"x\",\"campaign\":null}}\n\
             {{\"to\":\"t\"}}\n\n{{}}\n{long}\n{{\"content\":{{}},\"job_id\":5}}\n[1]\n{{\"job_id\":\"b\",\"content\":{{}}}}"
        );
        let rows = text(ndjson(Box::new(io::Cursor::new(input)), filling()));
        assert_eq!(rows[0], "a { \"job_id\":\"a\", \"to\":\"t\",\"template\":\"x\",\"campaign\":null}");
        assert_eq!(rows[1], r#"may-2 {"job_id":"may-2","template":"welcome","campaign":"c42","to":"t"}"#);
        assert_eq!(rows[2], r#"may-4 {"job_id":"may-4","template":"welcome","campaign":"c42"}"#);
        assert_eq!(rows[3], "may-5 5 the line is over 200 bytes");
        assert!(rows[4].starts_with("may-6 6 not one JSON object"), "{}", rows[4]);
        assert!(rows[5].starts_with("may-7 7 not one JSON object"), "{}", rows[5]);
        assert_eq!(rows[6], r#"b {"campaign":"c42","job_id":"b","content":{}}"#);
        assert_eq!(rows.len(), 7);
    }

    #[test]
    fn csv_columns_become_keys_and_data() {
        let input = "\u{feff}token,job_id,locale,order,first\n\
                     e_684384628,j1,he,A-17,\n\
                     e_684384629@other.example,,,\"B,\n18\",x\n\
                     e_684384630,j\u{7}3,,,\n\
                     e_684384631,j4,,,,one too many\n";
        let rows = text(table(Box::new(io::Cursor::new(input)), filling()).unwrap());
        let json = |row: &str| serde_json::from_str::<Value>(row.split_once(' ').unwrap().1).unwrap();
        assert_eq!(
            json(&rows[0]),
            serde_json::json!({"job_id":"j1","to":"e_684384628@tokens.example","template":"welcome","locale":"he",
                "campaign":"c42","data":{"order":"A-17"}})
        );
        let second = json(&rows[1]);
        assert_eq!(
            (&second["job_id"], &second["to"]),
            (&"may-3".into(), &"e_684384629@other.example".into())
        );
        assert_eq!(second["data"]["order"], "B,\n18");
        assert!(
            rows[2].contains("'job_id' is not") && rows[3].contains("6 columns where the header has 5"),
            "{rows:?}"
        );
    }

    #[test]
    fn b6_a_table_of_jobs_is_read_as_a_table_of_people_is() {
        let utf_16: Vec<u8> = "\u{feff}token\torder\r\ne_684384628\tA-17\r\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        for file in [
            &b"token;order\r\ne_684384628;A-17\r\n"[..],
            b"sep=;\r\ntoken;order;;\r\ne_684384628;A-17;;\r\n",
            b"token,order\re_684384628,A-17\r",
            &utf_16,
        ] {
            let rows = text(table(Box::new(io::Cursor::new(file.to_vec())), filling()).unwrap());
            let job: Value = serde_json::from_str(rows[0].split_once(' ').unwrap().1).unwrap();
            assert_eq!(
                (rows.len(), &job["to"], &job["data"]["order"]),
                (1, &"e_684384628@tokens.example".into(), &"A-17".into())
            );
        }
        let open = "token,order\ne_684384628,A-17\ne_684384629,\"A-18\ne_684384630,A-19\n";
        let mut rows = table(Box::new(io::Cursor::new(open)), filling()).unwrap();
        assert!(matches!(rows.next(), Some(Ok(Row::Job { .. }))));
        assert!(rows.next().unwrap().unwrap_err().to_string().contains("opened in line 3"));
        assert!(rows.next().is_none());
        let swallowed = "token,order\ne_684384628,\"A-17\ne_684384629,A-18\"\ne_684384630,A-19\n";
        let rows = text(table(Box::new(io::Cursor::new(swallowed)), filling()).unwrap());
        assert!(rows[0].contains("holds what looks like further rows") && rows.len() == 2, "{rows:?}");
    }

    #[test]
    fn a_csv_without_recipients_is_refused() {
        assert!(table(Box::new(io::Cursor::new("to,order,order\n")), filling()).is_err());
        assert!(table(Box::new(io::Cursor::new("to,token\n")), filling()).is_err());
        assert!(table(Box::new(io::Cursor::new("email,name\n")), filling()).is_err());
    }
}
