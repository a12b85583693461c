//! Parts and stretches that go out as they came: nothing is filled in there, so a placeholder in them is told.

use super::charset::Charset;
use super::field::Field;
use super::leaf::Reading;
use super::media::MediaType;
use super::outline::{Content, Outline, Part, Section};
use super::transfer::TransferEncoding;
use super::{Reader, word};
use crate::render::literals::Unmeant;
use crate::render::program::Syntax;
use crate::render::shown;
use encoding_rs::{Encoding, UTF_8};
use std::borrow::Cow;

/// How far into a part it is looked whether it is text.
const LOOKED_OCTETS_MAX: usize = 4096;
/// Messages within forwarded messages.
const FORWARDED_MAX: usize = 5;

impl Reader<'_> {
    /// What stands before, between and behind the parts of a multipart; old readers show it.
    pub(super) fn look_between(&mut self, octets: &[u8], part: &Part<'_>) {
        if memchr::memmem::find(octets, b"{{").is_some() {
            let place = format!("{}, before or behind its parts", part.place());
            self.unmeant.look_at_unfilled(&String::from_utf8_lossy(octets), &place);
        }
    }

    pub(super) fn look_at_untouched(&mut self, part: &Part<'_>, media: &MediaType) {
        let place = part.place();
        Look { unmeant: &mut self.unmeant, declared: self.declared, place: &place, depth: 0 }
            .leaf(part, media);
    }
}

struct Look<'l> {
    unmeant: &'l mut Unmeant,
    declared: super::Declared,
    /// The message's own part that all this stands in.
    place: &'l str,
    depth: usize,
}

impl Look<'_> {
    fn leaf(&mut self, part: &Part<'_>, media: &MediaType) {
        if media.is_picture_or_sound() || !is_text(part.body, media) {
            return;
        }
        for encoding in [Some(media.encoding), media.other_encoding].into_iter().flatten() {
            let octets =
                encoding.decode(part.body).map_or(Cow::Borrowed(part.body), |decoded| decoded.octets);
            match media.is_message() && self.depth < FORWARDED_MAX {
                true => self.message(&octets),
                false => self.octets(&octets, media),
            }
        }
    }

    fn octets(&mut self, octets: &[u8], media: &MediaType) {
        let text = match Encoding::for_bom(octets) {
            Some((encoding, _)) if encoding != UTF_8 => Charset::Known(encoding).decode(octets).0,
            _ => Reading::of(media, octets, self.declared)
                .map_or_else(|_| String::from_utf8_lossy(octets), |reading| reading.text),
        };
        self.text(&text, media.shown_as());
    }

    fn text(&mut self, text: &str, syntax: Syntax) {
        self.unmeant.look_at_unfilled(&shown::written_out(text, syntax), self.place);
    }

    /// A message within the message, as whoever opens it would see it; where it cannot be read, its octets.
    fn message(&mut self, octets: &[u8]) {
        self.text(&String::from_utf8_lossy(octets), Syntax::Text);
        let Ok(outline) = Outline::read(octets) else { return };
        let Ok(tree) = outline.tree() else { return };
        self.depth += 1;
        outline.head.iter().for_each(|field| self.field(field));
        self.part(&tree.root);
        self.depth -= 1;
    }

    fn field(&mut self, field: &Field<'_>) {
        if field.has_placeholder() {
            self.text(&word::decode(&String::from_utf8_lossy(field.value)).text, Syntax::Header);
        }
    }

    fn part(&mut self, part: &Part<'_>) {
        part.fields.iter().for_each(|field| self.field(field));
        match &part.content {
            Content::Single | Content::Opaque => self.leaf(part, &part.media()),
            Content::Multi { sections, .. } => {
                for section in sections {
                    if let Section::Part(part) = section {
                        self.part(part);
                    }
                }
            }
        }
    }
}

/// Whether the octets are a text's, as far as their beginning tells.
fn is_text(body: &[u8], media: &MediaType) -> bool {
    if media.is_text() || media.is_message() {
        return true;
    }
    let begin = beginning(body, media.encoding);
    let has_order = Encoding::for_bom(&begin).is_some();
    let is_utf8 = || match std::str::from_utf8(&begin) {
        Ok(_) => true,
        // Cut within a letter.
        Err(error) => error.error_len().is_none(),
    };
    has_order || !begin.contains(&0) && is_utf8()
}

/// Some of what the part says; a cut within a group of four letters is no group.
fn beginning(body: &[u8], encoding: TransferEncoding) -> Cow<'_, [u8]> {
    let end = body.len().min(LOOKED_OCTETS_MAX);
    let decoded = (end.saturating_sub(3)..=end).rev().find_map(|end| encoding.decode(&body[..end]));
    decoded.map_or(Cow::Borrowed(&body[..end]), |decoded| decoded.octets)
}
