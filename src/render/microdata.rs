//! Values of a job in `<meta itemprop="…" content="…">`: data for programs (schema.org), of an order or event. Every other
//! `content` of a meta element may tell browsers what to do.

use super::escape::Escape;
use super::ground::Ground;
use super::html::{Attribute, META_CONTENT, Quote, State};
use super::program::{Op, Origin, ValueOp};

/// How the value at this place is escaped, where it stands in one, to which nobody's value belongs.
pub(super) fn escape_of(ops: &[Op], index: usize, ground: Ground, fixed: &[Box<str>]) -> Option<Escape> {
    let Ground::Html(State::Value(_, Attribute::Closed(META_CONTENT), Quote::Double | Quote::Single, _)) =
        ground
    else {
        return None;
    };
    let Op::Value(value) = &ops[index] else { return None };
    if !is_of_job(value) {
        return None;
    }
    let begins = tag_before(&ops[..index], fixed)?;
    let ends = rest_of_tag(&ops[index + 1..], fixed)?;
    let written = format!("{begins}{ends}").to_ascii_lowercase();
    let is_property =
        written.contains("itemprop") && !written.contains("http-equiv") && !written.contains("name=");
    is_property.then_some(Escape::Html)
}

fn is_of_job(value: &ValueOp) -> bool {
    let Origin { person, .. } = &value.origin;
    person.is_none() && !value.raw
}

/// The texts and values of the job around, up to a sign.
fn piece<'a>(op: &Op, fixed: &'a [Box<str>]) -> Option<&'a str> {
    match op {
        Op::Fixed(index) => Some(&fixed[*index]),
        Op::Value(value) if is_of_job(value) => Some(""),
        Op::Value(_) | Op::If(_) | Op::Each(_) | Op::With(_) => None,
    }
}

fn tag_before(ops: &[Op], fixed: &[Box<str>]) -> Option<String> {
    let mut written = String::new();
    for op in ops.iter().rev() {
        let text = piece(op, fixed)?;
        if let Some(start) = text.rfind('<') {
            return Some(format!("{}{written}", &text[start..]));
        }
        written.insert_str(0, text);
    }
    None
}

fn rest_of_tag(ops: &[Op], fixed: &[Box<str>]) -> Option<String> {
    let mut written = String::new();
    for op in ops {
        let text = piece(op, fixed)?;
        if let Some(end) = text.find('>') {
            return Some(written + &text[..end]);
        }
        written.push_str(text);
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::render::program::{Program, Syntax};

    #[test]
    fn p3_data_of_a_job_stand_in_microdata() {
        let is_taken = |source: &str| Program::compile(source, Syntax::Html, "t").is_ok();
        for source in [
            "<div itemscope><meta itemprop=\"orderNumber\" content=\"{{data.no}}\"/></div><p>{{person.first_name}}</p>",
            "<meta content='{{data.a}} {{data.b}}' itemprop=price>",
        ] {
            assert!(is_taken(source), "{source}");
        }
        for source in [
            "<meta itemprop=\"name\" content=\"{{person.first_name}}\">",
            "<meta itemprop=\"name\" content=\"{{data.no}} {{person.first_name}}\">",
            "<meta itemprop=\"name\" content={{data.no}}>",
            "<meta itemprop=\"name\" style=\"{{data.no}}\" content=x>",
            "<meta itemprop=\"name\" onclick=\"{{data.no}}\" content=x>",
            "<meta itemprop=\"name\" http-equiv=\"refresh\" content=\"{{data.no}}\">",
            "<meta itemprop=\"name\" content=\"{{data.no}}\" http-equiv=refresh>",
            "<meta itemprop=\"name\" {{#if data.x}}http-equiv=refresh{{/if}} content=\"{{data.no}}\">",
            "<meta itemprop=\"name\" content=\"{{data.no}}\" {{#if data.x}}http-equiv=refresh{{/if}}>",
            "<meta name=\"viewport\" content=\"{{data.no}}\"><p itemprop=a></p>",
            "{{#if person.vip}}<meta itemprop=\"name\" content=\"{{data.no}}\">{{/if}}",
        ] {
            assert!(!is_taken(source), "{source}");
        }
    }
}
