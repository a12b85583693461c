//! What is no value though a cell holds it: what programs write where there is nothing, and what is left of a text that was read or
//! written wrongly. People would be addressed by it.

mod escaped;
mod placeholder;

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
        "what a script makes of values that are none (null null, Anna undefined); mend it there, or leave the cell empty"
    )]
    Joined,
    #[error("what a script makes of an object where a text belongs ([object Object]); mend it there")]
    Object,
    #[error("JSON where a text belongs (as in {{\"first\":\"Anna\"}}); write the text itself")]
    Json,
    #[error("a placeholder instead of a value; fill it in, or leave the cell empty")]
    Placeholder,
    #[error(
        "holds the sign U+FFFD, which stands for letters that were lost when the file was converted; make it anew as UTF-8"
    )]
    Lost,
    #[error("holds an escape sequence, as in ISO-2022-JP; save the file as UTF-8")]
    Escape,
    #[error(
        "holds a control character (U+0080 to U+009F), as where a file was read in another encoding; make it anew, as UTF-8 from end to end"
    )]
    Control,
    #[error(
        "UTF-8 that was read in another encoding and saved again (as in J\u{c3}\u{b6}rg); make the file anew, as UTF-8 from end to end"
    )]
    Mojibake,
    #[error("holds an HTML entity (as in J&ouml;rg); write the letter itself")]
    Entity,
    #[error("holds letters as a program escapes them ({0}); write the letter itself")]
    Escaped(&'static str),
}

impl NoValue {
    /// Whether a text that is right as it stands may look so. What is left of these two nobody has written.
    pub fn may_be_meant(&self) -> bool {
        !matches!(self, Self::Escape | Self::Control)
    }
}

/// How values are read.
#[derive(Debug, Clone, Default)]
pub struct Words {
    /// Cells that are one of them are as if they were empty.
    pub empty: Arc<[String]>,
    /// Cells that are one of them are what they say.
    pub literal: Arc<[String]>,
    /// Fields whose values are what they say.
    pub as_is: Arc<[String]>,
    /// They come from a list, in which there is more than values; else a person has typed them.
    pub of_list: bool,
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

/// MySQL's day where there is none.
const NO_DAY: &str = "0000-00-00";

impl Words {
    pub fn is_empty_word(&self, cell: &str) -> bool {
        self.empty.iter().any(|word| word.trim() == cell)
    }

    pub fn takes_as_is(&self, field: &str) -> bool {
        self.as_is.iter().any(|name| name == field)
    }

    /// # Errors
    /// What the value holds in place of one.
    pub fn look(&self, value: &str, signs: Signs, field: &str) -> Result<(), NoValue> {
        if self.of_list && self.literal.iter().any(|word| word.trim() == value) {
            return Ok(());
        }
        if let Some(word) = one_of(&SOMEBODYS, value).filter(|_| self.of_list) {
            return Err(NoValue::Word(word));
        }
        broken(value, signs, field)
    }
}

/// What a text has to be looked at for, by the bytes in it: most have to be for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signs(u8);

impl Signs {
    pub const NOT_ASCII: Self = Self(1);
    /// NUL and the escape of terminals.
    pub const CONTROL: Self = Self(2);
    /// What placeholders of programs begin with.
    pub const BRACKET: Self = Self(4);
    pub const AMPERSAND: Self = Self(8);
    pub const BACKSLASH: Self = Self(16);
    pub const APOSTROPHE: Self = Self(32);
    pub const HASH: Self = Self(64);
    pub const EQUALS: Self = Self(128);

    const OF_BYTES: [u8; 256] = {
        let mut signs = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            signs[byte] = Self::of_byte(byte as u8).0;
            byte += 1;
        }
        signs
    };

    const fn of_byte(byte: u8) -> Self {
        match byte {
            0x80.. => Self::NOT_ASCII,
            0 | 0x1b => Self::CONTROL,
            b'{' | b'*' | b'%' | b'[' | b'$' | b'<' => Self::BRACKET,
            b'&' => Self::AMPERSAND,
            b'\\' => Self::BACKSLASH,
            b'\'' => Self::APOSTROPHE,
            b'#' => Self::HASH,
            b'=' => Self::EQUALS,
            _ => Self(0),
        }
    }

    pub fn of(text: &str) -> Self {
        Self(text.bytes().fold(0, |signs, byte| signs | Self::OF_BYTES[usize::from(byte)]))
    }

