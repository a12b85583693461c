//! What XML says in ways that a reader of HTML does not see: names of other vocabularies, texts that a declaration puts
//! in, style sheets, and places that are markup to one of them only (XML 1.0 §2, Namespaces in XML §3 to 6).

use super::opened::Unfit;
use encoding_rs::Encoding;

const XHTML: &str = "http://www.w3.org/1999/xhtml";
const FIX: &str = "write it as plain XHTML, or send it as text/html";
/// What they hold is text to a reader of HTML, and markup to one of XML.
const TEXT_ONLY: [&str; 9] =
    ["title", "textarea", "style", "script", "xmp", "iframe", "noembed", "noframes", "noscript"];

/// # Errors
/// For what makes of a value of a person something else than text. `may_be_a_piece`: XHTML of which the root is not stated.
pub fn judge(source: &str, may_be_a_piece: bool) -> Result<(), Unfit> {
    let mut reader =
        Reader { rest: source.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']), inside: None };
    reader.declaration()?;
    let mut is_first = true;
    while let Some(open) = memchr::memchr(b'<', reader.rest.as_bytes()) {
        reader.rest = &reader.rest[open..];
        if reader.comment()? || reader.document_type()? {
            continue;
        }
        let tag = reader.tag()?;
        if is_first && tag != "html" && !may_be_a_piece {
            return unfit(format!("an XML document of which the first element is {tag}, not html"));
        }
        is_first = false;
    }
    Ok(())
}

fn unfit<T>(what: impl Into<String>) -> Result<T, Unfit> {
    let what = what.into();
    Err((format!("{what}, in XML with a value of a person, or a block that depends on one"), FIX))
}

struct Reader<'s> {
    rest: &'s str,
    /// The element that is text only to a reader of HTML.
    inside: Option<&'static str>,
}

impl<'s> Reader<'s> {
    /// Behind what ends with `end`.
    fn take_to(&mut self, end: &str) -> Result<&'s str, Unfit> {
        let Some((taken, rest)) = self.rest.split_once(end) else {
            return unfit(format!("markup that is not ended with {end}"));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// `<?xml version="1.0" encoding="utf-8"?>`.
    fn declaration(&mut self) -> Result<(), Unfit> {
        if !self.rest.starts_with("<?xml ") {
            return Ok(());
        }
        let declaration = self.take_to("?>")?;
        if declaration[1..].contains(['<', '>', '{']) {
            return unfit("an XML declaration that holds a tag");
        }
        let label = declaration
            .split_once("encoding")
            .map(|(_, behind)| behind.trim_start_matches([' ', '=', '"', '\'']));
        let label = label.map(|label| label.split(['"', '\'', ' ']).next().unwrap_or_default());
        let is_plain =
            |label: &str| Encoding::for_label(label.as_bytes()).is_some_and(Encoding::is_ascii_compatible);
        if label.is_some_and(|label| !is_plain(label)) {
            unfit("an encoding that hides its signs")
        } else {
            Ok(())
        }
    }

    /// The two readers agree on comments that hold no two dashes (XML 1.0 §2.5).
    fn comment(&mut self) -> Result<bool, Unfit> {
        let Some(inner) = self.rest.strip_prefix("<!--") else { return Ok(false) };
        self.rest = inner;
        let inner = self.take_to("--")?;
        match self.rest.strip_prefix('>') {
            Some(rest) if !inner.starts_with('>') && !inner.starts_with("->") && !inner.ends_with('-') => {
                self.rest = rest
            }
            _ => return unfit("a comment that holds -- or begins with >"),
        }
        Ok(true)
    }

    /// That of XHTML or HTML, without an internal subset.
    fn document_type(&mut self) -> Result<bool, Unfit> {
        let Some(declared) = self.rest.strip_prefix("<!") else { return Ok(false) };
        let is_doctype = declared.get(..7).is_some_and(|word| word.eq_ignore_ascii_case("doctype"));
        if !is_doctype || self.inside.is_some() {
            return unfit("<!ENTITY, <![CDATA[ or another declaration");
        }
        let text = self.take_to(">")?;
        let quoted: Vec<&str> = text.split(['"', '\'']).collect();
        let outside = quoted.iter().step_by(2).copied().collect::<Vec<_>>().join(" ");
        let is_word = |word: &str| ["<!doctype", "html", "public", "system"].contains(&word);
        let is_ours = |id: &str| {
            ["-//W3C//DTD XHTML ", "-//W3C//DTD HTML ", "http://www.w3.org/TR/", "https://www.w3.org/TR/"]
                .iter()
                .any(|known| id.starts_with(known))
                || id == "about:legacy-compat"
        };
        let is_known = outside.to_ascii_lowercase().split_whitespace().all(is_word)
            && quoted.iter().skip(1).step_by(2).all(|id| is_ours(id));
        if is_known { Ok(true) } else { unfit("a document type that is not one of XHTML") }
    }

    /// Its name.
    fn tag(&mut self) -> Result<&'s str, Unfit> {
        let inner = self.rest.strip_prefix('<').unwrap_or(self.rest);
        if inner.starts_with('?') {
            return unfit("a processing instruction (<?...?>)");
        }
        let (is_end, inner) = inner.strip_prefix('/').map_or((false, inner), |inner| (true, inner));
        let name =
            &inner[..inner.find(|c: char| c.is_whitespace() || "/>{<".contains(c)).unwrap_or(inner.len())];
        self.rest = &inner[name.len()..];
        if name.contains(':') {
            return unfit(format!("the element {name}, whose name has a prefix"));
        }
        if !name.starts_with(|c: char| c.is_ascii_alphabetic())
            || name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        {
            return unfit("a < that begins no tag of XHTML");
        }
        if self.inside.is_some_and(|element| !is_end || element != name) {
            return unfit("a tag in an element that is text to a reader of HTML (title, style and the like)");
        }
        let is_closed = self.attributes(name)?;
        let text_only = TEXT_ONLY.into_iter().find(|element| name.eq_ignore_ascii_case(element));
        if text_only.is_some() && (is_closed || text_only != Some(name)) {
            return unfit(format!(
                "the element {name}, written in a way that readers of XML and HTML see apart"
            ));
        }
        self.inside = text_only.filter(|_| !is_end);
        Ok(name)
    }

