//! Placeholders of other mailing products: nobody fills them in here, so people would read them as they stand.

mod names;
mod ours;

use super::tags::tags;
use names::{is_field_of_a_person, is_of_systems};
pub(super) use ours::is_half_braced;
pub use ours::our_path;
use ours::{is_our_path, ours_in_code, unbraced, wrong_braces};
use std::ops::Range;

/// Longest placeholder that is looked for, in bytes.
const BYTES_MAX: usize = 120;
/// Longest piece of code, which may go over several lines.
const CODE_BYTES_MAX: usize = 400;

/// What those begin with that nobody writes by chance: `*|FNAME|*`, `%%first_name%%`, `{!Contact.Name}`, and our own with
/// wrong braces. Any other may be a quotation or a piece of code in a message that somebody wrote.
pub(super) const SURE: [&str; 12] = [
    "*|",
    "%%",
    "{!",
    "{person.",
    "{ person.",
    "{{person.",
    "{{ person.",
    "\u{ff5b}person.",
    "\u{ff5b} person.",
    "$person",
    "$!person",
    "${person.",
];

/// The whole of one that begins with one of [`SURE`], written as its product writes it. A message is refused for it, so what
/// may be code, a table or a URL is none.
pub(super) fn sure(text: &str, at: usize) -> Option<Range<usize>> {
    let rest = &text[at..];
    let length = match rest.as_bytes() {
        [b'*', b'|', ..] => mailchimp(rest).filter(|length| stands_alone(text, at..at + length, &['*', '/'])),
        [b'%', b'%', ..] => ampscript(rest).or_else(|| {
            doubled_percent(rest)
                .filter(|length| stands_alone(text, at..at + length, &['%', '=', '&', '/', '?']))
        }),
        [b'{', b'!', ..] if !text[..at].ends_with(['{', '$', '#']) => {
            within(window(rest), "{!", "}", is_salesforce)
        }
        [b'{', ..] | [0xef, 0xbd, 0x9b, ..] => wrong_braces(text, at),
        [b'$', ..] => ours_in_code(rest, text[..at].chars().next_back()),
        _ => None,
    };
    length.map(|length| at..at + length)
}

/// Whether neither a letter of code nor one of `signs` touches it. Letters of other scripts may: there, prefixes are
/// written so.
fn stands_alone(text: &str, range: Range<usize>, signs: &[char]) -> bool {
    let touches = |c: char| c.is_ascii_alphanumeric() || c == '_' || signs.contains(&c);
    let (before, behind) = (&text[..range.start], &text[range.end..]);
    // Two in a row; the end of a question.
    let is_free_before = before.ends_with("|*") || !before.ends_with(touches);
    let is_free_behind = behind.starts_with("*|")
        || behind.strip_prefix('?').map_or(!behind.starts_with(touches), |behind| {
            !behind.starts_with(|c: char| c.is_ascii_alphanumeric())
        });
    is_free_before && is_free_behind
}

