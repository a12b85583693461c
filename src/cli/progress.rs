//! Bars on a terminal: within its width, and with whole numbers.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::time::Duration;

/// How often one that counts nothing is drawn.
const TICK: Duration = Duration::from_millis(250);

/// A form of indicatif's own, in which `{rate}` is what is done in a second.
pub fn style(form: &str) -> ProgressStyle {
    let rate = |state: &ProgressState, out: &mut dyn Write| {
        let _ = write!(out, "{:.0}/s", state.per_sec());
    };
    ProgressStyle::with_template(form).expect("the form is valid").with_key("rate", rate)
}

/// On standard error, where that is a terminal.
pub fn bar(total: Option<u64>, form: &str) -> ProgressBar {
    ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr()).with_style(style(form))
}

/// Says on a terminal that something goes on, and for how long.
pub fn clock(what: String) -> ProgressBar {
    let clock = bar(None, "{spinner} {msg}, {elapsed} so far").with_message(what);
    clock.enable_steady_tick(TICK);
    clock
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::TermLike;
    use std::io;
    use std::sync::{Arc, Mutex};

    /// A terminal of 80 columns.
    #[derive(Debug, Clone, Default)]
    struct Terminal(Arc<Mutex<String>>);

    impl TermLike for Terminal {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(&format!("{text}\n"))
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            self.write_str("\n")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn d_rates_are_whole_numbers_and_lines_fit() {
        let terminal = Terminal::default();
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let form = "{wide_bar} {human_pos}/{human_len}  {rate}  {msg}";
        let bar = ProgressBar::with_draw_target(Some(3_000_000), target).with_style(style(form));
        bar.set_message("123,456 not relayed");
        bar.inc(1_234_567);
        bar.tick();
        let drawn = terminal.0.lock().unwrap().clone();
        assert!(drawn.contains("1,234,567/3,000,000") && drawn.contains("/s"), "{drawn}");
        assert!(!drawn.contains('.'), "{drawn}");
        assert!(drawn.lines().all(|line| line.chars().count() <= 80), "{drawn}");
    }
}
