//! What is no value though a cell holds it: what programs write where there is nothing, and what is left of a text that was read or
//! written wrongly. People would be addressed by it.

use super::mojibake;
use std::sync::Arc;

/// What a cell holds in place of a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoValue {
    #[error(
        "{0} is what programs write where there is no value; leave the cell empty, or import with --empty-word '{0}', and such cells are \
         taken as empty; where it is a name, with --literal-word '{0}'"
    )]
    Word(&'static str),
    #[error(
        "what a script makes of values that are none, side by side (null null); mend it there, or leave the cell empty"
    )]
    Joined,
    #[error("what a script makes of an object where a text belongs ([object Object]); mend it there")]
    Object,
    #[error("a placeholder instead of a value; fill it in, or leave the cell empty{}", AS_IT_STANDS)]
    Placeholder,
    #[error(
        "holds the sign U+FFFD, which stands for letters that were lost when the file was converted; make it anew as UTF-8"
    )]
    Lost,
    #[error("holds an escape sequence, as in ISO-2022-JP; save the file as UTF-8")]
    Escape,
    #[error(
        "UTF-8 that was read in another encoding and saved again (as in J\u{c3}\u{b6}rg); make the file anew, as UTF-8 from end to end{}",
        AS_IT_STANDS
    )]
    Mojibake,
    #[error("holds an HTML entity (as in J&ouml;rg); write the letter itself{}", AS_IT_STANDS)]
    Entity,
}

const AS_IT_STANDS: &str = "; where it is right as it stands, import with --literal-word and this text";

/// How the cells of a list are read.
#[derive(Debug, Clone, Default)]
pub struct Words {
    /// Cells that are one of them are as if they were empty.
    pub empty: Arc<[String]>,
    /// Cells that are one of them are what they say.
    pub literal: Arc<[String]>,
}

/// As programs write them where there is nothing: databases, pandas, JavaScript, HubSpot, Salesforce, pivot tables. Nobody is called so.
const NOBODYS: [&str; 21] = [
    "NULL",
    "[NULL]",
    "[null]",
    "null",
    "(null)",
    "(NULL)",
    "<null>",
    "<NULL>",
    "\\N",
    "NaN",
    "nan",
    "NaT",
    "<NA>",
    "undefined",
    "UNDEFINED",
    "(No value)",
    "[not provided]",
    "(blank)",
    "(empty)",
    "(none)",
    "(unknown)",
];
/// In this case somebody is called so, or it is a word of a language; in a list it most likely means nothing all the same.
const SOMEBODYS: [&str; 9] = ["Null", "NAN", "NA", "N/A", "n/a", "None", "none", "NONE", "nil"];

impl Words {
    pub fn is_empty_word(&self, cell: &str) -> bool {
        self.empty.iter().any(|word| word.trim() == cell)
    }

    /// # Errors
    /// What the cell holds in place of a value.
    pub fn look(&self, cell: &str) -> Result<(), NoValue> {
        if self.literal.iter().any(|word| word.trim() == cell) {
            return Ok(());
        }
        match one_of(&SOMEBODYS, cell) {
            Some(word) => Err(NoValue::Word(word)),
            None => broken(cell),
        }
    }
}

/// # Errors
/// What the text is that nobody can have meant, whoever wrote it.
pub fn broken(text: &str) -> Result<(), NoValue> {
    if let Some(word) = one_of(&NOBODYS, text) {
        return Err(NoValue::Word(word));
    }
    if text.contains(' ') && text.split_whitespace().all(|word| NOBODYS.contains(&word) || word == "None") {
        return Err(NoValue::Joined);
    }
    let holds = |signs: &[u8]| text.bytes().any(|byte| signs.contains(&byte));
    match () {
        () if text.is_ascii() && !holds(b"&{*%[$<\x1b") => Ok(()),
        () if text.starts_with("[object ") && text.ends_with(']') => Err(NoValue::Object),
        () if text.contains('\u{fffd}') => Err(NoValue::Lost),
        () if text.contains('\u{1b}') => Err(NoValue::Escape),
        () if holds(b"{*%[$<") && holds_placeholder(text) => Err(NoValue::Placeholder),
        () if holds(b"&") && holds_entity(text) => Err(NoValue::Entity),
        () if mojibake::is_in(text) => Err(NoValue::Mojibake),
        () => Ok(()),
    }
}

