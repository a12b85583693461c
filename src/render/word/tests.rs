//! Words, and what of them clients make links of.

use super::*;

fn is_url(text: &str) -> bool {
    let mut word = Word::default();
    text.chars().for_each(|c| {
        word.step(c, Linking::Hosts);
    });
    word.is_url
}

#[test]
fn a_person_behind_data_in_one_word_may_stand_in_a_url() {
    let word = |personal: [bool; 2], between: &str| {
        let mut word = Word::default();
        word.value(personal[0], Linking::Hosts);
        between.chars().for_each(|c| {
            word.step(c, Linking::Hosts);
        });
        word.value(personal[1], Linking::Hosts);
        word.leaks()
    };
    assert!(word([false, true], ""));
    assert!(word([false, true], "id-"));
    assert!(!word([false, true], " "));
    assert!(!word([true, false], ""));
    assert!(!word([true, true], ""));
    assert!(word([true, false], "."));
    let mut between = Word::default();
    between.value(true, Linking::Hosts);
    between.value(false, Linking::Hosts);
    assert!(!between.leaks() && !between.step('-', Linking::Hosts));
    between.value(false, Linking::Hosts);
    assert!(between.step('H', Linking::Hosts));
}

#[test]
fn p3_data_behind_a_person_makes_no_link() {
    for text in [".third.example", "@third.example x", "://x", ".com/", "\u{3002}third/x", ".example"] {
        assert!(is_link_behind_person(text), "{text}");
    }
    for text in ["", ".", ", hello shop.example", "'s order", " third.example", "/2", ": 7", "7.50"] {
        assert!(!is_link_behind_person(text), "{text}");
    }
}

#[test]
fn visible_urls_are_seen() {
    for url in ["see https://x.test/?n=", "WWW.x.test/", "(www.", "mailto:", "<tel:", "WhatsApp:", "webcal:"]
    {
        assert!(is_url(url), "{url}");
    }
    for text in ["https://x.test/ Dear ", "hotel:", "a/b", "Dear", "newwww.x"] {
        assert!(!is_url(text), "{text}");
    }
}

/// The word with the value in place of `@@`.
fn leaks(text: &str) -> bool {
    let mut word = Word::default();
    let mut leaks = false;
    for (index, piece) in text.split("@@").enumerate() {
        if index > 0 {
            word.value(true, Linking::Hosts);
            leaks |= word.leaks();
        }
        for c in piece.chars() {
            leaks |= word.step(c, Linking::Hosts);
        }
    }
    leaks | word.end()
}

#[test]
fn p3_hosts_without_a_scheme_are_links_too() {
    for text in [
        "third.example/u?e=@@",
        "third.example?e=@@",
        "third.example#@@",
        "third.example:8080/@@",
        "third.example@@",
        "@@.third.example",
        "@@.third.example/x",
        "@@.com",
        "@@.example.x",
        "@@.x@@",
        "@@.example.-->",
        "@@.example.www.@@",
        "a.@@.example",
        "@@@third.example",
        "@@@third.example.",
        "third.example.?e=@@",
        "x/@@@third.example",
        "third\u{ad}.exa\u{200b}mple/@@",
        "third.\u{ad}example/@@",
        "third\u{3002}example/@@",
        "пример.рф/u?e=@@",
        "192.0.2.1/@@",
        "xn--e1afmkfd.xn--p1ai/@@",
        "(third.example/@@)",
        "report.pdf/@@",
        "sip:@@",
    ] {
        assert!(leaks(text), "{text}");
    }
    for text in [
        "Dear @@.",
        "@@, welcome",
        "@@... and more",
        "Mr.@@",
        "e.g.@@",
        "z.B.@@",
        "Dr.@@,",
        "@@.@@",
        "@@/@@",
        "1.99/@@",
        "3.5kg/@@",
        "shop.example @@",
        "@@ shop.example/x",
        "您好@@\u{3002}欢迎",
        "Привет, @@.Мы",
        "invoice-@@.pdf",
        "info@@@",
        "12.30:@@",
        "(@@)",
        "詳細はshop.exampleへ、@@様",
        "ございます\u{3002}口座番号末尾@@の",
    ] {
        assert!(!leaks(text), "{text}");
    }
}

#[test]
fn p3_a_link_within_angles_or_quotes_goes_on_over_blanks() {
    for text in [
        "<https://t.example/? @@>",
        "see \"https://t.example/?a b @@\"",
        "<URL:https://t.example/?\r\n  @@>",
        "<mailto:a@t.example?subject=x y @@>",
        "<www.t.example/ a\n@@>",
        "<t.example/? @@>",
    ] {
        assert!(leaks(text), "{text}");
        let mut word = Word::default();
        let (before, _) = text.split_once("@@").unwrap();
        word.text(before);
        word.value(true, Linking::Hosts);
        assert!(word.leaks(), "{text}");
    }
    for text in [
        "<https://t.example/> @@",
        "\"https://t.example/\" @@",
        "https://t.example/ @@>",
        "https://t.example/?\"a @@",
        "<https://t.example/\n\n@@>",
        "<b @@> https://t.example/",
        "5\" see https://t.example/ @@",
        "\"Hello @@\"",
    ] {
        assert!(!leaks(text), "{text}");
    }
    assert!(leaves_link_open("a <https://t.example/? b", Reach::Text));
    assert!(leaves_link_open("https://t.example/? b", Reach::Enclosed));
    assert!(leaves_link_open("x\n\"www.t.example/", Reach::Text));
    for text in ["a <https://t.example/>", "https://t.example/", "\"a\" <b", "5\" and 7\""] {
        assert!(!leaves_link_open(text, Reach::Text), "{text}");
    }
    assert!(!leaves_link_open("Mr. X: a title", Reach::Enclosed));
}
