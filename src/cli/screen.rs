//! Standard output, as commands write to it: whoever reads it may have seen enough.

use super::CliError;
use std::io::{self, StdoutLock, Write};

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
}
