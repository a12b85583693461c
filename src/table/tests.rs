//! Files as Excel, LibreOffice and Numbers save them, and files that are broken.

use super::*;
use proptest::prelude::*;

type Rows = Vec<(u64, Result<Vec<String>, RowFlaw>)>;

/// Gives at most so many bytes at once, as a slow disk does.
pub(super) struct Pieces<'a>(pub &'a [u8], pub usize);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.len().min(self.1).min(buffer.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

fn is_address(cell: &[u8]) -> bool {
    cell.contains(&b'@') && !cell.contains(&b' ')
}

fn read_in(bytes: &[u8], piece: usize) -> Result<(Vec<String>, Rows), TableFault> {
    let mut table = Table::open(Pieces(bytes, piece), 1 << 20)?;
    if let Some(column) = table.header().iter().position(|name| name == "email") {
        table.known_by(Key { column, is_one: is_address });
    }
    let (header, mut rows) = (table.header().to_vec(), Vec::new());
    while let Some(row) = table.next_row()? {
        let text = |cell: &[u8]| String::from_utf8_lossy(cell).into_owned();
        rows.push((row.line, row.cells.map(|cells| cells.iter().map(text).collect())));
    }
    Ok((header, rows))
}

fn read(bytes: &[u8]) -> (Vec<String>, Rows) {
    read_in(bytes, usize::MAX).unwrap()
}

fn good(line: u64, cells: &[&str]) -> (u64, Result<Vec<String>, RowFlaw>) {
    (line, Ok(cells.iter().map(|cell| (*cell).to_owned()).collect()))
}

fn fault(text: &str) -> String {
    read_in(text.as_bytes(), 7).unwrap_err().to_string()
}

#[test]
fn b6_what_excel_saves_is_read() {
    let utf_16: Vec<u8> =
        "\u{feff}email\tname\r\na@x.test\tZoë\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (file, line) in [
        (&b"sep=;\r\nemail;name\r\na@x.test;Zo\xc3\xab\r\n"[..], 3),
        (b"\"sep=;\"\nemail;name\na@x.test;Zo\xc3\xab\n", 3),
        (b"SEP=\t\nemail\tname\na@x.test\tZo\xc3\xab", 3),
        (b"sep=;\remail;name\ra@x.test;Zo\xc3\xab\r", 3),
        (b"\xef\xbb\xbfemail;name;;\r\na@x.test;Zo\xc3\xab;;\r\n", 2),
        (b"email,name\ra@x.test,Zo\xc3\xab\r", 2),
        (b"\xef\xbb\xbf\xef\xbb\xbfemail,name\na@x.test,Zo\xc3\xab\n", 2),
        (b"email,name\r\na@x.test,Zo\xc3\xab\r\n\x1a", 2),
        (b"email,name\n=\"a@x.test\",\"=\"\"Zo\xc3\xab\"\"\"\n", 2),
        (b"email,name\ra@x.test,Zo\xc3\xab", 2),
        (b"\"email\",\"name\"\r\n\"a@x.test\",\"Zo\xc3\xab\"\r\n,\r\n", 2),
        (b"\n\nemail|name\n;\na@x.test|Zo\xc3\xab\n ", 5),
        (&utf_16, 2),
    ] {
        let (header, rows) = read(file);
        assert_eq!(header, ["email", "name"], "{}", file.escape_ascii());
        let rows: Rows = rows.into_iter().filter(|(_, cells)| cells.is_ok()).collect();
        assert_eq!(rows, [good(line, &["a@x.test", "Zoë"])], "{}", file.escape_ascii());
    }
}

/// Its bytes would be read as names of columns, and the message would speak of those.
#[test]
fn d_a_workbook_says_how_to_make_a_table_of_it() {
    for file in [&b"PK\x03\x04\x14\0\x06\0[Content_Types].xml"[..], b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0"] {
        let fault = Table::open(file, 1000).map(|_| ()).unwrap_err();
        assert!(matches!(fault, TableFault::Workbook), "{fault}");
        assert!(fault.to_string().contains("save it as CSV UTF-8"));
    }
    for name in ["people.xlsx", "PEOPLE.XLS", "a.ods", "a.numbers", "a.csv"] {
        assert!(is_named_so(Path::new(name)), "{name}");
    }
    assert!(!is_named_so(Path::new("jobs.txt")), "it may hold one JSON object a line");
}

