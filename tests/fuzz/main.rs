//! Everything that reads what strangers write, fed with mutated input for a bounded time, on stable Rust and without
//! instruments. What makes an answer new keeps its input, so runs wander on from there.
//!
//! `FUZZ_SECONDS` is the time of each target (2), `FUZZ_INPUTS` how many it is fed at least (200), `FUZZ_SEED` repeats a run. A failure prints its input.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test says what is wrong by failing, and shows the input"
)]

mod framing;
mod grammar;
mod jobs;
mod message;
mod mutate;
mod records;
mod session;
#[path = "../it/tls_bytes.rs"]
mod tls_bytes;
mod values;
mod wire;

use mutate::Mutator;
use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant, SystemTime};

const SECONDS: u64 = 2;
/// Whatever the clock says, so much is tried.
const INPUTS_MIN: u64 = 200;
/// Inputs worth going on from that are kept.
const CORPUS_MAX: usize = 2000;

/// Feeds `judge` with the seeds and with what grows from them. `judge` panics when something does not hold; what it
/// returns tells kinds of answers apart. `words` are put in whole.
pub fn fuzz<A: Hash>(seeds: &[&[u8]], words: &[&[u8]], judge: impl FnMut(&[u8], &mut Mutator) -> A) {
    let seed = number("FUZZ_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is past 1970");
        now.as_nanos() as u64
    });
    fuzz_from(seed, seeds, words, judge);
}

/// As [`fuzz`], the same each time.
fn fuzz_from<A: Hash>(
    seed: u64,
    seeds: &[&[u8]],
    words: &[&[u8]],
    mut judge: impl FnMut(&[u8], &mut Mutator) -> A,
) {
    let end = Instant::now() + Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(SECONDS));
    let mut mutator = Mutator::new(seed);
    let mut corpus: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
    let (mut kinds, hasher) = (HashSet::new(), RandomState::new());
    let mut tried = 0u64;
    let inputs_min = number("FUZZ_INPUTS").unwrap_or(INPUTS_MIN);
    while tried < inputs_min || Instant::now() < end {
        let input = match corpus.get(tried as usize) {
            Some(seed) if tried < seeds.len() as u64 => seed.clone(),
            _ => mutator.mutate(&corpus, words),
        };
        tried += 1;
        let answer = catch_unwind(AssertUnwindSafe(|| judge(&input, &mut mutator))).unwrap_or_else(|panic| {
            eprintln!("input {tried} with FUZZ_SEED={seed}:\n{}", input.escape_ascii());
            resume_unwind(panic)
        });
        if kinds.insert(hasher.hash_one(answer)) && corpus.len() < CORPUS_MAX {
            corpus.push(input);
        }
    }
    println!("{tried} inputs, {} kinds of answers", kinds.len());
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

/// Cuts anywhere, often at an awkward place.
pub fn pieces<'i>(input: &'i [u8], mutator: &mut Mutator) -> Vec<&'i [u8]> {
    if mutator.below(4) == 0 {
        return input.chunks(1).collect();
    }
    let mut rest = input;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(1 + mutator.below(rest.len()));
        found.push(piece);
        rest = after;
    }
    found
}

#[test]
#[should_panic(expected = "found it")]
fn a_judge_that_objects_is_heard() {
    fuzz(&[b"DATA\r\n"], &[b"\r\n.\r\n"], |input, _| {
        assert!(!input.windows(5).any(|window| window == b"\r\n.\r\n"), "found it");
    });
}
