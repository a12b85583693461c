//! What a path means where it stands: names of the root, of the enclosing loops, and of their parameters.
//! Keeps the account of everything that is read.

use super::expression::{DataPath, Expr, Local};
use super::path::PathText;
use super::program::{Origin, Uses};
use crate::nearest::nearest;
use crate::person::FIELD_NAME_BYTES_MAX;

/// Cause and fix of a path that means nothing.
pub(super) type Meaningless = (String, String);

/// What a value is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// It is written into the message.
    Written,
    /// It is only asked about.
    Asked,
}

/// Names of fields, each with line and column of its first use.
pub(super) type FirstUses = Vec<(String, (usize, usize))>;

/// One enclosing `#each` or `#with`.
#[derive(Debug, Clone)]
pub(super) struct Level {
    about: About,
    /// `@index` means something in it.
    in_loop: bool,
    is_each: bool,
    /// `as |item index|`
    pub(super) params: Vec<String>,
}

#[derive(Debug, Clone)]
enum About {
    Root(Root),
    Value(Origin),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Root {
    Person,
    Send,
}

impl Level {
    pub(super) fn value(origin: &Origin, is_each: bool, in_loop: bool) -> Self {
        let name = if is_each { format!("{}[]", origin.name) } else { origin.name.clone() };
        let about = About::Value(Origin { name, person: origin.person.clone() });
        Self { about, in_loop: in_loop || is_each, is_each, params: Vec::new() }
    }
}

/// The names known at a place in the template.
#[derive(Debug, Default)]
pub(super) struct Names {
    levels: Vec<Level>,
    guarded: Vec<Vec<String>>,
    uses: Uses,
    first_uses: FirstUses,
}

impl Names {
    pub(super) fn enter(&mut self, level: Level) {
        self.levels.push(level);
    }

    pub(super) fn leave(&mut self) {
        self.levels.pop();
    }

    /// Until [`Names::unguard`], these fields of the person have a value.
    pub(super) fn guard(&mut self, fields: Vec<&str>) {
        self.guarded.push(fields.into_iter().map(str::to_owned).collect());
    }

    pub(super) fn unguard(&mut self) {
        self.guarded.pop();
    }

    pub(super) fn is_in_loop(&self) -> bool {
        self.levels.last().is_some_and(|level| level.in_loop)
    }

    pub(super) fn into_uses(mut self) -> (Uses, FirstUses) {
        let required = &self.uses.person;
        self.uses.person_guarded.retain(|field| !required.contains(field));
        (self.uses, self.first_uses)
    }

    /// `#with person` and `#with send`.
    pub(super) fn whole(&self, text: &str) -> Option<Level> {
        let path = PathText::of(text);
        let from_root = path.root || matches!(self.level(path.ups), Some(None));
        let root = match path.names.as_slice() {
            [name] if from_root && name == "person" => Root::Person,
            [name] if from_root && name == "send" => Root::Send,
            _ => return None,
        };
        Some(Level {
            about: About::Root(root),
            in_loop: self.is_in_loop(),
            is_each: false,
            params: Vec::new(),
        })
    }

    /// Finds what a path reads, and takes it into account.
    pub(super) fn resolve(
        &mut self,
        text: &str,
        read: Read,
        at: (usize, usize),
    ) -> Result<(Expr, Origin), Meaningless> {
        let path = PathText::of(text);
        let (expr, origin) = self.find(text, &path)?;
        match &expr {
            Expr::Person(field) => self.use_field(field, read, at),
            Expr::Data(_) | Expr::Frame(..) => self.use_data(&origin.name),
            _ => {}
        }
        Ok((expr, origin))
    }

    fn find(&self, text: &str, path: &PathText) -> Result<(Expr, Origin), Meaningless> {
        if path.local {
            return self.local(text, path);
        }
        if path.root {
            return root_path(text, &path.names);
        }
        if let Some(found) = path.names.first().and_then(|name| self.param(name, &path.names[1..])) {
            return Ok(found);
        }
        let Some(level) = self.level(path.ups) else {
            return Err((format!("{text} goes out of all blocks"), String::from("write @root.data.NAME")));
        };
        let Some(level) = level else { return root_path(text, &path.names) };
        let index = self.levels.len() - 1 - path.ups;
        match &level.about {
            About::Root(Root::Person) => root_path(text, &under("person", &path.names)),
            About::Root(Root::Send) => root_path(text, &under("send", &path.names)),
            About::Value(origin) => {
                let head = path.names.first().map_or("", String::as_str);
                if path.ups == 0 && !path.here && matches!(head, "person" | "data" | "send") {
                    let cause = format!("{text} means the item's own part here, inside #each or #with");
                    return Err((cause, format!("write @root.{text}, or this.{text} if the item has it")));
                }
                Ok(below(index, origin, &path.names))
            }
        }
    }

    /// The enclosing level this many steps out; `Some(None)` is the root.
    fn level(&self, ups: usize) -> Option<Option<&Level>> {
        match self.levels.len().checked_sub(ups)? {
            0 => Some(None),
            index => Some(Some(&self.levels[index - 1])),
        }
    }

    fn local(&self, text: &str, path: &PathText) -> Result<(Expr, Origin), Meaningless> {
        let local = match path.names.as_slice() {
            [name] => match name.as_str() {
                "index" => Some(Local::Index),
                "key" => Some(Local::Key),
                "first" => Some(Local::First),
                "last" => Some(Local::Last),
                _ => None,
            },
            _ => None,
        };
        let Some(local) = local else {
            let fix = "use @index, @key, @first or @last";
            return Err((format!("there is no {text}"), String::from(fix)));
        };
        match self.level(path.ups) {
            Some(Some(level)) if level.in_loop => {
                let index = self.levels.len() - 1 - path.ups;
                let person = match &level.about {
                    About::Value(origin) => origin.person.clone(),
                    About::Root(_) => None,
                };
                Ok((Expr::Local(index, local), Origin { name: text.to_owned(), person }))
            }
            _ => Err((format!("{text} stands outside #each"), String::from("use it inside {{#each …}}"))),
        }
    }

