//! Placeholders that a program has left instead of filling them in.

use super::Signs;

/// Longest that is looked for, in bytes.
const BYTES_MAX: usize = 120;

/// `is_of_name`: people are called or addressed by the field, so nothing in braces belongs into it.
pub fn is_in(text: &str, signs: Signs, is_of_name: bool) -> bool {
    let is_weakly_in = || WEAK.into_iter().any(|(open, close)| between(text, open, close).any(is_known));
    is_each(text)
        || signs.has(Signs::BRACKET)
            && (text == "{{}}" || is_of_printf(text) || is_part(text) || is_of_name && is_weakly_in())
}

/// Whether one may begin and end with the same sign (`-first_name-`).
pub fn has_edges(text: &str) -> bool {
    let (first, last) = (text.bytes().next(), text.bytes().next_back());
    first == last && first.is_some_and(|edge| EDGES.contains(&edge))
}

/// As Windows and its databases write it: `{` 8 digits, three times 4, and 12, with hyphens between, `}`.
fn is_guid(text: &str) -> bool {
    let inner = text.strip_prefix('{').and_then(|behind| behind.strip_suffix('}'));
    inner.is_some_and(|inner| {
        let groups = inner.split('-').map(|group| {
            let is_hex = group.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_hex { group.len() } else { 0 }
        });
        groups.eq([8, 4, 4, 4, 12])
    })
}

/// What C, Python and .NET fill in by its place.
fn is_of_printf(text: &str) -> bool {
    let placed = text.strip_prefix('%').and_then(|rest| rest.strip_suffix('s'));
    placed.is_some_and(|place| {
        place.is_empty() || place.strip_suffix('$').is_some_and(|n| n.parse::<u8>().is_ok())
    }) || ["%d", "{0}"].contains(&text)
}

/// Whether the whole is one, or several side by side (`{first} {last}`). Within a text they may be what somebody has written.
fn is_each(text: &str) -> bool {
    const WHOLE: [(&str, &str); 3] = [("{", "}"), ("%", "%"), ("<<", ">>")];
    let is_one = |text: &str| {
        let mut inner = WHOLE.into_iter().filter_map(|(open, close)| within(text, open, close));
        !is_guid(text) && inner.any(is_name) || is_named_field(text)
    };
    is_one(text) || text.contains(' ') && text.split_whitespace().all(is_one)
}

/// Signs of template languages, with a name behind them.
fn is_part(text: &str) -> bool {
    const PARTS: [(&str, &str); 16] = [
        ("{{", "}}"),
        ("*|", "|*"),
        ("[[", "]]"),
        ("{!", "}"),
        ("{$", "}"),
        ("${", "}"),
        ("#{", "}"),
        ("%{", "}"),
        ("@{", "}"),
        ("$!{", "}"),
        ("{%", "%}"),
        ("[%", "%]"),
        ("<%", "%>"),
        ("<?", "?>"),
        ("%(", ")s"),
        ("$[", "]"),
    ];
    PARTS.into_iter().any(|(open, close)| between(text, open, close).any(begins_as_name))
        // `5%% to 10%%` is what somebody has written.
        || between(text, "%%", "%%").any(|inner| inner.starts_with('=') || !inner.starts_with(' ') && is_name(inner))
}

/// In these something else may stand too.
const WEAK: [(&str, &str); 7] =
    [("{", "}"), ("<", ">"), ("«", "»"), ("‹", "›"), ("[", "]"), ("%", "%"), ("$(", ")")];
/// Doubled or not, these stand around a name in texts of some programs, and around much else.
const EDGES: &[u8] = b"$#-@~_|^!";

/// What fields are called, in small letters and without what stands between the words.
#[rustfmt::skip]
const FIELDS: [&str; 58] = [
    "name", "firstname", "lastname", "fname", "lname", "fullname", "middlename", "surname", "givenname", "familyname", "customername", "contactname",
    "username", "nickname", "displayname", "companyname", "cityname", "title", "salutation", "greeting", "email", "emailaddress", "mail", "phone",
    "mobile", "city", "street", "zip", "zipcode", "postcode", "country", "company", "address", "date", "vorname", "nachname", "familienname", "anrede",
    "titel", "kundenname", "ort", "stadt", "plz", "strasse", "land", "firma", "prenom", "prénom", "nom", "nombre", "apellido", "apellidos", "nome",
    "cognome", "sobrenome", "voornaam", "achternaam", "telefon",
];
/// Whose they are, before the name.
const OWNERS: [&str; 14] = [
    "contact",
    "recipient",
    "customer",
    "user",
    "lead",
    "person",
    "subscriber",
    "member",
    "client",
    "profile",
    "account",
    "insert",
    "your",
    "insertyour",
];

/// A field's name in brackets in which a value may stand too: `<First Name>`, `«Vorname»`, `[LASTNAME]`, `-first_name-`.
fn is_named_field(text: &str) -> bool {
    let mut bracketed = WEAK.into_iter().filter_map(|(open, close)| within(text, open, close));
    let is_edged = || {
        let inner = text.trim_matches(|c| u8::try_from(c).is_ok_and(|byte| EDGES.contains(&byte)));
        let (before, behind) = text.split_once(inner).unwrap_or_default();
        let first = before.bytes().next();
        before == behind
            && before.len() <= 2
            && before.bytes().all(|byte| Some(byte) == first)
            && is_known(inner)
    };
    text.len() <= BYTES_MAX && (bracketed.any(is_known) || has_edges(text) && is_edged())
}

/// A field's name, with what to write instead behind it (`firstname,fallback=there`), and whose it is before it.
fn is_known(inner: &str) -> bool {
    let inner = inner.trim_start_matches(is_sigil).trim();
    let name = inner.split([',', '|', '=', '"', '?']).next().unwrap_or_default().trim();
    let name = ["fallback", "default"].iter().find_map(|word| name.strip_suffix(word)).unwrap_or(name);
    let letters: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let letters = letters.strip_suffix("here").unwrap_or(&letters);
    let is_field = |letters: &str| FIELDS.contains(&letters);
    name.chars().all(|c| c.is_alphanumeric() || " _-.:".contains(c))
        && (is_field(letters) || OWNERS.iter().any(|owner| letters.strip_prefix(owner).is_some_and(is_field)))
}

/// The texts that stand between the two, each up to the first end.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(open).filter_map(move |(at, _)| {
        let behind = &text[at + open.len()..];
        behind.find(close).filter(|end| *end <= BYTES_MAX).map(|end| &behind[..end])
    })
}

fn within<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    text.strip_prefix(open)?.strip_suffix(close)
}

fn is_name(name: &str) -> bool {
    let is_of_name = |c: char| c.is_alphanumeric() || " _.-:#/|".contains(c);
    begins_as_name(name) && name.chars().count() <= 64 && name.chars().all(is_of_name)
}

fn begins_as_name(inner: &str) -> bool {
    inner.trim_start_matches(is_sigil).starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// What languages write before a name within their braces.
fn is_sigil(c: char) -> bool {
    " #/$@&>^={+*~:-!%.".contains(c)
}
