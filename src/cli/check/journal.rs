//! The journal: whether `serve` could open and write it.

use super::Step;
use super::doors::Owner;
use crate::app;
use crate::config::Config;
use crate::config::units::size;
use crate::counted::counted;
use crate::journal::Settings;
use crate::journal::inspect::{Copy, Found, Inspected, inspect};
use crate::journal::ledger::Ledger;
use std::path::Path;

const NAME: &str = "journal";

/// And whether a relay runs on it.
pub(super) fn journal(config: &Config) -> (Step, Owner) {
    if !config.needs_journal() {
        return (Step::good(NAME, "not needed: every listener hands off"), Owner::Unknown);
    }
    let settings = app::journal_settings(config);
    let owner = match inspect(&settings) {
        Ok(Inspected { owner: Some(_), .. }) => Owner::Relay,
        Ok(_) => Owner::Nobody,
        Err(_) => Owner::Unknown,
    };
    (judge(&settings), owner)
}

/// Jobs that wait for an engine that is gone from the configuration.
pub(super) fn orphans(config: &Config) -> Vec<Step> {
    if !config.needs_journal() {
        return Vec::new();
    }
    let is_configured = |engine: &str| config.engines.iter().any(|configured| configured.name == engine);
    orphans_in(&config.journal_dir(), is_configured)
}

fn orphans_in(journal_dir: &Path, is_configured: impl Fn(&str) -> bool) -> Vec<Step> {
    let held = Ledger::open(journal_dir).and_then(|ledger| ledger.held_by_engine());
    // Why it cannot be read is told of the journal.
    let orphans = held.unwrap_or_default().into_iter().filter(|(engine, _)| !is_configured(engine));
    let step = |(engine, jobs)| {
        let jobs = counted(jobs, "held job");
        let cause =
            format!("{jobs} of the engine {engine}, which is not configured any more: they wait for it");
        let fix = format!(
            "put its [[engine]] back and reload, or call them off: tokenrelay jobs cancel --engine {engine} --yes"
        );
        Step::bad(NAME, cause, fix)
    };
    orphans.map(step).collect()
}

fn judge(settings: &Settings) -> Step {
    match inspect(settings) {
        Ok(found) if !found.has_room => {
            let (free, least) = (size(rounded(found.free)), size(settings.disk_free_min));
            let cause = format!("new jobs are refused: {free} are free, disk_free_min is {least}");
            let fix = format!(
                "free space on the disk of {}, or set [journal] disk_free_min lower",
                settings.dir.display()
            );
            Step::bad(NAME, cause, fix)
        }
        Ok(found) if is_nearly_full(&found, settings) => {
            let (held, most) = (size(found.held), size(settings.bytes_max));
            let cause =
                format!("new jobs are refused, or soon will be: {held} are held, bytes_max is {most}");
            let fix = "see why the targets take nothing (tokenrelay jobs list --state journaled), or set [journal] \
                       bytes_max higher and restart";
            Step::bad(NAME, cause, fix)
        }
        Ok(Inspected { copy: Some(copy), .. }) => held_back(&copy, settings),
        Ok(found) => Step::good(NAME, told(&found, settings)),
        Err(error) => Step::bad(NAME, &error, error.fix()),
    }
}

/// Beyond it the next large job finds no room.
fn is_nearly_full(found: &Inspected, settings: &Settings) -> bool {
    found.held > settings.bytes_max - settings.bytes_max / 20
}

fn held_back(copy: &Copy, settings: &Settings) -> Step {
    let Copy { sign, jobs, is_parked } = copy;
    let dir = settings.dir.display();
    if *is_parked {
        let cause = format!("{dir}: {} held and not sent, since {sign}", counted(*jobs, "job"));
        let fix =
            "tokenrelay jobs release --all --yes sends them, tokenrelay jobs cancel --yes calls them off";
        return Step::bad(NAME, cause, fix);
    }
    let cause = format!(
        "{dir}: {sign}; serve holds back what is in it ({}), as it may have been sent since",
        counted(*jobs, "job")
    );
    Step::bad(NAME, cause, "start it; then tokenrelay jobs release --all, or jobs cancel, as you decide")
}

