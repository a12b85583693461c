//! What a finished message shows to others than its reader, read by mail-parser and html5ever: values where none may be, and
//! whatever a client fetches, links or submits.

use super::MARK;
use html5ever::tendril::TendrilSink;
use html5ever::tree_builder::TreeBuilderOpts;
use html5ever::{ParseOpts, parse_document};
use mail_parser::{Address, Message, MessageParser, MimeHeaders, PartType};
use markup5ever_rcdom::{Handle, NodeData, RcDom};
use std::collections::BTreeSet;

/// Header fields in which a person may be named.
const NAMING: &[&str] = &["To", "From", "Reply-To", "Subject"];
const SHOWN: &[&str] = &["alt", "title", "summary", "abbr", "lang", "aria-label", "aria-description"];
const LOADING: &[&str] = &[
    "href",
    "src",
    "srcset",
    "background",
    "poster",
    "action",
    "formaction",
    "data",
    "cite",
    "longdesc",
    "ping",
    "content",
    "value",
    "name",
    "dynsrc",
    "lowsrc",
    "http-equiv",
    "action-xhr",
];
const MACHINES: &[&str] = &[
    "link", "style", "meta", "script", "base", "object", "embed", "param", "applet", "iframe", "frame",
    "form", "input", "select", "option", "optgroup", "textarea", "track", "source", "template",
];
const HIDING: &[&str] = &[
    "textarea",
    "style",
    "script",
    "xmp",
    "iframe",
    "noembed",
    "noframes",
    "object",
    "applet",
    "video",
    "audio",
    "canvas",
    "select",
    "option",
    "optgroup",
    "datalist",
    "template",
    "noscript",
    "frameset",
    "plaintext",
];
const INLINE: &[&str] = &[
    "a", "b", "i", "em", "strong", "span", "font", "u", "s", "small", "big", "sub", "sup", "wbr", "nobr",
    "tt", "code", "label", "button",
];
/// Properties of a calendar that are shown, or stand for the person.
const OF_CALENDAR: &[&str] = &[
    "summary",
    "description",
    "location",
    "comment",
    "contact",
    "categories",
    "attendee",
    "organizer",
    "x-alt-desc",
];

#[derive(Default)]
pub struct Seen {
    pub problems: Vec<String>,
    /// The same for everybody.
    pub fetched: BTreeSet<String>,
}

struct Reader<'v> {
    values: &'v [String],
    seen: Seen,
    /// Of the part at hand, as it is shown.
    text: String,
}

impl Seen {
    /// `values` are those of the person the message is for, in lower case.
    pub fn of(message: &[u8], values: &[String]) -> Self {
        let mut reader = Reader { values, seen: Self::default(), text: String::new() };
        let message = MessageParser::default().parse(message).expect("a message has a header");
        reader.message(&message);
        reader.seen
    }
}

