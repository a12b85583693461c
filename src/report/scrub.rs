//! Cleans a target's reply text: the known values of the person first, then address-shaped text. What the target
//! means stays readable; whom it is about does not.

use std::ops::Range;
use zeroize::Zeroizing;

/// Longest text given out, in characters.
pub const TEXT_CHARS_MAX: usize = 200;
/// How much of a reply is looked at, in characters.
const READ_CHARS_MAX: usize = 2048;
/// Shortest value that is looked for; a single letter would take half the text with it.
const VALUE_CHARS_MIN: usize = 2;
/// Values up to this length are only taken out as whole words.
const WHOLE_WORD_CHARS_MAX: usize = 3;
/// Parts of a value (words of a name, labels of a domain) from this length on go wherever they stand.
const SURE_PART_CHARS_MIN: usize = 6;
/// Shortest value that is looked for across blanks: a shorter one arises from the ends of other words.
const ACROSS_BLANKS_CHARS_MIN: usize = 6;
/// Shortest start of a value that is taken out where the target cut its text off.
const CUT_CHARS_MIN: usize = 3;
/// Where scripts begin in which one character is a word (CJK): such a name is looked for too.
const WORD_IN_A_CHAR: char = '\u{2e80}';

/// Longest character reference between `&` and `;`.
const REFERENCE_CHARS_MAX: usize = 10;

const REMOVED: &str = "[removed]";
const ADDRESS: &str = "[address]";

/// Text of a target (without its codes), made fit for a result, a log line or an event. `known` are the values of the
/// person it may echo: they go in any case of letters, whole or by their words, as address, local part or domain,
/// also percent-, quoted-printable-, hex- or base64-encoded, as HTML or JSON write them, and broken by blanks or the
/// end of a reply line. Control characters go too.
pub fn scrub<'a>(text: &[u8], known: impl IntoIterator<Item = &'a str>) -> String {
    let chars = readable(text);
    let mut marks = vec![Mark::Keep; chars.len()];
    let needles = needles(known);
    View::without_blanks(&chars).mark_values_across_blanks(&needles, &mut marks);
    for view in [View::plain(&chars), View::decoded(&chars)] {
        view.mark_values(&needles, &mut marks);
        view.mark_addresses(&mut marks);
    }
    mark_encoded_words(&chars, &mut marks);
    render(&chars, &marks)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Keep,
    Removed,
    Address,
}

/// Characters without controls, white space made single. What is not UTF-8 is read as Latin-1, as the senders of such
/// replies mean it.
fn readable(text: &[u8]) -> Zeroizing<Vec<char>> {
    let mut chars = Zeroizing::new(Vec::with_capacity(text.len().min(READ_CHARS_MAX)));
    let mut take = |c: char| {
        let c = if c.is_whitespace() { ' ' } else { c };
        let doubled = c == ' ' && chars.last() == Some(&' ');
        if !(doubled || c.is_control() || is_invisible(c)) && chars.len() < READ_CHARS_MAX {
            chars.push(c);
        }
    };
    for chunk in text.utf8_chunks() {
        chunk.valid().chars().for_each(&mut take);
        chunk.invalid().iter().for_each(|octet| take(char::from(*octet)));
    }
    chars
}

/// Marks that steer direction or join letters: invisible, and able to hide a value from a search.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// One text to look for, folded to lower case.
struct Needle {
    folded: Zeroizing<Vec<char>>,
    /// Parts of a value are common words often enough ("mail", "info") to leave longer words alone.
    whole_word: bool,
}

