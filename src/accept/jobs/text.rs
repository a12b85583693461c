//! The job as the engine wrote it: every key at most once, of the right type, strings borrowed where they can be.

use crate::accept::data::{DATA_VALUES_MAX, DataFlaw, OptionalData, StrictData, TOO_DEEP, is_too_deep};
use crate::fault::{Fault, Reason};
use crate::job::{Data, InlineContent};
use crate::nearest::nearest;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use std::borrow::Cow;
use std::fmt;

/// What could be read of a job; all of it, when no fault came with it.
#[derive(Debug, Default)]
pub(super) struct JobText<'a> {
    pub job_id: Option<Cow<'a, str>>,
    pub to: Option<Cow<'a, str>>,
    pub template: Option<Cow<'a, str>>,
    pub content: Option<InlineContent>,
    pub locale: Option<Cow<'a, str>>,
    pub data: Option<Data>,
    pub campaign: Option<Cow<'a, str>>,
    pub purpose: Option<Cow<'a, str>>,
    pub expires: Option<Cow<'a, str>>,
    pub target: Option<Cow<'a, str>>,
}

impl<'a> JobText<'a> {
    /// Reads as far as it can; the fault says what stopped it.
    pub fn read(json: &'a [u8]) -> (Self, Option<Fault>) {
        let mut reading = Reading::default();
        let mut source = serde_json::Deserializer::from_slice(json);
        let result = source.deserialize_map(&mut reading).and_then(|()| source.end());
        let fault = result.err().map(|error| reading.fault(&error, json));
        if fault.is_some() && reading.text.job_id.is_none() {
            reading.text.job_id = id_only(json);
        }
        (reading.text, fault)
    }
}

/// The id may stand behind what stopped the reading: a refusal that names it is worth a second look.
fn id_only(json: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(serde::Deserialize)]
    struct IdOnly<'a> {
        #[serde(borrow)]
        job_id: Cow<'a, str>,
    }
    serde_json::from_slice::<IdOnly<'_>>(json).ok().map(|read| read.job_id)
}

pub const KEYS: [&str; 10] =
    ["job_id", "to", "template", "content", "locale", "data", "campaign", "purpose", "expires", "target"];

/// What is wrong, where serde's own words would echo a value or say too little.
#[derive(Debug, Clone, Copy)]
enum Flaw {
    UnknownKey { nearest: Option<&'static str> },
    KeyTwice,
    Data(DataFlaw),
}

#[derive(Debug, Default)]
struct Reading<'a> {
    text: JobText<'a>,
    seen: [bool; KEYS.len()],
    key: Option<&'static str>,
    flaw: Option<Flaw>,
}

impl<'de> Reading<'de> {
    fn value<M: MapAccess<'de>>(&mut self, key: &'static str, map: &mut M) -> Result<(), M::Error> {
        if key == "content" {
            self.text.content = map.next_value()?;
            return Ok(());
        }
        if key == "data" {
            let mut left = DATA_VALUES_MAX;
            let mut flaw = None;
            let strict = StrictData { left: &mut left, flaw: &mut flaw };
            let read = map.next_value_seed(OptionalData(strict));
            self.flaw = flaw.map(Flaw::Data).or(self.flaw);
            self.text.data = read?;
            return Ok(());
        }
        let text = map.next_value_seed(Text)?;
        let place = match key {
            "job_id" => &mut self.text.job_id,
            "to" => &mut self.text.to,
            "template" => &mut self.text.template,
            "locale" => &mut self.text.locale,
            "campaign" => &mut self.text.campaign,
            "purpose" => &mut self.text.purpose,
            "expires" => &mut self.text.expires,
            _ => &mut self.text.target,
        };
        *place = text;
        Ok(())
    }

    fn fault(&self, error: &serde_json::Error, json: &[u8]) -> Fault {
        // Lines of a stream hold one job each, so the column alone says where.
        let column = error.column();
        let detail = match (error.classify(), self.flaw, self.key) {
            (_, Some(flaw), key) => flaw.detail(key.unwrap_or_default(), column),
            (Category::Data, None, Some("content")) => content_detail(&error.to_string(), column),
            (Category::Data, None, Some(key)) => wrong_type(key, column),
            (Category::Data, None, None) => {
                String::from("a job is one JSON object; one per line in a stream")
            }
            _ if is_too_deep(error) => format!("{TOO_DEEP} (column {column})"),
            _ if std::str::from_utf8(json).is_err() => String::from("not valid UTF-8; send JSON in UTF-8"),
            _ => format!("not valid JSON (column {column})"),
        };
        Fault::new(Reason::BadJob, detail)
    }
}

impl<'de> Visitor<'de> for &mut Reading<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a job")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(key) = map.next_key_seed(Text)? {
            let key = key.unwrap_or_default();
            let Some(index) = KEYS.iter().position(|known| *known == key) else {
                self.flaw = Some(Flaw::UnknownKey { nearest: nearest(&key, KEYS) });
                return Err(de::Error::custom("unknown key"));
            };
            self.key = Some(KEYS[index]);
            if std::mem::replace(&mut self.seen[index], true) {
                self.flaw = Some(Flaw::KeyTwice);
                return Err(de::Error::custom("key twice"));
            }
            self.value(KEYS[index], &mut map)?;
            self.key = None;
        }
        Ok(())
    }
}

impl Flaw {
    fn detail(self, key: &str, column: usize) -> String {
        match self {
            Self::UnknownKey { nearest: Some(nearest) } => {
                format!("unknown key (column {column}); did you mean '{nearest}'?")
            }
            Self::UnknownKey { nearest: None } => {
                format!("unknown key (column {column}); known are {}", KEYS.join(", "))
            }
            Self::KeyTwice => format!("'{key}' is there twice (column {column})"),
            Self::Data(DataFlaw::KeyTwice) => format!("'data' holds a key twice (column {column})"),
            Self::Data(DataFlaw::TooMany) => format!("'data' holds more than {DATA_VALUES_MAX} values"),
        }
    }
}

fn wrong_type(key: &str, column: usize) -> String {
    let takes = if matches!(key, "data" | "content") { "an object" } else { "a string" };
    format!("'{key}' is of the wrong type (column {column}): it takes {takes}")
}

/// serde's words for a struct, kept only where they name one of the struct's own keys.
fn content_detail(words: &str, column: usize) -> String {
    let own_key = words.split('`').nth(1).unwrap_or_default();
    if words.starts_with("missing field") {
        format!("'content' lacks '{own_key}'")
    } else if words.starts_with("duplicate field") {
        format!("'content' holds '{own_key}' twice (column {column})")
    } else if words.starts_with("unknown field") {
        format!(
            "'content' holds an unknown key (column {column}); known are from, subject, text, html, reply_to"
        )
    } else {
        wrong_type("content", column)
    }
}

/// A string or null, borrowed from the input unless it holds escapes.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Option<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Self::Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}
