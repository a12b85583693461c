//! What stands inside a tag: a path or a helper's call, resolved to where it reads from when it is compiled.

use super::effort::Effort;
use super::escape::printable;
use super::scope::{FieldRules, Rule, Scope};
use super::value::Value;
use crate::fault::{Fault, Reason};
use serde_json::Value as Json;
use std::cmp::Ordering;

#[derive(Debug, Clone)]
pub(super) enum Expr {
    Literal(Json),
    Person(Box<str>),
    /// A path below `data`.
    Data(DataPath),
    SendNumber,
    SendCampaign,
    SendDate,
    /// A path below the value of the nth enclosing `#each` or `#with`, from the outermost.
    Frame(usize, DataPath),
    Local(usize, Local),
    Call(Helper, Box<[Expr]>),
}

/// Where to go from a value, part by part.
#[derive(Debug, Clone)]
pub(super) struct DataPath {
    pub(super) parts: Box<[Box<str>]>,
    /// The same from the root, for rules and faults: `items[].name`.
    pub(super) text: Box<str>,
}

/// `@index` and its like, and the second name of `as |item index|`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Local {
    First,
    Last,
    Index,
    Key,
    /// The key of an object, else the index.
    KeyOrIndex,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Helper {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
    And,
    Or,
    Not,
    Len,
    Lookup,
}

impl Helper {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "eq" => Self::Eq,
            "ne" => Self::Ne,
            "gt" => Self::Gt,
            "gte" => Self::Gte,
            "lt" => Self::Lt,
            "lte" => Self::Lte,
            "and" => Self::And,
            "or" => Self::Or,
            "not" => Self::Not,
            "len" => Self::Len,
            "lookup" => Self::Lookup,
            _ => return None,
        })
    }

    /// How many values it takes.
    pub(super) fn takes(self) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::And | Self::Or => 1..=16,
            Self::Not | Self::Len => 1..=1,
            _ => 2..=2,
        }
    }

    /// Whether it answers yes or no, and so may be a block.
    pub(super) fn is_question(self) -> bool {
        !matches!(self, Self::Len | Self::Lookup)
    }

    /// Whether it holds one value against another.
    pub(super) fn compares(self) -> bool {
        matches!(self, Self::Eq | Self::Ne | Self::Gt | Self::Gte | Self::Lt | Self::Lte)
    }
}

/// The value of an enclosing `#each` or `#with`, and where its loop stands.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) value: Value<'a>,
    pub(super) turn: Option<Turn<'a>>,
}

#[derive(Clone, Copy)]
pub(super) struct Turn<'a> {
    pub(super) index: usize,
    pub(super) count: usize,
    pub(super) key: Option<&'a str>,
}

/// What an absent value means where it is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It is written into the message: nothing may be missing.
    Written,
    /// It is only asked about.
    Asked,
}

/// Computes an expression.
///
/// # Errors
/// `missing-field`, naming the field; those of [`Effort`].
pub(super) fn evaluate<'a>(
    expr: &'a Expr,
    scope: &Scope<'a>,
    frames: &[Frame<'a>],
    need: Need,
    effort: &Effort,
) -> Result<Value<'a>, Fault> {
    match expr {
        Expr::Literal(json) => Ok(Value::Json(json)),
        Expr::Person(field) => person(field, scope, need),
        Expr::SendNumber => Ok(Value::Text(scope.send.as_str())),
        Expr::SendCampaign => Ok(scope.campaign.map_or(Value::Absent, Value::Text)),
        Expr::SendDate => Ok(Value::Text(scope.date)),
        Expr::Data(path) => data(Value::Object(scope.data), path, scope.fields, need),
        Expr::Frame(level, path) => {
            data(frames.get(*level).map_or(Value::Absent, |frame| frame.value), path, scope.fields, need)
        }
        Expr::Local(level, local) => {
            Ok(frames.get(*level).and_then(|f| f.turn).map_or(Value::Absent, |turn| turn.local(*local)))
        }
        Expr::Call(helper, given) => {
            let value = call(*helper, given, effort, |given| evaluate(given, scope, frames, need, effort))?;
            // Whether a look-up by a person's value finds something must not decide whether the message goes out.
            if need == Need::Written && value.is_nothing() && !expr.reads_person() {
                return Err(absent_entry());
            }
            Ok(value)
        }
    }
}

/// What stands at `path` below a value.
///
/// # Errors
/// `missing-field`, naming the path.
pub(super) fn data<'a>(
    from: Value<'a>,
    path: &DataPath,
    fields: &'a FieldRules,
    need: Need,
) -> Result<Value<'a>, Fault> {
    let value = path.parts.iter().fold(from, |value, part| value.part(part));
    if !value.is_nothing() {
        return Ok(value);
    }
    match fields.lookup_data(&path.text) {
        Some(Rule::Default(text)) => Ok(Value::Text(text)),
        Some(Rule::Optional) => Ok(Value::Absent),
        None if need == Need::Asked => Ok(Value::Absent),
        None | Some(Rule::Required) => Err(absent(&format!("data.{}", path.text))),
    }
}

