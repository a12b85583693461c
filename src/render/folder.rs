//! Reads template folders from disk: `NAME/{template.toml,subject.hbs,body.*.hbs,assets/}` and
//! `NAME/LOCALE/…`. Bounded, UTF-8 only, and never outside the template directory.

use super::lint::Lint;
use super::survey::SOURCE_BYTES_MAX;
use crate::plain_file;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Largest file in `assets/`, in bytes.
pub const ASSET_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Most folders below the template directory, and most locales of one template.
pub const FOLDERS_MAX: usize = 2000;
/// Most files in one `assets/`.
pub const ASSETS_MAX: usize = 100;

/// One template's files.
#[derive(Debug, Default)]
pub struct Folder {
    pub name: String,
    pub base: Files,
    /// By language tag as written. One that cannot be taken keeps no other from it.
    pub locales: BTreeMap<String, Result<Files, Vec<Lint>>>,
    pub assets: BTreeMap<String, Vec<u8>>,
}

/// The texts of one folder.
#[derive(Debug, Default, Clone)]
pub struct Files {
    pub manifest: Option<String>,
    pub subject: Option<String>,
    pub text: Option<String>,
    pub html: Option<String>,
    pub mjml: Option<String>,
}

/// A folder that cannot be taken as it is: every file's mistake.
#[derive(Debug)]
pub struct Broken {
    pub name: String,
    pub lints: Vec<Lint>,
}

/// Reads every template below `dir`, in the order of their names; one that cannot be taken keeps no other from it.
///
/// # Errors
/// When `dir` itself cannot be read.
pub fn read_folders(dir: &Path) -> Result<Vec<Result<Folder, Broken>>, Lint> {
    let unreadable = |error: &std::io::Error| {
        let (cause, fix) = match error.kind() {
            ErrorKind::NotFound => (
                String::from("the template directory cannot be read: there is no such folder"),
                "make it, or correct [templates] dir, which is relative to the configuration file",
            ),
            ErrorKind::NotADirectory => (
                String::from("the template directory cannot be read: it is no folder"),
                "set [templates] dir to a folder",
            ),
            kind => (
                format!("the template directory cannot be read: {kind}"),
                "set [templates] dir to a folder that the relay may read",
            ),
        };
        Lint::new(&dir.display().to_string(), (0, 0), cause, fix)
    };
    let root = fs::canonicalize(dir).map_err(|error| unreadable(&error))?;
    fs::read_dir(&root).map_err(|error| unreadable(&error))?;
    let mut reader = Reader { root: root.clone(), lints: Vec::new() };
    let names = reader.entries(&root, "");
    // Entries of the directory that cannot be followed: they would be templates.
    let mut folders: Vec<_> = reader.lints.drain(..).map(|lint| Err(Broken::entry(lint))).collect();
    for (name, path) in names.into_iter().filter(|(_, path)| path.is_dir()) {
        let folder = reader.template(name.clone(), &path);
        let lints = std::mem::take(&mut reader.lints);
        folders.push(match folder {
            Some(folder) if lints.is_empty() => Ok(folder),
            _ => Err(Broken { name, lints }),
        });
    }
    Ok(folders)
}

impl Broken {
    fn entry(lint: Lint) -> Self {
        Self { name: lint.place.clone(), lints: vec![lint] }
    }
}

struct Reader {
    root: PathBuf,
    lints: Vec<Lint>,
}

