//! Compiles and runs templates for tests/parsers/run.py: a JSON object a line of standard input, `{"html", "data"}`, and before
//! them a line with the people. Answers `{"renders": [...]}`, or `{"refused": "..."}`.

use serde_json::{Value as Json, json};
use std::io::{BufRead, Write};
use tokenrelay::job::SendNumber;
use tokenrelay::person::{Person, PersonBuilder};
use tokenrelay::render::{FieldRules, Program, Scope, Sink, Syntax};

struct Text<'p> {
    program: &'p Program,
    text: String,
}

impl Sink for Text<'_> {
    fn fixed(&mut self, index: usize) {
        self.text.push_str(&self.program.fixed()[index]);
    }

    fn value(&mut self, escaped: &str) {
        self.text.push_str(escaped);
    }
}

fn main() {
    let mut lines = std::io::stdin().lock().lines().map(|line| line.expect("a line"));
    let people: Vec<Json> = read(&lines.next().expect("the people"));
    let people: Vec<Person> = people.iter().map(person).collect();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in lines {
        let answer = answer(&read(&line), &people);
        writeln!(out, "{answer}").expect("somebody reads");
    }
}

fn read<T: serde::de::DeserializeOwned>(line: &str) -> T {
    serde_json::from_str(line).expect("JSON")
}

fn person(fields: &Json) -> Person {
    let mut builder = PersonBuilder::default();
    for (name, value) in fields.as_object().into_iter().flatten() {
        builder.field(name, value.as_str().unwrap_or_default());
    }
    builder.build()
}

fn answer(template: &Json, people: &[Person]) -> Json {
    let html = template["html"].as_str().unwrap_or_default();
    let data = template["data"].as_object().cloned().unwrap_or_default();
    let program = match Program::compile(html, Syntax::Html, "t") {
        Ok(program) => program,
        Err(lints) => return json!({"refused": lints.first().map(ToString::to_string)}),
    };
    let (send, fields) = (SendNumber::from_bits([7; 16]), FieldRules::of_message());
    let mut renders = Vec::new();
    for person in people {
        let scope =
            Scope { person, data: &data, send: &send, campaign: None, date: "2026-01-02", fields: &fields };
        let mut text = Text { program: &program, text: String::new() };
        match program.run(&scope, &mut text) {
            Ok(_) => renders.push(text.text),
            Err(fault) => return json!({"refused": fault.detail}),
        }
    }
    json!({"renders": renders})
}
