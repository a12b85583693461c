//! The bounded cache: weighed in bytes, records wiped when the last holder drops them. What is pushed out is dropped at
//! once; what is too old is never given out, and goes within a second ([`sweep_while_filled`]).
//!
//! A campaign touches most people once. So, after S3-FIFO (Yang et al., SOSP 2023), a newcomer stands in a short
//! queue first and gets into the long one only when it is asked for again, there or soon after it left; what a scan
//! reads once never displaces what is in use. Nothing is moved on a hit.

use super::{Known, Settings};
use crate::job::Token;
use hashbrown::HashTable;
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// What one entry costs beside its record: token, slot, queues, table, allocator.
const ENTRY_OVERHEAD_BYTES: usize = 256;
/// Part of the weight that newcomers may take: one in so many.
const NEWCOMERS_PART: u64 = 10;
/// Hits that are counted; each lets an entry stay for one more turn.
const HITS_MAX: u8 = 3;
const SHARDS_MAX: u64 = 16;
const SHARD_BYTES_MIN: u64 = 1 << 20;
/// How often entries are looked at for their age, while there are any.
const SWEEP_EVERY: Duration = Duration::from_millis(500);

/// Between two times that everything was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation(u64);

pub struct Cache {
    /// Plain data; held for a look-up or an insertion, never across an await.
    shards: Box<[Mutex<Shard>]>,
    /// Counts how often everything was forgotten.
    generation: AtomicU64,
    hasher: RandomState,
    ttl: Duration,
    negative_ttl: Duration,
    /// Told when an empty shard gets an entry, and when the cache goes.
    filled: Arc<Notify>,
}

struct Entry {
    token: Token,
    known: Known,
    usable_until: Instant,
    weight: u32,
    hits: u8,
    is_newcomer: bool,
}

#[derive(Default)]
struct Shard {
    /// Numbers of slots, by the hash of their token.
    table: HashTable<u32>,
    slots: Vec<Option<Entry>>,
    free: Vec<u32>,
    newcomers: VecDeque<u32>,
    residents: VecDeque<u32>,
    /// Hashes of newcomers that left without being asked for.
    left: VecDeque<u64>,
    left_table: HashTable<u64>,
    newcomer_bytes: u64,
    bytes: u64,
    bytes_max: u64,
    /// No entry's time is over before this; `None` while nothing was put since the last sweep of an empty shard.
    first_end: Option<Instant>,
}

impl Cache {
    pub fn new(settings: &Settings) -> Self {
        let count = (settings.cache_bytes_max / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        let bytes_max = settings.cache_bytes_max / count;
        let shard = || Mutex::new(Shard { bytes_max, ..Shard::default() });
        Self {
            shards: (0..count).map(|_| shard()).collect(),
            generation: AtomicU64::new(0),
            hasher: RandomState::new(),
            ttl: settings.ttl,
            negative_ttl: settings.negative_ttl.min(settings.ttl),
            filled: Arc::default(),
        }
    }

    pub fn get(&self, token: &Token) -> Option<Known> {
        let hash = self.hasher.hash_one(token);
        self.shard(hash).get(token, hash, Instant::now())
    }

    /// To be asked for before the vault is.
    pub fn generation(&self) -> Generation {
        Generation(self.generation.load(SeqCst))
    }

    /// Keeps what the vault said when it was asked in this generation: what was read before everything was forgotten may be
    /// true no more. A damaged record, and what is not sure, is asked for again every time.
    pub fn put(&self, token: Token, known: &Known, asked: Generation) {
        let ttl = match known {
            Known::Person(_) => self.ttl,
            Known::Nobody => self.negative_ttl,
            Known::Damaged | Known::Unsure => return,
        };
        let hash = self.hasher.hash_one(&token);
        let now = Instant::now();
        let weight = weight(&token, known);
        let entry = Entry {
            token,
            known: known.clone(),
            usable_until: now + ttl,
            weight,
            hits: 0,
            is_newcomer: true,
        };
        let mut shard = self.shard(hash);
        // Looked at under the lock under which it is forgotten, which comes after the count.
        if asked == self.generation() {
            let was_empty = shard.table.is_empty();
            shard.put(entry, hash, &self.hasher);
            drop(shard);
            if was_empty {
                self.filled.notify_one();
            }
        }
    }

    pub fn forget(&self, token: &Token) {
        let hash = self.hasher.hash_one(token);
        self.shard(hash).forget(token, hash);
    }

    pub fn forget_all(&self) {
        self.generation.fetch_add(1, SeqCst);
        for shard in &self.shards {
            let mut shard = shard.lock().expect("no holder of this lock panics");
            *shard = Shard { bytes_max: shard.bytes_max, ..Shard::default() };
        }
    }

    /// Drops what is too old before somebody asks for it.
    fn sweep(&self, now: Instant) -> Left {
        let mut left = Left::Nothing;
        for shard in &self.shards {
            let mut shard = shard.lock().expect("no holder of this lock panics");
            let old = shard.take_old(now, &self.hasher);
            if !shard.table.is_empty() {
                left = Left::Something;
            }
            // Wiping many records takes a while, and nobody has to wait for it.
            drop(shard);
            drop(old);
        }
        left
    }

    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().expect("no holder of this lock panics").bytes).sum()
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        // The table uses the other end of the hash.
        let index = (hash >> 32) as usize % self.shards.len();
        self.shards[index].lock().expect("no holder of this lock panics")
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.filled.notify_one();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    Something,
}

