//! The transaction a client has begun: envelope, content, and what a scripted reply echoes of them.

use crate::wire::dot;
use std::ops::Range;

/// The transaction so far; its buffers are used again for the next one.
#[derive(Default)]
pub(super) struct Transaction {
    pub octets: Vec<u8>,
    pub sender: Option<Range<usize>>,
    pub parameters: Range<usize>,
    pub recipients: Vec<Range<usize>>,
    pub content: Vec<u8>,
    pub content_octets: u64,
    /// Where in the incoming octets the whole content lies, when it was not collected.
    pub in_place: Option<Range<usize>>,
    pub is_chunked: bool,
}

impl Transaction {
    pub fn clear(&mut self) {
        self.octets.clear();
        self.sender = None;
        self.parameters = 0..0;
        self.recipients.clear();
        self.content.clear();
        self.content_octets = 0;
        self.in_place = None;
        self.is_chunked = false;
    }

    pub fn note(&mut self, octets: &[u8]) -> Range<usize> {
        let start = self.octets.len();
        self.octets.extend_from_slice(octets);
        start..self.octets.len()
    }

    pub fn text(&self, range: &Range<usize>) -> String {
        String::from_utf8_lossy(&self.octets[range.clone()]).into_owned()
    }

    pub fn plain_content(&self) -> Vec<u8> {
        if self.is_chunked {
            return self.content.clone();
        }
        let mut plain = Vec::with_capacity(self.content.len());
        dot::unstuff(&self.content, &mut plain);
        plain
    }

    pub fn header(&self, name: &str) -> String {
        let head = String::from_utf8_lossy(&self.content);
        let value = head.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(name));
        value.unwrap_or_default().trim().to_owned()
    }

    /// A scripted reply with what it echoes.
    pub fn fill_in(&self, text: &str) -> String {
        let address = self.recipients.last().map(|range| self.text(range)).unwrap_or_default();
        let local = address.split('@').next().unwrap_or_default();
        let text = text.replace("{local}", local).replace("{to}", &self.header("To:"));
        text.replace("{subject}", &self.header("Subject:")).replace("{address}", &address)
    }
}
