//! Standard output, as commands write to it: whoever reads it may have seen enough, and a terminal is only so wide.

use super::CliError;
use std::io::{self, IsTerminal, StdoutLock, Write};

/// Standard output until its reader goes away (`| head`), and nothing from then on: what a command does and how it ends does
/// not hang on that. One that goes on for ever looks out for the broken pipe itself.
pub fn stdout() -> Screen<StdoutLock<'static>> {
    Screen(Some(io::stdout().lock()))
}

/// See [`stdout`].
pub struct Screen<W>(Option<W>);

impl<W: Write> Screen<W> {
    fn try_to(&mut self, write: impl FnOnce(&mut W) -> io::Result<usize>) -> io::Result<Option<usize>> {
        let Some(out) = &mut self.0 else { return Ok(None) };
        match write(out) {
            Ok(written) => Ok(Some(written)),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.0 = None;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl<W: Write> Write for Screen<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.try_to(|out| out.write(bytes))?.unwrap_or(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.try_to(|out| out.flush().map(|()| 0)).map(drop)
    }
}

/// Standard output that takes no more.
pub fn unwritable(error: io::Error) -> CliError {
    let cause = CliError::failed(format_args!("the output cannot be written: {}", error.kind()));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            cause.fix("make room where the output goes, then run it again")
        }
        _ => cause,
    }
}

/// How wide lines may be, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// Of a terminal.
    Chars(usize),
    /// A file or another program reads: lines stay whole.
    Any,
}

/// Where nothing is known of a terminal.
const USUAL_CHARS: usize = 80;
/// A narrower one wraps by itself.
const LEAST_CHARS: usize = 40;

/// The width of the terminal behind standard output, if it is one.
pub fn width() -> Width {
    let out = io::stdout();
    if !out.is_terminal() {
        return Width::Any;
    }
    let told = rustix::termios::tcgetwinsize(&out).map_or(0, |size| usize::from(size.ws_col));
    let asked = || std::env::var("COLUMNS").ok()?.parse().ok();
    let chars = if told > 0 { told } else { asked().unwrap_or(USUAL_CHARS) };
    Width::Chars(chars.max(LEAST_CHARS))
}

/// How wide help is: as the terminal, but lines of more than a hundred characters are hard to read.
pub fn help_width() -> usize {
    const MOST_CHARS: usize = 100;
    match width() {
        Width::Chars(chars) => chars.min(MOST_CHARS),
        Width::Any => USUAL_CHARS,
    }
}

impl Width {
    /// A line in as many as it takes, with its line ends; all behind the first begin with `indent` spaces. Words stay whole, so
    /// that paths and commands can be copied.
    pub fn wrap(self, line: &str, indent: usize) -> String {
        let mut text = String::new();
        for (number, part) in line.split('\n').enumerate() {
            let mut rest = if number == 0 { part.to_owned() } else { format!("{:indent$}{part}", "") };
            while let Some(at) = self.break_in(&rest, indent) {
                text.push_str(rest[..at].trim_end());
                text.push('\n');
                rest = format!("{:indent$}{}", "", rest[at..].trim_start());
            }
            text.push_str(rest.trim_end());
            text.push('\n');
        }
        text
    }

    /// Where a line that is too long is parted: at its last space that leaves a line short enough, or else at its first.
    fn break_in(self, line: &str, indent: usize) -> Option<usize> {
        let Self::Chars(width) = self else { return None };
        if line.chars().count() <= width {
            return None;
        }
        let spaces =
            || line.char_indices().enumerate().filter(|(_, (_, c))| *c == ' ').map(|(n, (at, _))| (n, at));
        let behind_a_word = |at: usize| !line[..at].trim().is_empty() && !line[at..].trim().is_empty();
        let fits =
            spaces().filter(|(chars, at)| *chars > indent && *chars <= width && behind_a_word(*at)).last();
        let first = || spaces().find(|(chars, at)| *chars > indent && behind_a_word(*at));
        fits.or_else(first).map(|(_, at)| at)
    }
}

/// One line of a table whose columns are so wide: a cell that is wider moves those behind it.
pub fn aligned<const N: usize>(cells: [&str; N], widths: [usize; N]) -> String {
    let parts: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    parts.join(GAP).trim_end().to_owned()
}

