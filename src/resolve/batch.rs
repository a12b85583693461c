//! Misses become batches: while a reader is busy, further misses gather, and the next read takes them all.
//! Under light load a read starts at once; there is no timer to wait for.
//!
//! Waking costs as much as a record: a further thread is called only for many misses, and the answers of a read
//! enter the runtime together.

use super::cache::{Cache, Generation};
use super::{Known, ResolveStats};
use crate::fault::{Fault, Reason};
use crate::herald::Herald;
use crate::job::Token;
use crate::personal::wipe_stack;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// One reading thread's way into the vault: an answer per token, in order.
pub type ReadBatch = Box<dyn FnMut(&[Token]) -> Result<Vec<Known>, Fault> + Send>;

/// Misses that call a further thread while another one reads.
const MANY: usize = 32;

type Answer = Result<Known, Fault>;

/// Gathers misses and hands them to the reading threads.
pub struct Batcher {
    shared: Arc<Shared>,
    readers: Vec<JoinHandle<()>>,
}

struct Shared {
    // Plain data, held for a few lines; std's, because the readers are threads that block.
    queue: Mutex<Queue>,
    more: Condvar,
    cache: Arc<Cache>,
    stats: Arc<ResolveStats>,
    batch_tokens_max: usize,
    readers: usize,
    herald: Herald,
}

#[derive(Default)]
struct Queue {
    /// Who waits for each token, whether it is still in `next` or being read: at most one read per token.
    waiting: HashMap<Token, Vec<oneshot::Sender<Answer>>>,
    next: VecDeque<Token>,
    /// Reading threads without work, and how many of them have been called to it.
    idle: usize,
    called: usize,
    closed: bool,
}

impl Batcher {
    pub fn start(
        batch_tokens_max: usize,
        readers: Vec<ReadBatch>,
        cache: Arc<Cache>,
        stats: Arc<ResolveStats>,
    ) -> Self {
        let queue = Mutex::new(Queue::default());
        let more = Condvar::new();
        let (count, herald) = (readers.len(), Herald::start());
        let shared = Arc::new(Shared { queue, more, cache, stats, batch_tokens_max, readers: count, herald });
        let spawn = |(number, read): (usize, ReadBatch)| {
            let shared = shared.clone();
            std::thread::Builder::new()
                .name(format!("vault-read-{number}"))
                .spawn(move || read_until_closed(&shared, read))
                .expect("the system starts a thread")
        };
        let readers = readers.into_iter().enumerate().map(spawn).collect();
        Self { shared, readers }
    }

    pub async fn read(&self, token: &Token) -> Answer {
        let (answer, answered) = oneshot::channel();
        {
            let mut queue = self.shared.lock();
            let waiting = queue.waiting.entry(token.clone()).or_default();
            waiting.push(answer);
            if waiting.len() == 1 {
                queue.next.push_back(token.clone());
                self.shared.call(&mut queue);
            }
        }
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.more.notify_all();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no holder of this lock panics")
    }

    /// Calls a thread if none is at work, or if there is more than one should read.
    fn call(&self, queue: &mut Queue) {
        let free = queue.idle - queue.called;
        if free > 0 && (free == self.readers || queue.next.len() >= MANY) {
            queue.called += 1;
            self.more.notify_one();
        }
    }

    /// Waits for misses and takes up to one batch of them; `None` when the house closes.
    fn take(&self) -> Option<Vec<Token>> {
        let mut queue = self.lock();
        while queue.next.is_empty() {
            queue.idle += 1;
            while queue.called == 0 && !queue.closed {
                queue = self.more.wait(queue).expect("no holder of this lock panics");
            }
            queue.idle -= 1;
            queue.called = queue.called.saturating_sub(1);
            if queue.closed && queue.next.is_empty() {
                return None;
            }
        }
        let count = queue.next.len().min(self.batch_tokens_max);
        let batch = queue.next.drain(..count).collect();
        self.call(&mut queue);
        Some(batch)
    }

    /// Into the cache first: who asks from now on finds it there or is among those that wait.
    fn answer(&self, tokens: Vec<Token>, asked: Generation, answers: impl Fn(usize) -> Answer) {
        for (index, token) in tokens.iter().enumerate() {
            if let Ok(known) = answers(index) {
                self.cache.put(token.clone(), &known, asked);
            }
        }
        let waiting: Vec<_> = {
            let mut queue = self.lock();
            tokens.iter().map(|token| queue.waiting.remove(token).unwrap_or_default()).collect()
        };
        let each = waiting.into_iter().enumerate();
        let waiters =
            each.flat_map(|(index, waiters)| waiters.into_iter().map(move |waiter| (index, waiter)));
        let told: Vec<_> = waiters.map(|(index, waiter)| (waiter, answers(index))).collect();
        self.herald.tell(move || told.into_iter().for_each(|(waiter, answer)| drop(waiter.send(answer))));
    }
}

