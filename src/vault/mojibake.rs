//! UTF-8 that a program took for another encoding and saved again (`JÃ¶rg`, `Novï¿½k`, `РРІР°РЅ`). What people, places and firms are
//! really called must pass, in capitals too: `KNÍŽE` and `MÄKELÄ’S` are UTF-8 in Windows-1252 as well, of signs that nobody writes.

use encoding_rs::{
    Encoding, IBM866, KOI8_U, MACINTOSH, WINDOWS_1250, WINDOWS_1251, WINDOWS_1252, WINDOWS_1253,
    WINDOWS_1255, WINDOWS_1256, X_MAC_CYRILLIC,
};
use std::ops::Range;
use std::sync::LazyLock;
use zeroize::Zeroizing;

/// An encoding of one byte a letter.
struct Page {
    /// What its upper half stands for, in the order of the letters.
    letters: [(char, u8); 128],
    /// Besides western letters: what was there where people use it.
    scripts: Range<char>,
}

const CYRILLIC: Range<char> = '\u{400}'..'\u{530}';
const GREEK: Range<char> = '\u{370}'..'\u{400}';
const HEBREW: Range<char> = '\u{590}'..'\u{600}';
const ARABIC: Range<char> = '\u{600}'..'\u{700}';
const NONE: Range<char> = '\0'..'\0';

static WESTERN: LazyLock<Page> = LazyLock::new(|| Page::of(WINDOWS_1252, '\u{370}'..char::MAX));
static OTHERS: LazyLock<[Page; 9]> = LazyLock::new(|| {
    [
        Page::of(WINDOWS_1250, NONE),
        Page::of(WINDOWS_1251, CYRILLIC),
        Page::of(WINDOWS_1253, GREEK),
        Page::of(MACINTOSH, NONE),
        Page::of(IBM866, CYRILLIC),
        Page::of(KOI8_U, CYRILLIC),
        Page::of(X_MAC_CYRILLIC, CYRILLIC),
        Page::of(WINDOWS_1255, HEBREW),
        Page::of(WINDOWS_1256, ARABIC),
    ]
});

/// Whether a part of the text is such.
pub fn is_in(text: &str) -> bool {
    !text.is_ascii()
        && (holds_sure(text)
            || holds_frame(text)
            || is_cut(text)
            || std::iter::once(&*WESTERN).chain(&*OTHERS).any(|page| page.may_be_whole(text)))
}

impl Page {
    fn of(encoding: &'static Encoding, scripts: Range<char>) -> Self {
        let mut byte = 0x7f_u8;
        let mut letters = [(); 128].map(|()| {
            byte += 1;
            let (text, _) = encoding.decode_without_bom_handling(std::slice::from_ref(&byte));
            (text.chars().next().unwrap_or('\u{fffd}'), byte)
        });
        letters.sort_unstable();
        Self { letters, scripts }
    }

    /// Programs that mean Latin-1 write control characters for what it has no letter for.
    fn byte_of(&self, c: char) -> Option<u8> {
        match u8::try_from(c) {
            Ok(byte) if byte < 0xa0 => Some(byte),
            _ => {
                let at = self.letters.binary_search_by_key(&c, |(letter, _)| *letter).ok()?;
                Some(self.letters[at].1)
            }
        }
    }

    /// The letter that was there, where the text begins with the reading of one.
    fn read(&self, text: &str) -> Option<Reading> {
        let mut chars = text.chars();
        let lead = self.byte_of(chars.next()?)?;
        let mut bytes = [lead, 0, 0, 0];
        let count = match lead {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return None,
        };
        let mut is_sure = count == 4;
        for place in &mut bytes[1..count] {
            let c = chars.next()?;
            *place = self.byte_of(c).filter(|byte| (0x80..0xc0).contains(byte))?;
            is_sure |= !may_follow(lead, c);
        }
        let letter = std::str::from_utf8(&bytes[..count]).ok()?.chars().next()?;
        Some(Reading { letter, is_sure, bytes: text.len() - chars.as_str().len() })
    }

