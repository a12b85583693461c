//! Words in which lists of other programs say that somebody is not to be mailed any more, whatever their column is called.

use super::naming::words;
use std::collections::BTreeMap;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Without anything but letters and digits. None of them is somebody's name, or a place.
#[rustfmt::skip]
const WORDS: [&str; 46] = [
    "unsubscribed", "unsub", "optedout", "optout", "optedoutofemail", "bounced", "hardbounce", "hardbounced", "softbounce", "softbounced", "complained",
    "complaint", "spamcomplaint", "markedasspam", "suppressed", "blacklisted", "blocklisted", "blacklist", "donotcontact", "donotmail", "donotemail",
    "nonsubscribed", "abgemeldet", "ausgetragen", "werbesperre", "widerrufen", "désabonné", "désabonnée", "desabonne", "désinscrit", "désinscrite",
    "desinscrit", "dadodebaja", "dadadebaja", "disiscritto", "disiscritta", "disdetto", "afgemeld", "uitgeschreven", "descadastrado", "wypisany",
    "wypisana", "avregistrerad", "avmeldt", "afmeldt", "отписан",
];
/// Some of these are names too, so a column of names says nothing by them.
const ALSO_NAMES: [&str; 15] = [
    "held",
    "cleaned",
    "deleted",
    "removed",
    "blocked",
    "undeliverable",
    "invalid",
    "gesperrt",
    "gelöscht",
    "geloescht",
    "supprimé",
    "baja",
    "eliminado",
    "robinson",
    "cancelado",
];
/// Parts of the names of such columns.
#[rustfmt::skip]
const OF_NAMES: [&str; 34] = [
    "name", "nom", "nome", "nombre", "apellido", "apellidos", "surname", "firstname", "lastname", "vorname", "nachname", "prenom", "cognome", "voornaam",
    "achternaam", "company", "firma", "city", "town", "ort", "stadt", "ville", "ciudad", "street", "strasse", "address", "salutation", "title", "product",
    "order", "brand", "region", "country", "province",
];

/// The columns in which one of these words was found, and which.
#[derive(Default)]
pub struct Gone(BTreeMap<Arc<str>, &'static str>);

impl Gone {
    pub fn look(&mut self, fields: &[(Arc<str>, Zeroizing<String>)]) {
        for (column, value) in fields {
            let Some(word) = word_of(value) else { continue };
            let is_name = || ALSO_NAMES.contains(&word) && is_of_names(column);
            if !self.0.contains_key(column) && !is_name() {
                self.0.insert(column.clone(), word);
            }
        }
    }

    pub fn columns(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.0.iter().map(|(column, word)| (&**column, *word))
    }
}

/// The word that a cell is, in any case and however its parts are joined. No copy of the cell is made.
fn word_of(cell: &str) -> Option<&'static str> {
    if !(4..=40).contains(&cell.len()) {
        return None;
    }
    let letters = || cell.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase);
    let first = letters().next()?;
    let mut all = WORDS.into_iter().chain(ALSO_NAMES);
    all.find(|word| word.starts_with(first) && letters().eq(word.chars()))
}

fn is_of_names(column: &str) -> bool {
    words(column).iter().any(|word| OF_NAMES.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(cells: &[(&str, &str)]) -> Vec<(String, &'static str)> {
        let mut gone = Gone::default();
        for (column, cell) in cells {
            gone.look(&[(Arc::from(*column), Zeroizing::new((*cell).to_owned()))]);
        }
        gone.columns().map(|(column, word)| (column.to_owned(), word)).collect()
    }

    #[test]
    fn b11_words_of_leaving_are_known_in_any_column() {
        for cell in [
            "Unsubscribed",
            "Held",
            "CLEANED",
            "bounced",
            "Opted out",
            "opted_out",
            "Deleted",
            "abgemeldet",
            "Désabonné",
            "DÉSABONNÉE",
            "Do not contact",
        ] {
            for column in ["Status", "list_status", "col7"] {
                assert_eq!(found(&[(column, cell)]).len(), 1, "{column}: {cell}");
            }
        }
        let told =
            found(&[("status", "Active"), ("status", "Cleaned"), ("status", "Bounced"), ("x", "opt-out")]);
        assert_eq!(told, [("status".into(), "cleaned"), ("x".into(), "optout")]);
    }

    #[test]
    fn b11_names_and_other_words_are_none() {
        for (column, cell) in [
            ("last_name", "Held"),
            ("LastName", "Robinson"),
            ("city", "Baja"),
            ("status", "Subscribed"),
            ("status", "active"),
            ("notes", "held a talk"),
            ("status", ""),
            ("order_status", "Deleted"),
        ] {
            assert_eq!(found(&[(column, cell)]), [], "{column}: {cell}");
        }
    }
}