#[test]
fn values_are_what_they_are_between_their_quotation_marks() {
    let (_, rows) = read(
        b"email,note\r\na@x.test,\"1 Port Rd\nHaifa, \"\"Lower\"\" town\r\nIL\"\r\nb@x.test,5\" and \"6\"\r\nc@x.test,\"\" \r\n\r\nd@x.test,one\rtwo\r\n",
    );
    assert_eq!(
        rows,
        [
            good(2, &["a@x.test", "1 Port Rd\nHaifa, \"Lower\" town\r\nIL"]),
            good(5, &["b@x.test", "5\" and \"6\""]),
            good(6, &["c@x.test", ""]),
            good(8, &["d@x.test", "one\rtwo"]),
        ]
    );
}

#[test]
fn rows_of_another_width_are_refused_and_the_next_is_read() {
    let (_, rows) = read(b"a,b,c,,\n1,2\n1,2,3,4\n1,2,3,,,\n1,2,3\n1,2,3,,\n");
    let counted = |found| Err(RowFlaw::ColumnCount { found, expected: 3 });
    assert_eq!(
        rows,
        [
            (2, counted(2)),
            (3, Err(RowFlaw::Nameless { column: 4 })),
            (4, counted(6)),
            good(5, &["1", "2", "3"]),
            good(6, &["1", "2", "3"])
        ]
    );
}

#[test]
fn b6_an_open_quotation_mark_is_told_by_its_line() {
    assert_eq!(
        fault("email,name\na@x.test,Ana\nb@x.test,\"Ben\nc@x.test,Cid\nd@x.test,Dan\n").split(';').next(),
        Some("the quotation mark opened in line 3 is never closed")
    );
    assert!(fault("email,name\n\"a@x.test,Ana\n").contains("line 2 is never closed"));
    assert!(fault("email,\"name\na@x.test,Ana\n").contains("line 1 is never closed"));
    let long = format!("email,name\na@x.test,\"Ana\n{}\",x\n", "b@x.test,Ben\n".repeat(200));
    assert!(fault(&long).contains("opened in line 2 is not closed within 100 lines"));
    let endless = format!("email,name\na@x.test,{}", "x".repeat(2 << 20));
    let told = read_in(endless.as_bytes(), usize::MAX).unwrap_err().to_string();
    assert!(told.contains("starts at line 2 is too long"), "{told}");
}

#[test]
fn b6_a_value_that_swallowed_rows_is_refused() {
    for (file, flaw, next) in [
        // Closed by the next value's own mark.
        ("email,name\na@x.test,\"Ana\nb@x.test,\"Ben\"\nc@x.test,Cid\n", RowFlaw::BehindQuote { line: 2 }, 4),
        (
            "email,name,city\na@x.test,\"Ana,x\nb@x.test,Ben,y\nc@x.test,\"\"Cid\",z\nd@x.test,D,z\n",
            RowFlaw::HoldsRows { line: 2 },
            5,
        ),
        (
            "name,email\n\"Ana,a@x.test\nBen,b@x.test\nCid\",c@x.test\nD,d@x.test\n",
            RowFlaw::HoldsRows { line: 2 },
            5,
        ),
        (
            "email,name,city\r\na@x.test,\"Ana,x\r\nb@x.test,Ben\",y\r\nd@x.test,D,z\r\n",
            RowFlaw::HoldsRows { line: 2 },
            4,
        ),
    ] {
        let (_, rows) = read(file.as_bytes());
        assert_eq!(rows[0], (2, Err(flaw)), "{file}");
        assert_eq!((rows.len(), rows[1].0, rows[1].1.is_ok()), (2, next, true), "{file}");
    }
    let (_, rows) =
        read("email,note\na@x.test,\"Dear Ana,\nwrite to ben@x.test, please\n\n-- \nBen\"\n".as_bytes());
    assert!(rows[0].1.is_ok(), "a note is no row");
}

#[test]
fn a_header_without_names_is_refused() {
    for (file, cause) in [("", "empty"), ("\n\n,,\n", "empty"), ("a,,b\n", "column 2 has no name")] {
        assert!(fault(file).contains(cause), "{file}: {}", fault(file));
    }
    assert!(read_in(b"a,\xff\n", 9).unwrap_err().to_string().contains("column 2 is not UTF-8"));
}

