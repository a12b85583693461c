//! Compiles the parsed handlebars tree into a program, and reports everything in it that is not part of the
//! language here.

use super::contained::contained;
use super::content_lines;
use super::expression::{Expr, Helper};
use super::lines::At;
use super::lint::Lint;
use super::markup;
use super::outline::{Outline, Places};
use super::outlook;
use super::outlook_words;
use super::place::{Text, place_values};
use super::program::{Block, IfOp, LoopOp, Op, Origin, Program, Syntax, ValueOp};
use super::resolve::{Level, Names, Read};
use super::shown;
use super::survey::survey;
use super::tree::Tree;
use super::{alarm, branch, formula};
use handlebars::template::{BlockParam, HelperTemplate, Parameter, Template, TemplateElement};
use serde_json::Value as Json;
use std::borrow::Cow;

pub(super) fn compile(
    source: &str,
    syntax: Syntax,
    place: &str,
    branch_urls: branch::Allowed<'_>,
) -> Result<Program, Vec<Lint>> {
    contained(place, || compile_source(source, syntax, place, branch_urls))
}

fn compile_source(
    source: &str,
    syntax: Syntax,
    place: &str,
    branch_urls: branch::Allowed<'_>,
) -> Result<Program, Vec<Lint>> {
    let source = &*prepared(source, syntax, place).map_err(|lint| vec![lint])?;
    let found = survey(source, place).map_err(|lint| vec![lint])?;
    let mut program = Program::default();
    if found.tags.is_empty() && !source.contains("{{") {
        if !source.is_empty() {
            program.fixed.push(source.into());
            program.ops.push(Op::Fixed(0));
        }
    } else {
        let outline = Outline::of(source, &found.tags);
        let places = outline.places();
        let tree = outline.parsed(place).map_err(|lint| vec![lint])?;
        let mut compiler = Compiler {
            place,
            outline: &outline,
            places,
            fixed: Vec::new(),
            lints: Vec::new(),
            names: Names::default(),
            chained: found.chained.into_iter(),
        };
        program.ops = compiler.template(&tree, (1, 1));
        program.fixed = compiler.fixed.into_iter().map(String::into_boxed_str).collect();
        if !compiler.lints.is_empty() {
            compiler.lints.sort();
            return Err(compiler.lints);
        }
        (program.uses, program.first_uses) = compiler.names.into_uses();
    }
    let text = Text { fixed: &program.fixed, syntax, place };
    let (unfit, tree) = match syntax {
        Syntax::Html => markup::judge(&program.ops, &program.fixed, place),
        _ => (Vec::new(), Tree::default()),
    };
    let mut lints = place_values(&mut program.ops, &text, &tree);
    formula::find_fields(&mut program.ops, &text);
    let of_kinds = alarm::judge(&program.ops, &text).or_else(|| formula::judge(&program.ops, &text));
    lints.extend(joined_braces(&program.fixed, place).into_iter().chain(of_kinds));
    if syntax == Syntax::Html {
        lints.extend(outlook_words::joined(&program.ops, &program.fixed, place));
        lints.extend(outlook::fields(&program.ops, &program.fixed, place));
    }
    if lints.is_empty() {
        lints = unfit;
    }
    if lints.is_empty() {
        let verdict =
            branch::judge(&branch::Source { ops: &program.ops, text: &text, tree: &tree }, branch_urls);
        lints = verdict.lints;
        program.watched = verdict.watched;
        (program.branch_urls, program.own_fonts) = (branch_urls.unwrap_or_default().into(), tree.own_fonts);
    }
    if lints.is_empty() { Ok(program) } else { Err(lints) }
}

/// The source as it is parsed.
fn prepared<'s>(source: &'s str, syntax: Syntax, place: &str) -> Result<Cow<'s, str>, Lint> {
    if syntax == Syntax::ContentLines {
        if let Some(line) = content_lines::encoded(source) {
            let cause = "the value of this line is encoded in itself (ENCODING=...), where no placeholder is filled in";
            let fix = "leave ENCODING out and write the text as it is; the relay encodes the part where that is needed";
            return Err(Lint::new(place, (line, 1), cause, fix));
        }
        let lines = content_lines::prepared(source);
        return shown::prepared(&lines, syntax, place).map(|shown| Cow::Owned(shown.into_owned()));
    }
    shown::prepared(source, syntax, place)
}

