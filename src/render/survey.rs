//! A first look over a template's tags, before it is parsed: holds the limits that keep the parser's stack and
//! time bounded, and finds blocks that are not closed, where the parser could only say "expected something".

use super::lines::Lines;
use super::lint::Lint;
use std::ops::Range;

/// Longest template or message part, in bytes.
pub const SOURCE_BYTES_MAX: usize = 1024 * 1024;
/// Most tags in one template.
pub const TAGS_MAX: usize = 4096;
/// Longest tag, in bytes.
pub const TAG_BYTES_MAX: usize = 2048;
/// Deepest nesting of blocks, each `{{else if}}` counted as one level, and of brackets inside one tag.
pub const NESTING_MAX: usize = 48;
/// Tags times bytes: this look may search the whole rest for the end of a comment, for every tag.
const PARSE_WORK_MAX: usize = 128 * 1024 * 1024;

/// What the first look found in a template that may be parsed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Positions (line, column) of each `{{else NAME …}}` in the order of the source: the parsed tree has none.
    pub chained: Vec<(usize, usize)>,
    /// Tags, and what stands in comments and raw blocks, in order.
    pub tags: Vec<Range<usize>>,
}

/// Looks over `source`.
///
/// # Errors
/// One lint for a limit or for a tag or block that is not closed.
pub fn survey(source: &str, place: &str) -> Result<Survey, Lint> {
    if source.len() > SOURCE_BYTES_MAX {
        let cause = format!("the template has {} bytes, more than {SOURCE_BYTES_MAX}", source.len());
        return Err(Lint::new(
            place,
            (0, 0),
            cause,
            "make it smaller; a picture in it as data: can be a file of its own",
        ));
    }
    let mut scan =
        Scan { source, place, at: 0, open: Vec::new(), found: Survey::default(), lines: Lines::of(source) };
    while scan.step()? {}
    if let Some(block) = scan.open.last() {
        let cause = format!("the block {{{{#{}}}}} is not closed", block.name);
        let fix = format!("add {{{{/{}}}}} where it should end", block.name);
        return Err(scan.lint(block.start, cause, fix));
    }
    Ok(scan.found)
}

struct Open<'a> {
    name: &'a str,
    start: usize,
    /// The block itself and its chained else branches.
    levels: usize,
}

struct Scan<'a> {
    source: &'a str,
    place: &'a str,
    at: usize,
    open: Vec<Open<'a>>,
    found: Survey,
    lines: Lines,
}

impl<'a> Scan<'a> {
    /// Takes one tag; false at the end of the source.
    fn step(&mut self) -> Result<bool, Lint> {
        let Some(start) =
            memchr::memmem::find(&self.source.as_bytes()[self.at..], b"{{").map(|i| i + self.at)
        else {
            return Ok(false);
        };
        let backslashes = self.source[self.at..start].bytes().rev().take_while(|b| *b == b'\\').count();
        if backslashes == 1 {
            let escaped = &self.source[start..];
            self.at = start + if escaped.starts_with("{{{{") { 4 } else { 2 };
            return Ok(true);
        }
        let tags = self.found.tags.len() + 1;
        if tags > TAGS_MAX {
            let cause = format!("more than {TAGS_MAX} tags");
            return Err(self.lint(start, cause, "split the template"));
        }
        if tags.saturating_mul(self.source.len()) > PARSE_WORK_MAX {
            let cause = format!("{tags} tags in {} bytes are too many", self.source.len());
            return Err(Lint::new(self.place, (0, 0), cause, "use fewer tags or a shorter template"));
        }
        let tag = &self.source[start..];
        if tag.starts_with("{{!") {
            self.comment(start)?;
        } else if tag.starts_with("{{{{") {
            self.raw_block(start)?;
        } else {
            self.tag(start)?;
        }
        self.found.tags.push(start..self.at);
        Ok(true)
    }

    fn comment(&mut self, start: usize) -> Result<(), Lint> {
        let text = &self.source[start..];
        let long = text.strip_prefix("{{!--").and_then(|inner| inner.find("--}}")).map(|i| i + 9);
        let end = long.or_else(|| text.find("}}").map(|i| i + 2));
        let end = end.ok_or_else(|| self.lint(start, "the comment is not closed", "add }} at its end"))?;
        self.at = start + end;
        Ok(())
    }