fn person<'a>(field: &str, scope: &Scope<'a>, need: Need) -> Result<Value<'a>, Fault> {
    if let Some(value) = scope.person.field(field) {
        return Ok(Value::Personal(value));
    }
    match scope.fields.lookup(field) {
        Rule::Default(text) => Ok(Value::Personal(text)),
        Rule::Optional => Ok(Value::Absent),
        Rule::Required if is_required(field, scope.fields, need) => Err(no_such_field(field)),
        Rule::Required => Ok(Value::Absent),
    }
}

/// Whether a person without this field cannot be mailed where it is read so.
pub(super) fn is_required(field: &str, fields: &FieldRules, need: Need) -> bool {
    *fields.lookup(field) == Rule::Required && (need == Need::Written || fields.declares(field))
}

pub(super) fn no_such_field(field: &str) -> Fault {
    let detail = format!(
        "the person has no {}; if the name is right, import it, or give the field a default or make it optional",
        printable(field)
    );
    Fault::new(Reason::MissingField, detail)
}

pub(super) fn absent_entry() -> Fault {
    absent("entry looked up in data")
}

/// Names the path, never what stood around it.
fn absent(what: &str) -> Fault {
    let detail = format!(
        "the job has no {}; send it, or put the place into an {{{{#if}}}}, or declare it in [data]",
        printable(what)
    );
    Fault::new(Reason::MissingField, detail)
}

/// Applies a helper; `value` computes what is given to it.
///
/// # Errors
/// Those of `value` and of [`Effort`].
pub(super) fn call<'a>(
    helper: Helper,
    given: &'a [Expr],
    effort: &Effort,
    mut value: impl FnMut(&'a Expr) -> Result<Value<'a>, Fault>,
) -> Result<Value<'a>, Fault> {
    effort.step()?;
    if let Helper::And | Helper::Or = helper {
        // No short cut: a required field that is absent is a fault wherever it stands.
        let (mut all, mut any) = (true, false);
        for one in given {
            let truth = value(one)?.is_truthy(false);
            (all, any) = (all && truth, any || truth);
        }
        return Ok(Value::Bool(if helper == Helper::And { all } else { any }));
    }
    // The compiler has counted them.
    let (first, second) = match given {
        [first, second] => (value(first)?, value(second)?),
        [first] => (value(first)?, Value::Absent),
        _ => (Value::Absent, Value::Absent),
    };
    effort.compare(helper, first, second)?;
    let order = || first.order(second);
    Ok(match helper {
        Helper::Eq => Value::Bool(first.equals(second)),
        Helper::Ne => Value::Bool(!first.equals(second)),
        Helper::Gt => Value::Bool(order() == Some(Ordering::Greater)),
        Helper::Gte => Value::Bool(order().is_some_and(Ordering::is_ge)),
        Helper::Lt => Value::Bool(order() == Some(Ordering::Less)),
        Helper::Lte => Value::Bool(order().is_some_and(Ordering::is_le)),
        Helper::Not => Value::Bool(!first.is_truthy(false)),
        Helper::Len => Value::Count(first.count()),
        Helper::Lookup => first.lookup(second),
        Helper::And | Helper::Or => Value::Absent,
    })
}

impl Expr {
    /// Whether a field of the person stands in it. What comes from an enclosing block is not looked into.
    pub(super) fn reads_person(&self) -> bool {
        match self {
            Self::Person(_) => true,
            Self::Call(_, given) => given.iter().any(Self::reads_person),
            _ => false,
        }
    }

    /// Whether an entry of something is looked up in it.
    pub(super) fn looks_up(&self) -> bool {
        match self {
            Self::Call(helper, given) => *helper == Helper::Lookup || given.iter().any(Self::looks_up),
            _ => false,
        }
    }

    /// The person fields that have a value wherever the expression, asked, answers `truth`.
    pub(super) fn guards(&self, truth: bool) -> Vec<&str> {
        match (self, truth) {
            (Self::Person(field), true) => vec![field],
            (Self::Call(Helper::And, given), true) | (Self::Call(Helper::Or, given), false) => {
                given.iter().flat_map(|one| one.guards(truth)).collect()
            }
            (Self::Call(Helper::Not, given), _) => given.iter().flat_map(|one| one.guards(!truth)).collect(),
            _ => Vec::new(),
        }
    }
}

impl<'a> Turn<'a> {
    pub(super) fn local(self, local: Local) -> Value<'a> {
        match local {
            Local::First => Value::Bool(self.index == 0),
            Local::Last => Value::Bool(self.index + 1 == self.count),
            Local::Index => Value::Count(self.index),
            Local::Key => self.key.map_or(Value::Absent, Value::Text),
            Local::KeyOrIndex => self.key.map_or(Value::Count(self.index), Value::Text),
        }
    }
}
