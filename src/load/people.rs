//! Invented people for demos, tests and load: the same for the same seed, in several scripts, with addresses in
//! reserved domains (RFC 2606) and phone numbers under a country code that nobody has.

mod names;

use names::{Country, DOMAINS, TWISTS};
use std::path::Path;

/// The columns of [`write_csv`], in order, and the fields' names in templates.
pub const COLUMNS: [&str; 12] = [
    "email",
    "phone",
    "first_name",
    "last_name",
    "locale",
    "city",
    "street",
    "birthday",
    "account_last4",
    "balance",
    "customer_id",
    "consent",
];

/// Somebody who does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventedPerson {
    /// Unique within one run of [`invent`] or [`markers`]; ASCII, in `.test` or `.example`.
    pub email: String,
    /// Unique likewise; `+999` and up to 12 digits.
    pub phone: String,
    pub first_name: String,
    pub last_name: String,
    /// A BCP 47 language, one of `en he fa ja de fr el`.
    pub locale: &'static str,
    pub city: String,
    pub street: String,
    /// `YYYY-MM-DD`, except in [`markers`].
    pub birthday: String,
    pub account_last4: String,
    /// An amount with its currency, as people of that locale write it.
    pub balance: String,
    pub customer_id: String,
}

impl InventedPerson {
    /// Purposes they agreed to, space separated, as the vault's import takes them.
    pub const CONSENT: &'static str = "service marketing";

    /// One value for each of [`COLUMNS`].
    pub fn row(&self) -> [&str; COLUMNS.len()] {
        [
            &self.email,
            &self.phone,
            &self.first_name,
            &self.last_name,
            self.locale,
            &self.city,
            &self.street,
            &self.birthday,
            &self.account_last4,
            &self.balance,
            &self.customer_id,
            Self::CONSENT,
        ]
    }

    /// Everything about them that must not leave the vault: all but the locale and the consent.
    pub fn personal_values(&self) -> impl Iterator<Item = &str> {
        COLUMNS
            .into_iter()
            .zip(self.row())
            .filter(|(name, _)| !["locale", "consent"].contains(name))
            .map(|(_, v)| v)
    }
}

/// `count` people, always the same for the same `seed`. About one in eight has a name that breaks careless code.
pub fn invent(count: usize, seed: u64) -> impl Iterator<Item = InventedPerson> {
    let mut dice = Dice(seed);
    (0..count).map(move |number| one(number, &mut dice))
}

/// `count` people whose every field is a marker of 12 or more random letters (digits in `phone`), so that one found
/// anywhere outside the vault is a leak and no accident. Names are in the locale's script.
pub fn markers(count: usize, seed: u64) -> impl Iterator<Item = InventedPerson> {
    let mut dice = Dice(seed);
    (0..count).map(move |_| {
        let country = dice.pick(names::COUNTRIES);
        let mut ascii = || letters(&mut dice, "abcdefghijklmnopqrstuvwxyz");
        InventedPerson {
            email: format!("{}@{}.test", ascii(), ascii()),
            city: ascii(),
            street: ascii(),
            birthday: ascii(),
            account_last4: ascii(),
            balance: ascii(),
            customer_id: ascii(),
            first_name: letters(&mut dice, country.letters),
            last_name: letters(&mut dice, country.letters),
            phone: format!("+999{:012}", dice.below(1_000_000_000_000)),
            locale: country.locale,
        }
    })
}

/// Writes people as the CSV file that the vault imports, with a header line.
///
/// # Errors
/// When the file cannot be written.
pub fn write_csv(path: &Path, people: impl IntoIterator<Item = InventedPerson>) -> csv::Result<()> {
    let mut file = csv::Writer::from_path(path)?;
    file.write_record(COLUMNS)?;
    for person in people {
        file.write_record(person.row())?;
    }
    file.flush()?;
    Ok(())
}