    fn raw_block(&mut self, start: usize) -> Result<(), Lint> {
        let unclosed = || {
            self.lint(
                start,
                "the raw block is not closed",
                "end it with {{{{/raw}}}}, and keep {{{{ out of it",
            )
        };
        let opened = self.source[start..].find("}}}}").ok_or_else(unclosed)? + start + 4;
        let content = self.source[start + 4..opened - 4].trim_matches(['~', ' ']);
        let close = self.source[opened..].find("{{{{").ok_or_else(unclosed)? + opened;
        let closed = self.source[close..].find("}}}}").ok_or_else(unclosed)? + close + 4;
        let closing = self.source[close + 4..closed - 4].trim_matches(['~', ' ']).strip_prefix('/');
        let escaped = self.source[..close].ends_with('\\');
        if escaped || closing != Some(content) || content.contains(['(', '[', '{']) {
            return Err(unclosed());
        }
        self.at = closed;
        Ok(())
    }

    fn tag(&mut self, start: usize) -> Result<(), Lint> {
        let unclosed = |scan: &Self| scan.lint(start, "the tag is not closed", "add }} at its end");
        let after = start + 2;
        let end = self.source[after..].find("}}").ok_or_else(|| unclosed(self))? + after;
        let inner = &self.source[after..end];
        if inner.contains("{{") {
            return Err(unclosed(self));
        }
        if !is_whole(inner) {
            let fix =
                "close it, keep }} out of it, and write brackets only for names: data.[odd name], data.l.[0]";
            return Err(self.lint(start, "a quote or bracket inside the tag is not closed", fix));
        }
        let brackets = inner.bytes().filter(|b| matches!(b, b'(' | b'[' | b'{')).count();
        if inner.len() > TAG_BYTES_MAX || brackets > NESTING_MAX {
            return Err(self.lint(
                start,
                "the tag is too long or too deeply nested",
                "compute the value before",
            ));
        }
        self.at = end + 2;
        self.follow_block(start, inner)
    }

    /// Keeps track of which blocks are open.
    fn follow_block(&mut self, start: usize, inner: &'a str) -> Result<(), Lint> {
        let inner = inner.trim_matches(|c: char| c.is_whitespace() || c == '~');
        if let Some(opened) = inner.strip_prefix('#') {
            let name = opened.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '>' | '*'));
            let name = name.split_whitespace().next().unwrap_or("");
            self.open.push(Open { name, start, levels: 1 });
        } else if let Some(name) = inner.strip_prefix('/') {
            return self.close_block(start, name.trim());
        } else if let Some(rest) = inner.strip_prefix("else").or_else(|| inner.strip_prefix('^')) {
            if !rest.starts_with(|c: char| c.is_whitespace()) && !rest.is_empty() && inner.starts_with("else")
            {
                return Ok(());
            }
            let Some(block) = self.open.last_mut() else {
                return Err(self.lint(
                    start,
                    "{{else}} outside a block",
                    "remove it, or open {{#if …}} before",
                ));
            };
            if !rest.trim().is_empty() {
                block.levels += 1;
                self.found.chained.push(self.lines.position(self.source, start));
            }
        }
        if self.open.iter().map(|block| block.levels).sum::<usize>() > NESTING_MAX {
            let cause = format!("blocks are nested deeper than {NESTING_MAX}");
            return Err(self.lint(start, cause, "prepare the data before, so fewer levels are needed"));
        }
        Ok(())
    }

    fn close_block(&mut self, start: usize, name: &str) -> Result<(), Lint> {
        match self.open.pop() {
            Some(block) if block.name == name => Ok(()),
            Some(block) => {
                let line = self.lines.position(self.source, block.start).0;
                let cause =
                    format!("{{{{/{name}}}}} closes nothing: {{{{#{}}}}} of line {line} is open", block.name);
                Err(self.lint(
                    start,
                    cause,
                    format!("write {{{{/{}}}}} here, or close it before", block.name),
                ))
            }
            None => {
                let cause = format!("{{{{/{name}}}}} closes nothing");
                Err(self.lint(start, cause, format!("remove it, or open {{{{#{name} …}}}} before")))
            }
        }
    }

    fn lint(&self, offset: usize, cause: impl Into<String>, fix: impl Into<String>) -> Lint {
        Lint::new(self.place, self.lines.position(self.source, offset), cause, fix)
    }
}

