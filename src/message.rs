//! A finished message: octets of one person alone, wiped when dropped, and between them stretches that are the same
//! for everybody and are never copied.

use crate::personal::Wiped;
use memchr::memchr_iter;
use std::fmt;
use std::sync::Arc;

/// Octets that many messages hold, with what is known of them once and for all.
#[derive(Clone)]
pub struct Fixed(Arc<FixedOctets>);

struct FixedOctets {
    octets: Box<[u8]>,
    is_ascii: bool,
    /// A dot stands behind a CR or LF within.
    has_dot_line: bool,
}

impl Fixed {
    pub fn new(octets: impl Into<Box<[u8]>>) -> Self {
        let octets = octets.into();
        Self(Arc::new(FixedOctets {
            is_ascii: octets.is_ascii(),
            has_dot_line: has_dot_line(b'a', &octets),
            octets,
        }))
    }
}

impl std::ops::Deref for Fixed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.octets
    }
}

impl fmt::Debug for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fixed({} octets)", self.len())
    }
}

/// Headers and body with CRLF line ends, not dot-stuffed.
#[derive(Clone, Default)]
pub struct Message {
    own: Wiped,
    /// Each behind so many octets of `own`, in order.
    shared: Vec<(usize, Fixed)>,
    octets: usize,
}

impl Message {
    /// `shared` are the stretches that stand between octets of `own`: each with how many of these come before it, in
    /// order.
    pub fn new(own: Wiped, shared: Vec<(usize, Fixed)>) -> Self {
        debug_assert!(shared.is_sorted_by_key(|(at, _)| *at));
        debug_assert!(shared.last().is_none_or(|(at, _)| *at <= own.len()));
        let octets = own.len() + shared.iter().map(|(_, fixed)| fixed.len()).sum::<usize>();
        Self { own, shared, octets }
    }

    pub fn len(&self) -> usize {
        self.octets
    }

    pub fn is_empty(&self) -> bool {
        self.octets == 0
    }

    /// All octets, in order. No part is empty.
    pub fn parts(&self) -> Parts<'_> {
        Parts { message: self, own: 0, next: 0 }
    }

    /// The message in one piece.
    pub fn to_octets(&self) -> Wiped {
        let mut whole = Wiped::with_capacity(self.octets);
        self.parts().for_each(|part| whole.extend_from_slice(part));
        whole
    }

    pub fn is_ascii(&self) -> bool {
        self.own.is_ascii() && self.shared.iter().all(|(_, fixed)| fixed.0.is_ascii)
    }

    pub fn ends_with_line_end(&self) -> bool {
        // Nearly always its last part tells, and the others need not be looked at.
        match self.shared.last() {
            Some((at, fixed)) if *at == self.own.len() && fixed.len() > 1 => {
                return fixed.ends_with(b"\r\n");
            }
            Some((at, _)) if self.own.len() > at + 1 => return self.own.ends_with(b"\r\n"),
            _ => {}
        }
        let mut last = [0; 2];
        for part in self.parts() {
            match part {
                [.., before, octet] => last = [*before, *octet],
                [octet] => last = [last[1], *octet],
                [] => {}
            }
        }
        last == *b"\r\n"
    }

    /// What it lacks at its end, where every line has to have one.
    pub fn missing_line_end(&self) -> &'static [u8] {
        if self.is_empty() || self.ends_with_line_end() { b"" } else { b"\r\n" }
    }

    /// Whether a dot opens a line, or stands behind a bare CR or LF: in DATA it needs a second one, or is not safe at
    /// all (RFC 5321 §4.5.2). Of the shared stretches only the edges are looked at.
    pub fn has_dot_line(&self) -> bool {
        let mut before = b'\n';
        let mut fixed = self.shared.iter().map(|(_, fixed)| fixed).peekable();
        for part in self.parts() {
            let found = match fixed.next_if(|fixed| std::ptr::eq(fixed.as_ptr(), part.as_ptr())) {
                Some(fixed) => fixed.0.has_dot_line || has_dot_line(before, &part[..1]),
                None => has_dot_line(before, part),
            };
            if found {
                return true;
            }
            before = part[part.len() - 1];
        }
        false
    }
}

impl From<Vec<u8>> for Message {
    fn from(octets: Vec<u8>) -> Self {
        Self::new(octets.into(), Vec::new())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} octets)", self.octets)
    }
}

/// See [`Message::parts`].
#[derive(Debug, Clone)]
pub struct Parts<'a> {
    message: &'a Message,
    own: usize,
    next: usize,
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let message = self.message;
        while let Some((at, fixed)) = message.shared.get(self.next) {
            if self.own < *at {
                let part = &message.own[self.own..*at];
                self.own = *at;
                return Some(part);
            }
            self.next += 1;
            if !fixed.is_empty() {
                return Some(fixed);
            }
        }
        let rest = &message.own[self.own..];
        self.own = message.own.len();
        (!rest.is_empty()).then_some(rest)
    }
}

/// Whether a dot stands behind a CR or LF; `before` is the octet in front of `octets`.
fn has_dot_line(before: u8, octets: &[u8]) -> bool {
    memchr_iter(b'.', octets).any(|at| {
        let previous = at.checked_sub(1).map_or(before, |at| octets[at]);
        matches!(previous, b'\r' | b'\n')
    })
}

/// Whether every CR stands before an LF, every LF behind a CR, and no NUL anywhere. Written so that many octets are
/// looked at by one instruction.
pub fn has_lawful_line_ends(octets: &[u8]) -> bool {
    let (Some(first), Some(last)) = (octets.first(), octets.last()) else { return true };
    let pairs = octets.iter().zip(&octets[1..]);
    let is_broken = pairs.fold(0, |broken, (octet, next)| {
        broken | u8::from(*octet == 0) | (u8::from(*octet == b'\r') ^ u8::from(*next == b'\n'))
    });
    is_broken == 0 && *first != b'\n' && *last != 0 && *last != b'\r'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(stretches: &[(bool, String)]) -> Message {
        let mut own = Wiped::default();
        let mut shared = Vec::new();
        for (is_shared, text) in stretches {
            if *is_shared {
                shared.push((own.len(), Fixed::new(text.as_bytes())));
            } else {
                own.extend_from_slice(text.as_bytes());
            }
        }
        Message::new(own, shared)
    }

    proptest! {
        #[test]
        fn a_message_in_stretches_is_what_it_would_be_in_one_piece(
            stretches in prop::collection::vec((any::<bool>(), "[.\r\na]{0,3}|\r\n|é|"), 0..9)
        ) {
            let whole: String = stretches.iter().map(|(_, text)| text.as_str()).collect();
            let message = message(&stretches);
            prop_assert!(message.to_octets().as_slice() == whole.as_bytes());
            prop_assert_eq!(message.len(), whole.len());
            prop_assert!(message.parts().all(|part| !part.is_empty()));
            prop_assert_eq!(message.is_ascii(), whole.is_ascii());
            prop_assert_eq!(message.ends_with_line_end(), whole.ends_with("\r\n"));
            let has_dot_line = whole.starts_with('.') || whole.contains("\n.") || whole.contains("\r.");
            prop_assert_eq!(message.has_dot_line(), has_dot_line);
        }
    }

    #[test]
    fn debug_shows_only_a_length() {
        assert_eq!(format!("{:?}", Message::from(b"Dana".to_vec())), "Message(4 octets)");
    }
}
