//! Fonts that are fetched once a text has a letter that another one lacks.

use std::collections::HashSet;

const BEHIND: &str = "an own font (@font-face) behind another one in a list of fonts: it is fetched for letters that the one before it lacks";
const TWICE: &str =
    "two fonts (@font-face) of one name, weight and style: one is fetched for letters that the other lacks";

const MANY: &str = "more fonts (@font-face) than can be held against each other";
const FACES_MAX: usize = 60;

const BRACES: &str =
    "quotes around { or }, beside an own font (@font-face): where a rule ends cannot be told";

/// Names of one font: who writes more means nothing good.
const FAMILIES_MAX: usize = 8;

/// One `@font-face` with files.
#[derive(Debug, PartialEq, Eq)]
struct Face<'c> {
    declarations: &'c str,
    /// None, where it may be any.
    families: Vec<String>,
    /// None, where it may be any.
    weight: Option<u16>,
    is_italic: Option<bool>,
}

/// What in a style sheet, or in the styles of elements, has a font fetched by the letters of a text: all of them as
/// [`super::css::readings`] has them, the sheet once without services of fonts, and once with them.
pub(super) fn what_sees_letters(sheet: &str, whole: &str, declared: &[String]) -> Option<&'static str> {
    if sheet.contains("@font-face") && has_brace_in_quotes(sheet) {
        return Some(BRACES);
    }
    let own: Vec<Face<'_>> = sheet.split("@font-face").skip(1).filter_map(Face::of).collect();
    if own.is_empty() {
        return None;
    }
    if own.len() > FACES_MAX || own.iter().any(|face| face.families.len() > FAMILIES_MAX) {
        return Some(MANY);
    }
    // One of a service has letters that an own one of its name lacks, too.
    let has_twin = |one: &Face<'_>| own.iter().any(|face| face.is_twin_of(one));
    if whole.split("@font-face").skip(1).filter_map(Face::of).any(|one| has_twin(&one)) {
        return Some(TWICE);
    }
    // One whose name is not found may have any: it stands for all, as the empty one.
    let mut names: HashSet<&str> = own.iter().flat_map(|face| &face.families).map(String::as_str).collect();
    if own.iter().any(|face| face.families.is_empty()) {
        names.insert("");
    }
    let of_elements = declared.iter().map(String::as_str);
    let mut each = std::iter::once(sheet).chain(of_elements).flat_map(|css| css.split(['{', '}', ';']));
    each.any(|declaration| is_behind(declaration, &names)).then_some(BEHIND)
}

/// Whether one of them stands in a list of fonts, and not first.
fn is_behind(declaration: &str, own: &HashSet<&str>) -> bool {
    let Some((property, list)) = declaration.split_once(':') else { return false };
    let property = property.trim_matches(|c: char| c.is_ascii_whitespace() || matches!(c, '*' | '_'));
    if !(matches!(property, "font" | "font-family" | "initial-value") || property.starts_with("--")) {
        return false;
    }
    let is_own = |item: &str| {
        let name = family(item.trim_end_matches([')', ' ']));
        item.contains("var(") || own.contains("") || own.contains(name.as_str())
    };
    // Where a list is written elsewhere, or a sign within quotes looks like its comma, any may stand in it.
    let is_any = |item: &str| {
        item.contains("attr(") || item.matches('"').count() % 2 == 1 || item.matches('\'').count() % 2 == 1
    };
    list.split(',').any(is_any) || list.split(',').skip(1).any(is_own)
}

fn has_brace_in_quotes(css: &str) -> bool {
    let mut quote = None;
    css.chars().any(|c| {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (_, Some(open)) if open == c => quote = None,
            ('\n', _) => quote = None,
            ('{' | '}', Some(_)) => return true,
            _ => {}
        }
        false
    })
}

impl<'c> Face<'c> {
    /// The face whose block the text begins with; none, where it has no files.
    fn of(css: &'c str) -> Option<Self> {
        let declarations = css.split_once('{').map_or(css, |(_, rest)| rest);
        let declarations = declarations.split('}').next().unwrap_or("");
        let told = |name: &str| -> Vec<&str> {
            let each = declarations.split(';').filter_map(|one| one.split_once(':'));
            each.filter(|(property, _)| property.trim() == name).map(|(_, value)| value.trim()).collect()
        };
        let weight = match told("font-weight")[..] {
            [] | ["normal"] => Some(400),
            ["bold"] => Some(700),
            // Any other is none, and the font has another weight than was written.
            [one] if one.bytes().all(|byte| byte.is_ascii_digit()) => {
                one.parse().ok().filter(|weight| (1..=1000).contains(weight))
            }
            _ => None,
        };
        let is_italic = match told("font-style")[..] {
            [] | ["normal"] => Some(false),
            ["italic"] => Some(true),
            _ => None,
        };
        let is_whole = ['"', '\''].iter().all(|quote| declarations.matches(*quote).count().is_multiple_of(2))
            && declarations.matches('(').count() == declarations.matches(')').count();
        let named = told("font-family").into_iter().map(family);
        // A brace in an address ends the block too early, and its name may stand behind it.
        let families = named.filter(|_| is_whole).collect();
        // Word tells of fonts without any.
        // What stands behind a rule within it is not seen here.
        let is_cut = declarations.contains('{');
        let families = if is_cut { Vec::new() } else { families };
        (is_cut || declarations.contains("src")).then_some(Self { declarations, families, weight, is_italic })
    }

