//! Contents and data: ordinary mails, questions about a person in all that a template can say, and what readers of HTML, calendars
//! and links take in ways of their own.

use crate::mutate::Mutator;
use serde_json::{Value, json};
use tokenrelay::job::{Content, Data, InlineContent};

const TESTS: &[&str] = &[
    "person.nick",
    "(not person.nick)",
    "data.yes",
    "data.no",
    "data.list",
    "(gte person.first_name \"M\")",
    "(lt person.city data.word)",
    "(eq person.first_name data.word)",
    "(eq (len person.city) data.len)",
    "(gt (len person.first_name) 9)",
    "(and data.yes (not (gte person.first_name \"M\")))",
    "(or data.no (lookup data.known (len person.city)))",
];
const VALUES: &[&str] = &[
    "{{person.email}}",
    "{{person.first_name}}",
    "{{person.first_name}}",
    "{{person.city}}",
    "{{#if person.nick}}{{person.nick}}{{/if}}",
    "{{person.nick}}",
    "{{data.word}}",
    "{{data.link}}",
    "{{data.absent}}",
    "{{{data.raw}}}",
    "{{send.number}}",
    "{{lookup data.known (len person.city)}}",
    "{{lookup data.sets person.first_name}}",
    "{{#with (lookup data.known (len person.city))}}{{this}}{{/with}}",
];
/// Put in whole where an input is changed.
pub const WORDS: &[&[u8]] = &[
    b"{{person.first_name}}",
    b"{{person.email}}",
    b"{{data.word}}",
    b"{{data.link}}",
    b"{{{data.raw}}}",
    b"{{#if (gte person.first_name \"M\")}}",
    b"{{#if person.nick}}",
    b"{{#each data.list}}",
    b"{{else}}",
    b"{{/if}}",
    b"{{/each}}",
    b"<a href=\"https://shop.example/\">",
    b"</a>",
    b"<img src=\"//shop.example/a\" alt=\"",
    b"\">",
    b"<td>",
    b"<table>",
    b"<svg>",
    b"<style>",
    b"<!--[if mso]>",
    b"<![endif]-->",
    b"&#58;",
    b"://",
    b"www.",
    b".example",
    b"@",
    b"/u?e=",
    b"<wbr>",
    b"<!-- c -->",
];
const TEXTS: &[&str] =
    &["Hello ", "an offer ", " ", "x ", "see https://shop.example/a ", "1 < 2 ", "\n", "shop.example "];
const ODD_TEXTS: &[&str] = &[
    "&amp;",
    "&#58;",
    "&colon;",
    "&shy;",
    "//third/",
    "https:",
    "third.example",
    "/u?e=",
    "www.",
    ".",
    "@",
    "&",
    "&#",
    "<wbr>",
    "<!-- c -->",
    "<!-->",
    "-->",
    "]]>",
    "\"",
    "'",
    "=",
    "\u{200b}",
    "third",
    ".example",
    "mailto:",
    "<![CDATA[",
    "<!--[if mso]>",
    "<![endif]-->",
    "<?x?>",
    "</textarea>",
    "</style>",
    "</table>",
    "<br>",
    "<img alt=\"",
    "\">",
    "<style>p:empty{}</style>",
];
const PLAIN: &[&str] = &[
    "p", "b", "i", "a", "div", "span", "td", "tr", "table", "li", "ul", "font", "center", "h1", "pre", "em",
    "nobr", "button",
];
const ODD: &[&str] = &[
    "svg",
    "math",
    "textarea",
    "title",
    "style",
    "script",
    "select",
    "option",
    "template",
    "noscript",
    "iframe",
    "xmp",
    "object",
    "desc",
    "foreignObject",
    "form",
    "input",
    "head",
    "body",
    "caption",
    "video",
    "param",
    "image",
    "o:p",
    "amp-img",
    "label",
    "fieldset",
];
const ATTRIBUTES: &[&str] = &[
    "title",
    "alt",
    "class",
    "style",
    "lang",
    "href",
    "src",
    "value",
    "fill",
    "xlink:href",
    "action",
    "data-x",
    "aria-label",
    "name",
    "content",
    "srcset",
    "background",
    "id",
    "hidden",
    "width",
];
const RAW: &[&str] = &[
    "",
    "plain",
    "<b>x</b>",
    "<p>x",
    "</td></tr></table>",
    "<form action=//third/>",
    "<svg>",
    "</div>",
    "<textarea>",
    "<!-- x -->",
    "@third.example",
    "https://third.example/",
    "<a href=\"https://third.example/\">",
];
const FIELDS_OF_HEADERS: &[&str] = &[
    "List-Unsubscribe: <https://shop.example/u?n=",
    "X-Campaign: c42 ",
    "Reply-To: ",
    "Keywords: a ",
    "Message-ID: <1",
    "List-Id: ",
    "Comments: ",
    "Content-Description: ",
];