    /// Whether the text as a whole is a reading, of words that somebody may have written.
    fn may_be_whole(&self, text: &str) -> bool {
        // Of nearly every text the first letter tells.
        let first = text.find(|c: char| !c.is_ascii()).and_then(|at| self.read(&text[at..]));
        if first.is_none() {
            return false;
        }
        let mut was = Zeroizing::new(String::with_capacity(text.len()));
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let (letter, bytes) = match self.read(&text[at..]) {
                Some(reading) if is_mark(text, at, reading.bytes) => return false,
                Some(reading) => (reading.letter, reading.bytes),
                None if c.is_ascii() => (c, 1),
                None => return false,
            };
            was.push(letter);
            at += bytes;
        }
        let words = || was.split_ascii_whitespace().map(|word| Word::of(word, &self.scripts));
        let is_plausible =
            words().any(|word| word == Word::Plausible) && words().all(|word| word != Word::Absurd);
        // Or it went through that twice.
        is_plausible || is_in(&was)
    }
}

/// Whether two signs are the capital at the end of a word of capitals, and the mark of a firm or of a note behind it (`MAÇÃ®`): read rightly
/// they would be a small letter, or one that few words end in. `Â®` is the mark itself far more often.
fn is_mark(text: &str, at: usize, bytes: usize) -> bool {
    let (before, pair, behind) = (&text[..at], &text[at..at + bytes], &text[at + bytes..]);
    let mut signs = pair.chars();
    let lead = signs.next().filter(|c| c.is_uppercase() && *c != 'Â');
    // Words of Romanian end in `Ă` where those of other languages of its encoding have no two signs.
    let is_behind = |c: char| "®™©°²³¹´ªº".contains(c) || lead == Some('Ă') && "’”»…–".contains(c);
    let is_marked = signs.next().is_some_and(is_behind) && signs.next().is_none();
    let word = || before.chars().rev().take_while(|c| c.is_alphabetic());
    lead.is_some()
        && is_marked
        && word().next().is_some()
        && word().all(char::is_uppercase)
        && !behind.starts_with(char::is_alphanumeric)
        && !is_short_name(text, at, bytes)
}

/// `LÃª` and `VÅ©`: `Lê` and `Vũ` are among the commonest names there are.
fn is_short_name(text: &str, at: usize, bytes: usize) -> bool {
    let (before, pair, behind) = (&text[..at], &text[at..at + bytes], &text[at + bytes..]);
    let word = || before.chars().rev().take_while(|c| c.is_alphabetic());
    ["Ãª", "Å©"].contains(&pair)
        && word().count() == 1
        && word().all(|c| c.is_ascii_uppercase())
        && !behind.starts_with(char::is_alphanumeric)
}

/// One letter as it was before it was read wrongly.
struct Reading {
    letter: char,
    /// Nobody writes these signs one behind the other for themselves.
    is_sure: bool,
    /// Of the wrong reading.
    bytes: usize,
}

/// Whether a sign may stand behind a capital letter for itself: an apostrophe or quotation mark behind the last letter, a dash, a mark of
/// a firm, a capital of Windows-1252 that is not in Latin-1. Behind `Ã`, which ends few words and goes before few letters, not many do.
fn may_follow(lead: u8, c: char) -> bool {
    const BEHIND_ANY: &str = "’”»›…–—\u{a0}";
    const BEHIND_MOST: &str = "“‘´™®©°ºªŠŒŽšœžŸ";
    const A_WITH_TILDE: u8 = 0xc3;
    // French is written with these, and not with the letters before them.
    let is_french = matches!(lead, 0xc4 | 0xc5) && matches!(c, 'Œ' | 'œ');
    BEHIND_ANY.contains(c) || lead != A_WITH_TILDE && BEHIND_MOST.contains(c) && !is_french
}

/// What a word comes to when it is read rightly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// It tells nothing.
    Open,
    Plausible,
    /// Nobody writes so; what stands there is what was meant.
    Absurd,
}