/// Where the value between them is empty, or the block left out, two braces would stand together.
fn joined_braces(fixed: &[Box<str>], place: &str) -> Option<Lint> {
    let joins = |pair: &[Box<str>]| {
        let [before, behind] = pair else { return false };
        let begins = behind.strip_prefix('{').is_some_and(|inner| inner.contains("}}"));
        before.ends_with('{') && !before.ends_with("{{") && begins
    };
    let cause = "a brace before a value or block and one behind it would be shown as a placeholder";
    fixed
        .windows(2)
        .any(joins)
        .then(|| Lint::new(place, (0, 0), cause, "write {{ in one piece, or \\{{ for braces that are meant"))
}

struct Compiler<'a> {
    place: &'a str,
    outline: &'a Outline<'a>,
    places: Places<'a>,
    fixed: Vec<String>,
    lints: Vec<Lint>,
    names: Names,
    /// Positions of chained else branches, which the tree does not have.
    chained: std::vec::IntoIter<At>,
}

impl<'a> Compiler<'a> {
    fn template(&mut self, template: &Template, outer: At) -> Vec<Op> {
        let mut ops = Vec::with_capacity(template.elements.len());
        for (index, element) in template.elements.iter().enumerate() {
            let at = template
                .mapping
                .get(index)
                .map_or(outer, |mapping| self.places.in_source((mapping.0, mapping.1)));
            match element {
                TemplateElement::RawString(text) => self.text(&self.outline.whole(text), &mut ops),
                TemplateElement::Comment(_) => {}
                TemplateElement::Expression(tag) => ops.extend(self.value(tag, false, at)),
                TemplateElement::HtmlExpression(tag) => ops.extend(self.value(tag, true, at)),
                TemplateElement::HelperBlock(tag) => self.block(tag, at, &mut ops),
                TemplateElement::PartialExpression(_) | TemplateElement::PartialBlock(_) => {
                    self.lint(at, "partials ({{> …}}) are not available", "write the text here");
                }
                TemplateElement::DecoratorExpression(_) | TemplateElement::DecoratorBlock(_) => {
                    self.lint(at, "decorators ({{* …}}) are not available", "write the text here");
                }
                _ => self.lint(at, "this tag is not available", "write the text here"),
            }
        }
        ops
    }

    fn text(&mut self, text: &str, ops: &mut Vec<Op>) {
        if text.is_empty() {
            return;
        }
        let goes_on = matches!(ops.last(), Some(Op::Fixed(last)) if *last + 1 == self.fixed.len());
        match self.fixed.last_mut() {
            Some(piece) if goes_on => piece.push_str(text),
            _ => {
                self.fixed.push(text.to_owned());
                ops.push(Op::Fixed(self.fixed.len() - 1));
            }
        }
    }

    fn value(&mut self, tag: &HelperTemplate, raw: bool, at: At) -> Option<Op> {
        let read = if tag.params.is_empty() && tag.hash.is_empty() {
            self.parameter(&tag.name, Read::Written, at)
        } else {
            self.call(tag, Read::Written, at)
        };
        let (expr, origin) = read?;
        if matches!(&expr, Expr::Data(path) if path.parts.is_empty()) {
            self.lint(at, "data is not one value", "name a part: data.NAME");
        }
        Some(Op::Value(Box::new(ValueOp::new(expr, raw, origin, at))))
    }

    fn block(&mut self, tag: &HelperTemplate, at: At, ops: &mut Vec<Op>) {
        let name = tag.name.as_name().unwrap_or("").to_owned();
        match name.as_str() {
            "if" | "unless" => ops.extend(self.if_block(tag, name == "unless", at)),
            "each" | "with" => ops.extend(self.loop_block(tag, name == "each", at)),
            "raw" => {
                if let Some(inner) = &tag.template {
                    ops.extend(self.template(inner, at));
                }
            }
            _ if Helper::named(&name).is_some_and(Helper::is_question) => {
                ops.extend(self.question_block(tag, at));
            }
            _ => {
                let cause = format!("there is no block {{{{#{name}}}}}");
                self.lint(at, cause, "use #if, #unless, #each or #with");
            }
        }
    }