fn one(number: usize, dice: &mut Dice) -> InventedPerson {
    let country = dice.pick(names::COUNTRIES);
    let (first_name, first_ascii) = *dice.pick(country.first_names);
    let (last_name, last_ascii) = *dice.pick(country.last_names);
    let local = format!("{first_ascii}.{last_ascii}.{number}");
    let (first_name, last_name) = match number % 8 {
        7 => dice.pick(TWISTS)(first_name, last_name),
        _ => (first_name.to_owned(), last_name.to_owned()),
    };
    let street: &str = dice.pick::<&str>(country.streets);
    let house = dice.below(240) + 1;
    InventedPerson {
        email: format!("{local}@{}", dice.pick(DOMAINS)),
        phone: format!("+9990{number:08}"),
        first_name,
        last_name,
        locale: country.locale,
        city: (*dice.pick(country.cities)).to_owned(),
        street: country.street.replace("{street}", street).replace("{house}", &house.to_string()),
        birthday: format!("{}-{:02}-{:02}", 1940 + dice.below(67), dice.below(12) + 1, dice.below(28) + 1),
        account_last4: format!("{:04}", dice.below(10_000)),
        balance: balance(country, dice),
        customer_id: format!("C{:03}-{number:07}", dice.below(1_000)),
    }
}

fn balance(country: &Country, dice: &mut Dice) -> String {
    let (thousands, units, cents) = (dice.below(90) + 1, dice.below(1_000), dice.below(100));
    country
        .money
        .replace("{thousands}", &thousands.to_string())
        .replace("{units}", &format!("{units:03}"))
        .replace("{cents}", &format!("{cents:02}"))
}

fn letters(dice: &mut Dice, alphabet: &str) -> String {
    let alphabet: Vec<char> = alphabet.chars().collect();
    let count = 14 + dice.below(4);
    (0..count).map(|_| *dice.pick(&alphabet)).collect()
}

/// SplitMix64: small, and the same on every machine. Not for secrets.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Slightly uneven for large ends, which does not matter here.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_same_seed_gives_the_same_people_and_another_seed_others() {
        let people: Vec<_> = invent(200, 7).collect();
        assert_eq!(people, invent(200, 7).collect::<Vec<_>>());
        assert_ne!(people, invent(200, 8).collect::<Vec<_>>());
        assert_eq!(
            people[..50],
            invent(50, 7).collect::<Vec<_>>()[..],
            "a longer run begins like a shorter one"
        );
    }

    #[test]
    fn addresses_and_phones_are_unique_and_reach_nobody() {
        let people: Vec<_> = invent(20_000, 1).collect();
        let emails: HashSet<_> = people.iter().map(|p| &p.email).collect();
        let phones: HashSet<_> = people.iter().map(|p| &p.phone).collect();
        assert_eq!((emails.len(), phones.len()), (people.len(), people.len()));
        for person in &people {
            let (local, domain) = person.email.split_once('@').unwrap();
            assert!(domain.ends_with(".test") || domain.ends_with(".example"), "{domain}");
            assert!(
                local.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-'+".contains(&b)),
                "{local}"
            );
            assert!(local.len() <= 64 && !local.contains(".."), "{local}");
            assert!(person.phone.starts_with("+999") && person.phone.len() <= 16);
        }
    }

    #[test]
    fn every_locale_and_every_awkward_name_occurs_and_no_field_is_empty() {
        let people: Vec<_> = invent(2_000, 3).collect();
        for locale in ["en", "he", "fa", "ja", "de", "fr", "el"] {
            assert!(people.iter().any(|p| p.locale == locale), "{locale}");
        }
        for awkward in ['\'', '"', ',', '\u{200c}', '🌻', '<', '&', '\\', 'ß', 'ë', 'ό'] {
            let whole = |p: &InventedPerson| format!("{} {}", p.first_name, p.last_name);
            assert!(people.iter().any(|p| whole(p).contains(awkward)), "{awkward}");
        }
        assert!(people.iter().any(|p| p.last_name.chars().count() > 100));
        assert!(people.iter().all(|p| p.row().iter().all(|value| !value.is_empty())));
        assert!(people.iter().all(|p| p.row().iter().all(|value| !value.contains(['\r', '\n', '{']))));
    }

    #[test]
    fn every_marker_is_long_and_occurs_once() {
        let people: Vec<_> = markers(500, 11).collect();
        let mut seen = HashSet::new();
        for value in people.iter().flat_map(InventedPerson::personal_values) {
            assert!(value.chars().count() >= 12, "{value}");
            assert!(seen.insert(value), "{value} occurs twice");
        }
    }

    #[test]
    fn the_file_reads_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("people.csv");
        let people: Vec<_> = invent(300, 5).collect();
        write_csv(&path, people.clone()).unwrap();
        let mut file = csv::Reader::from_path(&path).unwrap();
        assert_eq!(file.headers().unwrap(), COLUMNS.as_slice());
        let rows: Vec<csv::StringRecord> = file.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), people.len());
        for (row, person) in rows.iter().zip(&people) {
            assert_eq!(row, person.row().as_slice());
        }
    }
}