fn told(found: &Inspected, settings: &Settings) -> String {
    let what = match found.journal {
        Found::None => "is made by serve".into(),
        Found::Whole => "is whole".into(),
        Found::Damaged => "is damaged: serve sets it aside and takes over what can be read".into(),
        Found::OlderFormat(format) => format!("has format {format}: serve takes it over"),
    };
    let owner = match found.owner {
        None => String::new(),
        Some(pid) => {
            let pid = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
            format!("; a relay is running on it{pid}: a second one needs a state_dir of its own")
        }
    };
    format!("{} {what}, {} free{owner}", settings.dir.display(), size(rounded(found.free)))
}

/// To a whole number of a unit, with two digits left at least.
fn rounded(bytes: u64) -> u64 {
    let unit = [1 << 30, 1 << 20, 1 << 10].into_iter().find(|unit| bytes >= 10 * unit).unwrap_or(1);
    bytes / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::State;
    use crate::journal::ledger::tests::{Book, Stand};
    use crate::journal::{Journal, KeepRefused, WhenUnknown};
    use std::time::Duration;

    fn settings(dir: &Path) -> Settings {
        Settings {
            dir: dir.to_owned(),
            bytes_max: 1 << 30,
            disk_free_min: 1 << 20,
            retry_first: Duration::from_secs(1),
            retry_max: Duration::from_secs(1),
            expires: Duration::from_secs(1),
            unknown: WhenUnknown::Hold,
            retention: Duration::from_secs(1),
            keep_refused: KeepRefused { duration: Duration::from_secs(60), bytes_max: 1 << 20 },
        }
    }

    #[tokio::test]
    async fn what_serve_would_stumble_over_is_said_with_its_fix() {
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join("journal");
        let step = judge(&settings(&journal));
        assert!(step.ok && step.detail.contains("is made by serve"), "{step:?}");
        let (opened, _) = Journal::open(settings(&journal)).unwrap();
        let step = judge(&settings(&journal));
        let pid = format!("process {}", std::process::id());
        assert!(step.ok && step.detail.contains("is whole") && step.detail.contains(&pid), "{step:?}");
        // Its threads write until they have ended, and what they write is copied below.
        opened.close().await;
        let step = judge(&Settings { disk_free_min: u64::MAX, ..settings(&journal) });
        assert!(!step.ok && step.detail.contains("refused"), "{step:?}");
        assert!(step.fix.unwrap().contains("disk_free_min"));
        let step = judge(&Settings { disk_free_min: u64::MAX - 1, ..settings(&journal) });
        assert!(step.detail.contains("disk_free_min is 17179869183GiB"), "{step:?}");
        let copy = dir.path().join("copy");
        std::fs::create_dir(&copy).unwrap();
        for entry in std::fs::read_dir(&journal).unwrap().map(Result::unwrap) {
            std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
        let step = judge(&settings(&copy));
        assert!(!step.ok && step.detail.contains("copied or restored"), "{step:?}");
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let step = judge(&settings(&file));
        assert!(!step.ok && step.detail.contains("file") && !step.fix.unwrap().is_empty());
    }

    #[test]
    fn b11_jobs_that_wait_for_an_engine_that_is_gone_are_said() {
        let mut book = Book::new();
        for engine in ["shop", "news", "gone"] {
            book.add(engine, None, Stand::Retry { at: 9_000 });
        }
        book.add("gone", Some("c"), Stand::Fresh);
        book.add("other", None, Stand::Ended(State::Relayed, None));
        let steps = orphans_in(book.dir.path(), |engine| ["shop", "news"].contains(&engine));
        assert_eq!(steps.len(), 1, "{steps:?}");
        assert!(!steps[0].ok && steps[0].detail.starts_with("2 held jobs of the engine gone"), "{steps:?}");
        assert!(steps[0].fix.as_ref().unwrap().ends_with("jobs cancel --engine gone --yes"), "{steps:?}");
        assert!(orphans_in(Path::new("/nowhere"), |_| false).is_empty());
    }

    #[test]
    fn c14_free_space_is_said_in_a_unit_that_fits() {
        for (bytes, said) in
            [(41_597_123_584, "38GiB"), (2_000_000_000, "1907MiB"), (40_000, "39KiB"), (700, "700")]
        {
            assert_eq!(size(rounded(bytes)), said);
        }
    }
}
