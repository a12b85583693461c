//! Nothing of a person is to be found in any file of the vault, in any usual spelling.

use super::*;
use data_encoding::{BASE64, HEXLOWER, HEXUPPER};

/// Every way a value might have been written down by mistake.
fn spellings(value: &str) -> Vec<Vec<u8>> {
    let bytes = value.as_bytes();
    let utf16 = |of: fn(u16) -> [u8; 2]| value.encode_utf16().flat_map(of).collect::<Vec<u8>>();
    let mut all = vec![
        bytes.to_vec(),
        value.to_lowercase().into_bytes(),
        value.to_uppercase().into_bytes(),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
        HEXLOWER.encode(bytes).into_bytes(),
        HEXUPPER.encode(bytes).into_bytes(),
        value.bytes().rev().collect(),
    ];
    // Base64 at its three alignments, without the characters that depend on the neighbours.
    for shift in 0..3 {
        let mut shifted = vec![0u8; shift];
        shifted.extend_from_slice(bytes);
        let encoded = BASE64.encode(&shifted).into_bytes();
        let end = encoded.len().saturating_sub(4);
        all.push(encoded[if shift == 0 { 0 } else { 4 }..end].to_vec());
    }
    all
}

fn assert_absent(fixture: &Fixture, values: &[String], when: &str) {
    let needles: Vec<_> = values.iter().flat_map(|value| spellings(value)).collect();
    let search = aho_corasick::AhoCorasick::new(&needles).unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(&fixture.settings.dir).unwrap() {
        let path = entry.unwrap().path();
        seen += 1;
        let found = search.find(&fs::read(&path).unwrap());
        let what = found.map(|found| String::from_utf8_lossy(&needles[found.pattern().as_usize()]));
        assert_eq!(what, None, "{when} in {}", path.display());
    }
    assert!(seen >= 2, "the file and its log are both searched {when}");
}

fn marker(name: &str) -> String {
    let mut bits = [0u8; 10];
    aws_lc_rs::rand::fill(&mut bits).unwrap();
    format!("{name}{}", crate::base32_lower(&bits))
}

struct Tokens(Vec<Token>);

impl import::Observer for Tokens {
    fn stored(&mut self, _: u64, stored: &Stored, _: Option<&str>) -> std::io::Result<()> {
        self.0.push(token_of(stored));
        Ok(())
    }

    fn refused(&mut self, _: u64, _: &Refusal) {}
}

#[test]
fn no_planted_value_is_in_any_file() {
    let fixture = Fixture::new();
    let vault = fixture.vault();
    let mut writer = vault.writer().unwrap();
    let mut planted = Vec::new();
    let mut people = String::from("email,first_name,city,note,consent\n");
    for row in 0..40 {
        let values = ["Loc", "Vor", "Ort", "שם"].map(marker);
        let [local, first, city, note] = &values;
        // Every fourth row is refused; its values must not be anywhere either.
        let domain = if row % 4 == 3 { "exa mple" } else { "example.test" };
        people.push_str(&format!("{local}@{domain},{first},{city},{note},ads\n"));
        planted.extend(values);
    }
    let mut tokens = Tokens(Vec::new());
    let options = import::Options::of(import::Format::Csv);
    let summary = import::import(&mut writer, people.as_bytes(), &options, &mut tokens).unwrap();
    assert_eq!((summary.created, summary.failed), (30, 10));
    let tokens = tokens.0;
    planted.extend(tokens.iter().map(|token| token.as_str().to_owned()));
    assert_absent(&fixture, &planted, "after import");
    for token in &tokens {
        let (local, first) = (marker("Neu"), marker("Name"));
        let email = format!("{local}@example.test");
        put(&mut writer, &[("token", token.as_str()), ("email", &email), ("first_name", &first)]);
        planted.extend([local, first]);
    }
    assert_absent(&fixture, &planted, "after update");
    writer.settle().unwrap();
    assert_absent(&fixture, &planted, "after the log was emptied");
}

#[test]
fn the_search_finds_what_it_looks_for() {
    let fixture = Fixture::new();
    let vault = fixture.vault();
    let _writer = vault.writer().unwrap();
    let planted = [marker("Canary")];
    let leaked = BASE64.encode(format!("ab{}cd", planted[0]).as_bytes());
    fs::write(fixture.settings.dir.join("leak"), leaked).unwrap();
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        assert_absent(&fixture, &planted, "in a leak");
    }));
    assert!(found.is_err());
}
