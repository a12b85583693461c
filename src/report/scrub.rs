//! Cleans a target's reply text: the known values of the person first, then address-shaped text. What the target
//! means stays readable; whom it is about does not.

use zeroize::Zeroizing;

/// Longest text given out, in characters.
pub const TEXT_CHARS_MAX: usize = 200;
/// How much of a reply is looked at, in characters.
const READ_CHARS_MAX: usize = 2048;
/// Shortest value that is looked for; a single letter would take half the text with it.
const VALUE_CHARS_MIN: usize = 2;
/// Values up to this length are only taken out as whole words.
const WHOLE_WORD_CHARS_MAX: usize = 3;
/// Shortest start of a value that is taken out where the target cut its text off.
const CUT_CHARS_MIN: usize = 3;

const REMOVED: &str = "[removed]";
const ADDRESS: &str = "[address]";

/// Text of a target (without its codes), made fit for a result, a log line or an event. `known` are the values of the
/// person it may echo: they go in any case of letters, whole or by their words, as address, local part or domain,
/// also percent-, quoted-printable-, hex- or base64-encoded. Control characters go too.
pub fn scrub<'a>(text: &[u8], known: impl IntoIterator<Item = &'a str>) -> String {
    let chars = readable(text);
    let mut marks = vec![Mark::Keep; chars.len()];
    let needles = needles(known);
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
        if (VALUE_CHARS_MIN..=READ_CHARS_MAX).contains(&folded.len()) {
            let whole_word = is_part || folded.len() <= WHOLE_WORD_CHARS_MAX;
            needles.push(Needle { folded, whole_word });
        }
    };
    for value in known {
        let value = value.trim();
        add(value, false);
        let named = value.rsplit_once('@').map_or(value, |(local, domain)| {
            add(local.trim_matches('"'), true);
            add(domain, true);
            local
        });
        for word in named.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > 2) {
            add(word, true);
        }
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

    /// With `%40`, `=40` and `+40` read as the octet they stand for.
    fn decoded(chars: &[char]) -> Self {
        let mut view = Self::empty(chars.len());
        let mut octets: Vec<(u8, usize)> = Vec::new();
        let mut at = 0;
        while at < chars.len() {
            if let Some(octet) = escaped_octet(&chars[at..]) {
                octets.push((octet, at));
                at += 3;
                continue;
            }
            view.push_octets(&mut octets);
            view.push(chars[at], (at, at + 1));
            at += 1;
        }
        view.push_octets(&mut octets);
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

    fn push_octets(&mut self, octets: &mut Vec<(u8, usize)>) {
        let raw = Zeroizing::new(octets.iter().map(|(octet, _)| *octet).collect::<Vec<_>>());
        let mut from = 0;
        for chunk in raw.utf8_chunks() {
            let invalid = chunk.invalid().iter().map(|octet| (char::from(*octet), 1));
            for (c, width) in chunk.valid().chars().map(|c| (c, c.len_utf8())).chain(invalid) {
                self.push(c, (octets[from].1, octets[from + width - 1].1 + 3));
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

fn escaped_octet(chars: &[char]) -> Option<u8> {
    let ['%' | '=' | '+', high, low, ..] = chars else { return None };
    Some((high.to_digit(16)? * 16 + low.to_digit(16)?) as u8)
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
