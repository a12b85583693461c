//! What a person is mailed for: one grammar for the column of consent, the grants of engines, templates and jobs; and the words
//! that answer a question instead of naming a purpose.

use crate::nearest::slip_of;
use crate::person::Consent;
use std::collections::HashSet;
use std::sync::LazyLock;

/// Longest name of a purpose, in bytes.
const PURPOSE_BYTES_MAX: usize = 64;

/// Whether a person can be asked for consent to it: a word that begins with a letter, and is no answer. In one case or another it is the
/// same purpose.
pub fn is_purpose(word: &str) -> bool {
    (2..=PURPOSE_BYTES_MAX).contains(&word.len())
        && word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && !is_answer(word)
}

/// The one form in which a purpose is kept.
pub fn normal(purpose: &str) -> String {
    purpose.to_ascii_lowercase()
}

/// Whether two names are of one purpose.
pub fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Those that a configuration and its templates name; none where there is no configuration.
#[derive(Debug, Clone, Default)]
pub struct Known(Vec<String>);

/// What a purpose is to a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'a> {
    Named,
    /// Most likely this one, with a slip of the hand.
    SlipOf(&'a str),
    /// Nobody can mail for it.
    Nobodys,
}

impl Known {
    /// Grants may be beginnings, with `*` behind.
    pub fn of(named: impl IntoIterator<Item = String>) -> Self {
        let mut named: Vec<String> = named.into_iter().map(|purpose| normal(&purpose)).collect();
        named.sort_unstable();
        named.dedup();
        Self(named)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub fn standing(&self, purpose: &str) -> Standing<'_> {
        let begins = |start: &str| purpose.get(..start.len()).is_some_and(|given| is_same(given, start));
        if self.0.is_empty() || self.0.iter().any(|named| is_same(named, purpose)) {
            return Standing::Named;
        }
        let whole = self.0.iter().filter(|named| !named.ends_with('*'));
        if let Some(meant) = slip_of(purpose, whole.map(String::as_str)) {
            return Standing::SlipOf(meant);
        }
        match self.0.iter().filter_map(|named| named.strip_suffix('*')).any(begins) {
            true => Standing::Named,
            false => Standing::Nobodys,
        }
    }
}

/// What a word or two say of the one purpose that was asked about.
///
/// `None` where they say neither yes nor no.
pub fn answer(cell: &str) -> Option<Consent> {
    let cell = cell.trim();
    // Where a program has taken the answers for numbers.
    match cell {
        "1" | "1.0" => return Some(Consent::Given),
        "0" | "0.0" => return Some(Consent::Refused),
        _ if cell.starts_with('-') => return None,
        _ => {}
    }
    let word = letters(cell);
    match () {
        () if YES.contains(&word.as_str()) => Some(Consent::Given),
        () if NO.contains(&word.as_str()) => Some(Consent::Refused),
        () => None,
    }
}

/// Whether the word, or a part of it, says yes, no, all or nothing: `no`, `opt-out`, `TRUE`, `no-marketing`. Taken for a purpose it would
/// be a consent to nothing that anybody asks for, and the refusal would be lost.
pub fn is_answer(word: &str) -> bool {
    let whole = letters(word);
    let is_single = whole.chars().nth(1).is_none() && !whole.is_empty();
    let mut parts = word.split(|c: char| !c.is_alphanumeric());
    is_single
        || ANSWERS.contains(whole.as_str())
        || parts.any(|part| IN_PARTS.iter().any(|known| known.eq_ignore_ascii_case(part)))
}

/// Each row of an import asks for its words.
static ANSWERS: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| [YES, NO, NEITHER].into_iter().flatten().copied().collect());

fn letters(text: &str) -> String {
    if text.is_ascii() {
        let mut letters = text.to_ascii_lowercase();
        letters.retain(|c| c.is_ascii_alphanumeric());
        return letters;
    }
    let letters = text.chars().filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).filter(|c| *c != '\u{307}').collect()
}

#[rustfmt::skip]
const YES: &[&str] = &[
    "yes", "y", "true", "t", "on", "ok", "optin", "optedin", "doubleoptin", "singleoptin", "doi", "soi", "subscribed", "subscribe", "consented",
    "agreed", "agree", "accepted", "accept", "granted", "allowed", "confirmed", "checked", "enabled", "given", "yep", "yeah",
    "ja", "j", "wahr", "zugestimmt", "eingewilligt", "einwilligung", "angemeldet", "abonniert", "zustimmung", "erlaubt", "erteilt",
    "oui", "vrai", "inscrit", "inscrite", "abonné", "abonne", "accepté", "accepte",
    "sí", "si", "verdadero", "suscrito", "acepto", "aceptado",
    "sì", "vero", "iscritto", "acconsento", "accettato",
    "sim", "verdadeiro", "inscrito",
    "waar", "aangemeld", "ingeschreven", "akkoord", "toestemming",
    "tak", "prawda", "zgoda", "evet", "doğru", "dogru", "onay", "onaylı",
    "כן", "אמת", "הסכים", "הסכימה", "מאשר", "מאושר", "רשום",
    "da", "да", "истина", "так", "ano", "áno", "pravda", "igen", "igaz", "kyllä", "kylla", "tosi", "sann", "sant", "sand",
    "ναι", "αληθές", "نعم", "はい", "是", "예", "네", "jah", "taip", "jā",
];

