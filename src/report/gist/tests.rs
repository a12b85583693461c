//! What is told of a reply tells nothing of a person, and still what to do.

use super::*;
use crate::fault::ReplyCode;
use proptest::prelude::*;
use proptest::sample::select;

const REPLIES: &str = include_str!("replies.txt");

const DANA: [&str; 4] = ["dana.levi@post.example", "Dana", "Dana Levi-Cohen", "דנה"];

fn told<'a>(text: &[u8], code: ReplyCode, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    gist(&Marked::of(text, known.clone()), code, known)
}

const NO_SUCH: ReplyCode = ReplyCode::new(550, 5, 1, 1);

fn dana(text: &str) -> String {
    told(text.as_bytes(), NO_SUCH, DANA)
}

/// The codes of a reply and its text, as it is kept in a line.
fn parted(reply: &str) -> (ReplyCode, String) {
    let octets = format!("{}\r\n", reply.replacen('-', " ", usize::from(reply.as_bytes()[3] == b'-')));
    let reply = crate::wire::reply::Reply::parse(octets.as_bytes()).unwrap();
    (reply.code, String::from_utf8(reply.lines().collect::<Vec<_>>().join(b" ".as_slice())).unwrap())
}

#[test]
fn p9_what_a_target_means_is_told_and_nothing_that_it_echoes() {
    assert_eq!(dana("<dana.levi@post.example>: user unknown"), "... user unknown");
    assert_eq!(dana("User DANA.LEVI unknown in table"), "User ... unknown in table");
    assert_eq!(dana("mailbox full"), "mailbox full");
    assert_eq!(dana("subject =?utf-8?B?15PXoNeU?= refused"), "subject ... refused");
    assert_eq!(
        dana("blocked, see https://www.spamhaus.org/query/ip/192.0.2.1"),
        "blocked, see https://www.spamhaus.org/..."
    );
    assert_eq!(dana("a\r\nmailbox\x1b \tfull\u{202e}\0"), "a mailbox full");
    assert!(dana(&"mailbox ".repeat(5000)).chars().count() <= TEXT_CHARS_MAX + 10);
}

#[test]
fn p9_where_nothing_can_be_told_the_code_is_put_into_words() {
    for text in
        ["", "...", "Das Postfach ist voll", "in the, of", "d a n a", "dana.levi@post.example", "\u{ff44}ana"]
    {
        assert_eq!(dana(text), "no such mailbox", "{text}");
    }
    let full = ReplyCode { basic: 552, enhanced: None };
    assert_eq!(told(b"Postfach voll", full, DANA), "storage exceeded");
}

#[test]
fn p9_who_has_a_word_of_the_vocabulary_for_a_name_is_not_told() {
    for (known, text) in [
        ("Block", "no such user Block here"),
        ("May", "user may unknown"),
        ("may.field@x.example", "no mailbox for Field"),
        ("Gray Will", "Will has no mailbox here"),
        ("An", "user an unknown"),
        ("Máy", "user May unknown"),
        ("Dü", "user due unknown"),
        ("Größe Quota", "no quota here"),
        ("a@block.example", "no route to block"),
        ("blockmann@x.example", "user block unknown"),
        ("will.iam@x.example", "user will iam unknown"),
        ("Dot Mail", "user dot-mail unknown"),
    ] {
        assert_eq!(told(text.as_bytes(), NO_SUCH, [known]), "no such mailbox", "{known}: {text}");
    }
    // A text is no name, and at mail.example are many.
    let known = ["I will not be in on the first of May", "dana@mail.example"];
    assert_eq!(told(b"too much mail for this user", NO_SUCH, known), "too much mail for this user");
}

