//! What a cell says about consent, however a program or a person has set it. Read too strictly, it would lose a refusal.

use crate::person::Consent;
use crate::purpose;
use crate::vault::value::shows_nothing;

/// The cell without what is not seen at its ends, and without a spreadsheet's mark of a text.
pub fn cleaned(cell: &str) -> &str {
    let seen = cell.trim_matches(shows_nothing);
    seen.strip_prefix(['\'', '\u{2019}']).unwrap_or(seen).trim_matches(shows_nothing)
}

/// The purposes in it, each with the sign in front that says that it is refused.
pub fn purposes(cell: &str) -> impl Iterator<Item = (&str, Consent)> {
    let words = cleaned(cell).split(|c| shows_nothing(c) || matches!(c, ',' | ';' | '|'));
    words.filter(|word| !word.is_empty()).map(|word| match word.strip_prefix(is_dash) {
        Some(purpose) => (purpose, Consent::Refused),
        None => (word, Consent::Given),
    })
}

/// What it says of one purpose, as an answer or by that purpose's name.
pub fn answer(cell: &str, asked: &str) -> Option<Consent> {
    purpose::answer(cleaned(cell)).or_else(|| {
        let mut named = purposes(cell);
        let (purpose, said) = named.next()?;
        (named.next().is_none() && purpose::is_same(purpose, asked)).then_some(said)
    })
}

/// As word processors set them.
fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b6_purposes_are_read_as_programs_set_them() {
        for cell in [
            "service -marketing",
            "service,-marketing",
            "service; \u{2013}marketing",
            "service|\u{2014}marketing",
            "'service\u{a0}\u{2212}marketing",
            "\u{200b}service\u{200b} -marketing\u{feff}",
        ] {
            let expected = [("service", Consent::Given), ("marketing", Consent::Refused)];
            assert_eq!(purposes(cell).collect::<Vec<_>>(), expected, "{cell}");
        }
        assert_eq!(purposes("'-marketing").collect::<Vec<_>>(), [("marketing", Consent::Refused)]);
    }

    #[test]
    fn b6_an_answer_may_name_its_purpose() {
        for no in ["-marketing", "\u{2013}Marketing", "'no", "\u{200b}0", "'0", "no\u{a0}"] {
            assert_eq!(answer(no, "marketing"), Some(Consent::Refused), "{no}");
        }
        for yes in ["marketing", "MARKETING", "'yes", "\u{feff}1"] {
            assert_eq!(answer(yes, "marketing"), Some(Consent::Given), "{yes}");
        }
        for neither in ["-news", "news", "- marketing", "-yes", "marketing -marketing", "-", ""] {
            assert_eq!(answer(neither, "marketing"), None, "{neither}");
        }
    }
}
