//! Styles that see what a text holds, how long it is or whether there is one, and so may fetch one address or another by it.

use super::css::readings;
use super::fonts::what_sees_letters;
use crate::render::branch::without_service_fonts;
use html5ever::LocalName;
use memchr::memmem;

/// What cannot be told apart from a question about a value.
const SEEING: [(&str, &str); 15] = [
    (":target-", ":target-current and its kin, which tell how long the text is"),
    ("scroll-target", "groups of scrolling, which tell how long the text is"),
    ("unicode-range", "unicode-range, which fetches a font by the letters of the text"),
    (":empty", ":empty, which tells whether a value is empty"),
    (":dir(", ":dir(), which tells the direction of the text"),
    (":blank", ":blank, which tells whether a value is empty"),
    ("-scrollbar", "a style of scroll bars, which tells how long the text is"),
    ("@container", "@container, which tells how long the text is"),
    ("-timeline", "an animation by scrolling (…-timeline), which tells how long the text is"),
    ("timeline-", "an animation by scrolling (timeline-…), which tells how long the text is"),
    ("::scroll-", "buttons or marks of scrolling, which tell how long the text is"),
    ("position-try", "position-try, which tells how long the text is"),
    ("content-visibility", "content-visibility, which fetches by how far down something stands"),
    ("expression(", "expression(), a program that can read the text"),
    ("-moz-binding", "-moz-binding, a program that can read the text"),
];

const UNKNOWN_RULE: &str = "a rule that is not known here (@…), which may tell what a text holds";
/// Which tell nothing of texts. Those that browsers may learn are none of them.
const AT_RULES: [&str; 19] = [
    "charset",
    "color-profile",
    "counter-style",
    "document",
    "font-face",
    "font-feature-values",
    "font-palette-values",
    "import",
    "keyframes",
    "layer",
    "list",
    "media",
    "namespace",
    "page",
    "property",
    "scope",
    "starting-style",
    "supports",
    "viewport",
];

/// The styles of one text, and the attributes beside them.
#[derive(Debug, Default)]
pub(super) struct Styles {
    sheets: String,
    /// Of elements.
    declared: String,
    /// Attributes that hold a value about a person.
    shown: Vec<LocalName>,
    /// An attribute that fetches by the room that text takes.
    by_room: Option<&'static str>,
}

impl Styles {
    pub(super) fn sheet(&mut self, css: &str) {
        self.sheets.push_str(css);
    }

    /// In a drawing a reference (`&#112;`) spells a sign, which not all readers of style sheets know.
    pub(super) fn sheet_of_drawing(&mut self, css: &str) {
        if css.contains(['@', '(', '\\', '&']) {
            self.by_room = Some("a style sheet of a drawing (svg) with more than plain styles in it");
        }
        self.sheet(css);
    }

    pub(super) fn attribute(&mut self, name: &str, value: &str) {
        let begins =
            |word: &str| value.trim_ascii().get(..4).is_some_and(|start| start.eq_ignore_ascii_case(word));
        match name {
            "style" => self.declared.extend([value, ";"]),
            "face" => self.declared.extend(["font-family:", value, ";"]),
            "sizes" if begins("auto") => {
                self.by_room = Some("sizes=\"auto\", which chooses a file by the room that the text leaves");
            }
            "loading" if begins("lazy") => {
                self.by_room = Some("loading=\"lazy\", which fetches by how far down the text puts it");
            }
            _ => {}
        }
    }

    pub(super) fn shows(&mut self, name: &LocalName) {
        self.shown.push(name.clone());
    }

    /// What in them sees values.
    pub(super) fn what_sees_values(&self) -> Option<&'static str> {
        let names: Vec<&str> = self.shown.iter().map(|name| &**name).collect();
        self.by_room.or_else(|| what_sees_values(&self.sheets, &self.declared, &names))
    }
}

