//! Rows of NDJSON: one JSON object a line, its keys named as the columns of a CSV file. A line that cannot be
//! read is refused by its number and the next one is taken.

use super::ndjson_members::{Members, texts};
use super::{ImportError, Options, ROW_BYTES_MAX, Row};
use crate::job::NUMBER_KEY;
use crate::table::Decoded;
use crate::vault::cause::{Cause, Refusal};
use crate::vault::column::Column;
use crate::vault::draft::Draft;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt;
use std::io::{BufRead, Read};
use zeroize::Zeroizing;

pub struct NdjsonRows<'a, R: Read> {
    input: Decoded<R>,
    options: &'a Options,
    /// Has its full capacity from the start, so it never moves and leaves no copy behind.
    line: Zeroizing<Vec<u8>>,
    number: u64,
    /// Of keys.
    names: BTreeSet<Box<str>>,
}

/// Most names of keys that are held.
const NAMES_MAX: usize = 1_000;

/// How a line ended.
enum Line {
    Whole,
    TooLong,
    End,
}

impl<'a, R: Read> NdjsonRows<'a, R> {
    pub fn open(input: R, options: &'a Options) -> Self {
        Self {
            input: Decoded::new(input),
            options,
            line: Zeroizing::new(Vec::with_capacity(ROW_BYTES_MAX)),
            number: 0,
            names: BTreeSet::new(),
        }
    }

    pub fn has_all_names(&self) -> bool {
        self.names.len() < NAMES_MAX
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    pub fn position(&self) -> u64 {
        self.input.position()
    }

    /// The next row that is not blank.
    pub fn next(&mut self) -> Result<Option<Row>, ImportError> {
        loop {
            let ended = self.read_line()?;
            let blank = self.line.iter().all(u8::is_ascii_whitespace);
            match ended {
                Line::End if blank => return Ok(None),
                Line::Whole if blank => {}
                Line::TooLong => return Ok(Some(self.row(Some(Cause::LineLength)))),
                Line::Whole | Line::End => return Ok(Some(self.row(None))),
            }
        }
    }

    /// Fills `line` up to the next line feed or the end of the file; of a line that is too long only the
    /// beginning is held.
    fn read_line(&mut self) -> Result<Line, ImportError> {
        self.line.clear();
        self.number += 1;
        let mut too_long = false;
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) => return Err(ImportError::Read(error)),
            };
            let ended = chunk.is_empty();
            let feed = memchr::memchr(b'\n', chunk);
            let part = &chunk[..feed.unwrap_or(chunk.len())];
            too_long |= self.line.len() + part.len() > ROW_BYTES_MAX;
            if !too_long {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(feed.is_some());
            self.input.consume(used);
            match (ended || feed.is_some(), too_long, ended) {
                (false, ..) => {}
                (true, true, _) => return Ok(Line::TooLong),
                (true, false, true) => return Ok(Line::End),
                (true, false, false) => return Ok(Line::Whole),
            }
        }
    }

    /// What is read up to a mistake counts for what it withdraws.
    fn row(&mut self, flaw: Option<Cause>) -> Row {
        let text = self.line.as_slice();
        let mut reading = Reading::by(self.options);
        let mut json = serde_json::Deserializer::from_slice(text);
        let parsed = DeserializeSeed::deserialize(&mut reading, &mut json).and_then(|()| json.end());
        for name in reading.seen.iter().map(Column::name) {
            if self.names.len() < NAMES_MAX && !self.names.contains(name) {
                self.names.insert(name.into());
            }
        }
        if parsed.is_err() {
            Members::of(text).for_each(|(key, value)| reading.read_behind(key, value));
        }
        let Reading { mut draft, matched, .. } = reading;
        let flaw = flaw.or_else(|| parsed.err().map(|error| json_cause(text, &error)));
        if let Some(flaw) = flaw {
            draft.refuse(flaw.into());
        }
        Row { line: self.number, draft: draft.finished(), matched }
    }
}

/// The parser's own text may quote the value, so only the place is taken from it.
fn json_cause(text: &[u8], error: &serde_json::Error) -> Cause {
    if std::str::from_utf8(text).is_err() {
        Cause::Utf8
    } else if error.is_data() {
        Cause::NotAnObject
    } else {
        Cause::Json(error.column())
    }
}

/// Puts an object's values into a draft as they are parsed, without a tree of unwiped copies between.
struct Reading<'a> {
    draft: Draft,
    options: &'a Options,
    matched: Option<Zeroizing<String>>,
    seen: Vec<Column>,
}

impl<'a> Reading<'a> {
    fn by(options: &'a Options) -> Self {
        Self { draft: Draft::reading(&options.words), options, matched: None, seen: Vec::new() }
    }

    fn set(&mut self, column: &Column, value: &str) {
        self.draft.read(column, value);
        if self.options.match_column.as_deref() == Some(column.name()) {
            self.matched = Some(Zeroizing::new(value.to_owned()));
        }
    }

    fn refuse(&mut self, column: &Column, cause: Cause) {
        self.draft.refuse(Refusal::of(column.name(), cause));
    }

    /// Of an object with a mistake in it: who it is about and what it says of consent, also where that stands behind the mistake.
    fn read_behind(&mut self, key: &[u8], value: &[u8]) {
        let key = texts(key).unwrap_or_default();
        let Some(Ok(column)) = key.first().map(|key| Column::named(key.trim())) else { return };
        let column = self.options.column(column);
        if !column.is_of_consent() && (!column.identifies() || self.seen.contains(&column)) {
            return;
        }
        match texts(value) {
            Some(texts) => texts.iter().for_each(|text| self.draft.read(&column, text)),
            None if std::str::from_utf8(value).is_err() => self.refuse(&column, Cause::Utf8),
            None if column.is_of_consent() => self.refuse(&column, Cause::Purpose),
            None => {}
        }
        self.seen.push(column);
    }

    /// The column of a key. One that was there before refuses the row; what it says of consent is read nevertheless.
    fn column(&mut self, key: &str) -> Option<Column> {
        match Column::named(key.trim()).map(|column| self.options.column(column)) {
            Ok(column) if self.seen.contains(&column) => {
                self.refuse(&column, Cause::Twice);
                Some(column).filter(Column::is_of_consent)
            }
            Ok(column) => {
                self.seen.push(column.clone());
                Some(column)
            }
            Err(cause) => {
                self.draft.refuse(cause.into());
                None
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Reading<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Reading<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match self.column(&key) {
                Some(column) => map.next_value_seed(Value { reading: self, column: &column })?,
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }
}

/// One value on its way into its column.
struct Value<'a, 'b> {
    reading: &'a mut Reading<'b>,
    column: &'a Column,
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain value")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.reading.set(self.column, value);
        Ok(())
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.visit_str(if value { "true" } else { "false" })
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.visit_str(&Zeroizing::new(value.to_string()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.visit_str(&Zeroizing::new(value.to_string()))
    }

    /// Only `consent` may be a list of words.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if !self.column.is_of_consent() {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            self.reading.refuse(self.column, Cause::Nested);
            return Ok(());
        }
        while let Some(word) = list.next_element::<String>()? {
            self.reading.set(self.column, &word);
        }
        Ok(())
    }

    /// A number that is no machine word, with its digits as they were written, or an object.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        match map.next_key::<String>()? {
            Some(key) if key == NUMBER_KEY => {
                let digits = Zeroizing::new(map.next_value::<String>()?);
                return self.visit_str(&digits);
            }
            Some(_) => _ = map.next_value::<IgnoredAny>()?,
            None => {}
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.reading.refuse(self.column, Cause::Nested);
        Ok(())
    }
}