#[rustfmt::skip]
const NO: &[&str] = &[
    "no", "n", "false", "f", "off", "none", "never", "optout", "optedout", "notoptedin", "optoutofemail", "unsubscribed", "unsubscribe",
    "notsubscribed", "nonsubscribed", "nosubscribed", "declined", "decline", "denied", "deny", "refused", "refuse", "rejected", "reject",
    "revoked", "withdrawn", "withdrew", "unchecked", "disabled", "disagreed", "disagree", "forbidden", "donotcontact", "donotmail", "donotemail",
    "dnc", "blocked", "nope", "notgiven", "notgranted",
    "nein", "falsch", "abgelehnt", "abgemeldet", "widerrufen", "widerruf", "verweigert", "nicht", "keine", "kein", "nie", "niemals",
    "non", "faux", "désinscrit", "desinscrit", "désabonné", "desabonne", "refusé", "aucun", "aucune", "jamais",
    "falso", "rechazado", "nunca", "ninguno", "ninguna", "baja",
    "rifiutato", "nessuno", "nessuna", "disiscritto",
    "não", "nao", "nenhum", "recusado",
    "nee", "onwaar", "geen", "niet", "afgemeld", "uitgeschreven", "geweigerd", "nooit",
    "fałsz", "falsz", "brak", "odmowa", "nigdy", "hayır", "hayir", "yanlış", "yanlis", "yok", "ret", "reddedildi",
    "לא", "שקר", "אין", "סירב", "סירבה", "הוסר", "לאהסכים", "לאמאשר", "לארשום",
    "nu", "нет", "ложь", "ні", "ne", "nepravda", "nie", "nem", "hamis", "ei", "epätosi", "nej", "nei", "falskt", "falsk", "usann",
    "όχι", "οχι", "ψευδές", "لا", "いいえ", "否", "아니요", "아니오", "nē",
];

/// Answers that leave open to what, and signs for no value.
#[rustfmt::skip]
const NEITHER: &[&str] = &[
    "all", "any", "everything", "alle", "alles", "tout", "tous", "toutes", "todo", "todos", "todas", "tutti", "tutto", "wszystko", "wszystkie",
    "hepsi", "הכל", "все", "всё", "nothing", "nichts", "rien", "nada", "niente", "niets", "nic", "hiçbiri", "null", "nan", "nil", "na",
    "undefined", "unknown", "unbekannt", "inconnu", "pending", "tbd", "empty", "leer", "vide", "maybe", "cleaned", "bounced",
    "active", "inactive", "aktiv", "inaktiv", "yesno", "truefalse", "opt", "in", "out", "not", "do", "dont", "consent",
];

/// What in a part of a word makes it an answer: `no-marketing`, `marketing_false`.
#[rustfmt::skip]
const IN_PARTS: &[&str] = &[
    "no", "not", "never", "none", "false", "true", "yes", "unsubscribed", "unsubscribe", "optout", "optin", "without",
    "nein", "ja", "kein", "keine", "nicht", "ohne", "oui", "sans", "sin", "senza", "sem", "geen", "niet", "nie", "bez",
];

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERS: &str = "no No NO 0 1 FALSE true none nein opt-out OPT_IN opt.out unsubscribed all -all * x y N non \
        oui sí לא nee nie TAK hayır HAYIR EVET No. no-marketing marketing-no marketing_false \
        kein-newsletter 2024-05-01 01-May-24 12 1.0 _x ja SI false. NULL n.a. İ";
    const PURPOSES: &str = "marketing Marketing service news sms-marketing order.updates b2b ads polls surveys \
        notifications nonprofit onboarding yesterdays-news non-profit alle-neune sign-in one-off \
        transactional newsletter_de nova ok-magazine";

    #[test]
    fn b11_an_answer_is_no_purpose() {
        for word in ANSWERS.split_whitespace() {
            assert!(!is_purpose(word), "{word}");
        }
        for word in PURPOSES.split_whitespace() {
            assert!(is_purpose(word), "{word}");
        }
    }

    #[test]
    fn b11_a_slip_of_a_purpose_is_told_from_another_purpose() {
        let known = Known::of(["Marketing", "service", "news", "ads", "shop-*"].map(String::from));
        for (purpose, standing) in [
            ("marketing", Standing::Named),
            ("MARKETING", Standing::Named),
            ("shop-sale", Standing::Named),
            ("marketting", Standing::SlipOf("marketing")),
            ("maketing", Standing::SlipOf("marketing")),
            ("Services", Standing::SlipOf("service")),
            ("new", Standing::SlipOf("news")),
            ("ad", Standing::Nobodys),
            ("newsletter", Standing::Nobodys),
            ("sms-marketing", Standing::Nobodys),
        ] {
            assert_eq!(known.standing(purpose), standing, "{purpose}");
        }
        assert_eq!(Known::default().standing("marketting"), Standing::Named);
        let any = Known::of(["*", "marketing"].map(String::from));
        assert_eq!(any.standing("marketting"), Standing::SlipOf("marketing"));
        assert_eq!(any.standing("polls"), Standing::Named);
    }

    #[test]
    fn b11_words_say_yes_or_no_where_it_is_said_to_what() {
        for yes in
            ["1", "1.0", "TRUE", "yes", " Ja ", "opt-in", "Opted in", "subscribed", "כן", "sí", "Oui", "EVET"]
        {
            assert_eq!(answer(yes), Some(Consent::Given), "{yes}");
        }
        for no in [
            "0",
            "0.0",
            "FALSE",
            "No",
            "nein",
            "opt out",
            "Opted-Out",
            "Not subscribed",
            "לא",
            "do not contact",
            "HAYIR",
            "not opted in",
        ] {
            assert_eq!(answer(no), Some(Consent::Refused), "{no}");
        }
        for neither in [
            "",
            "x",
            "-1",
            "-yes",
            "-no",
            "marketing",
            "all",
            "pending",
            "2024-05-01",
            "no marketing",
            "NULL",
            "yes no",
            "2",
        ] {
            assert_eq!(answer(neither), None, "{neither}");
        }
    }
}