/// What in style sheets, or in the styles of elements, sees values in texts or in attributes of these names.
fn what_sees_values(sheets: &str, declared: &str, attributes: &[&str]) -> Option<&'static str> {
    if sheets.is_empty() && declared.is_empty() {
        return None;
    }
    let whole = readings(sheets);
    let sheets = readings(&without_service_fonts(sheets));
    let declared = readings(declared);
    let is_in = |word: &str| {
        sheets.iter().chain(&declared).any(|css| memmem::find(css.as_bytes(), word.as_bytes()).is_some())
    };
    let seeing = SEEING.iter().find(|(word, _)| is_in(word)).map(|(_, what)| *what);
    // With comments read as such, and as it is written: the text of a comment is no rule.
    let by_rule = || {
        let each = [sheets.first(), sheets.last()].into_iter().flatten();
        each.into_iter().any(|css| has_unknown_rule(css)).then_some(UNKNOWN_RULE)
    };
    let by_letters = || {
        let of_first = || sheets.iter().find_map(|css| what_sees_a_first_letter(css));
        let each = sheets.iter().zip(&whole);
        each.into_iter().find_map(|(css, whole)| what_sees_letters(css, whole, &declared)).or_else(of_first)
    };
    let by_attributes = || {
        let texts = sheets.iter().chain(&declared);
        if attributes.is_empty() {
            None
        } else {
            texts.into_iter().find_map(|css| what_sees_attributes(css, attributes))
        }
    };
    seeing.or_else(by_rule).or_else(by_letters).or_else(by_attributes)
}

fn has_unknown_rule(css: &str) -> bool {
    let is_unknown = |rule: &str| {
        let end = rule.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rule.len());
        let name = &rule[..end];
        let name =
            ["-webkit-", "-moz-", "-ms-", "-o-"].iter().find_map(|by| name.strip_prefix(by)).unwrap_or(name);
        !name.is_empty() && !AT_RULES.contains(&name)
    };
    css.split(['{', '}', ';']).filter_map(|piece| piece.trim_start().strip_prefix('@')).any(is_unknown)
}

/// What a first letter alone fetches is not fetched for an empty value. Most make it large only.
fn what_sees_a_first_letter(css: &str) -> Option<&'static str> {
    let has_own_fonts = css.contains("@font-face");
    let fetches = |rule: &str| {
        let (selector, block) = rule.split_once('{').unwrap_or(("", rule));
        let block = block.split('}').next().unwrap_or("");
        // Signs in quotes may hide where the block begins.
        selector.contains(['"', '\'', '['])
            || ["url", "image", "src(", "var("].iter().any(|word| block.contains(word))
            || has_own_fonts && block.contains("font")
    };
    let has_one = css.split(":first-letter").skip(1).any(fetches);
    has_one.then_some("an address or a font for :first-letter, which tells whether a value is empty")
}

