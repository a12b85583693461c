//! Why the first line of a table of people cannot be used.

/// What is wrong with a CSV header. Columns are told by position: a file without a header has a person there. Where one of
/// them is named as an address or token is, it is a header, and what is written in it is told too.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    #[error("the file is empty; the first line names the columns")]
    Empty,
    #[error(
        "column {0} is not a name; names are 1 to 64 letters, digits and _, not starting with a digit (is the \
         first line missing that names the columns?)"
    )]
    Name(usize),
    /// `all` is a better first line, where one is known.
    #[error(
        "column {at} is {name:?}, which is not a name; names are 1 to 64 letters, digits and _, not starting with a digit"
    )]
    NotAName { at: usize, name: String, all: Option<String> },
    #[error(
        "columns {first} and {second} both hold the {meant} by their names, and column {second} is {name:?}, which is not a name"
    )]
    Beside { first: usize, second: usize, name: String, meant: &'static str },
    #[error("columns {0} and {1} have the same name")]
    Twice(usize, usize),
    #[error("columns {first} and {second} have the same name, {name}")]
    NamedTwice { first: usize, second: usize, name: String },
    #[error("there is no column email, phone or token (is the first line missing that names the columns?)")]
    NoAddress,
    #[error("there is no column email, phone or token; column {at} is {name:?}")]
    LikeAddress { at: usize, name: String },
    #[error(
        "--tokens-with: there is no column with the name that was asked for to tell the rows apart{near}"
    )]
    NoMatchColumn { near: String },
}