/// Rows below a header, each column as wide as its widest cell; where that is more than there is, the widest columns give
/// way and their cells go on in the next line.
#[derive(Debug)]
pub struct Columns<const N: usize> {
    rows: Vec<[String; N]>,
}

const GAP: &str = "  ";

impl<const N: usize> Columns<N> {
    pub fn new(header: [&str; N]) -> Self {
        Self { rows: vec![header.map(String::from)] }
    }

    pub fn add(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    pub fn text(&self, width: Width) -> String {
        let widths = self.widths(width);
        let mut text = String::new();
        for row in &self.rows {
            let cells: Vec<Vec<String>> = row
                .iter()
                .zip(widths)
                .map(|(cell, width)| Width::Chars(width).wrap(cell, 0).lines().map(str::to_owned).collect())
                .collect();
            let lines = cells.iter().map(Vec::len).max().unwrap_or(0);
            for number in 0..lines {
                let parts =
                    std::array::from_fn(|column| cells[column].get(number).map_or("", String::as_str));
                text.push_str(&aligned(parts, widths));
                text.push('\n');
            }
        }
        text
    }

    fn widths(&self, width: Width) -> [usize; N] {
        let mut widths = [0; N];
        for (column, widest) in widths.iter_mut().enumerate() {
            *widest = self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        }
        let Width::Chars(chars) = width else { return widths };
        // Below its longest word a column does not become narrower.
        let word = |column: usize| {
            let words = self.rows.iter().flat_map(|row| row[column].split(' '));
            words.map(|word| word.chars().count()).max().unwrap_or(0)
        };
        let least: [usize; N] = std::array::from_fn(word);
        while widths.iter().sum::<usize>() + GAP.len() * (N - 1) > chars {
            let can = (0..N).filter(|column| widths[*column] > least[*column]);
            let Some(widest) = can.max_by_key(|column| widths[*column]) else { break };
            widths[widest] -= 1;
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone(io::ErrorKind);

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn d_a_reader_that_has_seen_enough_is_no_error_and_a_full_disk_is() {
        let mut screen = Screen(Some(Gone(io::ErrorKind::BrokenPipe)));
        writeln!(screen, "a line").unwrap();
        screen.flush().unwrap();
        assert!(screen.0.is_none());
        let full = writeln!(Screen(Some(Gone(io::ErrorKind::StorageFull))), "a line").unwrap_err();
        assert!(unwritable(full).to_string().contains("fix: make room"));
    }

    #[test]
    fn d_lines_keep_within_a_terminal_and_words_stay_whole() {
        let line =
            "FAIL  vault     the root key does not fit the vault, see /a/long/path/that/stays/whole please";
        let wrapped = Width::Chars(40).wrap(line, 16);
        assert!(wrapped.lines().skip(1).all(|line| line.starts_with("                ")), "{wrapped}");
        assert!(wrapped.contains("/a/long/path/that/stays/whole\n"), "{wrapped}");
        let is_fit = |line: &str| line.chars().count() <= 40 || !line.trim().contains(' ');
        assert!(wrapped.lines().all(is_fit), "{wrapped}");
        let joined: Vec<&str> = wrapped.split_whitespace().collect();
        assert_eq!(joined, line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(Width::Any.wrap(line, 16), format!("{line}\n"));
        assert_eq!(Width::Chars(80).wrap("a\nb", 2), "a\n  b\n");
        assert_eq!(Width::Chars(40).wrap("", 2), "\n");
    }

    #[test]
    fn d_columns_give_way_until_the_table_fits() {
        let mut table = Columns::new(["NAME", "FIELDS", "DATA"]);
        table.add(
            ["welcome", "first_name last_name city street", "shop shop_url voucher items order"]
                .map(String::from),
        );
        let whole = table.text(Width::Any);
        assert_eq!(whole.lines().count(), 2, "{whole}");
        let narrow = table.text(Width::Chars(48));
        assert!(
            narrow.lines().count() > 2 && narrow.lines().all(|line| line.chars().count() <= 48),
            "{narrow}"
        );
        let words = |text: &str| {
            let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            words.sort();
            words
        };
        assert_eq!(words(&whole), words(&narrow));
    }
}
