//! What stands in a text and should not be sent as it stands: placeholders of other products, and addresses that no mail
//! client can load.

use super::escape::printable;
use super::foreign::{SURE, is_half_braced, our_path, placeholders, sure};
use super::html::comment_end;
use super::joined::Joined;
use super::links;
use super::lint::Lint;
use super::program::Syntax;
use super::spelled::reference;
use super::tags::tags;
use super::unfilled::{self, Literal};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

/// Beginnings that are looked at in one text, of each kind: what has more of them that are none is no mail.
const LOOKS_MAX: usize = 2_000;
/// The first byte of a wide brace, as East Asian keyboards write it; the other signs of [`SURE`] are ASCII.
const WIDE_BRACE: u8 = 0xef;
/// Different ones that are remembered of a message that came with its job. Its engine may mean some of them.
const REMEMBERED_MAX: usize = 100;

/// The mistakes in a template's text; `allowed` are meant as they stand.
pub(super) fn lints(source: &str, syntax: Syntax, place: &str, allowed: &[String]) -> Vec<Lint> {
    let is_meant = |text: &str| allowed.iter().any(|meant| meant == text);
    let at = |range: &Range<usize>| {
        let before = &source[..range.start];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    };
    let mut lints: Vec<Lint> = shown(placeholders(source), source, syntax)
        .chain(cut(source, syntax, |text| placeholders(text).collect()))
        .filter(|range| !is_meant(&source[range.clone()]))
        .map(|range| {
            let text = &source[range.clone()];
            let what = match is_half_braced(text) {
                true => "has one brace where a placeholder has two",
                false if text.contains('<') && text.contains('>') && !text.starts_with('<') => {
                    "is a placeholder of another product, with tags in it"
                }
                false => "is a placeholder of another product",
            };
            let cause = format!("{} {what}: people would read it as it stands", printable(text));
            let right = match our_path(text) {
                Some(path) => format!("{{{{{path}}}}}"),
                None => String::from("{{person.NAME}} or {{data.NAME}}"),
            };
            let fix = format!(
                "write {right}; if it is meant as it stands, allow_literal = [{}] in template.toml",
                toml_string(text)
            );
            Lint::new(place, at(&range), cause, fix)
        })
        .collect();
    if syntax == Syntax::Html {
        // One mistake is told once: what another product would have filled in is no address yet.
        let is_address = |text: &str| placeholders(text).next().is_none();
        let relative = links::relative(source)
            .into_iter()
            .filter(|range| !is_meant(&source[range.clone()]) && is_address(&source[range.clone()]));
        lints.extend(relative.map(|range| {
            let text = &source[range.clone()];
            let cause =
                format!("the address {} is relative: no mail client knows to what", printable(text));
            let fix = format!(
                "write an absolute one (https://...), or for a picture in assets/ cid: and its name; if it is meant as it stands, \
                 allow_literal = [{}] in template.toml",
                toml_string(text)
            );
            Lint::new(place, at(&range), cause, fix)
        }));
    }
    lints
}

/// The mistake of a placeholder in a text that goes out as it is.
pub(super) fn unfilled_lint(text: &str, literal: &str, place: &str) -> Lint {
    let before = &text[..text.find(literal).unwrap_or(0)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let cause = format!("nothing is filled in here: people would read {} as it stands", printable(literal));
    let fix = format!(
        "put it into a text of the template (an attached calendar or card is filled too); if it is meant as it stands, \
         allow_literal = [{}] in template.toml",
        toml_string(literal)
    );
    Lint::new(place, (line, column), cause, fix)
}

/// In one line, whatever it holds (TOML 1.0, String).
fn toml_string(text: &str) -> String {
    if !text.contains(|c: char| c == '\'' || c.is_control()) {
        return format!("'{text}'");
    }
    let mut written = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => written.extend(['\\', c]),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            c if c.is_control() => written.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => written.push(c),
        }
    }
    written + "\""
}

/// Those that nobody means as they stand, in texts that came with a job.
#[derive(Debug, Default)]
pub(super) struct Unmeant(BTreeSet<Literal>);

impl Unmeant {
    pub fn look_at(&mut self, text: &str, syntax: Syntax) {
        let written = match syntax {
            Syntax::Html => signs_written_out(text),
            Syntax::ContentLines => unfolded(text),
            _ => Cow::Borrowed(text),
        };
        let text = &*written;
        let found = all_sure(text);
        if !found.is_empty() {
            for range in shown(found.into_iter(), text, syntax) {
                self.put(Literal::foreign(&text[range]));
            }
        }
        // Tags stand in few of them: most texts need no closer look.
        let holds = |sign: &str| memchr::memmem::find(text.as_bytes(), sign.as_bytes()).is_some();
        if syntax == Syntax::Html && SURE.into_iter().chain(["*<", "%<", "{<"]).any(holds) {
            for range in cut(text, syntax, all_sure) {
                self.put(Literal::foreign(&text[range]));
            }
        }
    }