    /// Whether the letters that one lacks are looked for in the other. The same one may be written twice.
    fn is_twin_of(&self, other: &Self) -> bool {
        let is_same = self.weight.is_none() || other.weight.is_none() || self.weight == other.weight;
        let is_shaped_alike =
            self.is_italic.is_none() || other.is_italic.is_none() || self.is_italic == other.is_italic;
        let is_named_alike = self.families.is_empty()
            || other.families.is_empty()
            || self.families.iter().any(|family| other.families.contains(family));
        is_same && is_shaped_alike && is_named_alike && self.declarations != other.declarations
    }
}

fn family(written: &str) -> String {
    let written = written.trim().trim_end_matches("!important");
    // With spaces at an end or without: an escaped one, or one within quotes, is part of the name.
    let bare = written.replace(['"', '\''], " ");
    bare.split_ascii_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::super::css::readings;
    use super::*;

    fn seen(css: &str, declared: &str) -> Option<&'static str> {
        let declared = readings(declared);
        readings(css).iter().find_map(|css| what_sees_letters(css, css, &declared))
    }

    #[test]
    fn p3_a_font_behind_others_is_known() {
        let z = "@font-face{font-family:z;src:url(https://t/has-z)}";
        for css in [
            format!("@font-face{{font-family:q;src:url(data:font/ttf;base64,AA)}}{z}p{{font-family:q,z}}"),
            format!("{z}p{{font-family:Arial, \"Z\" !important}}"),
            format!("{z}p{{font:12px/1.5 Arial,z}}"),
            format!("{z}p{{font-family:Arial,\\7a }}"),
            format!("{z}:root{{--z:z}}p{{font-family:Arial,var(--z)}}"),
            format!("{z}:root{{--f:Arial,z}}p{{font-family:var(--f)}}"),
            format!("{z}@font-face{{font-family:z;src:url(data:font/ttf;base64,AA)}}p{{font-family:z}}"),
            format!("{z}@font-face{{font-family:z;font-weight:7000;src:url(//t/b)}}p{{font-family:z}}"),
            format!("{z}@font-face{{font-family:z;font-weight:+700;src:url(//t/b)}}p{{font-family:z}}"),
            format!("{}p{{font-family:a,\u{e9}}}", z.replace('z', "\u{c9}")),
            format!("{z}@font-face{{font-family:z;font-weight:100 900;src:url(//t/b)}}p{{font-family:z}}"),
            format!("{z}p{{font-family:attr(data-f type(*))}}"),
            format!("{z}p{{font:attr(data-f type(*))}}"),
            format!("{}p{{font-family:a,'z}}'}}", z.replace("family:z", "family:'z}'")),
            format!("{}p{{font-family:a,'z,y'}}", z.replace("family:z", "family:'z,y'")),
            String::from("@font-face{font-family:z\\ ;src:url(//t/a)}p{font-family:a,'z '}"),
            String::from("@font-face{font-family:z;x:{};src:url(//t/a)}p{font-family:a,z}"),
            String::from("@font-face{src:url(\"//t/}\");font-family:z}p{font-family:Arial,z}"),
            String::from("@font-face{font-family:a;src:url(//t/});font-family:z}p{font-family:Arial,z}"),
        ] {
            assert!(seen(&css, "").is_some(), "{css}");
        }
        assert_eq!(seen(z, "font-family:Arial,z"), Some(BEHIND));
        for css in [
            format!("{z}p{{font-family:z,Arial,sans-serif}}h1{{font:bold 20px z, serif}}"),
            format!("{z}{z}p{{transition:color 1s, background 1s}}"),
            format!(
                "{z}@font-face{{font-family:z;font-weight:bold;src:url(https://t/bold)}}b{{font-family:z}}"
            ),
            String::from("p{font-family:Arial,z}"),
            String::from(
                "@font-face{font-family:\"Cambria Math\";panose-1:2 4 5}p{font-family:Times,\"Cambria Math\"}",
            ),
            format!("{z}p{{background:linear-gradient(red,var(--z))}}"),
        ] {
            assert_eq!(seen(&css, "font-family:Arial,Helvetica"), None, "{css}");
        }
    }
}
