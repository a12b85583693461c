//! Values as they are known before the person is: what every expression may come to, whoever the job is for.

use super::effort::Effort;
use super::expression::{Expr, Helper, Need, Turn, absent_entry, call, data, is_required};
use super::scope::FieldRules;
use super::value::Value;
use crate::fault::Fault;
use crate::job::{Data, SendNumber};
use std::collections::BTreeSet;

/// What a program may read whoever the person is.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) data: &'a Data,
    pub(super) send: &'a SendNumber,
    pub(super) campaign: Option<&'a str>,
    pub(super) date: &'a str,
    pub(super) fields: &'a FieldRules,
}

/// A value before the person is known.
#[derive(Debug, Clone)]
pub(super) enum Seen<'a> {
    /// The same for everybody.
    Known(Value<'a>),
    /// One of these, which the job sent, or none of them.
    Entry(Vec<Value<'a>>),
    /// A text of the person, if there is one.
    Text,
    /// Yes, no or a number.
    Scalar,
}

/// The value of an enclosing block, and where its loop stands.
#[derive(Clone)]
pub(super) struct SeenFrame<'a> {
    pub(super) seen: Seen<'a>,
    pub(super) turn: Option<Turn<'a>>,
}

/// What is read, and where.
pub(super) struct Look<'a> {
    pub(super) facts: Facts<'a>,
    pub(super) frames: Vec<SeenFrame<'a>>,
    /// Fields that have a value where the walk stands.
    pub(super) guarded: Vec<&'a str>,
    /// Fields without which nobody can be mailed.
    pub(super) needs: BTreeSet<&'a str>,
    /// Entries that were taken into account.
    pub(super) entries: usize,
    pub(super) effort: Effort,
}

impl<'a> Look<'a> {
    pub(super) fn new(facts: Facts<'a>) -> Self {
        Self {
            facts,
            frames: Vec::new(),
            guarded: Vec::new(),
            needs: BTreeSet::new(),
            entries: 0,
            effort: Effort::default(),
        }
    }

    /// Computes what can be computed of an expression.
    ///
    /// # Errors
    /// `missing-field`, naming a path of the job's data; those of [`Effort`].
    pub(super) fn see(&mut self, expr: &'a Expr, need: Need) -> Result<Seen<'a>, Fault> {
        Ok(match expr {
            Expr::Literal(json) => Seen::Known(Value::Json(json)),
            Expr::Person(field) => self.person(field, need),
            Expr::SendNumber => Seen::Known(Value::Text(self.facts.send.as_str())),
            Expr::SendCampaign => Seen::Known(self.facts.campaign.map_or(Value::Absent, Value::Text)),
            Expr::SendDate => Seen::Known(Value::Text(self.facts.date)),
            Expr::Data(path) => {
                Seen::Known(data(Value::Object(self.facts.data), path, self.facts.fields, need)?)
            }
            Expr::Frame(level, path) => {
                let from = match self.frames.get(*level).map(|frame| &frame.seen) {
                    Some(seen @ (Seen::Text | Seen::Scalar | Seen::Entry(_))) if path.parts.is_empty() => {
                        return Ok(seen.clone());
                    }
                    Some(Seen::Known(value)) => *value,
                    // A text has no parts.
                    _ => Value::Absent,
                };
                Seen::Known(data(from, path, self.facts.fields, need)?)
            }
            Expr::Local(level, local) => {
                let turn = self.frames.get(*level).and_then(|frame| frame.turn);
                Seen::Known(turn.map_or(Value::Absent, |turn| turn.local(*local)))
            }
            Expr::Call(helper, given) => self.call(*helper, given, need)?,
        })
    }

    fn person(&mut self, field: &'a str, need: Need) -> Seen<'a> {
        let fields = self.facts.fields;
        let is_guarded = self.guarded.contains(&field) && !fields.declares(field);
        if is_required(field, fields, need) && !is_guarded {
            self.needs.insert(field);
        }
        Seen::Text
    }

    fn call(&mut self, helper: Helper, given: &'a [Expr], need: Need) -> Result<Seen<'a>, Fault> {
        let seen = given.iter().map(|one| self.see(one, need)).collect::<Result<Vec<_>, _>>()?;
        let known: Vec<Value<'a>> = seen
            .iter()
            .filter_map(|one| if let Seen::Known(value) = one { Some(*value) } else { None })
            .collect();
        if known.len() == given.len() {
            let mut values = known.into_iter();
            let value = call(helper, given, &self.effort, |_| Ok(values.next().unwrap_or(Value::Absent)))?;
            let is_absent = need == Need::Written && value.is_nothing();
            return if is_absent { Err(absent_entry()) } else { Ok(Seen::Known(value)) };
        }
        self.effort.step()?;
        self.effort.compare_seen(helper, &seen)?;
        Ok(match helper {
            Helper::And if known.iter().any(|value| !value.is_truthy(false)) => {
                Seen::Known(Value::Bool(false))
            }
            Helper::Or if known.iter().any(|value| value.is_truthy(false)) => Seen::Known(Value::Bool(true)),
            Helper::Lookup => self.entries(&seen),
            _ => Seen::Scalar,
        })
    }

    /// What `lookup` may find.
    fn entries(&mut self, given: &[Seen<'a>]) -> Seen<'a> {
        let [container, key] = given else { return Seen::Entry(Vec::new()) };
        let containers = match container {
            Seen::Known(value) => std::slice::from_ref(value),
            Seen::Entry(list) => list,
            Seen::Text | Seen::Scalar => &[],
        };
        let found: Vec<Value<'a>> = match key {
            Seen::Known(key) => containers.iter().map(|value| value.lookup(*key)).collect(),
            Seen::Entry(_) | Seen::Text | Seen::Scalar => {
                containers.iter().flat_map(|value| all_entries(*value)).collect()
            }
        };
        self.entries += containers.len() + found.len();
        Seen::Entry(found.into_iter().filter(|value| !value.is_nothing()).collect())
    }
}

fn all_entries(value: Value<'_>) -> impl Iterator<Item = Value<'_>> {
    let items = value.as_array().unwrap_or_default().iter();
    let entries = value.as_object().into_iter().flat_map(|map| map.values());
    items.chain(entries).map(Value::Json)
}