/// All forms in which one value may be written.
fn written(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    let nfd: String = DecomposingNormalizerBorrowed::new_nfkd().normalize(value).into_owned();
    let each = |write: &dyn Fn(u8) -> String| bytes.iter().map(|byte| write(*byte)).collect::<String>();
    let between = |mark: &str| value.chars().map(String::from).collect::<Vec<_>>().join(mark);
    let wide = |c: char| char::from_u32(c as u32 + 0xfee0).filter(|_| ('!'..='~').contains(&c)).unwrap_or(c);
    let turned = |c: char| match c {
        'a'..='z' => ((c as u8 - b'a' + 13) % 26 + b'a') as char,
        'A'..='Z' => ((c as u8 - b'A' + 13) % 26 + b'A') as char,
        c => c,
    };
    let utf16: Vec<u8> = value.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let (local, domain) = value.rsplit_once('@').unwrap_or((value, ""));
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    let mut forms = vec![
        value.to_owned(),
        value.to_uppercase(),
        value.to_lowercase(),
        nfd,
        local.to_owned(),
        domain.to_owned(),
        local.chars().take(5).collect(),
        value.chars().rev().collect(),
        value.chars().map(turned).collect(),
        value.chars().map(wide).collect(),
        each(&|byte| format!("%{byte:02X}")),
        each(&|byte| format!("={byte:02X}")),
        each(&|byte| format!("{byte:02x}")),
        each(&|byte| format!("{byte:02x}:")),
        each(&|byte| format!("{byte:02x} ")),
        each(&|byte| format!("&#{byte};")),
        each(&|byte| format!("\\x{byte:02x}")),
        each(&|byte| format!("\\u00{byte:02x}")),
        data_encoding::BASE64.encode(bytes),
        data_encoding::BASE64.encode(local.as_bytes()),
        data_encoding::BASE64URL_NOPAD.encode(bytes),
        data_encoding::BASE32.encode(bytes),
        data_encoding::BASE64.encode(&utf16),
        format!("+{}-", data_encoding::BASE64_NOPAD.encode(&utf16)),
        String::from_utf8_lossy(&utf16).into_owned(),
        format!("=?utf-8?B?{}?=", data_encoding::BASE64.encode(bytes)),
        idna::domain_to_ascii(domain).unwrap_or_default(),
        idna::domain_to_unicode(domain).0,
        format!("0{}", digits.get(2..).unwrap_or_default()),
        format!("00{digits}"),
    ];
    let folded = in_plain_letters(value).map(|form| form.to_string());
    forms.extend(folded);
    forms.extend([".", "-", " ", "_", "/", "·", " . ", "\u{200b}"].map(between));
    forms.retain(|form| !form.is_empty());
    forms
}

/// Names that are words of replies, and others.
fn values() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        3 => "[a-z]{3,12}",
        1 => "[A-Z][a-zäöüßéíñçøåł]{2,10}",
        1 => select(vec!["Gray", "May", "Block", "Will", "Page", "Field", "Mark", "Long", "Zölle", "Müller", "An", "Relay"])
            .prop_map(String::from),
    ];
    let word = word.boxed();
    prop_oneof![
        4 => (word.clone(), word.clone(), word.clone())
            .prop_map(|(first, last, domain)| format!("{first}.{last}@{domain}.example")),
        1 => (word.clone(), word.clone()).prop_map(|(first, last)| format!("{first} {last}")),
        1 => word,
        1 => "\\+4915[0-9]{8}",
        1 => "[a-z]{3,9}@(zölle|münchen|日本)\\.example",
    ]
}

fn words_of(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// Each as often as it is there.
fn are_among(some: &[String], all: &[String]) -> bool {
    let often = |word: &String, words: &[String]| words.iter().filter(|other| *other == word).count();
    some.iter().all(|word| often(word, some) <= often(word, all))
}

/// Where replies have what they echo.
const PLACES: [&str; 12] = [
    "{}",
    "<{}>: Recipient address rejected: User unknown in virtual mailbox table",
    "user {} unknown",
    "mailbox {} is full, try again later",
    "Recipient ({}) rejected: see https://support.google.com/mail/?p={}",
    "no such user \"{}\"",
    "quota exceeded for user={}",
    "greylisted; id={};",
    "[{}] blocked using zen.spamhaus.org; {}",
    "Message for {} refused",
    "the message to:{} was rejected as spam",
    "rejected, {}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// Whatever is told was there without the value; and all of that is told, or only what the code says.
    #[test]
    fn p9_nothing_that_is_told_comes_from_a_value(
        value in values(),
        form in any::<proptest::sample::Index>(),
        place in select(PLACES.to_vec()),
    ) {
        let forms = written(&value);
        let said = place.replace("{}", &forms[form.index(forms.len())]);
        let of_value = told(said.as_bytes(), NO_SUCH, [value.as_str()]);
        let of_nobody = told(place.replace("{}", "0").as_bytes(), NO_SUCH, []);
        let (told, least, most) = (words_of(&of_value), words_of(&of_nobody), words_of(place));
        let is_told = are_among(&least, &told) && are_among(&told, &most);
        prop_assert!(of_value == "no such mailbox" || is_told, "{}: {:?} not {:?}", said, of_value, of_nobody);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = told(&bytes, NO_SUCH, DANA);
    }
}

/// Replies as they come from Gmail, Outlook, Yahoo, Postfix, Exim, Sendmail, qmail and others, each with what is told of it.
#[test]
fn p9_replies_of_real_targets_still_tell_the_cause() {
    let (mut words, mut kept, mut table) = (0, 0, String::new());
    for reply in REPLIES.lines().filter(|line| !line.starts_with(' ')) {
        let (code, text) = parted(reply);
        let told = told(text.as_bytes(), code, DANA);
        let is_word = |word: &&str| word.chars().filter(char::is_ascii_alphabetic).count() > 2;
        words += text.split(' ').filter(is_word).count();
        kept += told.split(' ').filter(is_word).count();
        table.push_str(&format!("{reply}\n    {told}\n"));
    }
    assert!(kept * 100 >= words * 70, "{kept} of {words} words are told");
    assert_eq!(table, REPLIES, "{table}");
}