pub struct Composer<'m> {
    pub mutator: &'m mut Mutator,
}

impl Composer<'_> {
    fn one(&mut self, of: &[&'static str]) -> &'static str {
        of[self.mutator.below(of.len())]
    }

    /// One time in so many.
    fn chance(&mut self, of: usize) -> bool {
        self.mutator.below(of) == 0
    }

    pub fn html(&mut self) -> String {
        // Few of the odd ones are taken, most of the others.
        let oddity = *self.mutator.pick(&[200, 40, 10, 4]);
        let parts = 1 + self.mutator.below(4);
        (0..parts).map(|_| self.part(3, oddity)).collect()
    }

    fn part(&mut self, depth: usize, oddity: usize) -> String {
        if depth == 0 || self.chance(3) {
            return self.text(oddity);
        }
        let inner: String = (0..=self.mutator.below(3)).map(|_| self.part(depth - 1, oddity)).collect();
        if self.chance(4) {
            let other = self.part(depth - 1, oddity);
            return self.block(&inner, &other);
        }
        let names = if self.chance(oddity) { ODD } else { PLAIN };
        let name = self.one(names);
        let attributes = self.attributes(oddity);
        let end = if self.chance(oddity) { String::new() } else { format!("</{name}>") };
        format!("<{name}{attributes}>{inner}{end}")
    }

    fn text(&mut self, oddity: usize) -> String {
        let texts = if self.chance(oddity) { ODD_TEXTS } else { TEXTS };
        let text = self.one(texts);
        match self.mutator.below(3) {
            0 => text.to_owned(),
            1 => self.one(VALUES).to_owned(),
            _ => format!("{text}{}", self.one(VALUES)),
        }
    }

    fn attributes(&mut self, oddity: usize) -> String {
        let mut out = String::new();
        while self.chance(3) {
            let names = if self.chance(oddity) { ATTRIBUTES } else { &ATTRIBUTES[..5] };
            let (name, value) = (
                self.one(names),
                self.one(&[
                    "x",
                    "https://shop.example/",
                    "a {{data.word}}",
                    "{{person.city}}",
                    "{{data.link}}",
                ]),
            );
            out += &match self.mutator.below(8) {
                0 => {
                    let test = self.one(TESTS);
                    format!(" {{{{#if {test}}}}}{name}=\"{value}\"{{{{/if}}}}")
                }
                1 => {
                    let test = self.one(TESTS);
                    format!(" {name}=\"{{{{#if {test}}}}}{value}{{{{else}}}}y{{{{/if}}}}\"")
                }
                _ => format!(" {name}=\"{value}\""),
            };
        }
        out
    }

    fn block(&mut self, inner: &str, other: &str) -> String {
        let test = self.one(TESTS);
        match self.mutator.below(6) {
            0 => format!("{{{{#if {test}}}}}{inner}{{{{/if}}}}"),
            1 | 2 => format!("{{{{#if {test}}}}}{inner}{{{{else}}}}{other}{{{{/if}}}}"),
            3 => format!("{{{{#unless {test}}}}}{inner}{{{{/unless}}}}"),
            4 => {
                let inner = inner.replace("person.", "@root.person.").replace("data.", "@root.data.");
                format!("{{{{#each data.list}}}}{inner}{{{{/each}}}}")
            }
            _ => {
                format!("{{{{#each (lookup data.sets (len person.city))}}}}{{{{this}}}}{{{{/each}}}}{inner}")
            }
        }
    }

    fn line(&mut self) -> String {
        let text = self.one(&["Hello ", "Your order ", ""]);
        match self.mutator.below(3) {
            0 => text.to_owned(),
            1 => format!("{text}{}", self.one(VALUES)),
            _ => {
                let value = self.one(VALUES);
                let test = self.one(TESTS);
                format!("{text}{{{{#if {test}}}}}{value}{{{{else}}}}x{{{{/if}}}}")
            }
        }
    }

    pub fn data(&mut self) -> Data {
        let word = self.one(&[
            "M",
            "x",
            "third.example/",
            "<b>",
            "7",
            "Aq",
            "https://third.example/",
            "@third.example",
        ]);
        let link =
            self.one(&["https://shop.example/a?b=c", "https://third.example/", "javascript:x", "none"]);
        let len = self.mutator.below(20);
        let at_len = |there: Value, elsewhere: Value| {
            let mut list = vec![elsewhere; 9];
            list.push(there);
            list.extend(vec![Value::Null; 3]);
            list
        };
        let known = self.one(&["a", "", "https://third.example/", "b"]);
        let list = &["M", "third.example"][..self.mutator.below(3)];
        let raw = self.one(RAW);
        let data = json!({
            "word": word, "link": link, "len": len, "yes": true, "no": false, "raw": raw,
            "list": list,
            "known": at_len(json!(known), json!("b")), "sets": at_len(json!(["x", known]), json!(["y"])),
        });
        let Value::Object(mut data) = data else { unreachable!("an object is written above") };
        if self.chance(8) {
            data.insert("absent".into(), "here".into());
        }
        data.into_iter().collect()
    }

    pub fn content(&mut self, body: &str) -> Content {
        let text = self.chance(3).then(|| self.line() + body);
        if self.chance(3) {
            return Content::Message(self.message(body).into_bytes().into());
        }
        let reply_to = self.chance(8).then(|| format!("{} <help@shop.example>", self.line()));
        let html = (text.is_none() || self.chance(2)).then(|| body.to_owned());
        let from = if self.chance(8) {
            format!("{} <a@shop.example>", self.line())
        } else {
            "a@shop.example".into()
        };
        Content::Inline(InlineContent { from, subject: self.line(), text, html, reply_to }.into())
    }

    fn message(&mut self, body: &str) -> String {
        let (subject, value) = (self.line(), self.one(VALUES));
        let field = if self.chance(4) {
            format!("{}{value}\r\n", self.one(FIELDS_OF_HEADERS))
        } else {
            String::new()
        };
        let body = body.replace('\n', "\r\n");
        let parts = [("html", body.clone()), ("plain", body), ("calendar", self.calendar())];
        let parts: String = parts
            .iter()
            .filter(|_| !self.chance(3))
            .map(|(subtype, text)| {
                format!("--b\r\nContent-Type: text/{subtype}; charset=utf-8\r\n\r\n{text}\r\n")
            })
            .collect();
        format!(
            "From: Shop <a@shop.example>\r\nTo: <e_0123456789@tokens.example>\r\nSubject: {subject}\r\n{field}MIME-Version: 1.0\r\n\
             Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}--b--\r\n"
        )
    }

    fn calendar(&mut self) -> String {
        let (property, value) = (
            self.one(&[
                "SUMMARY",
                "DESCRIPTION",
                "LOCATION",
                "URL",
                "UID",
                "ATTACH",
                "ATTENDEE;CN=\"x\"",
                "X-ALT-DESC;FMTTYPE=text/html",
            ]),
            self.line(),
        );
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1@shop.example\r\nDTSTART:20300101T000000Z\r\n{property}:{value}\r\n\
             END:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    }
}
