//! What runs, or asks by itself how much room the text around it takes, and so fetches one address or another by it: frames,
//! programs, files that are chosen by the room.

use super::css::readings;
use super::mark::DATA;
use super::places::is_for_machines;
use super::styles::Styles;
use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::{Attribute, QualName, ns};
use std::cell::RefCell;

const FRAME: &str =
    "a frame (iframe, object, embed and their kin), whose own styles tell how much room is left";
const PROGRAM: &str = "a program (script, an attribute on…, javascript:), which can read the text";
const BY_DATA: &str = "loading or sizes with a value of the job, which may be lazy or auto";
const FOR_PROGRAMS: &str = "an element that programs take an address from (itemprop)";
const COMPARED: &str = "if() in a style, which may compare what a style sheet reads of the text";

/// What of an element is that.
pub(super) fn what_sees(element: &str, attributes: &[Attribute]) -> Option<&'static str> {
    let value = |name: &str| attributes.iter().find(|one| &*one.name.local == name).map(|one| &*one.value);
    match element {
        "iframe" | "frame" | "object" | "embed" | "applet" | "portal" | "fencedframe" => return Some(FRAME),
        "template" if attributes.iter().any(|one| one.name.local.starts_with("shadowroot")) => {
            return Some(FRAME);
        }
        "script" if !value("type").is_some_and(is_data_block) && !value("src").is_some_and(is_of_amp) => {
            return Some(PROGRAM);
        }
        _ => {}
    }
    let runs = |one: &Attribute| one.name.local.starts_with("on") || is_program(&one.value);
    if attributes.iter().any(runs) {
        return Some(PROGRAM);
    }
    let may_be_any = |name: &str| value(name).is_some_and(|value| value.contains(DATA));
    (may_be_any("loading") || may_be_any("sizes")).then_some(BY_DATA)
}

/// The value as a style: a font that a value of the job names may be any.
pub(super) fn as_font<'v>(attribute: &str, value: &'v str) -> &'v str {
    if attribute == "face" && value.contains(DATA) { "x,var(--x)" } else { value }
}

/// The programs of AMP mail, which its clients run and no other ones. The cache beside them (`/c/`) has files of any sender.
fn is_of_amp(address: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let path = address.strip_prefix("https://cdn.ampproject.org/").unwrap_or("");
    let path = path.strip_prefix("lts/").unwrap_or(path);
    matches!(path, "v0.js" | "v0.mjs")
        || path.strip_prefix("v0/").is_some_and(|name| name.chars().all(is_plain))
}

/// A script that no browser runs.
fn is_data_block(kind: &str) -> bool {
    ["application/ld+json", "application/json"]
        .iter()
        .any(|data| kind.trim_ascii().eq_ignore_ascii_case(data))
}

fn is_program(address: &str) -> bool {
    // Browsers leave out what is no sign (URL Standard §4.4).
    let mut signs = address.bytes().filter(|byte| *byte > b' ').map(|byte| byte.to_ascii_lowercase());
    let first: Vec<u8> = signs.by_ref().take("javascript:".len()).collect();
    first == b"javascript:" || first.starts_with(b"vbscript:")
}

/// What of markup that comes with a job is that, or sees values by its styles, beside the own fonts of the template.
pub(in crate::render) fn what_sees_in(markup: &str, own_fonts: &str) -> Option<&'static str> {
    memchr::memchr(b'<', markup.as_bytes())?;
    let mut styles = Styles::default();
    styles.sheet(own_fonts);
    let of_tag = |(name, attributes): &(QualName, Vec<Attribute>)| {
        for one in attributes {
            styles.attribute(&one.name.local, &one.value);
        }
        let is_own = !matches!(&*name.local, "img" | "source") && is_for_machines(name, attributes);
        let compares = |one: &Attribute| {
            &*one.name.local == "style" && readings(&one.value).iter().any(|css| css.contains("if("))
        };
        what_sees(&name.local, attributes)
            .or(is_own.then_some(FOR_PROGRAMS))
            .or(attributes.iter().any(compares).then_some(COMPARED))
    };
    let found = tags(markup).iter().find_map(of_tag);
    found.or_else(|| styles.what_sees_values())
}