impl Reader<'_> {
    fn message(&mut self, message: &Message<'_>) {
        for header in message.parts.iter().flat_map(|part| &part.headers) {
            if !NAMING.contains(&header.name()) {
                self.nowhere(&format!("{:?}", header.value), header.name());
            }
        }
        for list in [message.from(), message.reply_to(), message.sender()].into_iter().flatten() {
            let addresses = match list {
                Address::List(list) => list.iter().collect::<Vec<_>>(),
                Address::Group(groups) => groups.iter().flat_map(|group| &group.addresses).collect(),
            };
            for address in addresses.iter().filter_map(|one| one.address()) {
                self.nowhere(address, "an address");
                self.seen.fetched.insert(address.to_owned());
            }
        }
        for part in &message.parts {
            let subtype =
                part.content_type().and_then(|it| it.subtype()).unwrap_or("plain").to_ascii_lowercase();
            match &part.body {
                PartType::Html(html) => self.html(html),
                PartType::Text(text) if subtype == "calendar" => self.calendar(text),
                PartType::Text(text) if subtype == "plain" => self.links(text),
                PartType::Text(text) => self.nowhere(text, &subtype),
                _ => {}
            }
        }
    }

    /// No value may stand here.
    fn nowhere(&mut self, text: &str, place: &str) {
        if text.to_lowercase().contains(MARK) {
            self.seen.problems.push(format!("a value in {place}: {text}"));
        }
    }

    fn html(&mut self, html: &str) {
        for scripting_enabled in [false, true] {
            let tree_builder = TreeBuilderOpts { scripting_enabled, ..TreeBuilderOpts::default() };
            let options = ParseOpts { tree_builder, ..ParseOpts::default() };
            let tree = parse_document(RcDom::default(), options).one(html);
            self.node(&tree.document, false);
            let text = std::mem::take(&mut self.text);
            self.links(&text);
        }
    }

    fn node(&mut self, node: &Handle, is_hidden: bool) {
        let mut is_hidden = is_hidden;
        let mut space = "";
        match &node.data {
            NodeData::Text { contents } if is_hidden => self.nowhere(&contents.borrow(), "hidden text"),
            NodeData::Text { contents } => self.text.push_str(&contents.borrow()),
            NodeData::Comment { contents } => self.nowhere(contents, "a comment"),
            NodeData::Element { name, attrs, template_contents, .. } => {
                let is_html = name.ns == html5ever::ns!(html);
                self.nowhere(&name.local, "a tag");
                for attribute in attrs.borrow().iter() {
                    self.attribute((&name.local, is_html), &attribute.name.local, &attribute.value);
                }
                is_hidden |= !is_html || HIDING.contains(&&*name.local);
                space = if INLINE.contains(&&*name.local) { "" } else { " " };
                if let Some(contents) = template_contents.borrow().as_ref() {
                    self.node(contents, true);
                }
            }
            _ => {}
        }
        self.text.push_str(space);
        for child in node.children.borrow().iter() {
            self.node(child, is_hidden);
        }
        self.text.push_str(space);
    }

    fn attribute(&mut self, (element, is_html): (&str, bool), name: &str, value: &str) {
        self.nowhere(name, "an attribute's name");
        let is_shown = is_html && SHOWN.contains(&name) && !MACHINES.contains(&element);
        if !is_shown {
            self.nowhere(value, &format!("{name} of {element}"));
        }
        let value_lower = value.to_lowercase();
        let is_loading_style =
            name == "style" && (value_lower.contains("url(") || value_lower.contains("@import"));
        let is_machines =
            MACHINES.contains(&element) && !SHOWN.contains(&name) && !["class", "id"].contains(&name);
        if LOADING.contains(&name) || is_loading_style || is_machines {
            self.seen.fetched.insert(format!("{element} {name}={value}"));
        }
    }

    fn calendar(&mut self, text: &str) {
        let unfolded = text.replace("\r\n ", "").replace("\r\n\t", "");
        for line in unfolded.lines() {
            let name = line.split([':', ';']).next().unwrap_or_default().to_lowercase();
            if !OF_CALENDAR.contains(&&*name) {
                self.nowhere(line, "a calendar");
                self.seen.fetched.insert(line.to_owned());
            }
        }
    }

    /// Links that clients make by themselves. Values may look like anything; what the template puts around them may not.
    fn links(&mut self, text: &str) {
        let mut text = plain(&text.to_lowercase());
        for value in self.values {
            text = text.replace(plain(value).trim(), MARK);
        }
        for word in text.split_whitespace() {
            let links = links(word);
            let with_value = links.iter().filter(|link| link.contains(MARK));
            self.seen.problems.extend(with_value.map(|link| format!("a link: {link}")));
            self.seen
                .fetched
                .extend(links.iter().filter(|link| !link.contains(MARK)).map(|link| (*link).to_owned()));
        }
    }
}

/// Without what has no width; white space and controls are one space.
fn plain(text: &str) -> String {
    let has_width = |char: &char| !matches!(char, '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let spaced = |char: char| if char.is_whitespace() || char.is_control() { ' ' } else { char };
    let mut plain = String::with_capacity(text.len());
    for char in text.chars().filter(has_width).map(spaced) {
        if char != ' ' || !plain.ends_with(' ') {
            plain.push(char);
        }
    }
    plain
}

/// As common makers of links have it: a scheme or `www.` and all behind it, or a name of a host with what goes with it. A
/// top-level domain that begins with a value is one for people with such a name only (`Dr.{{person.last_name}}`).
fn links(word: &str) -> Vec<&str> {
    let started =
        ["://", "www.", "mailto:", "tel:", "sms:"].iter().filter_map(|start| word.find(start)).min();
    if let Some(at) = started {
        let before =
            word[..at].trim_end_matches(|char: char| char.is_ascii_alphanumeric() || "+.-".contains(char));
        return vec![&word[before.len()..]];
    }
    let is_label = |char: char| char.is_alphanumeric() || "-_.+@".contains(char);
    let mut found = Vec::new();
    let mut rest = word;
    while let Some(at) = rest.find(is_label) {
        let run = rest[at..].trim_start_matches(['.', '-', '@', '+']);
        let end = run.find(|char: char| !is_label(char)).unwrap_or(run.len());
        let host = run[..end].trim_end_matches(['.', '-', '@', '+']);
        let last = host.rsplit('.').next().unwrap_or_default();
        let is_host = host.contains('.')
            && last.len() >= 2
            && last.chars().all(|char| char.is_ascii_alphabetic())
            && !last.starts_with(MARK);
        if is_host {
            let tail = &run[host.len()..];
            let whole = if tail.starts_with(['/', '?', '#', ':', '@']) { run } else { host };
            found.push(whole);
            if whole.len() == run.len() {
                break;
            }
        }
        rest = &run[end..];
    }
    found
}
