//! How a command ends: with an exit code that scripts may rely on, or with an error that says its cause and the
//! command that fixes it.

use std::fmt;

/// Exit codes promised to scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    Degraded = 3,
    Sealed = 4,
    Temporary = 75,
    Config = 78,
    Threshold = 99,
}

/// What a person sees on stderr: `error: CAUSE`, then `fix: COMMAND OR CHANGE`.
#[derive(Debug)]
pub struct CliError {
    pub exit: Exit,
    pub cause: String,
    pub fix: Option<String>,
}

impl CliError {
    pub fn new(exit: Exit, cause: impl fmt::Display) -> Self {
        Self { exit, cause: cause.to_string(), fix: None }
    }

    pub fn failed(cause: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, cause)
    }

    /// For the log, in which a line is an event: several mistakes stand behind each other.
    pub fn in_one_line(&self) -> String {
        let text = match &self.fix {
            Some(fix) => format!("{}; fix: {fix}", self.cause),
            None => self.cause.clone(),
        };
        text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
    }

    pub fn fix(mut self, fix: impl fmt::Display) -> Self {
        self.fix = Some(fix.to_string());
        self
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.cause)?;
        match &self.fix {
            Some(fix) => write!(f, "\nfix: {fix}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_mistakes_are_one_line_of_the_log() {
        let error =
            CliError::failed("t.toml:1:1: one\nt.toml:2:1: two").fix("as in: a = 1\n     as in: b = 2");
        assert_eq!(error.in_one_line(), "t.toml:1:1: one; t.toml:2:1: two; fix: as in: a = 1; as in: b = 2");
    }
}