/// The ways to read a style sheet, in lower case.
pub(in crate::render) fn readings_of_styles(css: &str) -> Vec<String> {
    readings(css)
}

/// The `@font-face` rules of the texts between the values, as far as they have any.
pub(super) fn own_fonts(fixed: &[Box<str>]) -> String {
    let text: String = fixed.iter().map(|piece| &**piece).collect();
    let each = readings(&text).into_iter().flat_map(|css| {
        let rules = css.split("@font-face").skip(1).map(|rest| rest.split('}').next().unwrap_or(""));
        rules.map(|rule| format!("@font-face{rule}}}")).collect::<Vec<_>>()
    });
    each.collect()
}

/// The tags with which elements begin.
fn tags(markup: &str) -> Vec<(QualName, Vec<Attribute>)> {
    let queue = BufferQueue::default();
    queue.push_back(StrTendril::from(markup));
    let tokenizer = Tokenizer::new(Tags::default(), TokenizerOpts::default());
    let _ = tokenizer.feed(&queue);
    tokenizer.end();
    tokenizer.sink.0.take()
}

#[derive(Default)]
struct Tags(RefCell<Vec<(QualName, Vec<Attribute>)>>);

impl TokenSink for Tags {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        if let Token::TagToken(tag) = token
            && tag.kind == TagKind::StartTag
        {
            self.0.borrow_mut().push((QualName::new(None, ns!(html), tag.name), tag.attrs));
        }
        TokenSinkResult::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p3_markup_of_a_job_that_sees_a_value_is_known() {
        let fonts =
            own_fonts(&[Box::from("<style>@font-face{font-family:z;src:url(https://t/z)}p{}</style>")]);
        for markup in [
            "<img src=x onerror=\"a()\">",
            "<img src=\"https://t/x\" loading=&#108;azy>",
            "<img sizes=' auto' srcset='https://t/x 1w'>",
            "<p style='content-visibility:auto'>",
            "<p style='anim\\61tion-timeline:view()'>",
            "<font face='Arial,z'>x",
            "<p style=\"font-family:Arial,'Z'\">x",
            "<p itemprop=url>https://t/ ",
            "<p style='background:i\\66(style(--a:x):url(//t/x))'>",
            "<a href=' java\nscript:a()'>x</a>",
            "<iframe src=\"https://t/x\"></iframe>",
            "<script>a()</script>",
            "<template shadowrootmode=open><slot></slot></template>",
            "<script src='https://cdn.ampproject.org@t/v0.js'></script>",
            "<script src='https://cdn.ampproject.org/c/s/t.example/v0.js'></script>",
            "<script src='https://cdn.ampproject.org/v0/../c/a.js'></script>",
        ] {
            assert!(what_sees_in(markup, &fonts).is_some(), "{markup}");
        }
        for markup in [
            "loading=lazy",
            "<td style='font-family:z,Arial;color:red'><img src='https://t/x' loading='eager' sizes='100vw'></td>",
            "<td style='font-family:Arial,Helvetica,sans-serif'><a itemprop=url href='https://t/'>x</a></td>",
            "<script async src='https://cdn.ampproject.org/v0.js'></script>",
            "<script async src='https://cdn.ampproject.org/v0/amp-form-0.1.js' custom-element='amp-form'></script>",
            "<script type='application/ld+json'>{}</script><img itemprop=image src='https://t/x'>",
        ] {
            assert_eq!(what_sees_in(markup, &fonts), None, "{markup}");
        }
        assert_eq!(what_sees_in("<font face='Arial,z'>x", ""), None);
    }
}
