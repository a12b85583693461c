//! Files that are no tables, and what to do about each.

/// What a file is in place of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Form {
    #[error("it is compressed")]
    Compressed,
    #[error("it is HTML or XML, whatever its name says")]
    Markup,
    #[error("it is JSON, whatever its name says")]
    Json,
    #[error("it is UTF-32, or no text at all")]
    NoText,
    #[error("it is a table drawn for reading, as psql, mysql and Markdown draw it")]
    Drawn,
    #[error("column 1 has no name, as where pandas or R have written the numbers of the rows into it")]
    Index,
}

impl Form {
    /// What mends it.
    pub fn fix(self) -> &'static str {
        match self {
            Self::Compressed => "unpack it (gunzip, unzip), and take what comes out",
            Self::Markup => "open it in the program that it is for, and save it as CSV UTF-8",
            Self::Json => {
                "save it as NDJSON, one object a line and no list around them (jq -c '.[]'), in a file named .ndjson"
            }
            Self::NoText => "save it as CSV UTF-8",
            Self::Drawn => {
                "have it written as CSV (psql --csv, COPY ... TO ... CSV HEADER, a program that writes CSV)"
            }
            Self::Index => {
                "write the file without them (to_csv(index=False), write.csv(row.names = FALSE)), or name the column in the first line"
            }
        }
    }

    /// Tells it by how the file begins.
    pub fn of(start: &[u8]) -> Option<Self> {
        const PACKED: [&[u8]; 5] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf"];
        let text = start.trim_ascii_start();
        match text.first() {
            _ if PACKED.iter().any(|mark| start.starts_with(mark)) => Some(Self::Compressed),
            _ if begins_with_nul(start) => Some(Self::NoText),
            Some(b'<') => Some(Self::Markup),
            Some(b'{' | b'[') if begins_json(&text[1..]) => Some(Self::Json),
            Some(b'+') if text.starts_with(b"+--") => Some(Self::Drawn),
            _ => None,
        }
    }
}

/// In UTF-32 one of the first four bytes is.
fn begins_with_nul(start: &[u8]) -> bool {
    start.iter().take(4).take_while(|byte| **byte != b'\n' && **byte != b'\r').any(|byte| *byte == 0)
}

/// Behind the first bracket. SQL Server's names of columns have one in front too: `[email]`.
fn begins_json(behind: &[u8]) -> bool {
    matches!(behind.trim_ascii_start().first(), None | Some(b'{' | b'[' | b'"' | b'}' | b']'))
}

/// Whether it is the line between head and rows of a drawn table.
pub fn is_ruling(row: &[u8]) -> bool {
    row.windows(2).any(|two| two == b"--") && row.iter().all(|byte| b"-+|:= ".contains(byte))
}

/// Whether names of columns begin with one that is left out, as those of programs do that number their rows.
pub fn has_index(names: &[String]) -> bool {
    let is_named = |name: &String| {
        let is_of_name = |c: char| c.is_alphanumeric() || " _-.".contains(c);
        name.starts_with(char::is_alphabetic) && name.chars().all(is_of_name)
    };
    matches!(names, [first, others @ ..] if first.is_empty() && !others.is_empty() && others.iter().all(is_named))
}
