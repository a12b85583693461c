//! A compiled template (placeholder: paths only).

use super::lint::Lint;
use super::scope::Scope;
use crate::fault::{Fault, Reason};
use std::collections::BTreeSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Syntax {
    Text,
    Html,
    Header,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    pub person: BTreeSet<String>,
    pub person_guarded: BTreeSet<String>,
    pub data: BTreeSet<String>,
}

pub trait Sink {
    fn fixed(&mut self, index: usize);
    fn value(&mut self, escaped: &str);
}

#[derive(Debug)]
enum Step {
    Fixed(usize),
    Value(String),
}

#[derive(Debug)]
pub struct Program {
    fixed: Vec<Box<str>>,
    steps: Vec<Step>,
    uses: Uses,
    html: bool,
}

impl Program {
    pub fn compile(source: &str, syntax: Syntax, place: &str) -> Result<Program, Vec<Lint>> {
        let mut program =
            Self { fixed: vec![], steps: vec![], uses: Uses::default(), html: syntax == Syntax::Html };
        let mut rest = source;
        while let Some((before, after)) = rest.split_once("{{") {
            let (path, after) = after
                .split_once("}}")
                .ok_or_else(|| vec![Lint::new(place, (1, 1), "unclosed", "close it with }}")])?;
            program.add_fixed(before);
            let path = path.trim().to_owned();
            if let Some(field) = path.strip_prefix("person.") {
                program.uses.person.insert(field.to_owned());
            }
            program.steps.push(Step::Value(path));
            rest = after;
        }
        program.add_fixed(rest);
        Ok(program)
    }

    fn add_fixed(&mut self, text: &str) {
        if !text.is_empty() {
            self.steps.push(Step::Fixed(self.fixed.len()));
            self.fixed.push(text.into());
        }
    }

    pub fn fixed(&self) -> &[Box<str>] {
        &self.fixed
    }

    pub fn is_fixed(&self) -> bool {
        self.steps.iter().all(|step| matches!(step, Step::Fixed(_)))
    }

    pub fn uses(&self) -> &Uses {
        &self.uses
    }

    pub fn run(&self, scope: &Scope<'_>, sink: &mut dyn Sink) -> Result<(), Fault> {
        for step in &self.steps {
            match step {
                Step::Fixed(index) => sink.fixed(*index),
                Step::Value(path) => {
                    let value = match path.split_once('.') {
                        Some(("person", name)) => scope.person.field(name),
                        Some(("data", name)) => scope.data.get(name).and_then(|v| v.as_str()),
                        Some(("send", _)) => Some(scope.send.as_str()),
                        _ => None,
                    };
                    let value = value.ok_or_else(|| Fault::new(Reason::MissingField, "missing"))?;
                    if self.html {
                        sink.value(&value.replace('&', "&amp;").replace('<', "&lt;"));
                    } else {
                        sink.value(value);
                    }
                }
            }
        }
        Ok(())
    }
}