fn read_until_closed(shared: &Shared, mut read: ReadBatch) {
    while let Some(tokens) = shared.take() {
        shared.stats.batches.fetch_add(1, Relaxed);
        let asked = shared.cache.generation();
        match read_safely(&mut read, &tokens) {
            Ok(found) => shared.answer(tokens, asked, |index| Ok(found[index].clone())),
            Err(fault) => {
                shared.stats.faults.fetch_add(1, Relaxed);
                shared.answer(tokens, asked, |_| Err(fault.clone()));
            }
        }
        wipe_stack();
    }
}

/// A panic in the store must not leave jobs waiting for ever.
fn read_safely(read: &mut ReadBatch, tokens: &[Token]) -> Result<Vec<Known>, Fault> {
    let found =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| read(tokens))).unwrap_or_else(|_| {
            Err(Fault::new(Reason::VaultUnavailable, "the vault reader failed; see the log"))
        })?;
    if found.len() == tokens.len() {
        Ok(found)
    } else {
        Err(Fault::new(Reason::VaultUnavailable, "the vault answered for other tokens than asked"))
    }
}

fn gone() -> Fault {
    Fault::new(Reason::VaultUnavailable, "the relay is shutting down")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::person::PersonBuilder;
    use crate::resolve::{Resolver, Settings};
    use std::sync::mpsc;
    use std::time::Duration;

    fn token(number: usize) -> Token {
        Token::from_local(&format!("e_{number:08}")).unwrap()
    }

    fn somebody() -> Known {
        Known::Person(Arc::new(PersonBuilder::default().field("email", "a@example.test").build()))
    }

    /// A reader that reports each batch and waits for leave to answer it.
    fn gated_reader() -> (ReadBatch, mpsc::Receiver<Vec<Token>>, mpsc::Sender<Result<(), Fault>>) {
        let (seen, batches) = mpsc::channel();
        let (leave, may_answer) = mpsc::channel::<Result<(), Fault>>();
        let read = move |tokens: &[Token]| {
            seen.send(tokens.to_vec()).unwrap();
            may_answer.recv().unwrap()?;
            Ok(tokens
                .iter()
                .map(|t| if t.as_str() == "e_00000404" { Known::Nobody } else { somebody() })
                .collect())
        };
        (Box::new(read), batches, leave)
    }

    async fn until(resolver: &Resolver, holds: fn(&Queue) -> bool) {
        while !holds(&resolver.batcher.shared.lock()) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn concurrent_misses_become_one_read_and_each_token_is_read_once() {
        let (read, batches, leave) = gated_reader();
        let resolver = Resolver::start(&Settings::default(), vec![read]);
        let ask = |number: usize| {
            let resolver = resolver.clone();
            tokio::spawn(async move { resolver.person(&token(number)).await.map(drop) })
        };
        let mut asked = vec![ask(0)];
        assert_eq!(batches.recv().unwrap(), [token(0)]);
        asked.extend((1..=50).chain(0..=50).map(ask));
        // Queued, not only counted as misses.
        until(&resolver, |queue| queue.waiting.values().map(Vec::len).sum::<usize>() == 102).await;
        leave.send(Ok(())).unwrap();
        leave.send(Ok(())).unwrap();
        let mut rest = batches.recv().unwrap();
        rest.sort();
        assert_eq!(rest, (1..=50).map(token).collect::<Vec<_>>());
        for asked in asked {
            asked.await.unwrap().unwrap();
        }
        assert!(batches.try_recv().is_err());
    }

    /// A reader's way is shut until this is dropped, also by a test that fails.
    struct Shut(Arc<(Mutex<bool>, Condvar)>);

    impl Drop for Shut {
        fn drop(&mut self) {
            *self.0.0.lock().unwrap() = true;
            self.0.1.notify_all();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_further_thread_is_called_for_many_misses_only() {
        let (seen, batches) = mpsc::channel();
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let reader = |_| -> ReadBatch {
            let (seen, gate) = (seen.clone(), gate.clone());
            Box::new(move |tokens| {
                seen.send(tokens.to_vec()).unwrap();
                let closed = gate.0.lock().unwrap();
                drop(gate.1.wait_while(closed, |open| !*open).unwrap());
                Ok(tokens.iter().map(|_| somebody()).collect())
            })
        };
        let resolver = Resolver::start(&Settings::default(), (0..2).map(reader).collect());
        let shut = Shut(gate.clone());
        // A thread that is only just starting takes what waits without being called.
        until(&resolver, |queue| queue.idle == 2).await;
        let ask = |number: usize| {
            let resolver = resolver.clone();
            tokio::spawn(async move { resolver.person(&token(number)).await.map(drop) })
        };
        let mut asked = vec![ask(0)];
        assert_eq!(batches.recv().unwrap(), [token(0)]);
        asked.extend((1..MANY).map(ask));
        until(&resolver, |queue| queue.next.len() == MANY - 1).await;
        asked.push(ask(MANY));
        assert_eq!(batches.recv().unwrap().len(), MANY, "they waited for each other");
        // One that gives up does not keep its answer's neighbours waiting.
        asked.remove(5).abort();
        drop(shut);
        for asked in asked {
            asked.await.unwrap().unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a12_what_was_read_before_everything_was_forgotten_is_not_kept() {
        let (read, batches, leave) = gated_reader();
        let resolver = Resolver::start(&Settings::default(), vec![read]);
        let ask = || {
            let resolver = resolver.clone();
            tokio::spawn(async move { resolver.person(&token(1)).await.map(drop) })
        };
        let asked = ask();
        assert_eq!(batches.recv().unwrap(), [token(1)]);
        // The vault was changed while it was read: erased, perhaps.
        resolver.forget_all();
        leave.send(Ok(())).unwrap();
        asked.await.unwrap().unwrap();
        let asked = ask();
        let again = batches.recv_timeout(std::time::Duration::from_secs(10));
        assert_eq!(again.unwrap(), [token(1)], "it is read anew");
        leave.send(Ok(())).unwrap();
        asked.await.unwrap().unwrap();
        ask().await.unwrap().unwrap();
        assert!(batches.try_recv().is_err(), "and kept then");
    }

    #[tokio::test]
    async fn a_vault_fault_reaches_everybody_and_is_not_cached_while_nobody_is() {
        let (read, batches, leave) = gated_reader();
        let resolver = Resolver::start(&Settings::default(), vec![read]);
        leave.send(Err(Fault::new(Reason::VaultUnavailable, "disk"))).unwrap();
        assert_eq!(resolver.person(&token(1)).await.unwrap_err().reason, Reason::VaultUnavailable);
        leave.send(Ok(())).unwrap();
        resolver.person(&token(1)).await.unwrap();
        leave.send(Ok(())).unwrap();
        assert_eq!(resolver.person(&token(404)).await.unwrap_err().reason, Reason::UnknownToken);
        assert_eq!(resolver.person(&token(404)).await.unwrap_err().reason, Reason::UnknownToken);
        assert_eq!(batches.try_iter().count(), 3);
    }

    #[tokio::test]
    async fn a_record_past_its_time_to_live_is_read_again_and_forgetting_is_at_once() {
        let (read, batches, leave) = gated_reader();
        let short = Settings { ttl: Duration::ZERO, ..Settings::default() };
        let resolver = Resolver::start(&short, vec![read]);
        (0..2).for_each(|_| leave.send(Ok(())).unwrap());
        resolver.person(&token(1)).await.unwrap();
        resolver.person(&token(1)).await.unwrap();
        assert_eq!(batches.try_iter().count(), 2);

        let (read, batches, leave) = gated_reader();
        let resolver = Resolver::start(&Settings::default(), vec![read]);
        (0..2).for_each(|_| leave.send(Ok(())).unwrap());
        resolver.person(&token(1)).await.unwrap();
        resolver.forget_all();
        assert_eq!(resolver.cached_bytes(), 0);
        resolver.person(&token(1)).await.unwrap();
        assert_eq!(batches.try_iter().count(), 2);
    }

    #[tokio::test]
    async fn a_panicking_reader_answers_and_lives_on() {
        let mut first = true;
        let read = move |tokens: &[Token]| {
            assert!(!std::mem::take(&mut first), "planned");
            Ok(tokens.iter().map(|_| somebody()).collect())
        };
        let resolver = Resolver::start(&Settings::default(), vec![Box::new(read)]);
        assert_eq!(resolver.person(&token(1)).await.unwrap_err().reason, Reason::VaultUnavailable);
        resolver.person(&token(1)).await.unwrap();
    }

    #[tokio::test]
    async fn the_cache_stays_within_its_bytes() {
        let read = |tokens: &[Token]| Ok(tokens.iter().map(|_| somebody()).collect());
        let small = Settings { cache_bytes_max: 20_000, ..Settings::default() };
        let resolver = Resolver::start(&small, vec![Box::new(read)]);
        for number in 0..1_000 {
            resolver.person(&token(number)).await.unwrap();
        }
        assert!(resolver.cached_bytes() <= 20_000);
    }
}