fn needles<'a>(known: impl IntoIterator<Item = &'a str>) -> Vec<Needle> {
    let mut needles: Vec<Needle> = Vec::new();
    let mut add = |value: &str, is_part: bool| {
        let folded = Zeroizing::new(value.chars().flat_map(char::to_lowercase).collect::<Vec<_>>());
        let is_long_enough = folded.len() >= VALUE_CHARS_MIN || folded.iter().any(|c| *c >= WORD_IN_A_CHAR);
        if is_long_enough && folded.len() <= READ_CHARS_MAX {
            let is_short =
                folded.len() <= WHOLE_WORD_CHARS_MAX || (is_part && folded.len() < SURE_PART_CHARS_MIN);
            // Other scripts write words without blanks, or join prefixes to a name (Hebrew, Arabic, Japanese).
            let whole_word = is_short && folded.iter().all(char::is_ascii);
            needles.push(Needle { folded, whole_word });
        }
    };
    for value in known {
        let value = value.trim();
        add(value, false);
        let named = value.rsplit_once('@').map_or(value, |(local, domain)| {
            add(local.trim_matches('"'), true);
            add(domain, true);
            let labels = domain.rsplit('.').skip(1).filter(|label| label.chars().count() > 2);
            labels.for_each(|label| add(label, true));
            local
        });
        let tells = |word: &&str| word.chars().count() > 2 || !word.is_ascii();
        named.split(|c: char| !c.is_alphanumeric()).filter(tells).for_each(|word| add(word, true));
        for encoded in encoded_forms(value) {
            add(&encoded, false);
        }
    }
    needles
}

/// Hex, and what base64 makes of the value at each of the three alignments, without the ends its neighbours change.
fn encoded_forms(value: &str) -> Vec<Zeroizing<String>> {
    if value.len() < 4 {
        return Vec::new();
    }
    let mut forms = vec![Zeroizing::new(data_encoding::HEXLOWER.encode(value.as_bytes()))];
    for shift in 0..3 {
        let shifted = Zeroizing::new([&[0u8; 2][..shift.min(2)], value.as_bytes()].concat());
        let encoded = Zeroizing::new(data_encoding::BASE64_NOPAD.encode(&shifted));
        let from = (shift * 8).div_ceil(6);
        let upto = shifted.len() * 8 / 6;
        forms.push(Zeroizing::new(encoded.get(from..upto).unwrap_or_default().to_owned()));
    }
    forms.retain(|form| form.len() >= 4);
    forms
}

/// The text as it is compared: lower case, each character with the stretch of the original it came from.
struct View {
    folded: Zeroizing<Vec<char>>,
    origins: Vec<(usize, usize)>,
}

impl View {
    fn plain(chars: &[char]) -> Self {
        let mut view = Self::empty(chars.len());
        for (at, c) in chars.iter().enumerate() {
            view.push(*c, (at, at + 1));
        }
        view
    }

    /// With `%40`, `=40`, `+40`, `%2540`, `&#64;`, `&commat;` and `\u0040` read as what they stand for.
    fn decoded(chars: &[char]) -> Self {
        let mut view = Self::empty(chars.len());
        let mut octets: Vec<(u8, Range<usize>)> = Vec::new();
        let mut at = 0;
        while at < chars.len() {
            if let Some((octet, width)) = escaped_octet(&chars[at..]) {
                octets.push((octet, at..at + width));
                at += width;
                continue;
            }
            view.push_octets(&mut octets);
            let (c, width) = written_out(&chars[at..]).unwrap_or((chars[at], 1));
            view.push(c, (at, at + width));
            at += width;
        }
        view.push_octets(&mut octets);
        view
    }

    /// As the text would read without any blank: a value that a line end or letter-spacing has broken is whole.
    fn without_blanks(chars: &[char]) -> Self {
        let mut view = Self::empty(chars.len());
        for (at, c) in chars.iter().enumerate().filter(|(_, c)| **c != ' ') {
            view.push(*c, (at, at + 1));
        }
        view
    }

    fn empty(len: usize) -> Self {
        Self { folded: Zeroizing::new(Vec::with_capacity(len * 2)), origins: Vec::with_capacity(len * 2) }
    }

    fn push(&mut self, c: char, origin: (usize, usize)) {
        for folded in c.to_lowercase() {
            self.folded.push(folded);
            self.origins.push(origin);
        }
    }