/// All of them, in order, in bytes of the text.
pub(super) fn placeholders(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut ours = tags(text).into_iter().peekable();
    let mut from = 0;
    std::iter::from_fn(move || {
        while let Some(at) = next_sign(text.as_bytes(), from) {
            while ours.next_if(|tag| tag.end <= at).is_some() {}
            if let Some(tag) = ours.next_if(|tag| tag.start <= at) {
                from = tag.end;
                continue;
            }
            if text[at..].starts_with("{{") {
                // Meant as they stand, or refused by the compiler.
                from = at + 2;
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

/// The first bytes of `«` and `｛` in UTF-8.
const GUILLEMET: u8 = 0xc2;
const WIDE_BRACE: u8 = 0xef;

/// The next byte that one may begin with.
fn next_sign(text: &[u8], from: usize) -> Option<usize> {
    let is_sign = |byte: &u8| {
        matches!(
            *byte,
            b'*' | b'%' | b'{' | b'[' | b'<' | b'$' | b'#' | b'~' | b'&' | b'@' | GUILLEMET | WIDE_BRACE
        )
    };
    text[from..].iter().position(is_sign).map(|at| from + at)
}

/// Whether what follows a sign leaves it one: most are of tags and character references.
fn may_begin(rest: &[u8]) -> bool {
    match rest {
        [b'<', next, ..] => matches!(next, b'%' | b'?' | b'#' | b'<'),
        [b'&', next, ..] => *next == b'l',
        _ => true,
    }
}

fn at_sign(text: &str, at: usize) -> Option<Range<usize>> {
    if !may_begin(&text.as_bytes()[at..]) {
        return None;
    }
    if let Some(range) = sure(text, at) {
        return Some(range);
    }
    let rest = window(&text[at..]);
    let before = text[..at].chars().next_back();
    let code = code_window(&text[at..]);
    let likely = [
        within(rest, "*|", "|*", is_merge_like),
        within(rest, "%%", "%%", is_name),
        within(rest, "{!", "}", |inner| !before.is_some_and(|c| "{$#".contains(c)) && is_merge_field(inner)),
        within(rest, "[[", "]]", is_bracketed),
        within(rest, "[%", "%]", is_expression),
        within(code, "<%", "%>", |_| true),
        within(rest, "<?=", "?>", |_| true),
        within(code, "<?php", "?>", |_| true),
        within(rest, "<#if ", ">", |_| true),
        within(rest, "<#list ", ">", |_| true),
        within(rest, "&lt;&lt;", "&gt;&gt;", is_name),
        within(rest, "&laquo;", "&raquo;", is_between_guillemets),
        within(rest, "{", "}", is_code_of_a_product),
        within(rest, "%%", "%%", |inner| inner.split_once("::").is_some_and(|(name, _)| is_word(name))),
        within(rest, "$[", "]$", |inner| is_word(inner.split('|').next().unwrap_or_default())),
        within(rest, "%(", ")s", is_word),
        within(rest, "#", "#", |inner| {
            inner.split_once(':').is_some_and(|(of, name)| is_somebody(of) && is_word(name))
        }),
        within(rest, "[", "]", |inner| {
            let (of, rest) = inner.split_once(':').unwrap_or_default();
            (is_somebody(of) || of == "contact_attribute") && begins_name(rest)
        }),
        within(rest, "&lt;%", "%&gt;", |_| true),
        within(rest, "<<", ">>", is_name),
        within(rest, "«", "»", is_between_guillemets),
        within(rest, "{%", "%}", |inner| inner.starts_with([' ', '-']) || begins_name(inner)),
        within(rest, "{#", "#}", |inner| inner.starts_with(' ') || begins_name(inner)),
        within(rest, "{", "}", is_our_path),
        within(rest, "${", "}", |inner| is_expression(inner) && !is_of_systems(inner)),
        unbraced(rest, before),
        within(rest, "#{", "}", is_expression),
        within(rest, "{$", "}", |inner| is_expression(&inner.replace("&gt;", ">"))),
        within(rest, "[", "]", |inner| {
            let fallback = inner.split_once(',').map(|(name, rest)| (name, rest.trim_start()));
            fallback.is_some_and(|(name, rest)| rest.starts_with("fallback=") && is_name(name))
        }),
        within(rest, "~", "~", |inner| inner.split_once('.').is_some_and(|(a, b)| is_word(a) && is_word(b))),
        percent(rest, before),
        within(rest, "{", "}", is_field_of_a_person),
        bracketed(rest, before),
        hashed(rest, before),
    ];
    likely.into_iter().flatten().next().map(|length| at..at + length)
}

/// What is looked at: the rest of the line, as far as a placeholder may reach.
fn window(rest: &str) -> &str {
    let near = head(rest, BYTES_MAX);
    &near[..memchr::memchr(b'\n', near.as_bytes()).unwrap_or(near.len())]
}

/// As far as a piece of code may reach.
fn code_window(rest: &str) -> &str {
    head(rest, CODE_BYTES_MAX)
}

fn head(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// `First_Name`, `Vorname`; not a quotation.
fn is_between_guillemets(inner: &str) -> bool {
    is_word(inner) && (is_made_of_words(inner) || is_field_of_a_person(inner))
}

/// `if $name`, `MERGEFIELD First_Name`, `contactfield=firstname`, `contact.first_name`, between braces.
fn is_code_of_a_product(inner: &str) -> bool {
    let inner = inner.trim();
    let is_path =
        || inner.split_once('.').is_some_and(|(of, rest)| is_somebody(of) && rest.split('.').all(is_word));
    let begins = ["if $", "elseif $", "foreach $", "MERGEFIELD ", "contactfield="];
    begins.iter().any(|begin| inner.starts_with(begin)) || is_path()
}

/// What products call the person who is written to.
fn is_somebody(word: &str) -> bool {
    matches!(word, "contact" | "subscriber" | "recipient" | "customer" | "lead")
}

/// Length of `open INNER close` at the beginning of `rest`, if the inner text is of that kind.
fn within(rest: &str, open: &str, close: &str, is_kind: impl FnOnce(&str) -> bool) -> Option<usize> {
    let inner = rest.strip_prefix(open)?;
    let inner = &inner[..inner.find(close)?];
    is_kind(inner).then(|| open.len() + inner.len() + close.len())
}

/// `*|FNAME|*`, `*|IF:MERGE1 >= 5|*`, `*|FEED:https://x.example/|*`
fn mailchimp(rest: &str) -> Option<usize> {
    within(window(rest), "*|", "|*", |inner| {
        let (tag, argument) = inner.split_once(':').unwrap_or((inner, ""));
        let is_tag = tag.len() >= 2 && tag.starts_with(|c: char| c.is_ascii_uppercase());
        let is_of_tags = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        is_tag && tag.bytes().all(is_of_tags) && !argument.contains('|')
    })
}

/// One with letters of any case, as only a template of one's own may be judged.
fn is_merge_like(inner: &str) -> bool {
    begins_name(inner) && inner.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:.-=, ".contains(&byte))
}

/// `%%first_name%%`, `%%First Name%%`, `%%FirstName%%`, `%%emailaddr%%`; not `%%EOF%%` of a document, nor `%%file%%` of a
/// script.
fn doubled_percent(rest: &str) -> Option<usize> {
    const KNOWN: [&str; 9] = [
        "firstname",
        "lastname",
        "fullname",
        "email",
        "emailaddr",
        "emailaddress",
        "unsubscribe",
        "unsubscribelink",
        "webversion",
    ];
    within(window(rest), "%%", "%%", |inner| {
        let are_words = inner.split([' ', '.']).all(is_word);
        let is_titled = inner.split(' ').all(|word| word.starts_with(|c: char| c.is_ascii_uppercase()));
        let is_spaced = inner.contains(' ');
        are_words && (!is_spaced || is_titled) && (is_made_of_words(inner) || KNOWN.contains(&inner))
    })
}

/// `%%=v(@name)=%%`, `%%[ SET @x = 1 ]%%`, which may go over several lines.
fn ampscript(rest: &str) -> Option<usize> {
    let code = code_window(rest);
    let is_call = |inner: &str| inner.trim_start().starts_with('@') || inner.contains('(');
    let is_block = |inner: &str| {
        let word = inner.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        ["set", "var", "if", "elseif", "else", "endif", "for", "next"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known))
    };
    within(code, "%%=", "=%%", is_call).or_else(|| within(code, "%%[", "]%%", is_block))
}

/// `Contact.Name`, `$Label.Shop`, `IF(…)`, `NULLVALUE(Contact.FirstName,"x")`; not `props.loading` of a program.
fn is_salesforce(inner: &str) -> bool {
    let path = inner.strip_prefix('$').unwrap_or(inner);
    let is_path = path.starts_with(|c: char| c.is_ascii_uppercase())
        && path.contains('.')
        && path.split('.').all(is_word);
    let formula = inner.trim_end().strip_suffix(')').and_then(|inner| inner.split_once('('));
    let is_formula = |name: &str| name.len() >= 2 && name.bytes().all(|byte| byte.is_ascii_uppercase());
    is_path || formula.is_some_and(|(name, _)| is_formula(name))
}

/// `name`, `Today`, `contact.name`
fn is_merge_field(inner: &str) -> bool {
    inner != "important" && inner.trim_start_matches('$').split('.').all(is_word)
}

/// Of more than one, as names of fields are and words of a language are not: `First Name`, `first_name`, `FirstName`.
fn is_made_of_words(name: &str) -> bool {
    let is_hump =
        |pair: &[u8]| matches!(pair, [low, high] if low.is_ascii_lowercase() && high.is_ascii_uppercase());
    name.contains(['_', ' ']) || name.as_bytes().windows(2).any(is_hump)
}

/// `%first_name%`, `%recipient.name%`; not `100%a%`, nor bytes of a URL (`=%C3%A9`).
fn percent(rest: &str, before: Option<char>) -> Option<usize> {
    if before.is_some_and(|c| c.is_alphanumeric() || c == '%') {
        return None;
    }
    let length = within(rest, "%", "%", |inner| {
        let is_octet = inner.len() >= 2 && inner.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
        let in_url = before.is_some_and(|c| "/=&?._-+,;:#@".contains(c));
        // `%SPRING25%`: what a shop takes for a discount.
        let is_code = inner.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            && inner.bytes().rev().take_while(u8::is_ascii_digit).count() >= 2;
        inner.len() >= 2
            && inner.split(['.', '-']).all(is_word)
            && !(is_octet && in_url)
            && !is_code
            && !is_of_systems(inner)
    })?;
    let goes_on = rest[length..].starts_with(|c: char| c.is_alphanumeric() || c == '%');
    (!goes_on).then_some(length)
}

/// `[FIRSTNAME]`, `[First Name]`; not a link of Markdown, a wiki's `[[First Name]]` or an index into an array.
fn bracketed(rest: &str, before: Option<char>) -> Option<usize> {
    if before.is_some_and(|c| c.is_alphanumeric() || "_[]!)\\".contains(c)) {
        return None;
    }
    let length = within(rest, "[", "]", is_field_of_a_person)?;
    (!rest[length..].starts_with(['(', '[', ']', ':', '='])).then_some(length)
}

/// `##FIRSTNAME##`, `##order_id##`, `#FIRSTNAME#`; not a heading of Markdown.
fn hashed(rest: &str, before: Option<char>) -> Option<usize> {
    if before.is_some_and(|c| c.is_alphanumeric() || "#&_/=".contains(c)) {
        return None;
    }
    let is_in_capitals = |name: &str| {
        name.len() >= 3 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    let is_placed = |name: &str| {
        is_word(name)
            && name.len() >= 2
            && (name.contains('_') || is_in_capitals(name) || is_field_of_a_person(name))
    };
    let length =
        within(rest, "##", "##", is_placed).or_else(|| within(rest, "#", "#", is_field_of_a_person))?;
    (!rest[length..].starts_with(|c: char| c.is_alphanumeric() || c == '#' || c == '_')).then_some(length)
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

    const KNOWN: &[(&str, bool)] = &[
        ("*|FNAME|*", true),
        ("*|LIST:COMPANY|*", true),
        ("*|END:IF|*", true),
        ("%%first_name%%", true),
        ("%%First Name%%", true),
        ("%%=v(@name)=%%", true),
        ("*|DATE:d/m/Y|*", true),
        ("*|IF:MERGE1 >= 5|*", true),
        ("*|INTERESTED:Group:A & B|*", true),
        ("*|FEED:https://x.example/|*", true),
        ("*|IF:FNAME=O'Brien|*", true),
        ("%%FirstName%%", true),
        ("%%FIRST_NAME%%", true),
        ("%%emailaddr%%", true),
        ("%%[ SET @x = 1 ]%%", true),
        ("%%[\nVAR @x\nIF @x == 1 THEN\n]%%", true),
        ("{!Contact.Name}", true),
        ("{!IF(Contact.Age > 5, \"a\", \"b\")}", true),
        ("{!NULLVALUE(Contact.FirstName,\"x\")}", true),
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
        ("$person.first_name", true),
        ("$!person.first_name", true),
        ("$person->first_name", true),
        ("${person.first_name}", true),
        ("$person.vip", false),
        ("@person.first_name", false),
        ("$data.shop", false),
        ("#{name}", false),
        ("#{@user.name}", false),
        ("{% if vip %}", false),
        ("{%- endif -%}", false),
        ("{$name}", false),
        ("{$user->name|escape}", false),
        ("[firstname,fallback=you]", false),
        ("~Contact.FirstName~", false),
        ("[firstname, fallback=you]", false),
        ("%SENDER-INFO%", false),
        ("[% name %]", false),
        ("{# note #}", false),
        ("{person.first_name}", true),
        ("{ person.first_name }", true),
        ("｛person.first_name｝", true),
        ("{ data.shop }", false),
        ("<?= $name ?>", false),
        ("<<First Name>>", false),
        ("«First_Name»", false),
        ("«FirstName»", false),
        ("<% if vip\n then %>", false),
        ("&lt;%= name %&gt;", false),
        ("&lt;&lt;First Name&gt;&gt;", false),
        ("{$user-&gt;name}", false),
        ("&laquo;Vorname&raquo;", false),
        ("<#if name??>", false),
        ("{if $name}", false),
        ("<?php echo $name; ?>", false),
        ("{ MERGEFIELD First_Name }", false),
        ("[subscriber:firstname | default:reader]", false),
        ("{contact.first_name}", false),
        ("{contactfield=firstname|there}", false),
        ("%%FIRST_NAME::there%%", false),
        ("$[FNAME|customer]$", false),
        ("#recipient:name#", false),
        ("%(name)s", false),
    ];

    fn found(text: &str) -> Vec<&str> {
        placeholders(text).map(|range| &text[range]).collect()
    }

    #[test]
    fn d_placeholders_of_other_products_are_known() {
        for (text, is_sure) in KNOWN {
            let (text, is_sure) = (*text, *is_sure);
            let line = format!("Dear {text}, 5 % off");
            assert_eq!(found(&line), [text], "{line}");
            assert_eq!(sure(text, 0).is_some(), is_sure, "{text}");
            assert!(!is_sure || SURE.iter().any(|begin| text.starts_with(begin)), "{text}");
        }
        assert_eq!(found("*|A|* and %%b1%%\n<p>[[c]]"), ["*|A|*", "%%b1%%", "[[c]]"]);
    }

    #[test]
    fn b_our_own_with_wrong_braces_are_known() {
        for text in [
            "{person.a}",
            "{ {person.a} }",
            "{{ person.a }",
            "{{person.a} x",
            "｛｛person.a｝｝",
            "{person.a}}",
        ] {
            let begun = SURE.iter().flat_map(|begin| text.match_indices(begin));
            assert!(begun.into_iter().any(|(at, _)| sure(text, at).is_some()), "{text}");
        }
        for text in [
            "{{person.a}}",
            "{{ person.a }}",
            "{{{person.a}}}",
            "${person.a}",
            "#{person.a}",
            "\\{{person.a}}",
            "{person a}",
        ] {
            let begun = SURE.iter().flat_map(|begin| text.match_indices(begin));
            assert!(begun.into_iter().all(|(at, _)| sure(text, at).is_none()), "{text}");
        }
        for text in [
            "%SPRING25%",
            "&laquo;Bonjour&raquo; dit-elle",
            "[link: x]",
            "#a:b#",
            "{x | x > 2}",
            "{if you can}",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn d_names_of_what_a_person_has_are_known_between_any_signs() {
        for text in [
            "[FIRSTNAME]",
            "[FIRST_NAME]",
            "[First Name]",
            "[Your Name]",
            "[Company Name]",
            "[UNSUBSCRIBE_LINK]",
            "##FIRSTNAME##",
            "##first_name##",
            "##ORDER_ID##",
            "#FIRSTNAME#",
            "{FIRSTNAME}",
            "{first_name}",
            "{First Name}",
            "##NAME##",
            "##ORDERNO##",
            "[NAME]",
            "[SURNAME]",
            "{EMAIL}",
        ] {
            let line = format!("Dear {text}, 5 % off");
            assert_eq!(found(&line), [text], "{line}");
            assert!(sure(text, 0).is_none(), "{text}");
        }
    }

    #[test]
    fn a7_a_message_is_not_refused_for_what_may_be_code() {
        for text in [
            "2*|x|*y; 2*|XY|*z",
            "case $x in *|foo|*) ;; esac",
            "**|Name|** and **|NAME|**",
            "a /*|NAME|*/ b",
            "*|X|*",
            "%%EOF%% %%BEGIN%%",
            "for %%f in (*) do copy %%file%% x",
            "https://x.test/?q=100%%ab%%",
            "https://x.test/%%a_b%%/?c=%%d_e%%&%%f_g%%=1",
            "50%%off_now%% or %%off and more%%",
            "10%%=b=%% %%[0-9]%% %%[a-z]%%",
            "<A x={!props.loading} y={!v.name} /> ${!Literal.Name} {!isOn(x)} {!name} {!Today} {!firstname_fix}",
        ] {
            let sure_at = |at| text.is_char_boundary(at) && sure(text, at).is_some();
            assert!(!(0..text.len()).any(sure_at), "{text}");
        }
        for text in [
            "Hi *|FNAME|*!",
            "*|FNAME|**|LNAME|*",
            "\u{5dc}*|FNAME|*",
            "Are you %%first_name%%?",
            "<b>%%First Name%%</b>",
        ] {
            assert!(
                (0..text.len()).any(|at| text.is_char_boundary(at) && sure(text, at).is_some()),
                "{text}"
            );
        }
        assert_eq!(
            found("Dear {!Today} {!firstname_fix} {!name}"),
            ["{!Today}", "{!firstname_fix}", "{!name}"]
        );
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
            "echo $PATH ${HOME} %PATH% %APPDATA%; $persons $person; jane@person.example, @data.science @personal.x $data-x",
            "see [1], [2] and [[1]]; [sic]; [name]; matrix [[1,2],[3,4]]; [[\"a\"]]",
            "a * | b | * c; 2 ** 3; *bold* |x|; *||*; 5 * |x| * y",
            "{color:red} {a} { $5 } {! wow} {!} {!important}",
            "~5 to ~10 minutes ~ or so; v1.0~rc1.2~x; ~a~",
            "{{data.order}} {{#if data.x}}{{/if}} {{!data.order}} {{!-- a.b --}} \\{{$a}}",
            "%s and %d, %1$s; 50 %a day; %%; %%%; %% off %%",
            "printf(\"%d%%\\n\"); 10%%20%%",
            "«Bonjour» a << b; c >> d; «Hola a todos»? cout << x << y; <?xml version=\"1.0\"?>",
            "## First Name ## and ##Heading## ### FIRST_NAME ### #firstname #company_name #fff# a#FIRSTNAME#b",
            "[First Name](https://x.test) [First Name][1] ![Full Name](x.png) [[First Name]] [fullname]: x",
            "[^1] [^FIRSTNAME] [CDATA[ [SIC] [EXTERNAL] [RFC 5321] [x] [ ] names[first_name] [username=x] \\[FIRSTNAME]",
            "input[name] [name=first_name] [data-firstname] [class~=username] { } {username: 1}",
            "https://x.test/#firstname#top ; &#39;FIRSTNAME&#39;",
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
        for opened in [
            "*|", "%%", "[[", "<%", "{%", "${", "~a.", "%a", "#{", "{!a.", "<<", "«", "&lt;%", "[%", "%%[",
            "%%=", "{{", "{{!-- }}",
        ] {
            let source = opened.repeat(100_000 / opened.len());
            let _ = placeholders(&source).count();
        }
    }
}