/// Sweeps twice a second while the cache holds anything, and sleeps otherwise; ends with the cache.
pub fn sweep_while_filled(cache: &Arc<Cache>) -> impl Future<Output = ()> + Send + use<> {
    let (cache, filled): (Weak<Cache>, _) = (Arc::downgrade(cache), cache.filled.clone());
    async move {
        loop {
            filled.notified().await;
            loop {
                sleep(SWEEP_EVERY).await;
                let Some(cache) = cache.upgrade() else { return };
                if cache.sweep(Instant::now()) == Left::Nothing {
                    break;
                }
            }
        }
    }
}

impl Shard {
    fn get(&mut self, token: &Token, hash: u64, now: Instant) -> Option<Known> {
        let slot = self.find(token, hash)?;
        let entry = self.slots[slot as usize].as_mut()?;
        if now >= entry.usable_until {
            self.forget(token, hash);
            return None;
        }
        entry.hits = (entry.hits + 1).min(HITS_MAX);
        Some(entry.known.clone())
    }

    fn put(&mut self, mut entry: Entry, hash: u64, hasher: &RandomState) {
        self.forget(&entry.token, hash);
        if u64::from(entry.weight) > self.bytes_max {
            return;
        }
        self.first_end = Some(self.first_end.map_or(entry.usable_until, |end| end.min(entry.usable_until)));
        self.give_back_places();
        while self.bytes + u64::from(entry.weight) > self.bytes_max {
            self.push_one_out(hasher);
        }
        entry.is_newcomer = !self.was_here(hash);
        let queue = if entry.is_newcomer { &mut self.newcomers } else { &mut self.residents };
        self.bytes += u64::from(entry.weight);
        self.newcomer_bytes += if entry.is_newcomer { u64::from(entry.weight) } else { 0 };
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                (self.slots.len() - 1) as u32
            }
        };
        queue.push_back(slot);
        self.slots[slot as usize] = Some(entry);
        let slots = &self.slots;
        self.table.insert_unique(hash, slot, |slot| hash_of(slots, *slot, hasher));
    }

    fn find(&self, token: &Token, hash: u64) -> Option<u32> {
        let is_it = |slot: &u32| self.slots[*slot as usize].as_ref().is_some_and(|e| e.token == *token);
        self.table.find(hash, is_it).copied()
    }

    /// The entry goes at once; its place in a queue is given back when it comes up there.
    fn forget(&mut self, token: &Token, hash: u64) {
        let slots = &self.slots;
        let is_it = |slot: &u32| slots[*slot as usize].as_ref().is_some_and(|e| e.token == *token);
        let Ok(found) = self.table.find_entry(hash, is_it) else { return };
        let (slot, _) = found.remove();
        self.vacate(slot);
    }

    fn vacate(&mut self, slot: u32) -> Option<Entry> {
        let entry = self.slots[slot as usize].take()?;
        self.bytes -= u64::from(entry.weight);
        self.newcomer_bytes -= if entry.is_newcomer { u64::from(entry.weight) } else { 0 };
        Some(entry)
    }

    /// Makes room: gives one entry another turn, or pushes it out.
    fn push_one_out(&mut self, hasher: &RandomState) {
        let is_newcomers_turn =
            self.newcomer_bytes > self.bytes_max / NEWCOMERS_PART || self.residents.is_empty();
        let queue = if is_newcomers_turn { &mut self.newcomers } else { &mut self.residents };
        let Some(slot) = queue.pop_front() else { return };
        let Some(entry) = &mut self.slots[slot as usize] else { return self.free.push(slot) };
        if entry.hits > 0 {
            if std::mem::take(&mut entry.is_newcomer) {
                entry.hits = 0;
                self.newcomer_bytes -= u64::from(entry.weight);
            } else {
                entry.hits -= 1;
            }
            return self.residents.push_back(slot);
        }
        let hash = hasher.hash_one(&entry.token);
        if let Ok(found) = self.table.find_entry(hash, |found| *found == slot) {
            found.remove();
        }
        if self.vacate(slot).is_some_and(|entry| entry.is_newcomer) {
            self.remember(hash);
        }
        self.free.push(slot);
    }

    /// Looks at every entry, but only once the time of one of them may be over.
    fn take_old(&mut self, now: Instant, hasher: &RandomState) -> Vec<Entry> {
        let mut old = Vec::new();
        if self.first_end.is_none_or(|end| now < end) {
            return old;
        }
        let mut first_end: Option<Instant> = None;
        for slot in 0..self.slots.len() {
            let Some(entry) = &self.slots[slot] else { continue };
            let end = entry.usable_until;
            if now < end {
                first_end = Some(first_end.map_or(end, |first| first.min(end)));
                continue;
            }
            let hash = hasher.hash_one(&entry.token);
            if let Ok(found) = self.table.find_entry(hash, |found| *found as usize == slot) {
                found.remove();
            }
            old.extend(self.vacate(slot as u32));
        }
        self.first_end = first_end;
        old
    }

    /// Places of entries that went before their turn came, as far as they stand in front.
    fn give_back_places(&mut self) {
        for queue in [&mut self.newcomers, &mut self.residents] {
            while let Some(slot) = queue.pop_front_if(|slot| self.slots[*slot as usize].is_none()) {
                self.free.push(slot);
            }
        }
    }

    /// Keeps as many hashes as there are entries.
    fn remember(&mut self, hash: u64) {
        if self.left_table.find(hash, |other| *other == hash).is_none() {
            self.left_table.insert_unique(hash, hash, |hash| *hash);
            self.left.push_back(hash);
        }
        while self.left.len() > self.table.len() {
            let Some(oldest) = self.left.pop_front() else { return };
            self.was_here(oldest);
        }
    }

    /// Whether it left a while ago without having been asked for; asked once.
    fn was_here(&mut self, hash: u64) -> bool {
        self.left_table.find_entry(hash, |other| *other == hash).map(|found| found.remove()).is_ok()
    }
}