    fn push_octets(&mut self, octets: &mut Vec<(u8, Range<usize>)>) {
        let raw = Zeroizing::new(octets.iter().map(|(octet, _)| *octet).collect::<Vec<_>>());
        let mut from = 0;
        for chunk in raw.utf8_chunks() {
            let invalid = chunk.invalid().iter().map(|octet| (char::from(*octet), 1));
            for (c, width) in chunk.valid().chars().map(|c| (c, c.len_utf8())).chain(invalid) {
                self.push(c, (octets[from].1.start, octets[from + width - 1].1.end));
                from += width;
            }
        }
        octets.clear();
    }

    fn mark_values(&self, needles: &[Needle], marks: &mut [Mark]) {
        for needle in needles {
            let mut at = 0;
            while at < self.folded.len() {
                let found = self.match_at(needle, at);
                self.mark(at, at + found, Mark::Removed, marks);
                at += found.max(1);
            }
        }
    }

    fn mark_values_across_blanks(&self, needles: &[Needle], marks: &mut [Mark]) {
        for needle in needles.iter().filter(|needle| !needle.whole_word) {
            // A value's own blanks are not in this view either.
            let wanted: Zeroizing<Vec<char>> =
                Zeroizing::new(needle.folded.iter().copied().filter(|c| *c != ' ').collect());
            if wanted.len() < ACROSS_BLANKS_CHARS_MIN {
                continue;
            }
            for at in 0..self.folded.len() {
                if self.folded[at..].starts_with(&wanted) {
                    let (start, end) = (self.origins[at].0, self.origins[at + wanted.len() - 1].1);
                    marks[start..end].fill(Mark::Removed);
                }
            }
        }
    }

    /// How many characters at `at` belong to the needle: all of it, or its start where the text was cut off.
    fn match_at(&self, needle: &Needle, at: usize) -> usize {
        let rest = &self.folded[at..];
        let same = rest.iter().zip(needle.folded.iter()).take_while(|(a, b)| a == b).count();
        let is_cut = same == rest.len() && same >= CUT_CHARS_MIN;
        if same < needle.folded.len() && !is_cut {
            return 0;
        }
        let is_letter =
            |at: Option<usize>| at.and_then(|at| self.folded.get(at)).is_some_and(|c| c.is_alphanumeric());
        let is_part_of_word = is_letter(at.checked_sub(1)) || is_letter(Some(at + same));
        if needle.whole_word && is_part_of_word { 0 } else { same }
    }

    /// Anything around an `@`, as far as an address can reach on both sides.
    fn mark_addresses(&self, marks: &mut [Mark]) {
        for at in (0..self.folded.len()).filter(|at| self.folded[*at] == '@') {
            let before = &self.folded[..at];
            let start = if before.last() == Some(&'"') {
                before[..at - 1].iter().rposition(|c| *c == '"').unwrap_or(at)
            } else {
                before.iter().rposition(|c| ends_address(*c)).map_or(0, |left| left + 1)
            };
            let after = &self.folded[at + 1..];
            let end = at + 1 + after.iter().position(|c| ends_address(*c)).unwrap_or(after.len());
            if start < at && end > at + 1 {
                self.mark(start, end, Mark::Address, marks);
            }
        }
    }

    fn mark(&self, from: usize, upto: usize, mark: Mark, marks: &mut [Mark]) {
        for (start, end) in &self.origins[from..upto] {
            marks[*start..*end].fill(mark);
        }
    }
}

fn ends_address(c: char) -> bool {
    c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | ',' | ';' | ':' | '"' | '\\')
}

/// The octet and how many characters it takes: three, or five where an escape was escaped again.
fn escaped_octet(chars: &[char]) -> Option<(u8, usize)> {
    let (high, low, width) = match chars {
        ['%', '2', '5', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            (high, low, 5)
        }
        ['%' | '=' | '+', high, low, ..] => (high, low, 3),
        _ => return None,
    };
    Some(((high.to_digit(16)? * 16 + low.to_digit(16)?) as u8, width))
}

