//! What a program opens a text part as: by its type, by the name of its file. Only what is judged takes a person's value.

use super::media::{Format, MediaType, names};
use super::outline::Part;
use super::xml;

/// Why no value of a person may stand in a part, and what to do.
pub type Unfit = (String, &'static str);

/// # Errors
/// What a program would open the part as in which nobody judges the places of values.
pub fn judge(part: &Part<'_>, media: &MediaType, format: Format, text: &str) -> Result<(), Unfit> {
    if media.is_unjudged_text() {
        return Err((
            format!(
                "a value of a person, or a block that depends on one, in {}, in which links are made in ways that nobody judges",
                media.name()
            ),
            "send it as text/plain, text/html or text/csv",
        ));
    }
    if let Some(extension) =
        part.fields.iter().flat_map(names).find_map(|name| other_kind(&name, media, format))
    {
        return Err((
            format!(
                "a value of a person, or a block that depends on one, in {} whose file is named .{extension}: programs that go by \
                 the name open it as something else",
                media.name()
            ),
            "name the file as its type says (.txt, .html, .csv, .ics), or leave the name out",
        ));
    }
    if media.is_read_as_xml() { xml::judge(text, media.may_hold_a_piece()) } else { Ok(()) }
}

/// The extension of a file's name, where it says something else than the type. Windows reads over blanks and dots at the end.
fn other_kind(name: &str, media: &MediaType, format: Format) -> Option<String> {
    let is_passed_over = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '"');
    let (_, extension) = name.trim_end_matches(is_passed_over).rsplit_once(['.', '\u{ff0e}', '\u{2024}'])?;
    let extension = extension.to_lowercase();
    let known: &[&str] = match format {
        Format::Prose => &["txt", "text", "asc", "log"],
        Format::Html if media.is_read_as_xml() => &["xhtml", "xht", "xml", "html", "htm"],
        Format::Html => &["html", "htm"],
        Format::ContentLines => &["ics", "ical", "icalendar", "ifb", "vcs", "vcf", "vcard"],
        Format::Csv => &["csv", "txt"],
        Format::Json => &["json", "jsonld", "txt"],
        Format::Lines => &[],
    };
    (!known.contains(&extension.as_str())).then_some(extension)
}