impl Reader {
    fn template(&mut self, name: String, path: &Path) -> Option<Folder> {
        let well_named =
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) && name.len() <= 64;
        if !well_named {
            self.lint(
                &name,
                "a template's name has letters, digits, '-', '_' and '.' only",
                "rename the folder",
            );
            return None;
        }
        let base = self.files(&name, path);
        let mut folder = Folder { base, ..Folder::default() };
        for (entry, path) in self.entries(path, &name).into_iter().filter(|(_, path)| path.is_dir()) {
            let place = format!("{name}/{entry}");
            if entry == "assets" {
                folder.assets = self.assets(&place, &path);
            } else if is_language_tag(&entry) {
                let before = self.lints.len();
                let files = self.files(&place, &path);
                let own = self.lints.split_off(before);
                folder.locales.insert(entry, if own.is_empty() { Ok(files) } else { Err(own) });
            } else {
                self.lint(
                    &place,
                    "the folder is neither assets nor a language tag",
                    "name it like he or pt-BR",
                );
            }
        }
        if folder.base.manifest.is_none() {
            let place = format!("{name}/template.toml");
            self.lint(&place, "it is missing", "add it, with at least from = \"Name <local@domain>\"");
        }
        folder.name = name;
        Some(folder)
    }

    fn files(&mut self, place: &str, path: &Path) -> Files {
        let mut files = Files::default();
        for (entry, path) in self.entries(path, place).into_iter().filter(|(_, path)| !path.is_dir()) {
            let slot = match entry.as_str() {
                "template.toml" => &mut files.manifest,
                "subject.hbs" => &mut files.subject,
                "body.txt.hbs" => &mut files.text,
                "body.html.hbs" => &mut files.html,
                "body.mjml.hbs" => &mut files.mjml,
                _ => {
                    if entry.ends_with(".hbs") || entry.ends_with(".toml") {
                        let fix = "name it subject.hbs, body.txt.hbs, body.html.hbs, body.mjml.hbs or template.toml";
                        self.lint(&format!("{place}/{entry}"), "no template file has this name", fix);
                    }
                    continue;
                }
            };
            *slot = self.text(&format!("{place}/{entry}"), &path);
        }
        files
    }

    fn text(&mut self, place: &str, path: &Path) -> Option<String> {
        let bytes = self.bytes(place, path, SOURCE_BYTES_MAX as u64)?;
        match String::from_utf8(bytes) {
            Ok(text) => Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
            Err(error) => {
                let line =
                    error.as_bytes()[..error.utf8_error().valid_up_to()].split(|b| *b == b'\n').count();
                let fix = "save the file as UTF-8";
                self.lints.push(Lint::new(place, (line, 1), "the file is not UTF-8", fix));
                None
            }
        }
    }

    fn assets(&mut self, place: &str, path: &Path) -> BTreeMap<String, Vec<u8>> {
        let mut assets = BTreeMap::new();
        for (entry, path) in self.entries(path, place).into_iter().filter(|(_, path)| !path.is_dir()) {
            if assets.len() == ASSETS_MAX {
                self.lint(place, format!("more than {ASSETS_MAX} files"), "remove those that are not used");
                break;
            }
            if let Some(bytes) = self.bytes(&format!("{place}/{entry}"), &path, ASSET_BYTES_MAX) {
                assets.insert(entry, bytes);
            }
        }
        assets
    }

    fn bytes(&mut self, place: &str, path: &Path, bytes_max: u64) -> Option<Vec<u8>> {
        match plain_file::read(path, bytes_max) {
            Ok(mut bytes) => Some(std::mem::take(&mut *bytes)),
            Err(error) => match error.kind() {
                ErrorKind::InvalidInput => self.refused(place, "it is not a plain file", "replace it by one"),
                ErrorKind::FileTooLarge => {
                    let cause = format!("the file has more than {bytes_max} bytes");
                    self.refused(place, &cause, "make it smaller")
                }
                _ => self.unreadable(place, &error),
            },
        }
    }

    /// The visible entries of a folder by name, links followed where they stay inside.
    fn entries(&mut self, path: &Path, place: &str) -> BTreeMap<String, PathBuf> {
        let mut entries = BTreeMap::new();
        let listed = match fs::read_dir(path) {
            Ok(listed) => listed,
            Err(error) => {
                self.unreadable::<()>(place, &error);
                return entries;
            }
        };
        for entry in listed.flatten() {
            let Ok(name) = entry.file_name().into_string() else {
                self.lint(place, "a file's name is not UTF-8", "rename it");
                continue;
            };
            if name.starts_with('.') {
                continue;
            }
            if entries.len() == FOLDERS_MAX {
                self.lint(place, format!("more than {FOLDERS_MAX} entries"), "split the directory");
                break;
            }
            match fs::canonicalize(entry.path()) {
                Ok(real) if real.starts_with(&self.root) => {
                    entries.insert(name, real);
                }
                Ok(_) => {
                    let fix = "copy the file into the template directory";
                    self.lint(&format!("{place}/{name}"), "the link leaves the template directory", fix);
                }
                Err(error) => {
                    self.unreadable::<()>(&format!("{place}/{name}"), &error);
                }
            }
        }
        entries
    }

    fn unreadable<T>(&mut self, place: &str, error: &std::io::Error) -> Option<T> {
        if error.kind() == ErrorKind::NotFound {
            let cause = "there is nothing there: a link that leads nowhere, or a file that went meanwhile";
            return self.refused(place, cause, "correct the link, or remove it");
        }
        self.refused(place, &format!("it cannot be read: {}", error.kind()), "let the relay read it")
    }

    fn refused<T>(&mut self, place: &str, cause: &str, fix: &str) -> Option<T> {
        self.lint(place, cause, fix);
        None
    }

    fn lint(&mut self, place: &str, cause: impl Into<String>, fix: &str) {
        self.lints.push(Lint::new(place.trim_start_matches('/'), (0, 0), cause, fix));
    }
}

