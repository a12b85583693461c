//! Values in every form a target may echo them, and texts that hold none.

use super::*;
use proptest::prelude::*;

fn scrub<'a>(text: &[u8], known: impl IntoIterator<Item = &'a str>) -> String {
    Marked::of(text, known).scrubbed()
}

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