/// Each cell is compared with each of them: by its first letter, which is another one nearly always.
fn one_of(words: &[&'static str], text: &str) -> Option<&'static str> {
    let first = text.bytes().next()?;
    words.iter().find(|word| word.as_bytes()[0] == first && **word == text).copied()
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

fn holds_placeholder(text: &str) -> bool {
    const WITHIN: [(&str, &str); 6] =
        [("{{", "}}"), ("*|", "|*"), ("%%", "%%"), ("[[", "]]"), ("{!", "}"), ("${", "}")];
    /// Within a text they may be what somebody has written.
    const WHOLE: [(&str, &str); 3] = [("{", "}"), ("%", "%"), ("<<", ">>")];
    let is_name = |name: &str| {
        let is_of_name = |c: char| c.is_alphanumeric() || " _.-:#/|".contains(c);
        let begins = name.trim_start_matches(['#', '/', ' ']).starts_with(char::is_alphabetic);
        begins && name.chars().count() <= 64 && name.chars().all(is_of_name)
    };
    let is_whole = WHOLE.into_iter().any(|(open, close)| {
        let name = text.strip_prefix(open).and_then(|behind| behind.strip_suffix(close));
        name.is_some_and(is_name)
    });
    is_whole && !is_guid(text)
        || WITHIN.into_iter().any(|(open, close)| {
            let behind = text.split_once(open).and_then(|(_, behind)| behind.split_once(close));
            // `5%% to 10%%` is what somebody has written.
            behind.is_some_and(|(name, _)| is_name(name) && !(open == "%%" && name.starts_with(' ')))
        })
}

#[rustfmt::skip]
const ENTITIES: [&str; 26] = [
    "amp", "lt", "gt", "quot", "apos", "nbsp", "szlig", "aelig", "oelig", "euro", "ndash", "mdash", "hellip", "laquo", "raquo", "lsquo", "rsquo",
    "ldquo", "rdquo", "bdquo", "copy", "reg", "trade", "shy", "thorn", "eth",
];
const ACCENTS: [&str; 9] = ["uml", "acute", "grave", "circ", "tilde", "cedil", "ring", "slash", "caron"];

fn holds_entity(text: &str) -> bool {
    text.split('&').skip(1).filter_map(|behind| behind.split_once(';')).any(|(name, _)| is_entity(name))
}

fn is_entity(name: &str) -> bool {
    if let Some(number) = name.strip_prefix('#') {
        let is_digits = |digits: &str, radix| {
            (1..=7).contains(&digits.len()) && digits.chars().all(|c| c.is_digit(radix))
        };
        return match number.strip_prefix(['x', 'X']) {
            Some(digits) => is_digits(digits, 16),
            None => is_digits(number, 10),
        };
    }
    let lower = name.to_ascii_lowercase();
    let is_accented = ACCENTS.iter().any(|accent| {
        lower
            .strip_suffix(accent)
            .is_some_and(|letter| letter.len() == 1 && letter.as_bytes()[0].is_ascii_alphabetic())
    });
    is_accented || ENTITIES.contains(&lower.as_str())
}

/// What is taken and may be a mistake nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notice {
    /// Of a purpose that nobody can mail for.
    NobodysPurpose,
    /// `'Anna`: a spreadsheet's mark of a text, or a name such as 't Hart.
    Apostrophe,
    /// `A\nB` with a backslash and a letter, as `mysql -B` and `COPY` write a line end.
    Backslash,
}

/// Whether a spreadsheet's mark of a text stands before a number or a formula: `'0049`, `'+49 170`, `'=A1`. `'47 Brand` is a firm, and
/// `'68` a year.
pub fn is_marked_as_text(value: &str) -> bool {
    let Some(marked) = value.strip_prefix('\'') else { return false };
    let is_of_number = |byte: u8| byte.is_ascii_digit() || b"+-.,()/ ".contains(&byte);
    let digits = marked.bytes().filter(u8::is_ascii_digit).count();
    marked.starts_with(['=', '@']) || digits > 2 && marked.bytes().all(is_of_number)
}

/// What is odd about a value.
pub fn oddity(value: &str) -> Option<Notice> {
    match () {
        () if value.trim_start().starts_with('\'') => Some(Notice::Apostrophe),
        () if ["\\n", "\\t", "\\r"].iter().any(|mark| value.contains(mark)) => Some(Notice::Backslash),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(cell: &str) -> Option<NoValue> {
        Words::default().look(cell).err()
    }

    #[test]
    fn b11_what_programs_write_for_nothing_is_no_value() {
        for word in [
            "NULL",
            "null",
            "\\N",
            "nan",
            "NaN",
            "None",
            "N/A",
            "undefined",
            "<NA>",
            "NaT",
            "(No value)",
            "(blank)",
        ] {
            assert!(matches!(told(word), Some(NoValue::Word(_))), "{word}");
        }
        for name in ["Nan", "Noneth", "Nulla", "Nil", "Na", "N", "-", "NULL Anna", "undefined behaviour"] {
            assert_eq!(told(name), None, "{name}");
        }
        let words = Words { empty: [String::from("-")].into(), literal: [String::from("Null")].into() };
        assert!(words.is_empty_word("-") && !words.is_empty_word("NULL"));
        assert_eq!(words.look("Null"), Ok(()));
        assert_eq!(words.look("NULL"), Err(NoValue::Word("NULL")));
    }

    #[test]
    fn b11_a_guid_in_braces_is_a_value() {
        assert_eq!(told("{A1B2C3D4-0000-4abc-9def-0123456789ab}"), None);
        for name in
            ["{first-name}", "{A1B2C3D4-0000-4abc-9def-0123456789}", "{abcdefgh-0000-4abc-9def-0123456789ab}"]
        {
            assert_eq!(told(name), Some(NoValue::Placeholder), "{name}");
        }
    }

    #[test]
    fn b11_an_apostrophe_is_a_mark_before_a_number_and_else_may_be_of_a_name() {
        for marked in ["'00123", "'+49 170 1234567", "'=A1", "'@x", "'-1.50", "'(030) 123"] {
            assert!(is_marked_as_text(marked), "{marked}");
        }
        for name in ["'t Hart", "'Abd al-Rahman", "'47 Brand", "'68", "'", "''", "'-", "O'Neil", "'N Sync"] {
            assert!(!is_marked_as_text(name), "{name}");
        }
        assert_eq!(oddity("'t Hart"), Some(Notice::Apostrophe));
        assert_eq!((oddity("A\\nB"), oddity("A\\B")), (Some(Notice::Backslash), None));
    }

    #[test]
    fn b11_what_is_left_of_a_text_is_no_value() {
        for (cell, cause) in [
            ("[object Object]", NoValue::Object),
            ("null null", NoValue::Joined),
            ("undefined undefined", NoValue::Joined),
            ("Zo\u{fffd}", NoValue::Lost),
            ("\u{1b}$B;3ED\u{1b}(B", NoValue::Escape),
            ("{{person.last_name}}", NoValue::Placeholder),
            ("*|LNAME|*", NoValue::Placeholder),
            ("Dear %%first_name%%", NoValue::Placeholder),
            ("{!Contact.Name}", NoValue::Placeholder),
            ("{first_name}", NoValue::Placeholder),
            ("%FNAME%", NoValue::Placeholder),
            ("<<First Name>>", NoValue::Placeholder),
            ("{{#if person.first_name}}", NoValue::Placeholder),
            ("J&ouml;rg", NoValue::Entity),
            ("AT&amp;T", NoValue::Entity),
            ("J&#246;rg", NoValue::Entity),
            ("J&#xF6;rg", NoValue::Entity),
            ("J\u{c3}\u{b6}rg", NoValue::Mojibake),
            ("O\u{e2}\u{20ac}\u{2122}Neill", NoValue::Mojibake),
            ("\u{d7}\u{a9}\u{d7}\u{153}\u{d7}\u{2022}\u{d7}\u{9d}", NoValue::Mojibake),
        ] {
            assert_eq!(told(cell), Some(cause), "{cell}");
        }
        for fine in [
            "Jörg",
            "JOÃO",
            "IRMÃ",
            "«MANHÃ»",
            "Â",
            "Å",
            "”STADEN Å”",
            "AT&T",
            "R&D; sales",
            "Tom & Jerry;",
            "a*|b",
            "100%% sure",
            "{}",
            "שלום",
            "[[1]]",
            "O’Neill",
            "D'Arcy",
            "Łódź",
            "C\u{2b9}",
            "a [object] b",
            "&;",
            "&#;",
            "&#1234567890;",
            "x${y",
            "5%% bis 10%%",
            "{1}",
            "a {b} c",
            "<3",
            "&Sons",
            "A\\B",
        ] {
            assert_eq!(told(fine), None, "{fine}");
        }
    }
}
