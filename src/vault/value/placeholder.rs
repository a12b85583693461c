//! Placeholders that a program has left instead of filling them in.

use super::Signs;

pub fn is_in(text: &str, signs: Signs) -> bool {
    signs.has(Signs::BRACKET) && (is_whole(text) || is_part(text))
        || !signs.is_plain() && is_named_field(text)
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

/// Within a text they may be what somebody has written.
fn is_whole(text: &str) -> bool {
    const WHOLE: [(&str, &str); 3] = [("{", "}"), ("%", "%"), ("<<", ">>")];
    !is_guid(text) && WHOLE.into_iter().any(|(open, close)| within(text, open, close).is_some_and(is_name))
}

fn is_part(text: &str) -> bool {
    const PARTS: [(&str, &str); 6] =
        [("{{", "}}"), ("*|", "|*"), ("%%", "%%"), ("[[", "]]"), ("{!", "}"), ("${", "}")];
    const TAGS: [(&str, &str); 2] = [("{%", "%}"), ("<%", "%>")];
    let behind = |open: &str, close: &str| Some(text.split_once(open)?.1.split_once(close)?.0.to_owned());
    PARTS.into_iter().any(|(open, close)| {
        // `5%% to 10%%` is what somebody has written.
        behind(open, close).is_some_and(|name| is_name(&name) && !(open == "%%" && name.starts_with(' ')))
    }) || TAGS
        .into_iter()
        .any(|(open, close)| behind(open, close).is_some_and(|tag| tag.contains(|c: char| c.is_alphabetic())))
}

/// What fields are called, in small letters and without what stands between the words.
#[rustfmt::skip]
const FIELDS: [&str; 58] = [
    "name", "firstname", "lastname", "fname", "lname", "fullname", "middlename", "surname", "givenname", "familyname", "customername", "contactname",
    "username", "nickname", "displayname", "companyname", "cityname", "title", "salutation", "greeting", "email", "emailaddress", "mail", "phone",
    "mobile", "city", "street", "zip", "zipcode", "postcode", "country", "company", "address", "date", "vorname", "nachname", "familienname", "anrede",
    "titel", "kundenname", "ort", "stadt", "plz", "strasse", "land", "firma", "prenom", "prénom", "nom", "nombre", "apellido", "apellidos", "nome",
    "cognome", "sobrenome", "voornaam", "achternaam", "telefon",
];

/// A field's name in brackets in which a value may stand too: `<First Name>`, `«Vorname»`, `[LASTNAME]`.
fn is_named_field(text: &str) -> bool {
    const BRACKETS: [(&str, &str); 7] =
        [("<", ">"), ("«", "»"), ("‹", "›"), ("[", "]"), ("$", "$"), ("#", "#"), ("%", "%")];
    let is_one = |inner: &str| {
        let letters: String =
            inner.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        inner.chars().all(|c| c.is_alphanumeric() || " _-.:".contains(c))
            && FIELDS.contains(&letters.as_str())
    };
    let mut within = BRACKETS.into_iter().filter_map(|(open, close)| within(text, open, close));
    text.len() <= 64 && within.any(is_one)
}

fn within<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    text.strip_prefix(open)?.strip_suffix(close)
}

fn is_name(name: &str) -> bool {
    let is_of_name = |c: char| c.is_alphanumeric() || " _.-:#/|".contains(c);
    let begins = name.trim_start_matches(['#', '/', ' ']).starts_with(char::is_alphabetic);
    begins && name.chars().count() <= 64 && name.chars().all(is_of_name)
}
