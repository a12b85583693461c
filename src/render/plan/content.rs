//! What stands below the header of a template's message.

use super::boundary::{Boundary, Kind};
use super::builder::Assembly;
use super::piece::Piece;
use crate::render::body::{Body, Layout, Place};
use crate::render::program::Program;

/// A part that is the same for everybody, header and base64 body.
#[derive(Debug)]
pub struct Leaf(pub Vec<u8>);

#[derive(Debug)]
pub enum Attached {
    Same(Leaf),
    /// Lines of a calendar or card, behind their header.
    Filled {
        head: Vec<u8>,
        program: Box<Program>,
    },
}

/// mixed( alternative( text, related( html, inline ) ), attachments ), each level
/// only where it is needed.
pub struct Content {
    pub text: Option<Program>,
    pub html: Option<Program>,
    pub inline: Vec<Leaf>,
    pub attachments: Vec<Attached>,
}

impl Content {
    pub(in crate::render) fn write(self, assembly: &mut Assembly) {
        let boundary = Boundary::random();
        let Self { text, html, inline, attachments } = self;
        let is_alternative = text.is_some() && html.is_some();
        let is_related = html.is_some() && !inline.is_empty();
        let in_multipart = is_alternative || is_related || !attachments.is_empty();
        let mixed = (!attachments.is_empty()).then(|| Multipart::open(Kind::Mixed, &boundary, assembly));
        mixed.iter().for_each(|mixed| mixed.next(assembly));
        let alternative = is_alternative.then(|| Multipart::open(Kind::Alternative, &boundary, assembly));
        if let Some(text) = text {
            alternative.iter().for_each(|alternative| alternative.next(assembly));
            put_body(text, "plain", in_multipart, assembly);
        }
        if let Some(html) = html {
            alternative.iter().for_each(|alternative| alternative.next(assembly));
            let related = is_related.then(|| Multipart::open(Kind::Related, &boundary, assembly));
            related.iter().for_each(|related| related.next(assembly));
            put_body(html, "html", in_multipart, assembly);
            if let Some(related) = related {
                inline.iter().for_each(|leaf| related.leaf(leaf, assembly));
                related.close(assembly);
            }
        }
        alternative.iter().for_each(|alternative| alternative.close(assembly));
        if let Some(mixed) = mixed {
            for attached in attachments {
                match attached {
                    Attached::Same(leaf) => mixed.leaf(&leaf, assembly),
                    Attached::Filled { head, program } => {
                        mixed.next(assembly);
                        assembly.put(&head);
                        put_program(*program, Place { in_multipart: true, layout: Layout::Folded }, assembly);
                    }
                }
            }
            mixed.close(assembly);
        }
    }
}

fn put_body(program: Program, subtype: &str, in_multipart: bool, assembly: &mut Assembly) {
    assembly.put(format!("Content-Type: text/{subtype}; charset=utf-8\r\n").as_bytes());
    put_program(program, Place { in_multipart, layout: Layout::Prose }, assembly);
}

fn put_program(program: Program, place: Place, assembly: &mut Assembly) {
    let body = Body::new(program, place);
    body.prepare();
    assembly.add(Piece::Body(Box::new(body)));
}

/// An open multipart (RFC 2046 §5.1).
struct Multipart(String);

impl Multipart {
    /// The empty line below the header is the one that [`Multipart::next`] begins with.
    fn open(kind: Kind, boundary: &Boundary, assembly: &mut Assembly) -> Self {
        let own = boundary.of(kind);
        let subtype = kind.subtype();
        assembly.put(format!("Content-Type: multipart/{subtype};\r\n boundary=\"{own}\"\r\n").as_bytes());
        Self(own)
    }

    fn next(&self, assembly: &mut Assembly) {
        assembly.put(format!("\r\n--{}\r\n", self.0).as_bytes());
    }

    fn leaf(&self, leaf: &Leaf, assembly: &mut Assembly) {
        self.next(assembly);
        assembly.put(&leaf.0);
    }

    fn close(&self, assembly: &mut Assembly) {
        assembly.put(format!("\r\n--{}--\r\n", self.0).as_bytes());
    }
}