    fn if_block(&mut self, tag: &HelperTemplate, negated: bool, at: At) -> Option<Op> {
        let include_zero = self.include_zero(tag, at);
        let [given] = tag.params.as_slice() else {
            let name = if negated { "unless" } else { "if" };
            let cause = format!("#{name} takes one value");
            let fix = format!("write {{{{#{name} data.NAME}}}} or {{{{#{name} (eq data.NAME \"x\")}}}}");
            self.lint(at, cause, fix);
            return None;
        };
        let (test, origin) = self.parameter(given, Read::Asked, at)?;
        self.branches(tag, IfOp { test, negated, include_zero, block: Block::at(at, origin) })
    }

    fn question_block(&mut self, tag: &HelperTemplate, at: At) -> Option<Op> {
        let (test, origin) = self.call(tag, Read::Asked, at)?;
        let block = Block::at(at, origin);
        self.branches(tag, IfOp { test, negated: false, include_zero: false, block })
    }

    fn branches(&mut self, tag: &HelperTemplate, mut op: IfOp) -> Option<Op> {
        let at = op.block.at;
        self.names.guard(op.test.guards(!op.negated));
        op.block.body = self.inner(tag.template.as_ref(), at);
        self.names.unguard();
        self.names.guard(op.test.guards(op.negated));
        op.block.other = self.inner(tag.inverse.as_ref(), at);
        self.names.unguard();
        Some(Op::If(Box::new(op)))
    }

    fn loop_block(&mut self, tag: &HelperTemplate, is_each: bool, at: At) -> Option<Op> {
        let name = if is_each { "each" } else { "with" };
        let [given] = tag.params.as_slice() else {
            let fix = format!("write {{{{#{name} data.NAME}}}}");
            self.lint(at, format!("#{name} takes one value"), fix);
            return None;
        };
        self.no_options(tag, at);
        let (mut level, over, origin) = self.level(given, is_each, at)?;
        let given = match &tag.block_param {
            None => Vec::new(),
            Some(BlockParam::Single(one)) => vec![one],
            Some(BlockParam::Pair((one, two))) => vec![one, two],
            Some(_) => Vec::new(),
        };
        level.params = given.iter().filter_map(|param| param.as_name()).map(str::to_owned).collect();
        let mut block = Block::at(at, origin);
        self.names.guard(over.guards(true));
        self.names.enter(level);
        block.body = self.inner(tag.template.as_ref(), at);
        self.names.leave();
        self.names.unguard();
        block.other = self.inner(tag.inverse.as_ref(), at);
        let op = Box::new(LoopOp { over, block });
        Some(if is_each { Op::Each(op) } else { Op::With(op) })
    }

    /// What `../` and plain names mean inside the block, and the value it is about.
    fn level(&mut self, given: &Parameter, is_each: bool, at: At) -> Option<(Level, Expr, Origin)> {
        if let (Parameter::Path(path), false) = (given, is_each)
            && let Some(level) = self.names.whole(raw(path))
        {
            let origin = Origin { name: raw(path).to_owned(), person: None };
            return Some((level, Expr::Literal(Json::Bool(true)), origin));
        }
        let (expr, origin) = self.parameter(given, Read::Asked, at)?;
        if let (true, Expr::Person(field)) = (is_each, &expr) {
            let cause = format!("person.{field} is text: #each has nothing to go through");
            self.lint(at, cause, format!("write {{{{#if person.{field}}}}}"));
            return None;
        }
        let level = Level::value(&origin, is_each, self.names.is_in_loop());
        Some((level, expr, origin))
    }

    fn inner(&mut self, template: Option<&Template>, at: At) -> Vec<Op> {
        let Some(template) = template else { return Vec::new() };
        let chained = match template.elements.as_slice() {
            [TemplateElement::HelperBlock(tag)] if tag.is_chained() && template.mapping.is_empty() => {
                self.chained.next()
            }
            _ => None,
        };
        self.template(template, chained.unwrap_or(at))
    }