    pub fn has(self, signs: Self) -> bool {
        self.0 & signs.0 != 0
    }

    /// One byte decides, for what a long text is not read again.
    fn is_plain(self) -> bool {
        !self.has(Self(!Self::APOSTROPHE.0))
    }
}

/// # Errors
/// What the text is that nobody can have meant, whoever wrote it.
fn broken(text: &str, signs: Signs, field: &str) -> Result<(), NoValue> {
    if let Some(word) = one_of(&NOBODYS, text).or_else(|| no_day(text)) {
        return Err(NoValue::Word(word));
    }
    if is_joined(text, field) {
        return Err(NoValue::Joined);
    }
    match () {
        () if signs.is_plain() && !placeholder::has_edges(text) => Ok(()),
        () if text.starts_with("[object ") && text.ends_with(']') => Err(NoValue::Object),
        () if signs.has(Signs::CONTROL) && text.contains('\u{1b}') => Err(NoValue::Escape),
        () if placeholder::is_in(text, signs, is_name_of_text(field)) => Err(NoValue::Placeholder),
        () if signs.has(Signs::BRACKET) && is_name_of_text(field) && escaped::is_json(text) => {
            Err(NoValue::Json)
        }
        () if signs.has(Signs::AMPERSAND) && escaped::holds_entity(text) => Err(NoValue::Entity),
        () => match escaped::escapes_in(text, signs, field) {
            Some(escape) => Err(NoValue::Escaped(escape)),
            None if signs.has(Signs::NOT_ASCII) => misread(text),
            None => Ok(()),
        },
    }
}

fn misread(text: &str) -> Result<(), NoValue> {
    match () {
        () if text.contains('\u{fffd}') => Err(NoValue::Lost),
        () if mojibake::is_in(text) => Err(NoValue::Mojibake),
        () => fit(text, Signs::NOT_ASCII),
    }
}

/// # Errors
/// What no value holds, whatever it is meant to be.
pub fn fit(text: &str, signs: Signs) -> Result<(), NoValue> {
    let is_c1 = |c: char| ('\u{80}'..='\u{9f}').contains(&c);
    match () {
        () if signs.has(Signs::CONTROL) && text.contains('\u{1b}') => Err(NoValue::Escape),
        () if signs.has(Signs::NOT_ASCII) && text.contains(is_c1) => Err(NoValue::Control),
        () => Ok(()),
    }
}

