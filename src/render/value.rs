//! Values while a program runs: what handlebars calls true, equal, greater, and how it writes them. Borrowed
//! from the person, the data or the program; nothing personal is copied here.

use serde_json::{Map, Number, Value as Json};
use std::cmp::Ordering;
use std::fmt::Write;

#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    /// There is no such thing.
    Absent,
    Json(&'a Json),
    Object(&'a Map<String, Json>),
    Text(&'a str),
    /// A text of the person, or what stands in for it.
    Personal(&'a str),
    Bool(bool),
    Count(usize),
}

/// A value taken apart, so that the same things compare equal wherever they come from.
enum Shape<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(&'a str),
    Array(&'a [Json]),
    Object(&'a Map<String, Json>),
}

impl<'a> Value<'a> {
    /// Absent or JSON null.
    pub(super) fn is_nothing(self) -> bool {
        matches!(self, Self::Absent | Self::Json(Json::Null))
    }

    pub(super) fn is_truthy(self, include_zero: bool) -> bool {
        match self.shape() {
            Shape::Null => false,
            Shape::Bool(truth) => truth,
            Shape::Number(_) if include_zero => true,
            // Beyond what a float holds is surely not zero.
            Shape::Number(number) => number.as_f64().is_none_or(f64::is_normal),
            Shape::Text(text) => !text.is_empty(),
            Shape::Array(items) => !items.is_empty(),
            Shape::Object(map) => !map.is_empty(),
        }
    }

    pub(super) fn equals(self, other: Value<'_>) -> bool {
        match (self.shape(), other.shape()) {
            (Shape::Null, Shape::Null) => true,
            (Shape::Bool(a), Shape::Bool(b)) => a == b,
            (Shape::Number(a), Shape::Number(b)) => a == b || order_numbers(&a, &b) == Some(Ordering::Equal),
            (Shape::Text(a), Shape::Text(b)) => a == b,
            (Shape::Array(a), Shape::Array(b)) => a == b,
            (Shape::Object(a), Shape::Object(b)) => a == b,
            _ => false,
        }
    }

    /// The order of two values; `None` when they have none.
    pub(super) fn order(self, other: Value<'_>) -> Option<Ordering> {
        match (self.shape(), other.shape()) {
            (Shape::Number(a), Shape::Number(b)) => order_numbers(&a, &b),
            (Shape::Text(a), Shape::Text(b)) => Some(a.cmp(b)),
            (Shape::Bool(a), Shape::Bool(b)) => Some(a.cmp(&b)),
            (Shape::Number(a), Shape::Text(b)) => order_numbers(&a, &b.parse().ok()?),
            (Shape::Text(a), Shape::Number(b)) => order_numbers(&b, &a.parse().ok()?).map(Ordering::reverse),
            _ => None,
        }
    }

    /// Entries of an array or object, bytes of a text.
    pub(super) fn count(self) -> usize {
        match self.shape() {
            Shape::Text(text) => text.len(),
            Shape::Array(items) => items.len(),
            Shape::Object(map) => map.len(),
            _ => 0,
        }
    }

    /// The part with this name or, of an array, this index.
    pub(super) fn part(self, name: &str) -> Value<'a> {
        let found = match self {
            Self::Object(map) | Self::Json(Json::Object(map)) => map.get(name),
            Self::Json(Json::Array(items)) => name.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        found.map_or(Self::Absent, Self::Json)
    }

    /// The helper `lookup`: an array by number, an object by text.
    pub(super) fn lookup(self, key: Value<'_>) -> Value<'a> {
        let found = match (self.shape(), key.shape()) {
            (Shape::Array(items), Shape::Number(index)) => {
                index.as_u64().and_then(|index| items.get(usize::try_from(index).ok()?))
            }
            (Shape::Object(map), Shape::Text(name)) => map.get(name),
            _ => None,
        };
        found.map_or(Self::Absent, Self::Json)
    }

    /// The text itself, where the value is one.
    pub(super) fn as_text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) | Self::Personal(text) => Some(text),
            Self::Json(Json::String(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_array(self) -> Option<&'a [Json]> {
        match self {
            Self::Json(Json::Array(items)) => Some(items),
            _ => None,
        }
    }

    pub(super) fn as_object(self) -> Option<&'a Map<String, Json>> {
        match self {
            Self::Json(Json::Object(map)) | Self::Object(map) => Some(map),
            _ => None,
        }
    }

    /// Writes the value as handlebars does: arrays as `[a, b]`, objects as `[object]`, null as nothing.
    /// Stops with an error when `out` is full.
    pub(super) fn write(self, out: &mut dyn Write) -> std::fmt::Result {
        match self.shape() {
            Shape::Null => Ok(()),
            Shape::Bool(truth) => write!(out, "{truth}"),
            Shape::Number(number) => write!(out, "{number}"),
            Shape::Text(text) => out.write_str(text),
            Shape::Array(items) => {
                out.write_char('[')?;
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.write_str(", ")?;
                    }
                    Value::Json(item).write(out)?;
                }
                out.write_char(']')
            }
            Shape::Object(_) => out.write_str("[object]"),
        }
    }

    fn shape(self) -> Shape<'a> {
        match self {
            Self::Absent | Self::Json(Json::Null) => Shape::Null,
            Self::Bool(truth) => Shape::Bool(truth),
            Self::Json(Json::Bool(truth)) => Shape::Bool(*truth),
            Self::Count(count) => Shape::Number(Number::from(count)),
            Self::Json(Json::Number(number)) => Shape::Number(number.clone()),
            Self::Text(text) | Self::Personal(text) => Shape::Text(text),
            Self::Json(Json::String(text)) => Shape::Text(text),
            Self::Json(Json::Array(items)) => Shape::Array(items),
            Self::Object(map) | Self::Json(Json::Object(map)) => Shape::Object(map),
        }
    }
}

/// Compares by exact numeric value, as whole numbers beyond 2^53 have no exact float.
fn order_numbers(a: &Number, b: &Number) -> Option<Ordering> {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        (Some(a), None) => order_whole_and_float(a, b.as_f64()?),
        (None, Some(b)) => order_whole_and_float(b, a.as_f64()?).map(Ordering::reverse),
        (None, None) => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

fn whole(number: &Number) -> Option<i128> {
    number.as_str().parse().ok()
}

fn order_whole_and_float(whole: i128, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // Saturates beyond i128, where the order is the same.
    let cut = float.trunc();
    Some(whole.cmp(&(cut as i128)).then_with(|| cut.partial_cmp(&float).unwrap_or(Ordering::Equal)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_ordered_by_their_exact_value() {
        let order = |a: Json, b: Json| Value::Json(&a).order(Value::Json(&b));
        assert_eq!(
            order(json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992.0)),
            Some(Ordering::Greater)
        );
        assert_eq!(order(json!(1), json!(1.5)), Some(Ordering::Less));
        assert_eq!(order(json!(-1), json!(-1.5)), Some(Ordering::Greater));
        assert_eq!(order(json!(3), json!("2.5")), Some(Ordering::Greater));
        assert_eq!(order(json!("x"), json!(1)), None);
    }
}
