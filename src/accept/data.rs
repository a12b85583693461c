//! The data of a job, whichever door it comes through: a JSON object, no key twice, numbers with their digits as they were
//! sent.

use crate::job::{Data, NUMBER_KEY};
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use std::fmt;

/// Most values in `data`, nested ones included: a value in memory is many times its text.
pub const DATA_VALUES_MAX: usize = 10_000;

/// What is wrong with data that is JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataFlaw {
    KeyTwice,
    TooMany,
}

/// Why a text is no data.
#[derive(Debug, thiserror::Error)]
pub enum BadData {
    #[error("it is not one JSON object (line {}, column {})", .0.line(), .0.column())]
    Json(serde_json::Error),
    #[error("it holds a key twice (line {line}, column {column})")]
    KeyTwice { line: usize, column: usize },
    #[error("it holds more than {DATA_VALUES_MAX} values")]
    TooMany,
    #[error("{TOO_DEEP}")]
    TooDeep,
}

/// So deep the reader goes (128 levels, those of the job included): what nests deeper would take the thread's stack.
pub(super) const TOO_DEEP: &str = "it is nested more than 120 levels deep";

/// serde_json has no kind of error for this.
pub(super) fn is_too_deep(error: &serde_json::Error) -> bool {
    error.to_string().starts_with("recursion limit exceeded")
}

/// Reads data that stands alone.
///
/// # Errors
/// [`BadData`], which holds nothing of it.
pub fn from_json(json: &[u8]) -> Result<Data, BadData> {
    let (mut left, mut flaw) = (DATA_VALUES_MAX, None);
    let mut source = serde_json::Deserializer::from_slice(json);
    let strict = StrictData { left: &mut left, flaw: &mut flaw };
    let read = OptionalData(strict).deserialize(&mut source);
    let read = read.and_then(|data| source.end().map(|()| data));
    match (read, flaw) {
        (Ok(Some(data)), _) => Ok(data),
        (Ok(None), _) => Err(BadData::Json(de::Error::custom("null"))),
        (Err(error), Some(DataFlaw::KeyTwice)) => {
            Err(BadData::KeyTwice { line: error.line(), column: error.column() })
        }
        (Err(_), Some(DataFlaw::TooMany)) => Err(BadData::TooMany),
        (Err(error), None) if is_too_deep(&error) => Err(BadData::TooDeep),
        (Err(error), None) => Err(BadData::Json(error)),
    }
}

/// An object or null.
pub(super) struct OptionalData<'a>(pub StrictData<'a>);

impl<'de> DeserializeSeed<'de> for OptionalData<'_> {
    type Value = Option<Data>;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Self::Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OptionalData<'_> {
    type Value = Option<Data>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<Self::Value, M::Error> {
        let Some(first) = map.next_key::<String>()? else { return Ok(Some(Data::new())) };
        if first == NUMBER_KEY {
            return Err(de::Error::custom("a number"));
        }
        self.0.object(first, map).map(Some)
    }
}

/// Any JSON value, but no key twice in one object, and no more values than `left`.
pub(super) struct StrictData<'a> {
    pub left: &'a mut usize,
    pub flaw: &'a mut Option<DataFlaw>,
}

impl StrictData<'_> {
    fn again(&mut self) -> StrictData<'_> {
        StrictData { left: self.left, flaw: self.flaw }
    }

    fn count<E: de::Error>(&mut self) -> Result<(), E> {
        let Some(left) = self.left.checked_sub(1) else {
            *self.flaw = Some(DataFlaw::TooMany);
            return Err(E::custom("too many values"));
        };
        *self.left = left;
        Ok(())
    }

    /// The object behind its first key.
    fn object<'de, M: MapAccess<'de>>(&mut self, first: String, mut map: M) -> Result<Data, M::Error> {
        let (mut object, mut next) = (Data::new(), Some(first));
        while let Some(key) = next {
            let value = map.next_value_seed(self.again())?;
            if object.insert(key, value).is_some() {
                *self.flaw = Some(DataFlaw::KeyTwice);
                return Err(de::Error::custom("key twice"));
            }
            next = map.next_key()?;
        }
        Ok(object)
    }
}

impl<'de> DeserializeSeed<'de> for StrictData<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(mut self, source: D) -> Result<Value, D::Error> {
        self.count()?;
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictData<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<S: SeqAccess<'de>>(mut self, mut seq: S) -> Result<Value, S::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(self.again())? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    /// A number that is no machine word, with its digits as they were written, or an object.
    fn visit_map<M: MapAccess<'de>>(mut self, mut map: M) -> Result<Value, M::Error> {
        let Some(first) = map.next_key::<String>()? else { return Ok(Value::Object(Data::new())) };
        if first == NUMBER_KEY {
            let number = map.next_value::<String>()?.parse::<Number>();
            return number.map(Value::Number).map_err(de::Error::custom);
        }
        self.object(first, map).map(Value::Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written_again(json: &str) -> String {
        serde_json::to_string(&from_json(json.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn c3_what_nests_without_end_is_refused_in_words_that_say_so() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |levels: usize, middle: &str| {
                format!("{{\"d\":{}{middle}{}}}", open.repeat(levels), close.repeat(levels))
            };
            assert!(from_json(nested(120, "1").as_bytes()).is_ok());
            for text in [nested(130, "1"), nested(100_000, "1"), format!("{{\"d\":{}", open.repeat(100_000))]
            {
                assert!(matches!(from_json(text.as_bytes()), Err(BadData::TooDeep)));
            }
        }
    }

    #[test]
    fn b6_numbers_keep_their_digits() {
        for number in [
            "420941119400111899223197428099",
            "-420941119400111899223197428099",
            "18446744073709551616",
            "9007199254740993.0",
            "10.00",
            "1.10",
            "0.1000000000000000055511151231257827",
            "1e+3",
            "2.50e-400",
            "-0",
            "0",
            "7",
        ] {
            let json = format!("{{\"in\":[{number},{{\"side\":{number}}}],\"order\":{number}}}");
            assert_eq!(written_again(&json), json);
        }
    }

    #[test]
    fn b6_a_key_twice_is_refused_wherever_it_stands() {
        for json in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"x":[{"a":1,"b":2,"a":3}]}"#] {
            assert!(matches!(from_json(json.as_bytes()), Err(BadData::KeyTwice { .. })), "{json}");
        }
    }

    #[test]
    fn what_is_no_object_is_no_data() {
        let many = format!("{{\"a\":[{}0]}}", "0,".repeat(DATA_VALUES_MAX));
        assert!(matches!(from_json(many.as_bytes()), Err(BadData::TooMany)));
        for json in [
            "5",
            "\"a\"",
            "[1]",
            "null",
            "",
            "{",
            "{}{}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":\"\\ud800\"}",
            r#"{"a":{"$serde_json::private::Number":"<b>"}}"#,
            r#"{"a":{"$serde_json::private::Number":5}}"#,
        ] {
            assert!(matches!(from_json(json.as_bytes()), Err(BadData::Json(_))), "{json}");
        }
        assert!(from_json(b" {} ").unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn b6_what_is_taken_is_written_again_as_it_was(
            number in "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?(e[+-][0-9]{1,3})?",
        ) {
            let json = format!("{{\"n\":{number}}}");
            prop_assert_eq!(&written_again(&json), &json);
            // As the journal reads what it has written.
            let again: Data = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(serde_json::to_string(&again).unwrap(), json);
        }
    }
}