    /// Looks for placeholders in a text that goes out as it came.
    pub fn look_at_unfilled(&mut self, text: &str, place: &str) {
        for placeholder in unfilled::placeholders(text).take(REMEMBERED_MAX) {
            self.put(Literal::unfilled(placeholder, place));
        }
    }

    fn put(&mut self, literal: Literal) {
        if self.0.len() < REMEMBERED_MAX {
            self.0.insert(literal);
        }
    }

    pub fn into_list(self) -> Box<[Literal]> {
        self.0.into_iter().collect()
    }
}

fn all_sure(text: &str) -> Vec<Range<usize>> {
    begun(text).filter_map(|at| sure(text, at)).collect()
}

/// Whether a field may hold one of [`SURE`], but for a wide brace, which is encoded there.
pub(super) fn may_begin_in(field: &[u8]) -> bool {
    memchr::memchr3(b'*', b'%', b'{', field).is_some() || memchr::memchr(b'$', field).is_some()
}

/// Where one of [`SURE`] begins, for as many as are looked at.
fn begun(text: &str) -> impl Iterator<Item = usize> {
    let text = text.as_bytes();
    let mut looks = [0; SURE.len()];
    // `${person.` begins before its brace.
    let may_begin =
        memchr::memchr2_iter(WIDE_BRACE, b'$', text).chain(memchr::memchr3_iter(b'*', b'%', b'{', text));
    may_begin.filter(move |at| {
        let begins = |begin: &&str| text[*at..].starts_with(begin.as_bytes());
        let Some(kind) = SURE.iter().position(begins) else { return false };
        looks[kind] += 1;
        looks[kind] <= LOOKS_MAX
    })
}

/// Those that tags stand in, where readers see one.
fn cut(
    html: &str,
    syntax: Syntax,
    find: impl Fn(&str) -> Vec<Range<usize>>,
) -> impl Iterator<Item = Range<usize>> {
    let may_be = syntax == Syntax::Html && memchr::memchr(b'<', html.as_bytes()).is_some();
    let joined = may_be.then(|| Joined::of(html));
    let found = joined.map_or_else(Vec::new, |joined| {
        let found = shown(find(&joined.text).into_iter(), &joined.text, Syntax::Text);
        found.filter_map(|range| joined.across_markup(&range)).collect()
    });
    found.into_iter()
}

/// Those that a reader sees: not in a tag of ours, nor in the comments of HTML, but for comments that some clients read.
fn shown(
    found: impl Iterator<Item = Range<usize>>,
    text: &str,
    syntax: Syntax,
) -> impl Iterator<Item = Range<usize>> {
    let comments = if syntax == Syntax::Html { comments(text) } else { Vec::new() };
    let tags = tags(text);
    let is_in = |unseen: &[Range<usize>], at: usize| {
        let behind = unseen.partition_point(|unseen| unseen.start <= at);
        behind > 0 && unseen[behind - 1].contains(&at)
    };
    found.filter(move |range| !is_in(&tags, range.start) && !is_in(&comments, range.start))
}

/// HTML's own, and those of CSS in a `style`.
fn comments(html: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = memchr::memchr(b'<', &html.as_bytes()[at..]) {
        let start = at + open;
        let rest = &html[start..];
        at = start + 1;
        if rest.starts_with("<!--") && !rest.starts_with("<!--[if") {
            at = comment_end(html, start);
            found.push(start..at);
        } else if rest.get(..6).is_some_and(|begin| begin.eq_ignore_ascii_case("<style")) {
            at = start + rest.find("</").unwrap_or(rest.len());
            css_comments(html, start..at, &mut found);
        }
    }
    found
}

fn css_comments(html: &str, css: Range<usize>, found: &mut Vec<Range<usize>>) {
    let mut at = css.start;
    while let Some(open) = html[at..css.end].find("/*") {
        let inner = at + open + 2;
        let end = html[inner..css.end].find("*/").map_or(css.end, |end| inner + end + 2);
        found.push(inner - 2..end);
        at = end;
    }
}

