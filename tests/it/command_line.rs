//! The program as somebody types it: what it prints, to whom, and how it ends.

use crate::world::eventually;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tokenrelay::cli::init::{Sample, fill};

#[path = "../../build.rs"]
#[expect(dead_code, clippy::print_stdout, reason = "only its reading of .git is tried here")]
mod build;

/// A folder as `init` makes it, with its people in the vault.
pub fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), Sample::People).unwrap();
    let import = run(dir.path(), &["vault", "import", "people.csv", "--tokens-out", "tokens.csv"]);
    assert!(import.status.success(), "{}", told(&import));
    dir
}

pub fn command(dir: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenrelay"));
    command.current_dir(dir).args(words).stdin(Stdio::null()).env("COLUMNS", "80");
    command
}

pub fn run(dir: &Path, words: &[&str]) -> Output {
    command(dir, words).output().unwrap()
}

pub fn told(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

#[test]
fn d_a_reader_that_has_seen_enough_ends_every_command_quietly() {
    let dir = folder();
    for words in [
        &["check", "--offline"] as &[&str],
        &["check", "--offline", "--json"],
        &["check", "--offline", "--json", "-c", "none.toml"],
        &["template", "list"],
        &["template", "lint"],
        &["template", "preview", "welcome"],
        &["vault", "stats"],
        &["vault", "verify", "--json"],
        &["vault", "import", "people.csv"],
        &["vault", "token", "somebody@example.org"],
        &["jobs", "list"],
        &["events", "replay"],
        &["sink", "--list"],
        &["sink", "--listen", "127.0.0.1:0", "--count", "0"],
        &["init", "."],
        &["target", "list"],
        &["--help"],
        &["--version"],
        &["help", "vault"],
    ] {
        let heard = run(dir.path(), words);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let unheard = command(dir.path(), words).stdout(writer).output().unwrap();
        let errors = told(&unheard);
        assert_eq!(unheard.status.code(), heard.status.code(), "{words:?}: {errors}");
        assert!(
            !errors.to_lowercase().contains("pipe") && !errors.contains("panicked"),
            "{words:?}: {errors}"
        );
    }
}

#[test]
fn a11_help_is_as_wide_as_a_terminal_usually_is() {
    let dir = tempfile::tempdir().unwrap();
    for words in
        [&["--help"][..], &["serve", "--help"], &["vault", "import", "--help"], &["jobs", "list", "-h"]]
    {
        let help = String::from_utf8(run(dir.path(), words).stdout).unwrap();
        assert!(help.contains("Usage:"), "{words:?}");
        let wide = help.lines().find(|line| line.chars().count() > 80);
        assert_eq!(wide, None, "{words:?}");
        assert!(!help.contains("xml"), "{help}");
    }
}

#[test]
fn d_commands_that_are_not_there_are_not_listed_and_say_so_when_typed() {
    let dir = tempfile::tempdir().unwrap();
    for words in [&["--help"] as &[&str], &["vault", "--help"]] {
        let help = told(&run(dir.path(), words));
        assert!(!help.contains("not available") && !help.contains("erase"), "{help}");
    }
    fill(dir.path(), Sample::None).unwrap();
    for words in [&["target", "list", "--json"] as &[&str], &["reload"], &["top"], &["vault", "erase", "e_1"]]
    {
        let output = run(dir.path(), words);
        let said = told(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("not available in this version\nfix: "), "{said}");
    }
    let unknown = run(dir.path(), &["templte", "list"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(told(&unknown).contains("'template'"), "{}", told(&unknown));
}

#[tokio::test]
async fn d_the_sink_says_what_its_behaviours_are_and_how_it_went_whatever_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let list = told(&run(dir.path(), &["sink", "--list"]));
    let line = list.lines().find(|line| line.starts_with("refuse-rcpt[=N]")).unwrap();
    assert!(line.contains("550 5.1.1 to RCPT"), "{line}");
    assert!(list.lines().all(|line| line.chars().count() <= 80), "{list}");
    let wrong = told(&run(dir.path(), &["sink", "--profile", "refuse-rctp=3"]));
    assert!(wrong.contains("did you mean refuse-rcpt?"), "{wrong}");
    let wrong = told(&run(dir.path(), &["sink", "--profile", "size"]));
    assert!(wrong.contains("write size=N, N bytes"), "{wrong}");
    for signal in ["-TERM", "-INT"] {
        let mut sink =
            command(dir.path(), &["sink", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(sink.stdout.take().unwrap());
        let mut first = String::new();
        out.read_line(&mut first).unwrap();
        assert!(first.starts_with("sink listening on 127.0.0.1:"), "{first}");
        assert!(Command::new("kill").args([signal, &sink.id().to_string()]).status().unwrap().success());
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert!(rest.starts_with("0 messages to 0 recipients"), "{signal}: {rest}");
        let mut status = None;
        eventually("the sink ends", || {
            status = sink.try_wait().unwrap();
            status.is_some()
        })
        .await;
        assert_eq!(status.unwrap().code(), Some(0), "{signal}");
    }
}

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

#[test]
fn d_the_version_says_the_commit_where_there_is_one() {
    use std::fs::{create_dir_all, write};
    let version = told(&run(Path::new("."), &["--version"]));
    assert!(version.starts_with(concat!("tokenrelay ", env!("CARGO_PKG_VERSION"))), "{version}");
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    assert_eq!(build::commit_of(root), None, "a tarball");
    let commit = |root: &Path| build::commit_of(root).map(|(commit, _)| commit);
    create_dir_all(root.join(".git/refs/heads")).unwrap();
    write(root.join(".git/HEAD"), format!("{COMMIT}\n")).unwrap();
    assert_eq!(commit(root).as_deref(), Some(COMMIT), "no branch");
    write(root.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
    assert_eq!(commit(root), None, "before the first commit");
    write(root.join(".git/packed-refs"), format!("# pack-refs with: peeled\n{COMMIT} refs/heads/main\n"))
        .unwrap();
    assert_eq!(commit(root).as_deref(), Some(COMMIT), "packed");
    let newer = COMMIT.replace('0', "f");
    write(root.join(".git/refs/heads/main"), format!("{newer}\n")).unwrap();
    assert_eq!(commit(root), Some(newer.clone()), "a branch");
    let inner = root.join("vendor/tokenrelay");
    create_dir_all(&inner).unwrap();
    assert_eq!(commit(&inner), None, "within another repository");
    let tree = root.join(".git/worktrees/tree");
    create_dir_all(&tree).unwrap();
    write(tree.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    write(tree.join("commondir"), "../..\n").unwrap();
    write(inner.join(".git"), format!("gitdir: {}\n", tree.display())).unwrap();
    assert_eq!(commit(&inner), Some(newer), "a worktree");
}