/// Whether the first `}}` ends the tag for the parser too: no text or bracketed name is open there.
fn is_whole(inner: &str) -> bool {
    let mut open = None;
    let mut before = 0;
    for byte in inner.bytes() {
        open = match open {
            None if byte == b'[' && !matches!(before, b'.' | b'/') => return false,
            None if byte == b'[' => Some(b']'),
            None if matches!(byte, b'"' | b'\'') => Some(byte),
            Some(close) if byte == close && (close == b']' || before != b'\\') => None,
            // A backslash that is itself escaped escapes nothing.
            Some(_) if before == b'\\' && byte == b'\\' => {
                before = 0;
                continue;
            }
            still => still,
        };
        before = byte;
    }
    open.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(source: &str) -> (usize, usize, String) {
        let lint = survey(source, "t").unwrap_err();
        (lint.line, lint.column, lint.cause)
    }

    #[test]
    fn blocks_that_are_not_closed_are_named_where_they_open() {
        assert_eq!(fails("a\n {{#if data.x}} b"), (2, 2, "the block {{#if}} is not closed".into()));
        assert_eq!(fails("{{#if a}}\n{{#each b}}\n{{/if}}").0, 3);
        assert_eq!(fails("x {{/if}}"), (1, 3, "{{/if}} closes nothing".into()));
        assert_eq!(fails("x {{else}}").2, "{{else}} outside a block");
        assert_eq!(fails("\n{{person.x").2, "the tag is not closed");
        assert_eq!(fails("{{person.x }").2, "the tag is not closed");
        assert_eq!(fails("{{! never closed").2, "the comment is not closed");
        assert_eq!(fails("{{{{raw}}}} {{x}}").2, "the raw block is not closed");
    }

    #[test]
    fn what_the_parser_does_not_take_as_a_tag_is_not_one_here() {
        for source in [
            r"\{{#if a}}",
            "{{! {{/if}",
            "{{!-- {{#if a}} --}}",
            "{{{{raw}}}} {{#if a}} {{{{/raw}}}}",
            "{{#if a}}{{else if b}}{{^}}{{~/if~}}",
            "{ {x} }",
            "{{lookup data \"it's\"}}{{lookup data \"\\\\\"}}",
        ] {
            let parsed = handlebars::Template::compile(source).is_ok();
            assert_eq!(survey(source, "t").is_ok(), parsed, "{source}");
        }
        assert!(survey(r"\\{{#if a}}", "t").is_err());
    }

    #[test]
    fn bombs_are_refused_before_the_parser_sees_them() {
        assert!(survey(&"{{#if a}}".repeat(100_000), "t").is_err());
        assert!(survey(&"{{x}}".repeat(TAGS_MAX + 1), "t").is_err());
        assert!(survey(&format!("{{{{x {}}}}}", "(".repeat(5000)), "t").is_err());
        let closes_in_text = r#"{{#if a}}{{lookup data "}} {{/if}}"}}"#.repeat(1000);
        assert!(survey(&closes_in_text, "t").is_err());
        for bomb in ["{{ ~#if a}}", "{{~ # if a}}", "{{\n#if a}}", "{{#if a}}{{lookup data.[}}{{/if}}]}}"] {
            assert!(survey(&bomb.repeat(1000), "t").is_err(), "{bomb}");
        }
        let chain = format!("{{{{#if a}}}}{}{{{{/if}}}}", "{{else if b}}".repeat(1000));
        assert!(survey(&chain, "t").is_err());
        assert!(survey(&"x".repeat(SOURCE_BYTES_MAX + 1), "t").is_err());
        let comments = "{{!-- }}".repeat(TAGS_MAX - 1);
        assert!(survey(&comments, "t").is_ok());
        // Said of the first tag that is too many, before each of them was searched for.
        let padded = "x".repeat(SOURCE_BYTES_MAX - comments.len());
        assert!(fails(&(comments + &padded)).2.starts_with("129 tags in "));
    }

    #[test]
    fn positions_count_characters() {
        let source = "א\nבג{{#if a}}{{else if b}}{{/if}}";
        assert_eq!(survey(source, "t").unwrap().chained, [(2, 12)]);
    }
}