/// The signs that placeholders of other products are made of, where an editor wrote character references for them.
fn signs_written_out(html: &str) -> Cow<'_, str> {
    let mut out: Option<String> = None;
    let mut from = 0;
    for at in memchr::memchr_iter(b'&', html.as_bytes()) {
        let rest = &html[at..];
        let Some((c, bytes)) = reference(rest) else { continue };
        if "*|%{}!_.[]@".contains(c) {
            let out = out.get_or_insert_with(|| String::with_capacity(html.len()));
            out.push_str(&html[from..at]);
            out.push(c);
            from = at + bytes;
        }
    }
    match out {
        None => Cow::Borrowed(html),
        Some(out) => Cow::Owned(out + &html[from..]),
    }
}

/// A calendar's lines as they were before they were folded (RFC 5545 §3.1).
fn unfolded(text: &str) -> Cow<'_, str> {
    if !text.contains("\n ") && !text.contains("\n\t") {
        return Cow::Borrowed(text);
    }
    let text = text.replace("\r\n", "\n");
    Cow::Owned(text.replace("\n ", "").replace("\n\t", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(source: &str, syntax: Syntax, allowed: &[&str]) -> Vec<String> {
        let allowed: Vec<String> = allowed.iter().map(|meant| String::from(*meant)).collect();
        lints(source, syntax, "t", &allowed).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn d_each_is_told_with_its_place_and_can_be_meant() {
        let html = "<p>Dear\n *|FNAME|*,</p>\n<!-- *|NOTE|* --><img src=\"assets/x.png\">{{data.a}}";
        let lints = told(html, Syntax::Html, &[]);
        assert_eq!(lints.len(), 2, "{lints:?}");
        assert!(lints[0].starts_with("t:2:2: *|FNAME|* is a placeholder of another product"), "{lints:?}");
        assert!(lints[1].starts_with("t:3:28: the address assets/x.png is relative"), "{lints:?}");
        assert!(lints[0].contains("allow_literal = ['*|FNAME|*']"), "{lints:?}");
        assert_eq!(told(html, Syntax::Html, &["*|FNAME|*", "assets/x.png"]), Vec::<String>::new());
        assert_eq!(told("<img src=x.png>", Syntax::Text, &[]), Vec::<String>::new());
        assert_eq!(told("{{#if (eq data.a \"%%b1%%\")}}{{/if}}", Syntax::Text, &[]), Vec::<String>::new());
    }

    /// The line that the fix names, put into the manifest, mends it, whatever stands in the text.
    #[test]
    fn d_what_is_named_as_meant_can_be_written_so() {
        for text in ["*|FNAME|*", "*|IF:FNAME=O'Brien|*", "<% a = \"\\\"\n' %>", "%%[\tSET @a = 'b' ]%%"] {
            let lints = told(text, Syntax::Text, &[]);
            assert!(lints.len() == 1 && !lints[0].contains('\n'), "{lints:?}");
            let line = &lints[0][lints[0].find("allow_literal").unwrap()..];
            let manifest = line.strip_suffix(" in template.toml").unwrap();
            let allowed: toml::Table = toml::from_str(manifest).unwrap_or_else(|e| panic!("{manifest}: {e}"));
            assert_eq!(allowed["allow_literal"][0].as_str(), Some(text));
        }
    }

    #[test]
    fn d_many_that_are_meant_hide_none_that_is_not() {
        let mut unmeant = Unmeant::default();
        let meant: String = (10..40).map(|n| format!("*|A{n}|* ")).collect();
        unmeant.look_at(&(meant + "*|FNAME|*"), Syntax::Text);
        assert!(unmeant.into_list().iter().any(|literal| &*literal.text == "*|FNAME|*"));
    }

    #[test]
    fn a7_what_stands_in_a_tag_of_ours_is_not_shown() {
        for (text, shown) in [
            ("{{! *|FNAME|* }}", 0),
            ("{{!-- {{a}} *|FNAME|* --}} {{#if (eq data.a \"%%b_c%%\")}}{{/if}}", 0),
            ("{{!-- a }} *|FNAME|*", 1),
            ("\\{{! *|FNAME|* }}", 1),
            ("{{a}} *|FNAME|* {{b}} {{ ", 1),
            ("{{ *|FNAME|*", 1),
        ] {
            let mut unmeant = Unmeant::default();
            unmeant.look_at(text, Syntax::Text);
            assert_eq!(unmeant.into_list().len(), shown, "{text}");
        }
        for opened in ["{{", "{{!-- ", "{{!-- }}", "\\{{"] {
            let mut unmeant = Unmeant::default();
            unmeant.look_at(&("*|FNAME|*".to_owned() + &opened.repeat(1_000_000)), Syntax::Text);
            assert_eq!(unmeant.into_list().len(), 1, "{opened}");
        }
    }

    #[test]
    fn d_those_that_tags_stand_in_are_seen() {
        for (html, text) in [
            ("<p>Dear [<b>FIRSTNAME</b>],</p>", "[<b>FIRSTNAME</b>]"),
            ("<p>Dear *|<b>FNAME</b>|*,</p>", "*|<b>FNAME</b>|*"),
            ("<p>%<span>%first_</span>name%%</p>", "%<span>%first_</span>name%%"),
            ("<p>{<!-- x -->!Contact.Name}</p>", "{<!-- x -->!Contact.Name}"),
            ("##<i>NAME</i>##", "##<i>NAME</i>##"),
        ] {
            let lints = told(html, Syntax::Html, &[]);
            assert!(lints.len() == 1 && lints[0].contains(text), "{html}: {lints:?}");
            assert_eq!(told(html, Syntax::Html, &[text]), Vec::<String>::new(), "{html}");
            let mut unmeant = Unmeant::default();
            unmeant.look_at(html, Syntax::Html);
            let is_sure = !text.starts_with(['[', '#']);
            assert_eq!(unmeant.into_list().len(), usize::from(is_sure), "{html}");
        }
        for html in [
            "<p>[</p><p>FIRSTNAME]</p>",
            "<td>*|</td><td>FNAME|*</td>",
            "{{#if (eq data.a \"x\")}}<b>%</b>%{{/if}}first_name%%",
            "<a href=\"https://x.test\">[1]</a> [<a href=\"https://x.test\">2</a>]",
            "<style>.a[<b>]</style>",
        ] {
            assert_eq!(told(html, Syntax::Html, &[]), Vec::<String>::new(), "{html}");
        }
    }

    #[test]
    fn a_text_is_looked_at_wherever_one_begins() {
        for begin in SURE {
            assert_eq!(begun(&format!("a {begin}")).next(), Some(2), "{begin}");
        }
        assert_eq!(begun("100 % of {{data.a}} * 2").next(), None);
    }

    #[test]
    fn d_one_mistake_is_told_once() {
        for html in [
            "<a href=\"*|UNSUB|*\">u</a>",
            "<img src='<%= logo %>'>",
            "<p>{person.first_name}</p>",
            "<p>{ data.shop }}</p>",
        ] {
            assert_eq!(told(html, Syntax::Html, &[]).len(), 1, "{html}");
        }
        let half = told("Dear {person.first_name}", Syntax::Text, &[]);
        assert!(
            half[0].contains("{person.first_name} has one brace where a placeholder has two"),
            "{half:?}"
        );
    }

    #[test]
    fn d_of_a_message_only_what_nobody_means_counts() {
        let mut unmeant = Unmeant::default();
        unmeant.look_at("Hi *|FNAME|*, [[name]] ${x} %name% %%first_name%% *|FNAME|*", Syntax::Text);
        let told: Vec<String> = unmeant.into_list().iter().map(|literal| literal.text.to_string()).collect();
        assert_eq!(told, ["%%first_name%%", "*|FNAME|*"]);
    }

    #[test]
    fn a7_what_no_reader_sees_is_passed_and_what_is_written_in_references_is_not() {
        let told = |text: &str, syntax| {
            let mut unmeant = Unmeant::default();
            unmeant.look_at(text, syntax);
            unmeant.into_list().into_iter().map(|literal| String::from(literal.text)).collect::<Vec<_>>()
        };
        for html in [
            "<style>.a{} /* *|FNAME|* */ .b{}</style>",
            "<STYLE type='text/css'>/* *|FNAME|*",
            "<!--[if mso]><style>/* *|FNAME|* */</style><![endif]-->",
            "<!-- *|FNAME|* -->",
            "<!-- > *|FNAME|* --!>",
            "<!--!> *|FNAME|* -->",
        ] {
            assert_eq!(told(html, Syntax::Html), Vec::<String>::new(), "{html}");
        }
        for html in [
            "*&#124;FNAME&#124;*",
            "&ast;&vert;FNAME&verbar;&#x2A;",
            "<style>/* a */</style>*|FNAME|*",
            "/* *|FNAME|* */",
            "<!--[if mso]>*|FNAME|*<![endif]-->",
            "<!-- a --!>*|FNAME|*<!-- b -->",
            "<!-->*|FNAME|*<!-- b -->",
            "<!--->*|FNAME|*-->",
        ] {
            assert_eq!(told(html, Syntax::Html), ["*|FNAME|*"], "{html}");
        }
        assert_eq!(told("&percnt;%first&#95;name&#37;%", Syntax::Html), ["%%first_name%%"]);
        assert_eq!(told("SUMMARY:Hi *|FN\r\n AME|*\r\n", Syntax::ContentLines), ["*|FNAME|*"]);
        assert_eq!(told("*&#124;FNAME&#124;*", Syntax::Text), Vec::<String>::new());
    }
}