impl Word {
    fn of(word: &str, scripts: &Range<char>) -> Self {
        let foreign = || word.chars().filter(|c| !c.is_ascii() && !is_western(*c));
        let is_foreign = foreign().next().is_some();
        let holds_letters = word.bytes().any(|byte| byte.is_ascii_alphabetic());
        let holds_digits = word.bytes().any(|byte| byte.is_ascii_digit());
        // One letter of two bytes may be chance, two beside a number as well (`10×½`).
        let by_chance = if holds_digits { 4 } else { 2 };
        match () {
            () if word.is_ascii() || !is_foreign && !holds_letters && !holds_digits => Self::Open,
            () if !is_foreign && fits_its_case(word) => Self::Plausible,
            () if !is_foreign || holds_letters || !foreign().all(|c| scripts.contains(&c)) => Self::Absurd,
            () if foreign().map(char::len_utf8).sum::<usize>() > by_chance => Self::Plausible,
            () => Self::Open,
        }
    }
}

/// A capital begins a word or is among capitals; a letter beyond Latin-1 is not among capitals only, where it may be chance.
fn fits_its_case(word: &str) -> bool {
    let has_small = word.bytes().any(|byte| byte.is_ascii_lowercase());
    let mut before = None;
    word.chars().all(|c| {
        let begins = !before.replace(c).is_some_and(char::is_alphabetic);
        match () {
            () if c.is_ascii() || !c.is_alphabetic() => true,
            () if has_small => c.is_lowercase() || begins,
            () => !c.is_lowercase() && c < '\u{100}',
        }
    })
}

/// Letters of Latin alphabets that people write names in, and signs of text.
fn is_western(c: char) -> bool {
    matches!(c,
        '\u{a0}'..='\u{17f}' | '\u{18f}' | '\u{259}' | '\u{1a0}' | '\u{1a1}' | '\u{1af}' | '\u{1b0}' | '\u{218}'..='\u{21b}'
        | '\u{1e00}'..='\u{1eff}' | '\u{2010}'..='\u{2026}' | '\u{2030}'..='\u{203a}' | '\u{20ac}' | '\u{2122}')
}

/// Readings in Windows-1252, by far the commonest, are known beside text that was read rightly too.
fn holds_sure(text: &str) -> bool {
    let is_sure = |reading: &Reading| {
        reading.is_sure
            && (is_western(reading.letter) || reading.letter > '\u{ffff}' || reading.letter == '\u{fffd}')
    };
    // Others are no first bytes there.
    let leads = text.char_indices().filter(|(_, c)| ('\u{c2}'..='\u{f4}').contains(c));
    let readings = leads.filter_map(|(at, _)| Some((at, WESTERN.read(&text[at..])?)));
    let mut readings = readings.map(|(at, reading)| (at, reading.bytes, is_sure(&reading)));
    readings.any(|(at, bytes, is_sure)| {
        is_short_name(text, at, bytes)
            || is_sure && !is_mark(text, at, bytes) && !is_beside_right_ones(text, at)
    })
}

/// Whether a letter in the same word was read rightly: somebody has written `BÈRRÃŠHÊD`.
fn is_beside_right_ones(text: &str, at: usize) -> bool {
    // Of which the second half may be lost.
    const LEADS: &str = "ÂÃÅâ";
    let begin = text[..at].rfind(char::is_whitespace).unwrap_or(0);
    let mut rest = text[begin..].split_whitespace().next().unwrap_or_default();
    while let Some(c) = rest.chars().next() {
        let reading = WESTERN.read(rest);
        if reading.is_none() && !c.is_ascii() && c.is_alphabetic() && !LEADS.contains(c) {
            return true;
        }
        rest = &rest[reading.map_or(c.len_utf8(), |reading| reading.bytes)..];
    }
    false
}

/// As Macs and DOS show the first byte of a letter: the sign of the root, a piece of a frame. People set frames apart from words,
/// and words apart by `│` and `─`.
fn holds_frame(text: &str) -> bool {
    let is_letter = |c: char| !c.is_ascii() && c.is_alphabetic();
    let is_corner = |c: char| ('\u{250c}'..='\u{256c}').contains(&c) && !"═║".contains(c);
    let behind = text.chars().skip(1);
    text.chars().zip(behind).any(|(c, next)| {
        "√├┬".contains(c) && !next.is_ascii() && !next.is_whitespace() && next != '─'
            || is_corner(c) && is_letter(next)
            || is_letter(c) && is_corner(next)
    })
}