/// A character as HTML (`&#64;`, `&#x40;`, `&commat;`) or JSON (`\u0040`) write it, and how many characters that takes.
fn written_out(chars: &[char]) -> Option<(char, usize)> {
    match chars {
        ['\\', 'u', digits @ ..] => {
            let code = digits.get(..4)?.iter().try_fold(0, |code, c| Some(code * 16 + c.to_digit(16)?))?;
            Some((char::from_u32(code)?, 6))
        }
        ['&', rest @ ..] => {
            let length = rest.iter().take(REFERENCE_CHARS_MAX).position(|c| *c == ';')?;
            Some((referred_to(&rest[..length])?, length + 2))
        }
        _ => None,
    }
}

fn referred_to(reference: &[char]) -> Option<char> {
    let code = |digits: &[char], radix| {
        let code = digits.iter().try_fold(0u32, |code, c| {
            code.checked_mul(radix).and_then(|code| code.checked_add(c.to_digit(radix)?))
        });
        code.filter(|_| !digits.is_empty()).and_then(char::from_u32)
    };
    match reference {
        ['#', 'x' | 'X', digits @ ..] => code(digits, 16),
        ['#', digits @ ..] => code(digits, 10),
        name => match name.iter().collect::<String>().as_str() {
            "commat" => Some('@'),
            "period" => Some('.'),
            "lowbar" => Some('_'),
            "plus" => Some('+'),
            "amp" => Some('&'),
            "apos" => Some('\''),
            "hyphen" | "dash" => Some('-'),
            _ => None,
        },
    }
}

/// `=?charset?B?...?=` (RFC 2047): in a reply it is nearly always a subject or a name.
fn mark_encoded_words(chars: &[char], marks: &mut [Mark]) {
    let mut at = 0;
    while at + 1 < chars.len() {
        if chars[at] != '=' || chars[at + 1] != '?' {
            at += 1;
            continue;
        }
        let end = chars[at..].iter().position(|c| *c == ' ').map_or(chars.len(), |len| at + len);
        marks[at..end].fill(Mark::Removed);
        at = end;
    }
}

