//! Each form, each border, each kind of file; and that nothing is found where nothing is.

use super::*;
use crate::load::people::{self, InventedPerson};
use flate2::Compression as Level;
use flate2::write::{GzEncoder, ZlibEncoder};
use std::fmt::Write as _;
use std::io::Write as _;

const NAME: &str = "Qwertzuiop Überläufer";
const OTHER: &str = "דנה לוי־כהן ﬁ'<x>&\"y\"";

fn search() -> LeakSearch {
    LeakSearch::new(&["short", NAME, OTHER])
}

fn forms_in(bytes: &[u8], value_index: usize) -> Vec<Form> {
    let hits = search().search_bytes(bytes).unwrap();
    assert!(hits.iter().all(|hit| hit.value_index == value_index), "{hits:?}");
    let mut forms: Vec<Form> = hits.iter().map(|hit| hit.form).collect();
    forms.dedup();
    forms
}

fn each_byte(value: &str, write: impl Fn(u8) -> String) -> String {
    value.bytes().map(write).collect()
}

fn each_char(value: &str, write: impl Fn(char) -> String) -> String {
    value.chars().map(write).collect()
}

#[test]
fn plain_text_is_found_in_any_case() {
    for text in [NAME.to_owned(), NAME.to_lowercase(), NAME.to_uppercase(), NAME.to_ascii_uppercase()] {
        assert_eq!(forms_in(format!("log: to={text} ok").as_bytes(), 1), [Form::Raw], "{text}");
    }
    assert_eq!(forms_in(OTHER.as_bytes(), 2), [Form::Raw]);
}

#[test]
fn base64_is_found_wherever_it_begins_and_with_either_alphabet() {
    for before in 0..7 {
        for (index, value) in [(1, NAME), (2, OTHER)] {
            let text = format!("{}{value}zz", &"abcdefg"[..before]);
            for encoding in [data_encoding::BASE64, data_encoding::BASE64URL_NOPAD] {
                let encoded = encoding.encode(text.as_bytes());
                assert_eq!(forms_in(encoded.as_bytes(), index), [Form::Base64], "{before} {encoded}");
            }
        }
    }
}

#[test]
fn base64_in_short_lines_is_found() {
    let encoded =
        data_encoding::BASE64_MIME.encode(format!("{}{NAME}{}", "x".repeat(50), "y".repeat(90)).as_bytes());
    assert!(encoded.lines().count() > 2);
    assert_eq!(forms_in(encoded.as_bytes(), 1), [Form::Base64]);
}

#[test]
fn hex_is_found_in_both_cases() {
    assert_eq!(forms_in(each_byte(NAME, |b| format!("{b:02x}")).as_bytes(), 1), [Form::Hex]);
    assert_eq!(forms_in(each_byte(OTHER, |b| format!("{b:02X}")).as_bytes(), 2), [Form::Hex]);
}

#[test]
fn percent_encoding_is_found_whole_and_in_part() {
    for text in [
        each_byte(NAME, |b| format!("%{b:02x}")),
        NAME.replace(' ', "%20").replace('Ü', "%C3%9C").replace('ä', "%c3%a4"),
        NAME.replace(' ', "+").replace('Ü', "%C3%9C").replace('ä', "%C3%A4"),
    ] {
        assert_eq!(forms_in(format!("/u?n={text}&x").as_bytes(), 1), [Form::Percent], "{text}");
    }
}

#[test]
fn quoted_printable_is_found_whole_in_part_folded_and_in_a_header() {
    let whole = each_byte(NAME, |b| format!("={b:02X}"));
    let part = NAME.replace('Ü', "=C3=9C").replace('ä', "=C3=A4");
    let folded = part.replace("zui", "zu=\r\ni");
    let word = format!("=?utf-8?Q?{}?=", part.replace(' ', "_"));
    for text in [whole, part, folded, word] {
        assert_eq!(forms_in(text.as_bytes(), 1), [Form::QuotedPrintable], "{text}");
    }
}