    /// A name given by `as |item index|`, the innermost first.
    fn param(&self, name: &str, rest: &[String]) -> Option<(Expr, Origin)> {
        for (index, level) in self.levels.iter().enumerate().rev() {
            let About::Value(origin) = &level.about else { continue };
            match level.params.iter().position(|param| param == name) {
                Some(0) => return Some(below(index, origin, rest)),
                Some(_) if level.is_each => {
                    let origin = Origin { name: name.to_owned(), person: origin.person.clone() };
                    return Some((Expr::Local(index, Local::KeyOrIndex), origin));
                }
                _ => {}
            }
        }
        None
    }

    fn use_field(&mut self, field: &str, read: Read, at: (usize, usize)) {
        if self.first_uses.iter().all(|(known, _)| known != field) {
            self.first_uses.push((field.to_owned(), at));
        }
        let guarded = self.guarded.iter().flatten().any(|guarded| guarded == field);
        let uses = if guarded || read == Read::Asked {
            &mut self.uses.person_guarded
        } else {
            &mut self.uses.person
        };
        uses.insert(field.to_owned());
    }

    fn use_data(&mut self, name: &str) {
        if let Some(path) = name.strip_prefix("data.") {
            self.uses.data.insert(path.to_owned());
        }
    }
}

fn under(head: &str, names: &[String]) -> Vec<String> {
    std::iter::once(head.to_owned()).chain(names.iter().cloned()).collect()
}

/// `name` is that of the origin: with `data.` in front where it is known to be data.
fn data_path(name: &str, parts: &[String]) -> DataPath {
    let text = name.strip_prefix("data.").unwrap_or(name).into();
    DataPath { parts: parts.iter().map(|part| part.as_str().into()).collect(), text }
}

/// `data.items[].name`, an index as `[0]`.
fn joined(head: &str, names: &[String]) -> String {
    names.iter().fold(head.to_owned(), |path, name| {
        if name.parse::<usize>().is_ok() { format!("{path}[{name}]") } else { format!("{path}.{name}") }
    })
}

fn below(index: usize, origin: &Origin, names: &[String]) -> (Expr, Origin) {
    let origin = Origin { name: joined(&origin.name, names), person: origin.person.clone() };
    (Expr::Frame(index, data_path(&origin.name, names)), origin)
}

fn root_path(text: &str, names: &[String]) -> Result<(Expr, Origin), Meaningless> {
    let origin =
        |person: Option<&String>| Origin { name: joined(&names[0], &names[1..]), person: person.cloned() };
    let parts: Vec<&str> = names.iter().map(String::as_str).collect();
    let expr = match parts.as_slice() {
        ["person", field] if field.len() <= FIELD_NAME_BYTES_MAX => {
            return Ok((Expr::Person((*field).into()), origin(Some(&names[1]))));
        }
        ["person", _] => return Err(("the field's name is too long".into(), "use a shorter name".into())),
        ["person"] | ["person", ..] => {
            let fix = "name one field: person.first_name";
            return Err((format!("{text} is not one field of the person"), fix.into()));
        }
        ["send", "number"] => Expr::SendNumber,
        ["send", "campaign"] => Expr::SendCampaign,
        ["send", "date"] => Expr::SendDate,
        ["send", ..] => {
            return Err((
                format!("there is no {text}"),
                "use send.number, send.campaign or send.date".into(),
            ));
        }
        ["data", ..] => Expr::Data(data_path(&joined("data", &names[1..]), &names[1..])),
        [] => return Err((format!("{text} means nothing outside #each and #with"), "name data.NAME".into())),
        [name, ..] => {
            let cause = format!("{name} is not known here");
            let root = if text.starts_with("@root.") { "@root." } else { "" };
            let fix = match nearest(name, ["person", "data", "send"]).filter(|_| names.len() > 1) {
                Some(meant) => format!("write {root}{}", joined(meant, &names[1..])),
                None => {
                    let path = joined(name, &names[1..]);
                    format!(
                        "write {root}data.{path} if the job sends it, {root}person.{path} if the vault has it"
                    )
                }
            };
            return Err((cause, fix));
        }
    };
    Ok((expr, origin(None)))
}

#[cfg(test)]
mod tests {
    use crate::render::program::{Program, Syntax};

    fn fix_of(source: &str) -> String {
        Program::compile(source, Syntax::Text, "t").unwrap_err().remove(0).fix
    }

    #[test]
    fn a_name_that_is_not_known_is_told_with_a_path_that_is() {
        let either = |root: &str, path: &str| {
            format!("write {root}data.{path} if the job sends it, {root}person.{path} if the vault has it")
        };
        for (source, fix) in [
            ("{{persn.city}}", "write person.city".to_owned()),
            ("{{#each data.l}}{{@root.persn.city}}{{/each}}", "write @root.person.city".to_owned()),
            ("{{city}}", either("", "city")),
            ("{{#each data.l}}{{@root.city.name}}{{/each}}", either("@root.", "city.name")),
            ("{{#each data.l}}{{@root.städte.ort}}{{/each}}", either("@root.", "städte.ort")),
        ] {
            assert_eq!(fix_of(source), fix, "{source}");
        }
        // As long as what stands before it, and of letters of several bytes.
        for letters in 1..20 {
            let name = "\u{fffd}".repeat(letters);
            fix_of(&format!("{{{{#each data.l}}}}{{{{@root.p{name}erson.city}}}}{{{{/each}}}}"));
        }
    }
}