/// Each cell is compared with each of them: by its first letter, which is another one nearly always.
fn one_of(words: &[&'static str], text: &str) -> Option<&'static str> {
    let first = text.bytes().next().filter(|_| may_begin_nobodys(text))?;
    words.iter().find(|word| word.as_bytes()[0] == first && **word == text).copied()
}

fn may_begin_nobodys(text: &str) -> bool {
    text.starts_with(['N', 'n', '[', '(', '<', '\\', 'u', 'U'])
}

/// Whether it was put together of parts that were not there: of such only, or, what people are called by, with one at an end.
fn is_joined(text: &str, field: &str) -> bool {
    const PARTS: [&str; 3] = ["null", "undefined", "NaN"];
    let words = || text.split_whitespace().map(|word| word.trim_end_matches([',', ';']));
    let is_nobodys = |word: &str| NOBODYS.contains(&word) || ["None", "N/A", "n/a"].contains(&word);
    let is_at_end = |part: &&str| {
        let rest = text.strip_suffix(*part).map(|rest| rest.ends_with(' '));
        let behind = text.strip_prefix(*part).map(|rest| rest.starts_with([' ', ',']));
        rest.or(behind).unwrap_or_default()
    };
    may_begin_nobodys(text) && text.contains(' ') && words().all(is_nobodys)
        || PARTS.iter().any(is_at_end) && is_of_person(field)
}

fn no_day(text: &str) -> Option<&'static str> {
    let behind = text.strip_prefix(NO_DAY)?;
    let is_time = |c: char| "0: T.".contains(c);
    behind.chars().all(is_time).then_some(NO_DAY)
}

/// Whether nothing of the text is seen: it would blank a name without a word.
pub fn is_unseen(text: &str) -> bool {
    text.chars().all(shows_nothing)
}

pub fn shows_nothing(c: char) -> bool {
    c.is_whitespace()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a field is one that people are called or addressed by, in which a structure has no place.
fn is_name_of_text(field: &str) -> bool {
    const PARTS: [&str; 27] = [
        "name",
        "nom",
        "nome",
        "nombre",
        "apellido",
        "voornaam",
        "achternaam",
        "imie",
        "nazwisko",
        "anrede",
        "titel",
        "title",
        "salutation",
        "greeting",
        "city",
        "town",
        "ville",
        "stadt",
        "ort",
        "ciudad",
        "street",
        "strasse",
        "rue",
        "company",
        "firma",
        "country",
        "land",
    ];
    let words = field.split('_').map(str::to_ascii_lowercase);
    words
        .into_iter()
        .any(|word| PARTS.iter().any(|part| *part == word || part.len() > 3 && word.contains(part)))
}

/// Whether it is one of a person's own, which no firm or street shares.
fn is_of_person(field: &str) -> bool {
    const OTHERS: [&str; 5] = ["company", "firma", "firm", "product", "brand"];
    is_name_of_text(field) && !OTHERS.iter().any(|other| field.to_ascii_lowercase().contains(other))
}

/// What is taken and may be a mistake nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notice {
    /// Of a purpose that nobody can mail for.
    NobodysPurpose,
    /// `'Anna`: a spreadsheet's mark of a text, or a name such as 't Hart.
    Apostrophe,
    /// Of a withdrawal that made a new person, by a phone number without its country.
    LocalPhone,
    /// `-` about consent, which may be a no, where it was said to be nothing.
    SilentDash,
    /// `A\nB` with a backslash and a letter, as `mysql -B` and `COPY` write a line end.
    Backslash,
    /// `A\\B`: one backslash, where the file is escaped so elsewhere; else two.
    DoubleBackslash,
    /// `\N` that was said to be nothing: the file is escaped by backslashes.
    NullMark,
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
pub fn oddity(value: &str, signs: Signs) -> Option<Notice> {
    // The last three are MySQL's, which escapes the sign itself.
    let marks = ["\\n", "\\t", "\\r", "\\\n", "\\\t", "\\\r"];
    let is_marked = || value.ends_with('\\') || marks.iter().any(|mark| value.contains(mark));
    match () {
        () if signs.has(Signs::APOSTROPHE) && value.trim_start().starts_with('\'') => {
            Some(Notice::Apostrophe)
        }
        () if signs.has(Signs::BACKSLASH) && is_marked() => Some(Notice::Backslash),
        () if signs.has(Signs::BACKSLASH) && value.contains("\\\\") => Some(Notice::DoubleBackslash),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_in(field: &str, cell: &str) -> Option<NoValue> {
        Words { of_list: true, ..Words::default() }.look(cell, Signs::of(cell), field).err()
    }

    fn told(cell: &str) -> Option<NoValue> {
        told_in("note", cell)
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
        for cell in [
            "Anna null",
            "null Anna",
            "Mr. undefined",
            "undefined Smith",
            "null, Anna",
            "Anna NaN",
            "null, null",
            "N/A N/A",
        ] {
            assert_eq!(told_in("full_name", cell), Some(NoValue::Joined), "{cell}");
        }
        for name in ["Anna NULL", "Null Anna", "Anna None", "Annull", "Nan Smith", "nullnull"] {
            assert_eq!(told_in("full_name", name), None, "{name}");
        }
        assert_eq!((told_in("company_name", "Studio null"), told("returns null")), (None, None));
        let (empty, literal) = ([String::from("-")].into(), [String::from("Null")].into());
        let words = Words { empty, literal, of_list: true, ..Words::default() };
        assert!(words.is_empty_word("-") && !words.is_empty_word("NULL"));
        let look = |word: &str| words.look(word, Signs::of(word), "last_name");
        assert_eq!((look("Null"), look("NULL")), (Ok(()), Err(NoValue::Word("NULL"))));
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
        let oddity = |value| oddity(value, Signs::of(value));
        assert_eq!(oddity("'t Hart"), Some(Notice::Apostrophe));
        assert_eq!((oddity("A\\nB"), oddity("A\\B")), (Some(Notice::Backslash), None));
        for escaped in ["A\\\nB", "A\\\tB", "A\\\r\nB", "A\\"] {
            assert_eq!(oddity(escaped), Some(Notice::Backslash), "{escaped:?}");
        }
        assert_eq!(oddity("\\\\server"), Some(Notice::DoubleBackslash));
    }

    #[test]
    fn b11_what_is_written_for_other_programs_is_no_value() {
        for (cell, cause) in [
            ("=?utf-8?Q?J=C3=B6rg?=", NoValue::Escaped("=?utf-8?Q?J=C3=B6rg?=")),
            ("=?ISO-8859-1?b?SvZyZw==?= Roth", NoValue::Escaped("=?utf-8?Q?J=C3=B6rg?=")),
            ("J\\u00f6rg", NoValue::Escaped("J\\u00f6rg")),
            ("O\\u0027Neil", NoValue::Escaped("J\\u00f6rg")),
            ("J%C3%B6rg", NoValue::Escaped("J%C3%B6rg")),
            ("%D7%A9%D7%9C%D7%95%D7%9D", NoValue::Escaped("J%C3%B6rg")),
            ("{\"a\":1}", NoValue::Json),
            ("[1,2]", NoValue::Json),
            ("[\"Anna\"]", NoValue::Json),
            ("{'first': 'Anna'}", NoValue::Json),
            ("{% firstname %}", NoValue::Placeholder),
            ("<%= user.name %>", NoValue::Placeholder),
            ("«Vorname»", NoValue::Placeholder),
            ("<First Name>", NoValue::Placeholder),
            ("[LAST_NAME]", NoValue::Placeholder),
            ("0000-00-00", NoValue::Word("0000-00-00")),
            ("0000-00-00 00:00:00", NoValue::Word("0000-00-00")),
            ("An\u{85}na", NoValue::Control),
            ("\u{8a}imon", NoValue::Control),
        ] {
            assert_eq!(told_in("first_name", cell), Some(cause), "{cell}");
        }
        for fine in [
            "C:\\users\\unity",
            "\\u00zz",
            "100%",
            "5%C",
            "100%C3",
            "=?",
            "a=?b?c",
            "[1]st",
            "{}",
            "<Anna>",
            "«Газпром»",
            "[sic]",
            "1970-01-01",
            "0000-00-00x",
            "{1} % x",
            "a <% b",
            "#1",
            "$name",
            "@name",
            "-Anna-",
            "--",
            "__",
            "$$",
            "-",
            "A$AP",
            "[ui!] Urban",
            "%",
            "100 %",
        ] {
            assert_eq!(told_in("first_name", fine), None, "{fine}");
        }
        // Among other words they are none where somebody may have written about them.
        for cell in ["Dear {first_name}", "{{first_name}", "Herr [Nachname]", "Dear <Name>", "Mr %LASTNAME%"]
        {
            assert_eq!(told_in("salutation", cell), Some(NoValue::Placeholder), "{cell}");
        }
        assert_eq!(told("he said {name} and [Name]"), None);
        // Where they belong they are values.
        for (field, fine) in [
            ("preferences", "{\"a\":1}"),
            ("tags", "[1,2]"),
            ("url", "J%C3%B6rg"),
            ("note", "https://x.test/J%C3%B6rg"),
        ] {
            assert_eq!(told_in(field, fine), None, "{field}");
        }
    }

    #[test]
    fn b11_what_nobody_sees_is_nothing() {
        for unseen in ["\u{200b}", "\u{feff}\u{a0}", "\u{200e}\u{202c}", "\u{3164}", "\u{2800} \u{ad}"] {
            assert!(is_unseen(unseen), "{}", unseen.escape_unicode());
        }
        for seen in ["\u{200b}a", "\u{301}", "-", "\u{2709}\u{fe0f}"] {
            assert!(!is_unseen(seen), "{}", seen.escape_unicode());
        }
    }

    #[test]
    fn b11_what_products_leave_unfilled_is_no_value() {
        for cell in [
            "{{ first_name|default:'there' }}",
            "Hi {{contact.FIRSTNAME | default : \"there\"}}",
            "%%=v(@FirstName)=%%",
            "{{{first_name}}}",
            "[firstname,fallback=there]",
            "[firstname fallback=there]",
            "[[FIRSTNAME OR \"there\"]]",
            "-first_name-",
            "@@firstname@@",
            "||FNAME||",
            "#{user.name}",
            "%{name}",
            "%(name)s",
            "%s",
            "%1$s",
            "{0}",
            "{$name}",
            "$[FNAME|there]$",
            "$!{lead.name}",
            "<?= $name ?>",
            "{{}}",
            "{firstname} {lastname}",
            "%FNAME% %LNAME%",
            "[Contact.FirstName]",
            "[Insert Name Here]",
        ] {
            assert_eq!(told(cell), Some(NoValue::Placeholder), "{cell}");
        }
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