/// The shape of a language tag (RFC 5646 §2.1): a language of two or three letters, then parts of one
/// to eight letters or digits.
pub fn is_language_tag(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let language = parts.next().unwrap_or("");
    tag.len() <= 35
        && (2..=3).contains(&language.len())
        && language.bytes().all(|b| b.is_ascii_alphabetic())
        && parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, path: &str, bytes: &[u8]) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    #[test]
    fn folders_locales_and_assets_are_read() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a/template.toml", b"from = \"x\"");
        write(dir.path(), "a/subject.hbs", "\u{feff}s".as_bytes());
        write(dir.path(), "a/he-IL/body.txt.hbs", b"t");
        write(dir.path(), "a/assets/logo.png", b"\x89PNG");
        write(dir.path(), "README.md", b"x");
        write(dir.path(), ".git/x", b"x");
        let folders: Vec<Folder> =
            read_folders(dir.path()).unwrap().into_iter().map(Result::unwrap).collect();
        assert_eq!(folders.len(), 1);
        assert_eq!(folders[0].base.subject.as_deref(), Some("s"));
        assert_eq!(folders[0].locales["he-IL"].as_ref().unwrap().text.as_deref(), Some("t"));
        assert_eq!(folders[0].assets["logo.png"].len(), 4);
    }

    #[test]
    fn what_cannot_be_taken_is_named() {
        let outside = tempfile::NamedTempFile::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "a/subject.hbs", b"line\n\xff");
        write(dir.path(), "a/sbject.hbs", b"");
        write(dir.path(), "a/body.html.hbs", &vec![b'x'; SOURCE_BYTES_MAX + 1]);
        write(dir.path(), "a/pictures/x.png", b"");
        write(dir.path(), "b c/subject.hbs", b"");
        std::os::unix::fs::symlink(outside.path(), dir.path().join("a/body.txt.hbs")).unwrap();
        write(dir.path(), "whole/template.toml", b"from = \"x\"");
        let (whole, broken): (Vec<_>, Vec<_>) =
            read_folders(dir.path()).unwrap().into_iter().partition(Result::is_ok);
        assert_eq!(whole.len(), 1, "a broken one beside it does not matter");
        let broken: Vec<Broken> = broken.into_iter().map(Result::unwrap_err).collect();
        assert_eq!(broken.iter().map(|broken| &*broken.name).collect::<Vec<_>>(), ["a", "b c"]);
        let lints: Vec<&Lint> = broken.iter().flat_map(|broken| &broken.lints).collect();
        let found =
            |place: &str, cause: &str| lints.iter().any(|l| l.place == place && l.cause.contains(cause));
        assert!(found("a/subject.hbs", "not UTF-8"), "{lints:?}");
        assert!(lints.iter().any(|lint| lint.line == 2));
        assert!(found("a/sbject.hbs", "no template file"));
        assert!(found("a/body.html.hbs", "the file has more than"));
        assert!(found("a/pictures", "neither assets"));
        assert!(found("b c", "name has letters"));
        assert!(found("a/body.txt.hbs", "leaves the template directory"));
        assert!(found("a/template.toml", "missing"));
        let nowhere = read_folders(Path::new("/nowhere/at/all")).unwrap_err().to_string();
        assert!(nowhere.contains("there is no such folder") && !nowhere.contains("entity"), "{nowhere}");
        let file = read_folders(outside.path()).unwrap_err().to_string();
        assert!(file.contains("no folder"), "{file}");
    }
}