fn hash_of(slots: &[Option<Entry>], slot: u32, hasher: &RandomState) -> u64 {
    slots[slot as usize].as_ref().map_or(0, |entry| hasher.hash_one(&entry.token))
}

fn weight(token: &Token, known: &Known) -> u32 {
    let record = match known {
        Known::Person(person) => person.record().len(),
        Known::Nobody | Known::Damaged | Known::Unsure => 0,
    };
    u32::try_from(ENTRY_OVERHEAD_BYTES + token.as_str().len() + record).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ENTRY_BYTES: u64 = (ENTRY_OVERHEAD_BYTES + 10) as u64;

    fn cache(entries: u64, ttl: Duration) -> Cache {
        let cache_bytes_max = entries * ENTRY_BYTES;
        Cache::new(&Settings { cache_bytes_max, ttl, negative_ttl: ttl, ..Settings::default() })
    }

    fn token(number: usize) -> Token {
        Token::from_local(&format!("e_{number:08}")).unwrap()
    }

    fn put(cache: &Cache, number: usize) {
        cache.put(token(number), &Known::Nobody, cache.generation());
    }

    fn has(cache: &Cache, number: usize) -> bool {
        cache.get(&token(number)).is_some()
    }

    #[test]
    fn what_is_in_use_survives_a_scan() {
        let cache = cache(1_000, Duration::from_secs(60));
        (0..500).for_each(|number| put(&cache, number));
        (0..500).for_each(|number| assert!(has(&cache, number)));
        (1_000..50_000).for_each(|number| put(&cache, number));
        assert_eq!((0..500).filter(|number| has(&cache, *number)).count(), 500);
        assert!(cache.bytes() <= 1_000 * ENTRY_BYTES);
    }

    #[test]
    fn what_comes_back_soon_after_it_left_stays() {
        let cache = cache(100, Duration::from_secs(60));
        (0..120).for_each(|number| put(&cache, number));
        assert!(!has(&cache, 0), "the first newcomer has left");
        put(&cache, 0);
        (1_000..1_400).for_each(|number| put(&cache, number));
        assert!(has(&cache, 0));
    }

    #[test]
    fn what_comes_and_goes_for_long_takes_no_more_room() {
        let cache = cache(1_000, Duration::from_secs(60));
        for turn in 0..20_000 {
            put(&cache, turn % 10);
            cache.forget(&token(turn % 10));
        }
        assert!(cache.shards[0].lock().unwrap().slots.len() <= 2);
    }

    #[tokio::test(start_paused = true)]
    async fn p4_what_is_too_old_goes_within_a_second_and_nobody_has_to_ask() {
        let cache = Arc::new(cache(1_000, Duration::from_secs(30)));
        let sweeper = tokio::spawn(sweep_while_filled(&cache));
        for turn in 0..3 {
            (0..500).for_each(|number| put(&cache, number + turn));
            sleep(Duration::from_secs(10)).await;
            (500..700).for_each(|number| put(&cache, number + turn));
            sleep(Duration::from_millis(19_900)).await;
            assert_eq!(cache.bytes(), 700 * ENTRY_BYTES, "nothing goes too early");
            sleep(Duration::from_millis(1_100)).await;
            assert_eq!(cache.bytes(), 200 * ENTRY_BYTES);
            assert!(has(&cache, 699 + turn) && !has(&cache, turn));
            sleep(Duration::from_secs(10)).await;
            assert_eq!(cache.bytes(), 0);
        }
        drop(cache);
        sweeper.await.unwrap();
    }

    proptest! {
        #[test]
        fn the_weight_is_that_of_the_entries_and_within_its_bound(
            steps in prop::collection::vec((0u8..3, 0usize..40), 0..400)
        ) {
            let cache = cache(10, Duration::from_secs(60));
            for (step, number) in steps {
                match step {
                    0 => put(&cache, number),
                    1 => { let _ = has(&cache, number); }
                    _ => {
                        cache.forget(&token(number));
                        prop_assert!(!has(&cache, number));
                    }
                }
                let shard = cache.shards[0].lock().unwrap();
                let held: Vec<&Entry> = shard.slots.iter().flatten().collect();
                let newcomers = held.iter().filter(|entry| entry.is_newcomer).count() as u64;
                prop_assert_eq!(shard.bytes, held.len() as u64 * ENTRY_BYTES);
                prop_assert_eq!(shard.newcomer_bytes, newcomers * ENTRY_BYTES);
                prop_assert_eq!(shard.table.len(), held.len());
                prop_assert!(shard.bytes <= shard.bytes_max);
                prop_assert!(shard.left.len() <= 10 && shard.left_table.len() <= shard.left.len());
                prop_assert_eq!(shard.newcomers.len() + shard.residents.len() + shard.free.len(), shard.slots.len());
            }
        }
    }
}
