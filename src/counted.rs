//! How many of something, in words.

/// `1 job`, `2 jobs`, `0 jobs`; the noun is given as of one.
pub fn counted(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {}", plural(noun)),
    }
}

fn plural(noun: &str) -> String {
    let is_vowel = |c: char| "aeiou".contains(c);
    match noun.strip_suffix('y') {
        _ if noun.ends_with("person") => format!("{}people", &noun[..noun.len() - "person".len()]),
        Some(stem) if !stem.ends_with(is_vowel) => format!("{stem}ies"),
        _ if ["s", "x", "ch", "sh"].iter().any(|end| noun.ends_with(end)) => format!("{noun}es"),
        _ => format!("{noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn d_one_is_no_plural() {
        for (count, noun, told) in [
            (0, "job", "0 jobs"),
            (1, "job", "1 job"),
            (2, "refused job", "2 refused jobs"),
            (1, "person", "1 person"),
            (3, "person", "3 people"),
            (2, "address", "2 addresses"),
            (2, "entry", "2 entries"),
            (2, "day", "2 days"),
        ] {
            assert_eq!(counted(count, noun), told);
        }
    }
}
