//! Says which commit a release is built from, for `tokenrelay --version`.
//!
//! The files of `.git` are read as they are: neither git nor a repository is needed, and a copy without one (a tarball) says
//! no commit unless `TOKENRELAY_COMMIT` does. Only what a release is built from is watched, so that no other build is done
//! again because of a commit.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Of the hexadecimal digits of a commit.
const DIGITS: usize = 12;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=TOKENRELAY_COMMIT");
    let given = env::var("TOKENRELAY_COMMIT").ok().filter(|commit| !commit.trim().is_empty());
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = match given {
        Some(commit) => Some(commit.trim().to_owned()),
        None if is_release => env::var_os("CARGO_MANIFEST_DIR").and_then(|dir| {
            let (commit, read) = commit_of(Path::new(&dir))?;
            read.iter().for_each(|file| println!("cargo::rerun-if-changed={}", file.display()));
            Some(commit)
        }),
        None => None,
    };
    let said = commit.map(|commit| format!(" ({})", commit.chars().take(DIGITS).collect::<String>()));
    println!("cargo::rustc-env=TOKENRELAY_BUILT_FROM={}", said.unwrap_or_default());
}

/// The commit that is checked out in `root`, and the files that say so. A repository around `root` is another one's.
pub fn commit_of(root: &Path) -> Option<(String, Vec<PathBuf>)> {
    let dot_git = root.join(".git");
    // In a worktree, a file that names its folder (gitrepository-layout(5)).
    let dir = match fs::read_to_string(&dot_git) {
        Ok(text) => root.join(text.strip_prefix("gitdir:")?.trim()),
        Err(_) => dot_git,
    };
    let head_file = dir.join("HEAD");
    let head = fs::read_to_string(&head_file).ok()?;
    let mut read = vec![head_file];
    // Written at each commit, whether the branch is a file of its own or packed.
    read.extend(Some(dir.join("logs/HEAD")).filter(|file| file.exists()));
    let Some(branch) = head.trim().strip_prefix("ref:").map(str::trim) else {
        return digits(&head).map(|commit| (commit, read));
    };
    let common = fs::read_to_string(dir.join("commondir")).map_or(dir.clone(), |to| dir.join(to.trim()));
    let loose = common.join(branch);
    if let Ok(text) = fs::read_to_string(&loose) {
        read.push(loose);
        return digits(&text).map(|commit| (commit, read));
    }
    let packed_file = common.join("packed-refs");
    let packed = fs::read_to_string(&packed_file).ok()?;
    read.push(packed_file);
    let line = packed.lines().find(|line| line.split_once(' ').is_some_and(|(_, name)| name == branch))?;
    digits(line.split_once(' ')?.0).map(|commit| (commit, read))
}

fn digits(text: &str) -> Option<String> {
    let text = text.trim();
    (text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_owned())
}