fn what_sees_attributes(css: &str, attributes: &[&str]) -> Option<&'static str> {
    if attributes.contains(&"lang") && css.contains(":lang(") {
        return Some(":lang(), which tells what stands in lang");
    }
    // With an escape or comment it may be any name.
    let is_one = |written: &str, ends: &[char]| {
        let behind_namespace = written.split_once('|').filter(|(_, name)| !name.starts_with('='));
        let local = behind_namespace.map_or(written, |(_, name)| name);
        let name = local.trim_start().split(ends).next().unwrap_or("");
        written.contains(['\\', '/']) || attributes.contains(&name)
    };
    let mut selectors =
        css.split('[').skip(1).map(|rest| rest.split([']', '{', '}', ';']).next().unwrap_or(""));
    if selectors.any(|selector| is_one(selector, &['=', '~', '|', '^', '$', '*', ' '])) {
        return Some("a selector of the attribute that holds a value");
    }
    // What is shown of it tells nobody: what chooses a font, a file or an animation by it would.
    let chooses = |declaration: &str| {
        let mut read = declaration.split("attr(").skip(1).map(|rest| rest.split(')').next().unwrap_or(""));
        let property = declaration.split(':').next().unwrap_or("").trim();
        property != "content" && read.any(|name| is_one(name, &[' ', ',', '\t', '\n']))
    };
    if css.contains("attr(") && css.split(['{', '}', ';']).any(chooses) {
        return Some("attr() of the attribute that holds a value, elsewhere than in content");
    }
    css.contains("@import")
        .then_some("@import, whose style sheet may select by the attribute that holds a value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p3_styles_that_see_values_are_known() {
        for css in [
            "@font-face{font-family:a;src:url(https://t/a);unicode-range:U+41}",
            ".x:EMPTY{background:url(https://t/e)}",
            "p[title^=\"a\"]{background:url(https://t/a)}",
            "p[ title $= a]{background:url(https://t/a)}",
            "p[t\\69tle^=a]{}",
            "p[/**/title^=a]{}",
            "@import url(https://t/a.css)",
            "p{animation:a 1s linear;animation-timeline:scroll(self inline)}",
            "p{anim\\61tion-timeline:view()}",
            "p{scroll-timeline:--a}",
            "p{timeline-scope:--a}",
            "p{x:'/*';anim\\61tion-timeline:view();x:'*/'}",
            "p{content-visibility:auto}",
            "p::first-letter{background:url(https://t/a)}",
            "p:FIRST-letter, b{color:red;background:image-set('//t/a' 1x)}",
            "p:first-letter,[a=\"{}\"]{background:url(https://t/a)}",
            "p::first-letter{background:var(--a)}",
            "@font-face{font-family:a;src:url(//t/a)}p::first-letter{font-family:a}",
            "[|title^=a]{}",
            "a:target-current{background:url(//t/a)}",
            "[*|title^=a] b{}",
            "p{animation-name:attr(title type(*))}",
            "p{font-family:attr(title type(*))}",
            "@function --f(){result:a}",
            "@unheard-of (x){}",
            "@-webkit-unheard x{}",
            "@font-face{font-family:z;src:local(a);unicode-range:U+41}",
            "@font-face{font-family:z;src:url(data:font/ttf;base64,AA);unicode-range:U+41}",
            "@font-face{font-family:z;src:url(https://fonts.gstatic.com/a);unicode-range:U+41}@font-face{font-family:Z;src:url(//t/a)}",
            "p{--a:attr(title type(*));background:if(style(--a:x):url(//t/x))}",
            "p{width:expression(this.innerText)}",
            "@c\\6fntainer (width>9px){}",
        ] {
            assert!(what_sees_values(css, "", &["title"]).is_some(), "{css}");
        }
        for css in [
            "@font-face{src:url(https://fonts.gstatic.com/a),url(https://t/a);unicode-range:U+41}",
            "@font-face{src:url(https://fonts.gstatic.com/a)}@font-face{src:url(//t/a);unicode-range:U+41}",
            "@font-face{src:url(https://fonts.gstatic.com.t/a);unicode-range:U+41}",
            "@font-face{src:url(https://fonts.gstatic.com/a);unicode-range:U+41}p:empty{background:url(//t/a)}",
            "@font-face{src:u\\72l(https://t/a);unicode-range:U+41}",
            "a[b=\"@font-face{\"]:empty[c=\"}\"]{background:url(//t/a)}",
            "/*@font-face{*/p:empty[a=\"}\"]{background:url(//t/a)}",
            "@font-face{src:/**/url(https://t/a);unicode-range:U+41}",
        ] {
            assert!(what_sees_values(css, "", &[]).is_some(), "{css}");
        }
        let served = "@font-face{font-family:'Lato';src:url(https://fonts.gstatic.com/s/lato/a.woff2) format('woff2');\
                      unicode-range:U+0000-00FF}\n@font-face{src:url(//fonts.gstatic.com/b);unicode-range:U+41} p{color:red}";
        assert_eq!(what_sees_values(served, "", &[]), None, "as Google serves it");
        assert!(what_sees_values("p:lang(he){}", "", &["lang"]).is_some());
        for css in [
            "p{color:red}@media (max-width:600px){.a{background:url(https://x.test/a.png)}}",
            "[owa] .b{color:red} a[href^=tel]{color:blue} [class~=\"x_hide\"]{display:none} [data-ogsc] p{color:red}",
            "@font-face{font-family:a;src:url(https://x.test/a.woff2)}",
            "img::before{content:attr(alt) ' ' attr(title)}",
            "@media screen{@-webkit-keyframes a{to{color:red}}} @-ms-viewport{width:device-width} @list l0:level1{a:b}",
            "/* @author x */ p{color:red;background:url(https://x.test/a@2x.png)}",
            "[ns|lang|=en]{color:red} [data-x|=title]{color:red}",
            "p:first-letter{font:3em Georgia;float:left;color:red} .a{background:url(https://x.test/a.png)}",
        ] {
            assert_eq!(what_sees_values(css, "", &["title", "alt"]), None, "{css}");
        }
        assert_eq!(what_sees_values("@import url(https://fonts.example/a.css); p[title]{}", "", &[]), None);
    }
}