    /// Whether the tag closes its element itself.
    fn attributes(&mut self, tag: &str) -> Result<bool, Unfit> {
        loop {
            self.rest = self.rest.trim_start();
            if let Some(behind) = self.rest.strip_prefix("{{") {
                self.rest = behind;
                self.take_to("}}")?;
                self.rest = self.rest.trim_start_matches('}');
                continue;
            }
            if let Some(rest) = self.rest.strip_prefix('>') {
                self.rest = rest;
                return Ok(false);
            }
            if let Some(rest) = self.rest.strip_prefix("/>") {
                self.rest = rest;
                return Ok(true);
            }
            self.attribute(tag)?;
        }
    }

    fn attribute(&mut self, tag: &str) -> Result<(), Unfit> {
        let end =
            self.rest.find(|c: char| c.is_whitespace() || "=>/<{\"'".contains(c)).unwrap_or(self.rest.len());
        let (name, behind) = self.rest.split_at(end);
        self.rest = behind.trim_start();
        let quote = self.rest.strip_prefix('=').map(str::trim_start).and_then(|value| {
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            Some((quote, &value[1..]))
        });
        let Some((quote, value)) = quote.filter(|_| !name.is_empty()) else {
            return unfit(format!("a {tag} tag with an attribute that has no value in quotes"));
        };
        self.rest = value;
        let value = self.take_to(if quote == '"' { "\"" } else { "'" })?;
        match name.split_once(':') {
            Some(("xml", "lang" | "space")) => Ok(()),
            Some(_) => unfit(format!("the attribute {name}, whose name has a prefix")),
            None if name.eq_ignore_ascii_case("xmlns") && (value != XHTML || tag != "html") => {
                unfit("xmlns, but for that of XHTML on the html element")
            }
            None => Ok(()),
        }
    }
}
