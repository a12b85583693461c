//! Placeholders of other mailing products: nobody fills them in here, so people would read them as they stand.

use std::ops::Range;

/// Longest placeholder that is looked for, in bytes.
const BYTES_MAX: usize = 120;

/// What those begin with that nobody writes by chance: `*|FNAME|*`, `%%first_name%%`, `{!Contact.Name}`. Any other may be a
/// quotation or a piece of code in a message that somebody wrote.
pub(super) const SURE: [&str; 3] = ["*|", "%%", "{!"];

/// The whole of one that begins with one of [`SURE`].
pub(super) fn sure(text: &str, at: usize) -> Option<Range<usize>> {
    if text[..at].ends_with('{') {
        // A comment of our own: {{!person.name}}.
        return None;
    }
    let rest = window(&text[at..]);
    let found = [mailchimp(rest), doubled_percent(rest), salesforce(rest)];
    found.into_iter().flatten().next().map(|length| at..at + length)
}

/// All of them, in order, in bytes of the text.
pub(super) fn placeholders(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        while let Some(at) = next_sign(text.as_bytes(), from) {
            if text[at..].starts_with("{{") {
                // Our own: what stands in it is not shown.
                let inner = at + 2;
                from = inner + text[inner..].find("}}").map_or(0, |end| end + 2);
                continue;
            }
            match at_sign(text, at) {
                Some(range) => {
                    from = range.end;
                    return Some(range);
                }
                // A run of one sign begins nothing but at its first.
                None => from = at + 1,
            }
        }
        None
    })
}

/// The next byte that one may begin with.
fn next_sign(text: &[u8], from: usize) -> Option<usize> {
    let is_sign = |byte: &u8| matches!(byte, b'*' | b'%' | b'{' | b'[' | b'<' | b'$' | b'#' | b'~');
    text[from..].iter().position(is_sign).map(|at| from + at)
}

fn at_sign(text: &str, at: usize) -> Option<Range<usize>> {
    if let Some(range) = sure(text, at) {
        return Some(range);
    }
    let rest = window(&text[at..]);
    let before = text[..at].chars().next_back();
    let likely = [
        within(rest, "[[", "]]", is_bracketed),
        within(rest, "<%", "%>", |_| true),
        within(rest, "{%", "%}", |inner| inner.starts_with([' ', '-']) || begins_name(inner)),
        within(rest, "${", "}", is_expression),
        within(rest, "#{", "}", is_expression),
        within(rest, "{$", "}", is_expression),
        within(rest, "[", "]", |inner| inner.split_once(",fallback=").is_some_and(|(name, _)| is_name(name))),
        within(rest, "~", "~", |inner| inner.split_once('.').is_some_and(|(a, b)| is_word(a) && is_word(b))),
        percent(rest, before),
    ];
    likely.into_iter().flatten().next().map(|length| at..at + length)
}

/// What is looked at: the rest of the line, as far as a placeholder may reach.
fn window(rest: &str) -> &str {
    let line =
        &rest[..memchr::memchr(b'\n', &rest.as_bytes()[..rest.len().min(BYTES_MAX)]).unwrap_or(rest.len())];
    let mut end = line.len().min(BYTES_MAX);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    &line[..end]
}

/// Length of `open INNER close` at the beginning of `rest`, if the inner text is of that kind.
fn within(rest: &str, open: &str, close: &str, is_kind: impl FnOnce(&str) -> bool) -> Option<usize> {
    let inner = rest.strip_prefix(open)?;
    let inner = &inner[..inner.find(close)?];
    is_kind(inner).then(|| open.len() + inner.len() + close.len())
}

/// `*|FNAME|*`, `*|IF:VIP|*`
fn mailchimp(rest: &str) -> Option<usize> {
    within(rest, "*|", "|*", |inner| {
        let begins = inner.starts_with(|c: char| c.is_ascii_alphabetic());
        begins && inner.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:.-=, ".contains(&byte))
    })
}

/// `%%first_name%%`, `%%=v(@name)=%%`
fn doubled_percent(rest: &str) -> Option<usize> {
    within(rest, "%%", "%%", |inner| {
        is_name(inner) || (inner.len() > 2 && inner.starts_with('=') && inner.ends_with('='))
    })
}

/// `{!Contact.Name}`, `{!$Label.Shop}`
fn salesforce(rest: &str) -> Option<usize> {
    within(rest, "{!", "}", |inner| {
        let path = inner.trim_start_matches('$');
        path.contains('.') && path.split('.').all(is_word)
    })
}

/// `%first_name%`, `%recipient.name%`; not `100%a%`, nor bytes of a URL (`=%C3%A9`).
fn percent(rest: &str, before: Option<char>) -> Option<usize> {
    if before.is_some_and(|c| c.is_alphanumeric() || c == '%') {
        return None;
    }
    let length = within(rest, "%", "%", |inner| {
        let is_octet = inner.len() >= 2 && inner.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
        let in_url = before.is_some_and(|c| "/=&?._-+,;:#@".contains(c));
        inner.len() >= 2 && inner.split('.').all(is_word) && !(is_octet && in_url)
    })?;
    let goes_on = rest[length..].starts_with(|c: char| c.is_alphanumeric() || c == '%');
    (!goes_on).then_some(length)
}