#[test]
fn utf16_is_found_in_both_byte_orders() {
    let little: Vec<u8> = NAME.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = OTHER.encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(forms_in(&little, 1), [Form::Utf16]);
    assert_eq!(forms_in(&big, 2), [Form::Utf16]);
}

#[test]
fn html_entities_are_found_named_decimal_and_hexadecimal() {
    let named = OTHER.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let non_ascii = |write: fn(u32) -> String| {
        each_char(&named, move |c| if c.is_ascii() { c.to_string() } else { write(c as u32) })
    };
    for text in [
        named.clone(),
        named.replace('\'', "&#39;"),
        named.replace('\'', "&#x27;"),
        named.replace('\'', "&apos;"),
        non_ascii(|c| format!("&#{c};")),
        non_ascii(|c| format!("&#x{c:X};")),
        each_char(OTHER, |c| format!("&#{};", c as u32)),
        each_char(OTHER, |c| format!("&#x{:x};", c as u32)),
    ] {
        assert_eq!(forms_in(format!("<b>{text}</b>").as_bytes(), 2), [Form::Entity], "{text}");
    }
}

#[test]
fn escaped_text_is_found() {
    let units =
        |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|u| format!("\\u{u:04X}")).collect::<String>();
    let json = serde_json::to_string(OTHER).unwrap();
    let json_ascii = each_char(&json, |c| if c.is_ascii() { c.to_string() } else { units(c) });
    for text in [
        json,
        json_ascii,
        each_char(OTHER, units),
        format!("{OTHER:?}"),
        OTHER.as_bytes().escape_ascii().to_string(),
    ] {
        assert_eq!(forms_in(text.as_bytes(), 2), [Form::Escaped], "{text}");
    }
    assert_eq!(forms_in(format!("{:?}", bytes::Bytes::from(OTHER)).as_bytes(), 2), [Form::Escaped]);
}

#[test]
fn reversed_text_and_lists_of_bytes_are_found() {
    assert_eq!(forms_in(NAME.chars().rev().collect::<String>().as_bytes(), 1), [Form::Reversed]);
    assert_eq!(forms_in(format!("{:?}", OTHER.as_bytes()).as_bytes(), 2), [Form::ByteList]);
    assert_eq!(forms_in(serde_json::to_string(NAME.as_bytes()).unwrap().as_bytes(), 1), [Form::ByteList]);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Level::new(level));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn compressed_streams_are_searched_anywhere_in_a_file_and_when_cut_off() {
    let filler = "a b c d e f ".repeat(40_000);
    let text = format!("{filler}{NAME}{filler}");
    let first = gzip(filler.as_bytes());
    let second = gzip(text.as_bytes());
    let cut = &second[..second.len() - 20];
    for (before, stream) in [(&b""[..], &second[..]), (&first, &second), (b"\x1f\x8b\x08 x^", cut)] {
        let mut file = before.to_vec();
        file.extend_from_slice(stream);
        let hits = search().search_bytes(&file).unwrap();
        assert_eq!(hits.len(), 1, "{hits:?}");
        let hit = &hits[0];
        let place = Place::Inflated { from: before.len() as u64 };
        assert_eq!((hit.place, hit.offset, hit.form), (place, filler.len() as u64, Form::Raw));
    }
    for level in [1, 6, 9] {
        assert_eq!(forms_in(&zlib(text.as_bytes(), level), 1), [Form::Raw], "level {level}");
    }
}

#[test]
fn a_file_with_more_compressed_content_than_is_searched_is_an_error() {
    let bomb = gzip(&vec![0; 1 << 20]).repeat(3);
    let search = LeakSearch { inflated_bytes_max: 2 << 20, ..search() };
    let error = search.search_bytes(&bomb).unwrap_err();
    assert!(error.to_string().contains("more compressed content"), "{error}");
}