/// `CittÃ`: of an `à` the second half was a blank that does not break, and went with the blanks.
fn is_cut(text: &str) -> bool {
    text.match_indices('Ã').any(|(at, letter)| {
        let is_behind_small = text[..at].ends_with(|c: char| c.is_ascii_lowercase());
        let behind = text[at + letter.len()..].chars().next();
        is_behind_small && behind.is_none_or(char::is_whitespace)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In capitals, with apostrophes, dashes and marks behind them too: each is so called somewhere.
    #[rustfmt::skip]
    const NAMES: &[&str] = &[
        "Null", "Nan", "None", "Nil", "D'Angelo", "O'Neil", "O’Neill", "JOÃO", "SÃO PAULO", "São João", "IRMÃ LÚCIA", "MAÇÃ", "Ã", "GUIMARÃES",
        "CONCEIÇÃO", "Lã Văn Ã", "VŨ ĐỨC ÃNH", "&Sons", "AT&T", "A\\B", "C\\N", "D´Arcy", "José´s", "JOSÉ’S TACOS", "CAFÉ’S", "RENÉ™", "CAFFÈ™",
        "MÄKELÄ’S", "KIVELÄ–VIRTANEN", "SEPPÄLÄ…", "BLÅ–GULT", "BLÅ’S", "ÅNGSTRÖM", "Å", "Ö", "KNÍŽE", "VÍŠEK", "PÍŠA", "FÍŠER", "LÍŠKA", "TOMÁŠ",
        "KŘÍŽ", "BLAŽÍČEK", "Úžice", "ÚŠTĚK", "BĚŽEC", "RÕŽOV", "KÄŠ", "ŠÕŠKIN", "JÓŹWIAK", "WÓŹNIAK", "KÓŁKO", "MĘŻYK", "RÓŻA", "GÓŻDŻ", "ĆWIĘK",
        "PÂŞLARU", "RĂŞCANU", "BĂŞESCU", "CÂŞTIG", "ȘTEFĂNIȚĂ", "PÄŤ", "STĹP", "Ĺubica", "VÄZBA", "L’HAŸ", "L’ÉCOLE", "“ÉTÉ”", "NOËL", "CŒUR DE PIRATE",
        "SŒUR ÉLISE", "GARÇON", "ÑÚÑEZ", "Mª Ángeles", "Nº 5", "¡OLÉ!", "¿QUÉ?", "IBÁÑEZ–PEÑA", "MÜLLER & SÖHNE", "GROẞ", "Groß", "WEIẞ",
        "İLKNUR ŞAĞ", "IŞIK", "ÇİĞDEM", "ŁÓDŹ", "ŻÓŁĆ", "ÞÓRÐUR", "SIGRÚN ÆGISDÓTTIR", "ÆRØ", "SØRENSEN", "ŠIMŮNEK", "ŽIŽKA", "ĐORĐE",
        "рай", "сад", "дії", "Сірі", "СІЧ", "РІЄ", "Ріо", "ЛОВ®", "«ГАЗПРОМ»", "Марія", "ЇЖАК", "Јовановић", "Ђорђе",
        "ΟΊΚΟΣ", "Γή", "ΜΑΡΊΑ", "Νίκος", "שלום", "ג׳ורג׳", "צה״ל", "محمد", "李", "王小明", "はる", "김", "สมชาย", "अनिल", "Զ", "ქეთი",
        "Xæ", "Nguyễn Thị Hằng", "’t Hart", "d’Été", "50 °C", "10×½", "2×¼×½", "CAFÉ™ 1", "SPORTÉ™", "a²", "€uro", "Müller® GmbH", "ÉCLAIR™ PARIS", "Ñandú…",
        "MAÇÃ®", "MAÇÃ™", "IRMÃ®", "MANHÃ°", "HORTELÃ²", "AITA SEACĂ™", "„VALEA SEACĂ”", "BABĂ®", "SETÄLÄ²", "KILLÅ²", "TØRČHÂ²", "BÈRRÃŠHÊD", "VŨ THỊ ÃNH®",
        "Café│Bar", "Ärzte ─ Zürich", "║Öl║", "LÃ®", "MAÇÃª", "ŒUVRE", "Å©", "│ É │", "├── été", "tree: ├─ über",
    ];

    #[test]
    fn b11_what_somebody_is_called_is_no_mojibake() {
        let wrong: Vec<&&str> = NAMES.iter().filter(|name| is_in(name)).collect();
        assert!(NAMES.len() >= 60 && wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn b11_what_was_read_in_another_encoding_is_mojibake() {
        for name in [
            "Jörg", "Zoë", "José", "Łukasz", "Çiğdem", "Ayşe", "Çelik", "Łódź", "Šimon", "Novák", "Ştefan",
            "CRÊME",
        ] {
            for encoding in [WINDOWS_1252, WINDOWS_1250, WINDOWS_1251, WINDOWS_1253, MACINTOSH] {
                let read = Latin(encoding).read(name);
                assert!(is_in(&read), "{name} by {}: {read}", encoding.name());
            }
        }
        for (name, encoding) in [
            ("Иван", WINDOWS_1251),
            ("Мария", IBM866),
            ("Νίκος", WINDOWS_1253),
            ("Иван", WINDOWS_1252),
            ("Νίκος", WINDOWS_1252),
            ("שלום", WINDOWS_1252),
            ("محمد", WINDOWS_1252),
            ("李", WINDOWS_1252),
            ("はる", WINDOWS_1252),
            ("สมชาย", WINDOWS_1252),
            ("अनिल", WINDOWS_1252),
            ("Anna 😀", WINDOWS_1252),
            ("O’Neill", WINDOWS_1252),
            ("„Anna“", WINDOWS_1252),
            ("NICOLÒ", WINDOWS_1252),
            ("Özil", WINDOWS_1252),
            ("Weiß", WINDOWS_1252),
            ("WEIß", WINDOWS_1252),
            ("Hằng", WINDOWS_1252),
            ("Anna\u{a0}Maria", WINDOWS_1252),
            ("Rəhimli", WINDOWS_1252),
            ("復興巷4號", WINDOWS_1252),
            ("تولیدی و صنعتی", WINDOWS_1252),
            ("Андоновски и Симоновски", WINDOWS_1252),
            ("Мария", KOI8_U),
            ("Иван Петров", X_MAC_CYRILLIC),
            ("שרה כהן", WINDOWS_1255),
            ("محمد", WINDOWS_1256),
            ("فاطمة الزهراء", WINDOWS_1256),
        ] {
            let read = Latin(encoding).read(name);
            assert!(is_in(&read), "{name} by {}: {read}", encoding.name());
            let twice = Latin(WINDOWS_1252).read(&read);
            assert!(is_in(&twice), "{name} by {} and once more: {twice}", encoding.name());
        }
        for read in [
            "JÃ¶rg Müller",
            "Müller, RaÃºl",
            "CittÃ",
            "CittÃ di",
            "Nov\u{ef}\u{bf}\u{bd}k",
            "J├╢rg",
            "J├Ârg",
            "JÃƒÂ¶rg",
            "LÃª",
            "Chi LÃª",
            "VÅ©",
            "JURKOVIÄŒ",
            "B┼Öeznice",
            "Gц╤ran",
            "╨₧╨┐╨░╨╜╨░╤ü╨╡╨╜╨║╨╛",
            "╒ì╒í╒⌐╒Ñ╒╢",
        ] {
            assert!(is_in(read), "{read}");
        }
    }

    /// Reads UTF-8 as if it were of an encoding.
    struct Latin(&'static Encoding);

    impl Latin {
        fn read(&self, text: &str) -> String {
            self.0.decode_without_bom_handling(text.as_bytes()).0.into_owned()
        }
    }
}