/// `name`, `data:first_name:"you"`, `FIRSTNAME OR "you"`
fn is_bracketed(inner: &str) -> bool {
    let name = inner.split([':', ' ', '|']).next().unwrap_or_default();
    let rest = &inner[name.len()..];
    let is_more =
        rest.is_empty() || rest.starts_with([':', '|']) || rest.to_ascii_lowercase().starts_with(" or ");
    name.split('.').all(is_word) && is_more && !inner.contains(['{', '['])
}

/// `name`, `person.name`, `$name|escape`, `items[0].name`, `name()`
fn is_expression(inner: &str) -> bool {
    let path = inner.trim().trim_start_matches(['$', '@']);
    begins_name(path)
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.[]()|>-:'\" ".contains(&byte))
}

/// Words with spaces between, as in `First Name`.
fn is_name(name: &str) -> bool {
    name.len() >= 2 && name.split(['.', ' ', ':', '-']).all(is_word)
}

fn begins_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

fn is_word(word: &str) -> bool {
    begins_name(word) && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        placeholders(text).map(|range| &text[range]).collect()
    }

    #[test]
    fn d_placeholders_of_other_products_are_known() {
        for (text, is_sure) in [
            ("*|FNAME|*", true),
            ("*|LIST:COMPANY|*", true),
            ("*|END:IF|*", true),
            ("%%first_name%%", true),
            ("%%First Name%%", true),
            ("%%=v(@name)=%%", true),
            ("{!Contact.Name}", true),
            ("{!$Label.Shop}", true),
            ("[[name]]", false),
            ("[[data:first_name:\"you\"]]", false),
            ("[[FIRSTNAME OR \"Friend\"]]", false),
            ("%name%", false),
            ("%recipient.first_name%", false),
            ("%address%", false),
            ("<%= name %>", false),
            ("<% if vip %>", false),
            ("${name}", false),
            ("${person.name}", false),
            ("#{name}", false),
            ("#{@user.name}", false),
            ("{% if vip %}", false),
            ("{%- endif -%}", false),
            ("{$name}", false),
            ("{$user->name|escape}", false),
            ("[firstname,fallback=you]", false),
            ("~Contact.FirstName~", false),
        ] {
            let line = format!("Dear {text}, 5 % off");
            assert_eq!(found(&line), [text], "{line}");
            assert_eq!(sure(text, 0).is_some(), is_sure, "{text}");
            assert_eq!(SURE.iter().any(|begin| text.starts_with(begin)), is_sure, "{text}");
        }
        assert_eq!(found("*|A|* and %%b1%%\n<p>[[c]]"), ["*|A|*", "%%b1%%", "[[c]]"]);
    }

    #[test]
    fn d_what_only_looks_like_one_is_left_alone() {
        for text in [
            "100% of 50% and 3%, 5%-10% off; 20%off%",
            "https://x.test/?q=%C3%A9%20x&r=%E2%82%AC%20&s=%AB%CD",
            "https://x.test/%D7%A9%D7%9C%D7%95%D7%9D",
            "<!--[if mso]><table><![endif]--><!--[if !mso]><!-->",
            "[class~=x] { color: red } u + .body .x { } a[href^=tel] { } [data-ogsc] .dark {}",
            "@media (max-width: 600px) { .w100 { width: 100% !important } } .a{width:50%}.b{width:50%}",
            "@keyframes x { 0%{opacity:0} 50%{opacity:1} 100%{opacity:0} }",
            "costs $5, $ 10, $20{sic}; C#, #1, #abc{color:#fff}",
            "see [1], [2] and [[1]]; [sic]; [name]; matrix [[1,2],[3,4]]; [[\"a\"]]",
            "a * | b | * c; 2 ** 3; *bold* |x|; *||*; 5 * |x| * y",
            "{color:red} {a} { $5 } {! wow} {!} {!important}",
            "~5 to ~10 minutes ~ or so; v1.0~rc1.2~x; ~a~",
            "{{data.order}} {{#if data.x}}{{/if}} {{!data.order}} {{!-- a.b --}}",
            "%s and %d, %1$s; 50 %a day; %%; %%%; %% off %%",
            "printf(\"%d%%\\n\"); 10%%20%%",
            "if (a && b) { return `x`; } function(){ $('#id') }",
        ] {
            assert_eq!(found(text), Vec::<&str>::new(), "{text}");
            assert!(
                (0..text.len()).all(|at| !text.is_char_boundary(at) || sure(text, at).is_none()),
                "{text}"
            );
        }
    }

    #[test]
    fn d_what_is_opened_over_and_over_is_walked_once() {
        for opened in ["*|", "%%", "[[", "<%", "{%", "${", "~a.", "%a", "#{", "{!a."] {
            let source = opened.repeat(100_000 / opened.len());
            let _ = placeholders(&source).count();
        }
    }
}