/// As a spreadsheet would: in quotation marks where it has to be, or anyway.
fn written(cells: &[String], separator: char, always: bool) -> String {
    let cell = |cell: &String| {
        let needs = always || cell.is_empty() || cell.contains([separator, '"', '\r', '\n', ' ']);
        if needs { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() }
    };
    cells.iter().map(cell).collect::<Vec<_>>().join(&separator.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One table is the same in every dialect, however it arrives.
    #[test]
    fn b6_every_dialect_of_a_table_is_that_table(
        rows in proptest::collection::vec(proptest::collection::vec("[a-z\",;\t|é ]{0,6}(\n[a-z\"]{0,3})?", 3), 1..6),
        piece in 1usize..40,
        always in any::<bool>(),
    ) {
        let filled: Vec<Vec<String>> = rows.into_iter().map(|mut row| { row[0].insert(0, 'x'); row }).collect();
        for separator in [',', ';', '\t', '|'] {
            for line_end in ["\n", "\r\n", "\r"] {
                let inner = |cell: &String| if line_end == "\r" { cell.replace('\n', "\r") } else { cell.clone() };
                let wanted: Vec<Vec<String>> = filled.iter().map(|row| row.iter().map(inner).collect()).collect();
                let mut text = format!("one{separator}two{separator}three{line_end}");
                for row in &wanted {
                    text += &written(row, separator, always);
                    text += line_end;
                }
                let (_, read_back) = read_in(text.as_bytes(), piece).unwrap();
                let cells: Vec<Vec<String>> = read_back.into_iter().map(|(_, cells)| cells.unwrap()).collect();
                prop_assert_eq!(&cells, &wanted);
                let utf_16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect();
                let (_, again) = read_in(&utf_16, piece).unwrap();
                prop_assert_eq!(again.into_iter().map(|(_, cells)| cells.unwrap()).collect::<Vec<_>>(), wanted);
            }
        }
    }

    #[test]
    fn no_file_makes_the_reader_fall(
        bytes in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b','), Just(b'\n'), Just(b'\r'), Just(b'a'), Just(0), any::<u8>()], 0..80),
        piece in 1usize..9,
    ) {
        let whole = read_in(&bytes, usize::MAX).map_err(|fault| fault.to_string());
        prop_assert_eq!(read_in(&bytes, piece).map_err(|fault| fault.to_string()), whole);
    }
}

#[test]
fn b11_what_is_no_table_is_told_for_what_it_is() {
    let utf_32: Vec<u8> =
        "\u{feff}email,name\na@x.test,A\n".chars().flat_map(|c| (c as u32).to_le_bytes()).collect();
    for (file, form) in [
        (&b"\x1f\x8b\x08\x00rest"[..], Form::Compressed),
        (b"<table><tr><td>email</td></tr></table>", Form::Markup),
        (b"\xef\xbb\xbf\r\n<!DOCTYPE html>\n", Form::Markup),
        (b"[{\"email\":\"a@x.test\"}]", Form::Json),
        (b"{\"email\":\"a@x.test\"}\n", Form::Json),
        (&utf_32, Form::NoText),
        (b"+-------+------+\n| email | name |\n+-------+------+\n| a@x.test | A |\n", Form::Drawn),
        (b"| email | name |\n|---|:--|\n| a@x.test | A |\n", Form::Drawn),
        (b" email         | name \n---------------+------\n a@x.test | A\n(1 row)\n", Form::Drawn),
        (b",email,phone\n0,a@x.test,\n", Form::Index),
        (b"\"\",\"email\",\"n\"\n\"1\",\"a@x.test\",NA\n", Form::Index),
    ] {
        let fault = read_in(file, 7).unwrap_err();
        assert!(matches!(fault, TableFault::NoTable(told) if told == form), "{form:?}: {fault:?}");
    }
    assert!(matches!(read_in(b",dana@x.test,Dana\n", 7).unwrap_err(), TableFault::Nameless(1)));
    let (_, rows) = read(b"email|name\n--a@x.test|-\n");
    assert_eq!(rows[0].0, 2);
}

#[test]
fn b11_a_value_in_a_column_without_a_name_is_told_by_its_column() {
    let (_, rows) = read(b"email,name,,,\na@x.test,A,,,\nb@x.test,B,,stray,\nc@x.test\n");
    assert_eq!(rows[1].1, Err(RowFlaw::Nameless { column: 4 }));
    let told = rows[2].1.as_ref().unwrap_err().to_string();
    assert_eq!(told, "1 column where the header has 2");
}
