//! The name that was meant, where one was written that does not exist.

/// Longer names are not looked at, in characters: what comes from outside must cost little.
const NAME_CHARS_MAX: usize = 64;
/// Slips of the hand that are forgiven, at most; a third of the name where it is short.
const SLIPS_MAX: usize = 3;

/// The one of `names` that `written` most likely stands for, if any is near enough to be more than a guess.
pub fn nearest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = written.chars().count();
    if length > NAME_CHARS_MAX {
        return None;
    }
    let written = written.to_lowercase();
    let slips_max = length.div_ceil(3).min(SLIPS_MAX);
    let near = |name: &'a str| {
        let name_length = name.chars().count();
        if name_length > NAME_CHARS_MAX {
            return None;
        }
        let lower = name.to_lowercase();
        let slips = strsim::damerau_levenshtein(&lower, &written);
        // The beginning of a long name, or a name with something behind it.
        let begins = length.min(name_length) >= SLIPS_MAX
            && (lower.starts_with(&written) || written.starts_with(&lower));
        (slips <= slips_max || begins).then_some((slips, name))
    };
    names.into_iter().filter_map(near).min().map(|(_, name)| name)
}

/// [`nearest`] as the end of a sentence: `; did you mean NAME?`, or nothing.
pub fn did_you_mean<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(written, names).map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// The one of `names` of which `written` is a slip of the hand: a letter in four is wrong, and two at most.
pub fn slip_of<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase();
    let slips = |name: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &written);
    let is_near = |(slips, name): &(usize, &str)| *slips <= (name.chars().count() / 4).min(2);
    let short = |text: &str| text.len() <= NAME_CHARS_MAX;
    let names = names.into_iter().filter(|name| short(name) && short(&written));
    names.map(|name| (slips(name), name)).filter(is_near).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d_what_was_meant_is_near_and_nothing_else_is_named() {
        let names = ["welcome", "receipt", "statement", "welcome-back", "ttl"];
        for (written, meant) in [
            ("welcom", "welcome"),
            ("Wellcome", "welcome"),
            ("reciept", "receipt"),
            ("tlt", "ttl"),
            ("state", "statement"),
            ("receipt-2026", "receipt"),
            ("welcome_back", "welcome-back"),
        ] {
            assert_eq!(nearest(written, names), Some(meant), "{written}");
        }
        for stranger in ["", "abc", "t", "invoice", "x".repeat(70).as_str()] {
            assert_eq!(nearest(stranger, names), None, "{stranger}");
        }
        assert_eq!(did_you_mean("welcom", names), "; did you mean welcome?");
        assert_eq!(did_you_mean("invoice", names), "");
    }
}
