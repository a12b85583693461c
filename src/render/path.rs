//! The text of a path, taken apart: `person.first_name`, `../data.items`, `@root.data.x`, `@index`, `this`.

/// A path as written. Names in brackets (`data.[odd name]`, `data.items.[0]`) are names like others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PathText {
    /// `@index` and its like.
    pub local: bool,
    /// `@root.…`
    pub root: bool,
    /// How many `../` it starts with.
    pub ups: usize,
    /// It starts with `this.` or `./`.
    pub here: bool,
    pub names: Vec<String>,
}

impl PathText {
    /// Takes a path apart that the parser has accepted.
    pub fn of(raw: &str) -> Self {
        let mut path = Self::default();
        let mut rest = raw;
        for here in ["this.", "this/", "./"] {
            if let Some(tail) = rest.strip_prefix(here) {
                (path.here, rest) = (true, tail);
                break;
            }
        }
        if let Some(tail) = rest.strip_prefix("@root.").or_else(|| rest.strip_prefix("@root/")) {
            (path.root, rest) = (true, tail);
        }
        if let Some(tail) = rest.strip_prefix('@') {
            (path.local, rest) = (true, tail);
        }
        while let Some(tail) = rest.strip_prefix("../").or_else(|| rest.strip_prefix("...")) {
            path.ups += 1;
            rest = tail;
        }
        path.names = names(rest);
        path
    }
}

fn names(mut rest: &str) -> Vec<String> {
    let mut names = Vec::new();
    while !rest.is_empty() {
        let (name, tail) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']').unwrap_or((inner, "")),
            None => rest.split_at(rest.find(['.', '/']).unwrap_or(rest.len())),
        };
        // The parser drops `this` wherever it stands, in brackets too.
        if name != "this" {
            names.push(name.to_owned());
        }
        rest = tail.strip_prefix(['.', '/']).unwrap_or(tail);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(raw: &str) -> (usize, bool, Vec<String>) {
        let path = PathText::of(raw);
        (path.ups, path.local || path.root || path.here, path.names)
    }

    #[test]
    fn paths_are_taken_apart() {
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(path("person.first_name"), (0, false, names(&["person", "first_name"])));
        assert_eq!(path("data/a.[b c].[0]"), (0, false, names(&["data", "a", "b c", "0"])));
        assert_eq!(path("../../x"), (2, false, names(&["x"])));
        assert_eq!(path("this"), (0, false, names(&[])));
        assert_eq!(path("this.x"), (0, true, names(&["x"])));
        assert_eq!(path("@root.data.x"), (0, true, names(&["data", "x"])));
        assert_eq!(path("@../index"), (1, true, names(&["index"])));
        assert_eq!(path("../this"), (1, false, names(&[])));
    }
}
