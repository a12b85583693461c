//! New inputs from old ones.

/// Octets that readers of lines, headers and JSON trip over.
const AWKWARD: &[u8] = b"\r\n\0\t .:;<>@\"\\{}[](),=?*%+-_/&'#\x0b\x0c\x7f\x80\x85\xa8\xc3\xe2\xff019azAZ";
/// Longest input grown.
const OCTETS_MAX: usize = 8 * 1024;

pub struct Mutator {
    state: u64,
}

impl Mutator {
    pub fn new(seed: u64) -> Self {
        Self { state: seed | 1 }
    }

    /// Below `end`; 0 when that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        // xorshift64*
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let random = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        if end == 0 { 0 } else { random as usize % end }
    }

    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// One of the corpus, changed one to eight times.
    pub fn mutate(&mut self, corpus: &[Vec<u8>], words: &[&[u8]]) -> Vec<u8> {
        let mut input = self.pick(corpus).clone();
        for _ in 0..1 << self.below(4) {
            self.change(&mut input, corpus, words);
        }
        input.truncate(OCTETS_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&[u8]]) {
        let at = self.below(input.len() + 1);
        let end = (at + self.below(16)).min(input.len());
        match self.below(9) {
            0 => drop(input.splice(at..at, [*self.pick(AWKWARD)])),
            1 if at < input.len() => input[at] = *self.pick(AWKWARD),
            2 if at < input.len() => input[at] ^= 1 << self.below(8),
            3 => drop(input.drain(at..end)),
            4 => {
                let stretch = input[at..end].to_vec();
                drop(input.splice(at..at, stretch));
            }
            5 => {
                // A long run of one thing finds the bounds.
                let run = vec![*self.pick(AWKWARD); 1 << self.below(11)];
                drop(input.splice(at..at, run));
            }
            6 => {
                let other = self.pick(corpus);
                let start = self.below(other.len() + 1);
                let stretch = other[start..(start + self.below(64)).min(other.len())].to_vec();
                drop(input.splice(at..end, stretch));
            }
            _ if !words.is_empty() => drop(input.splice(at..at, self.pick(words).iter().copied())),
            _ => {}
        }
    }
}