    fn parameter(&mut self, given: &Parameter, read: Read, at: At) -> Option<(Expr, Origin)> {
        match given {
            Parameter::Literal(json) => {
                Some((Expr::Literal(json.clone()), Origin { name: json.to_string(), person: None }))
            }
            Parameter::Path(path) => self.path(raw(path), read, at),
            Parameter::Name(name) => self.path(name, read, at),
            Parameter::Subexpression(inner) => match inner.as_element() {
                TemplateElement::Expression(tag) => self.call(tag, read, at),
                _ => None,
            },
            _ => None,
        }
    }

    fn path(&mut self, text: &str, read: Read, at: At) -> Option<(Expr, Origin)> {
        match self.names.resolve(text, read, at) {
            Ok(found) => Some(found),
            Err((cause, fix)) => {
                self.lint(at, cause, fix);
                None
            }
        }
    }

    fn call(&mut self, tag: &HelperTemplate, read: Read, at: At) -> Option<(Expr, Origin)> {
        let name = tag.name.as_name().unwrap_or("").to_owned();
        let Some(helper) = Helper::named(&name) else {
            let cause = match name.as_str() {
                "if" | "unless" | "each" | "with" => format!("{name} is a block"),
                _ => format!("there is no helper {name}"),
            };
            let fix = match name.as_str() {
                "if" | "unless" | "each" | "with" => format!("write {{{{#{name} …}}}}…{{{{/{name}}}}}"),
                _ => {
                    String::from("use eq ne gt gte lt lte and or not len lookup, or send the finished value")
                }
            };
            self.lint(at, cause, fix);
            return None;
        };
        self.no_options(tag, at);
        if !helper.takes().contains(&tag.params.len()) {
            let (from, to) = helper.takes().into_inner();
            let cause = format!("{name} takes {from} to {to} values, not {}", tag.params.len());
            self.lint(at, cause, "give it as many");
            return None;
        }
        // `lookup person "x"` is the field itself.
        if let (Helper::Lookup, [Parameter::Path(path), Parameter::Literal(Json::String(field))]) =
            (helper, tag.params.as_slice())
            && raw(path) == "person"
        {
            return self.path(&format!("person.[{field}]"), read, at);
        }
        let mut origin = Origin { name: name.clone(), person: None };
        let mut given = Vec::with_capacity(tag.params.len());
        for param in &tag.params {
            // What a written value is computed from must be there; what is asked about need not.
            let (expr, from) = self.parameter(param, read, at)?;
            origin.name = format!("{} {}", origin.name, from.name);
            origin.person = origin.person.or(from.person);
            given.push(expr);
        }
        origin.name = format!("({})", origin.name);
        Some((Expr::Call(helper, given.into_boxed_slice()), origin))
    }

    fn include_zero(&mut self, tag: &HelperTemplate, at: At) -> bool {
        let mut include_zero = false;
        for (name, given) in &tag.hash {
            match (name.as_str(), given) {
                ("includeZero", Parameter::Literal(Json::Bool(truth))) => include_zero = *truth,
                _ => self.unknown_option(name, at),
            }
        }
        include_zero
    }

    fn no_options(&mut self, tag: &HelperTemplate, at: At) {
        for name in tag.hash.keys() {
            self.unknown_option(name, at);
        }
    }

    fn unknown_option(&mut self, name: &str, at: At) {
        self.lint(
            at,
            format!("the option {name}= is not available here"),
            "remove it (includeZero=true goes with #if)",
        );
    }

    fn lint(&mut self, at: At, cause: impl Into<String>, fix: impl Into<String>) {
        self.lints.push(Lint::new(self.place, at, cause, fix));
    }
}

impl Block {
    fn at(at: At, origin: Origin) -> Self {
        Self { body: Vec::new(), other: Vec::new(), origin, at }
    }
}

fn raw(path: &handlebars::Path) -> &str {
    match path {
        handlebars::Path::Relative((_, raw)) | handlebars::Path::Local((_, _, raw)) => raw,
    }
}
