//! Which elements may hold a person's value, and which change how parsers read what stands around them.

use super::mark::DATA;
use crate::render::elements::breaks_text;
use html5ever::{Attribute, QualName, ns};

/// What is not of HTML itself, or is read in a way of its own, or differently by parsers of different age.
pub(super) fn is_other_ground(element: &str) -> bool {
    matches!(
        element,
        "svg"
            | "math"
            | "select"
            | "option"
            | "optgroup"
            | "datalist"
            | "template"
            | "noscript"
            | "frameset"
            | "plaintext"
    )
}

/// Elements whose text is sent with a form, or that a reader does not see as text.
pub(super) fn hides_text(element: &str) -> bool {
    matches!(
        element,
        "textarea"
            | "style"
            | "script"
            | "xmp"
            | "iframe"
            | "noembed"
            | "noframes"
            | "object"
            | "applet"
            | "video"
            | "audio"
            | "canvas"
    ) || is_other_ground(element)
}

/// Whether it decides how a parser reads the tags of lines and fields in and behind it, or what is shown of them: all elements
/// do but those within a line.
pub(super) fn shapes_lines(element: &str) -> bool {
    breaks_text(element)
        || hides_text(element)
        || matches!(element, "button" | "form" | "marquee" | "ruby" | "rb" | "rtc" | "title")
}

/// Whether programs take the text of an element for an address or an action: clients fetch those of microdata (schema.org).
pub(super) fn is_for_machines(element: &QualName, attributes: &[Attribute]) -> bool {
    const PARTS: [&str; 18] = [
        "action", "handler", "href", "icon", "image", "link", "logo", "map", "method", "page", "photo",
        "property", "sameas", "src", "target", "thumb", "uri", "url",
    ];
    // Of a link it is the href (HTML §5.2.4).
    if &*element.local == "a" && !attributes.iter().any(|one| &*one.name.local == "itemscope") {
        return false;
    }
    let names = attributes.iter().filter(|one| matches!(&*one.name.local, "itemprop" | "property"));
    names
        .map(|one| one.value.to_ascii_lowercase())
        .any(|names| names.contains(DATA) || PARTS.iter().any(|part| names.contains(part)))
}

pub(super) fn breaks_line(name: &QualName) -> bool {
    name.ns == ns!(html) && breaks_text(&name.local)
}

/// Whether the text around the element may be shown without its own. The title stands in the head, wherever it is written.
pub(super) fn hides_around(name: &QualName) -> bool {
    let is_root = matches!(&*name.local, "svg" | "math");
    if name.ns == ns!(html) { hides_text(&name.local) || &*name.local == "title" } else { is_root }
}