#[test]
fn a_value_across_any_border_of_the_window_is_found_once() {
    let dir = tempfile::tempdir().unwrap();
    let border = 256 << 10;
    for (n, at) in
        [0, border - NAME.len() + 1, border - 3, border, 2 * border - 7, 3 * border - 1].iter().enumerate()
    {
        let mut content = vec![b'.'; *at];
        content.extend_from_slice(NAME.as_bytes());
        fs::write(dir.path().join(format!("{n}.log")), content).unwrap();
        let hits = search().search_dir(dir.path(), &|path| !path.ends_with(format!("{n}.log"))).unwrap();
        assert_eq!(hits.len(), 1, "{at}: {hits:?}");
        assert_eq!(hits[0].offset, *at as u64);
    }
}

#[test]
fn directories_are_walked_skipped_files_left_out_and_names_searched() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("a/b");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("leak.txt"), NAME).unwrap();
    fs::write(dir.path().join("vault.db"), NAME).unwrap();
    fs::write(deep.join(format!("{}.eml", NAME.to_lowercase())), "nothing inside").unwrap();
    std::os::unix::fs::symlink(dir.path(), deep.join("loop")).unwrap();
    let hits = search().search_dir(dir.path(), &|path| path.ends_with("vault.db")).unwrap();
    let found: Vec<_> = hits.iter().map(|hit| (hit.path.clone(), hit.place)).collect();
    assert_eq!(found, [(deep.join("[personal]"), Place::Name), (deep.join("leak.txt"), Place::Content)]);
    let mut shown = String::new();
    for hit in &hits {
        writeln!(shown, "{hit}").unwrap();
    }
    assert!(search().search_bytes(shown.as_bytes()).unwrap().is_empty(), "{shown}");
    assert!(shown.contains("leak.txt: value 1 as plain text at byte 0"), "{shown}");
}

#[test]
fn a_clean_directory_gives_nothing_and_short_values_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let values: Vec<InventedPerson> = people::markers(40, 1).collect();
    let search =
        LeakSearch::new(&values.iter().flat_map(InventedPerson::personal_values).collect::<Vec<_>>());
    assert!(search.skipped().is_empty());
    people::write_csv(&dir.path().join("others.csv"), people::markers(2_000, 2)).unwrap();
    let mut noise = vec![0; 3 << 20];
    aws_lc_rs::rand::fill(&mut noise).unwrap();
    fs::write(dir.path().join("noise"), noise).unwrap();
    assert_eq!(search.search_dir(dir.path(), &|_| false).unwrap(), []);
    people::write_csv(&dir.path().join("same.csv"), people::markers(40, 1)).unwrap();
    let hits = search.search_dir(dir.path(), &|_| false).unwrap();
    let found: BTreeSet<usize> = hits.iter().map(|hit| hit.value_index).collect();
    assert_eq!(found.len(), 40 * 10, "every value of every person is found");
    assert_eq!(LeakSearch::new(&["abc", "long enough"]).skipped(), [0]);
}

#[test]
fn a_form_that_noise_holds_by_accident_is_not_searched_for() {
    let search = LeakSearch::new(&["\u{4f50}\u{85e4}", "\u{4f50}\u{85e4}\u{82b1}"]);
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    assert!(search.search_bytes(&utf16("\u{4f50}\u{85e4}")).unwrap().is_empty());
    let hits = search.search_bytes(&utf16("\u{4f50}\u{85e4}\u{82b1}")).unwrap();
    assert_eq!(hits.iter().map(|hit| (hit.value_index, hit.form)).collect::<Vec<_>>(), [(1, Form::Utf16)]);
    assert_eq!(search.search_bytes("\u{4f50}\u{85e4}".as_bytes()).unwrap()[0].value_index, 0);
}

/// Otherwise a trial run that searches its own folder would find its templates.
#[test]
fn invented_people_do_not_occur_in_the_sample_templates() {
    let people: Vec<InventedPerson> = people::invent(120, 1).collect();
    let search =
        LeakSearch::new(&people.iter().flat_map(InventedPerson::personal_values).collect::<Vec<_>>());
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    assert_eq!(search.search_dir(&templates, &|_| false).unwrap(), []);
}
