//! Style sheets that see what a text holds, and so may fetch one address or another by it.

use crate::render::branch::without_service_fonts;

/// What cannot be told apart from a question about a value: which letters it has, whether it is empty, its direction.
const SEEING: [(&str, &str); 6] = [
    ("unicode-range", "unicode-range, which fetches a font by the letters of the text"),
    (":empty", ":empty, which tells whether a value is empty"),
    (":dir(", ":dir(), which tells the direction of the text"),
    (":blank", ":blank, which tells whether a value is empty"),
    ("-scrollbar", "a style of scroll bars, which tells how long the text is"),
    ("@container", "@container, which tells how long the text is"),
];

/// What in the style sheet sees values in texts or in attributes of these names.
pub(super) fn what_sees_values(css: &str, attributes: &[&str]) -> Option<&'static str> {
    let css = without_service_fonts(css).to_ascii_lowercase();
    let found =
        SEEING.iter().find(|(word, _)| memchr::memmem::find(css.as_bytes(), word.as_bytes()).is_some());
    if let Some((_, what)) = found {
        return Some(what);
    }
    if attributes.is_empty() {
        return None;
    }
    if attributes.contains(&"lang") && css.contains(":lang(") {
        return Some(":lang(), which tells what stands in lang");
    }
    let mut selectors =
        css.split('[').skip(1).map(|rest| rest.split([']', '{', '}', ';']).next().unwrap_or(""));
    let sees = |selector: &str| {
        // With an escape or comment it may be any name.
        let name = selector.trim_start().split(['=', '~', '|', '^', '$', '*', ' ']).next().unwrap_or("");
        selector.contains(['\\', '/']) || attributes.contains(&name)
    };
    if selectors.any(sees) {
        return Some("a selector of the attribute that holds a value");
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
        ] {
            assert!(what_sees_values(css, &["title"]).is_some(), "{css}");
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
            assert!(what_sees_values(css, &[]).is_some(), "{css}");
        }
        let served = "@font-face{font-family:'Lato';src:url(https://fonts.gstatic.com/s/lato/a.woff2) format('woff2');\
                      unicode-range:U+0000-00FF}\n@font-face{src:url(//fonts.gstatic.com/b);unicode-range:U+41} p{color:red}";
        assert_eq!(what_sees_values(served, &[]), None, "as Google serves it");
        assert!(what_sees_values("p:lang(he){}", &["lang"]).is_some());
        for css in [
            "p{color:red}@media (max-width:600px){.a{background:url(https://x.test/a.png)}}",
            "[owa] .b{color:red} a[href^=tel]{color:blue} [class~=\"x_hide\"]{display:none} [data-ogsc] p{color:red}",
            "@font-face{font-family:a;src:url(https://x.test/a.woff2)}",
        ] {
            assert_eq!(what_sees_values(css, &["title", "alt"]), None, "{css}");
        }
        assert_eq!(what_sees_values("@import url(https://fonts.example/a.css); p[title]{}", &[]), None);
    }
}