fn render(chars: &[char], marks: &[Mark]) -> String {
    let mut text = String::with_capacity(TEXT_CHARS_MAX * 2);
    let mut length = 0;
    let mut last = Mark::Keep;
    for (c, mark) in chars.iter().zip(marks) {
        if length >= TEXT_CHARS_MAX {
            break;
        }
        let stands_for = match mark {
            Mark::Keep => {
                text.push(*c);
                length += 1;
                last = Mark::Keep;
                continue;
            }
            Mark::Removed => REMOVED,
            Mark::Address => ADDRESS,
        };
        if last == Mark::Keep {
            text.push_str(stands_for);
            length += stands_for.len();
        }
        last = *mark;
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DANA: [&str; 4] = ["dana.levi@post.example", "Dana", "Dana Levi-Cohen", "דנה"];

    fn dana(text: &str) -> String {
        scrub(text.as_bytes(), DANA)
    }

    #[test]
    fn the_persons_values_go_and_the_meaning_stays() {
        assert_eq!(dana("<dana.levi@post.example>: user unknown"), "<[address]>: user unknown");
        assert_eq!(dana("User DANA.LEVI unknown in table"), "User [removed] unknown in table");
        assert_eq!(dana("no mail for dana levi-cohen here"), "no mail for [removed] here");
        assert_eq!(dana("no Cohen at POST.example"), "no [removed] at [removed]");
        assert_eq!(dana("לא נמצא דנה כאן"), "לא נמצא [removed] כאן");
        assert_eq!(dana("mailbox full"), "mailbox full");
    }

    #[test]
    fn any_address_goes_known_or_not() {
        assert_eq!(dana("rejected postmaster@other.test, try later"), "rejected [address], try later");
        assert_eq!(dana("bad \"a b\"@other.test now"), "bad [address] now");
        assert_eq!(dana("see https://x.test/?to=someone%40other.test"), "see https:[address]");
        assert_eq!(dana("at 5 @ noon"), "at 5 @ noon");
    }

    #[test]
    fn encoded_values_go_too() {
        assert_eq!(dana("id %64ana%2elevi%40post.example x"), "id [address] x");
        assert_eq!(dana("subject =?utf-8?B?15PXoNeU?= refused"), "subject [removed] refused");
        let hex = data_encoding::HEXUPPER.encode(b"dana.levi@post.example");
        assert_eq!(dana(&format!("key {hex}.")), "key [removed].");
        for pad in ["", "x", "xy"] {
            let coded = data_encoding::BASE64.encode(format!("{pad}dana.levi@post.example").as_bytes());
            assert!(dana(&format!("b {coded}")).contains("[removed]"), "{pad}");
        }
        assert_eq!(scrub(b"user Jos\xe9 unknown", ["José"]), "user [removed] unknown");
    }

    #[test]
    fn short_values_do_not_eat_other_words() {
        assert_eq!(scrub(b"spam seen in session", ["en", "se"]), "spam seen in session");
        assert_eq!(scrub(b"locale en refused", ["en"]), "locale [removed] refused");
        assert_eq!(scrub(b"a b c", ["a", ""]), "a b c");
        assert_eq!(scrub(b"no information on mailbox", ["info@mail.test"]), "no information on mailbox");
    }

    #[test]
    fn a_value_cut_off_at_the_end_goes() {
        assert_eq!(dana("unknown: dana.lev"), "unknown: [removed]");
    }

    #[test]
    fn a_value_that_is_broken_by_blanks_or_line_ends_goes() {
        assert_eq!(dana("no such dana.levi@po st.example here"), "no such [address] here");
        assert_eq!(dana("p o s t . e x a m p l e is gone"), "[removed] is gone");
    }

    #[test]
    fn values_written_out_as_html_or_json_and_twice_escaped_go() {
        for written in ["dana&#46;levi&#64;post&#46;example", "dana&period;levi&commat;post&#x2E;example"] {
            assert_eq!(dana(&format!("no {written} x")), "no [address] x");
        }
        assert_eq!(dana("no dana.levi%2540post.example x"), "no [address] x");
        assert_eq!(dana(r"no \u05d3\u05e0\u05d4 x"), "no [removed] x");
    }

    #[test]
    fn the_labels_of_a_domain_go_without_it() {
        assert_eq!(
            scrub(b"no route to wkjhdom dot example", ["a@mail.wkjhdom.example"]),
            "no route to [removed] dot example"
        );
    }

    #[test]
    fn names_of_scripts_without_blanks_or_with_joined_prefixes_go() {
        let taro = ["山田 太郎", "דנה", "李"];
        assert_eq!(scrub("宛先山田様と太郎さん".as_bytes(), taro), "宛先[removed]様と[removed]さん");
        assert_eq!(scrub("אין תיבה לדנה".as_bytes(), taro), "אין תיבה ל[removed]");
        assert_eq!(scrub("李様".as_bytes(), taro), "[removed]様");
    }

    #[test]
    fn controls_and_hidden_marks_go_and_length_is_bounded() {
        assert_eq!(dana("a\r\nb\x1b[31m\tc\u{202e}d\0"), "a b[31m cd");
        assert_eq!(dana("da\u{200b}na.levi here"), "[removed] here");
        assert!(dana(&"word ".repeat(5000)).chars().count() <= TEXT_CHARS_MAX + ADDRESS.len());
    }

    proptest! {
        #[test]
        fn a_planted_address_never_survives(before in "[ -~]{0,30}", after in "[ -~]{0,30}", upper in any::<bool>()) {
            let address = "qzxv.marker@wkjh.example";
            let echoed = if upper { address.to_uppercase() } else { address.to_owned() };
            let text = scrub(format!("{before}{echoed}{after}").as_bytes(), [address]).to_lowercase();
            prop_assert!(!text.contains("qzxv") && !text.contains("wkjh"), "{}", text);
        }

        #[test]
        fn no_octets_make_it_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = scrub(&octets, DANA);
        }
    }
}
