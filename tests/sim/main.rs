//! A seeded simulation of engines, relay and first MTA under delay, partition and crash, with the rule of conservation
//! as its oracle.
//!
//! What happens is drawn from one seed: when the network stalls, cuts and refuses, when the relay is killed, what the
//! engines submit and when they hang up. `SIM_SEED=n` draws the same again; the machine's scheduling is not drawn, so
//! that a rare failure may take a few repetitions. `SIM_SEEDS` runs more seeds, `SIM_STEPS` longer ones.
//!
//! The relay is the shipped program, killed with SIGKILL, and time is real. A simulator with a network and a clock of
//! its own would want other sockets in the relay than those it is shipped with, and would not govern the threads that
//! write the journal and read the vault; what it made repeatable would not be what people run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by failing")]
#![allow(clippy::print_stderr, reason = "the seed has to be known, also of a run that hangs")]

mod dice;
mod engine;
mod ledger;
mod oracle;
mod proxy;
mod relay;

use dice::Dice;
use engine::{Door, Engine, Told};
use futures_util::future::join_all;
use ledger::Ledger;
use oracle::{Arrival, Evidence};
use proxy::{Proxy, Weather};
use relay::{Relay, Rule};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};
use tokenrelay::load::sink::{Script, Sink, SinkHandle, SinkSettings, SunkMessage};
use tokio::net::TcpListener;
use tokio::time::timeout;

const SEEDS: u64 = 3;
const STEPS: u64 = 30;
const HTTP_ENGINES: u64 = 4;
const SMTP_ENGINES: u64 = 3;
/// Longest wait for the last answers, and for the journal to drain.
const PATIENCE: Duration = Duration::from_secs(60);
const BEAT: Duration = Duration::from_millis(50);
/// Refusals for now and for good, a few of each; no chunks, so that content ends with a dot.
const MTA: &str = "no-chunking,tempfail=11,refuse-rcpt=17,421-final=29";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_is_doubled_in_silence() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let steps = number("SIM_STEPS").unwrap_or(STEPS);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let (first, seeds) = match number("SIM_SEED") {
        Some(seed) => (seed, number("SIM_SEEDS").unwrap_or(1)),
        None => (now.as_millis() as u64 % 1_000_000, number("SIM_SEEDS").unwrap_or(SEEDS)),
    };
    for batch in (first..first + seeds).collect::<Vec<_>>().chunks(SEEDS as usize) {
        join_all(batch.iter().map(|seed| run(*seed, steps))).await;
    }
}

/// One world, from its beginning to its judgement.
async fn run(seed: u64, steps: u64) {
    let rule = Rule::of(seed);
    eprintln!("SIM_SEED={seed} SIM_STEPS={steps}: {rule:?}");
    let mut relay = Relay::new(rule, seed);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let script = Script::profile(MTA).unwrap();
    let sink = Sink::start(vec![listener], SinkSettings { script, keep: true, ..SinkSettings::default() });
    let proxy = Proxy::start(relay.target, sink.address().unwrap(), seed);
    relay.start().await;
    let is_over = Arc::new(AtomicBool::new(false));
    let engines: Vec<_> =
        engines(&relay, seed).into_iter().map(|engine| tokio::spawn(engine.run(is_over.clone()))).collect();
    let deaths = storm(&mut relay, &proxy, seed, steps).await;
    is_over.store(true, Relaxed);
    let told = timeout(PATIENCE, join_all(engines)).await;
    let told = told.unwrap_or_else(|_| panic!("SIM_SEED={seed}: engines still wait for answers"));
    let told = told.into_iter().map(|told| told.unwrap_or_else(|panic| panic!("SIM_SEED={seed}: {panic}")));
    let told: Vec<Told> = told.flatten().collect();
    drain(&mut relay, seed).await;
    let arrivals = arrivals(&sink);
    sink.stop().await;
    let ledger = Ledger::read(&relay.journal_file()).unwrap();
    let evidence = Evidence { told, arrivals, ledger, holds_in_doubt: rule.unknown == "hold" };
    report(seed, deaths, &evidence);
    let problems = oracle::problems(&evidence);
    if !problems.is_empty() {
        let folder = relay.dir.keep();
        panic!("SIM_SEED={seed} SIM_STEPS={steps}, kept in {}:\n{}", folder.display(), problems.join("\n"));
    }
}

fn engines(relay: &Relay, seed: u64) -> Vec<Engine> {
    let members = Arc::new(relay.members.clone());
    let engine = |number| {
        let (door, address) =
            if number < HTTP_ENGINES { (Door::Http, relay.http) } else { (Door::Smtp, relay.smtp) };
        Engine { door, address, secret: relay.secret.clone(), members: members.clone(), number, seed }
    };
    (0..HTTP_ENGINES + SMTP_ENGINES).map(engine).collect()
}

/// All that goes wrong; at its end the weather is calm and the relay runs. Returns how often it was killed.
async fn storm(relay: &mut Relay, proxy: &Proxy, seed: u64, steps: u64) -> u64 {
    let mut dice = Dice::stream(seed, "storm", 0);
    let mut deaths = 0;
    for _ in 0..steps {
        match dice.below(10) {
            0..=2 => {
                relay.crash().await;
                deaths += 1;
                tokio::time::sleep(dice.pause(0, 150)).await;
                relay.start().await;
            }
            3 if dice.percent(40) => {
                relay.stop().await;
                relay.start().await;
            }
            _ => proxy.turn(Weather::draw(&mut dice)),
        }
        tokio::time::sleep(dice.pause(10, 250)).await;
    }
    proxy.turn(Weather::default());
    // A target that was long away is tried rarely; a relay that starts does not know that it was.
    relay.crash().await;
    relay.start().await;
    deaths + 1
}

/// Waits until nothing is left to be done, and ends the relay in peace.
async fn drain(relay: &mut Relay, seed: u64) {
    let file = relay.journal_file();
    let wait = async {
        while ledger::busy(&file).unwrap() > 0 {
            tokio::time::sleep(BEAT).await;
        }
    };
    let is_drained = timeout(PATIENCE, wait).await.is_ok();
    relay.stop().await;
    assert!(is_drained, "SIM_SEED={seed}: {} jobs are left", ledger::busy(&file).unwrap());
}

fn arrivals(sink: &SinkHandle) -> Vec<Arrival> {
    let arrival = |message: SunkMessage| {
        let text = String::from_utf8_lossy(&message.content);
        let id = text.lines().find_map(|line| line.strip_prefix("Message-ID: <")).expect("a Message-ID");
        let send = id.split('@').next().unwrap_or_default().to_owned();
        Arrival { send, recipients: message.envelope.recipients }
    };
    sink.messages().into_iter().map(arrival).collect()
}

/// What the run was worth: a storm that touched nothing would prove nothing.
fn report(seed: u64, deaths: u64, evidence: &Evidence) {
    let Evidence { told, arrivals, ledger, .. } = evidence;
    let again = told.iter().filter(|told| told.submissions > told.answers.len() as u32).count();
    let mut times: BTreeMap<&str, u32> = BTreeMap::new();
    arrivals.iter().for_each(|arrival| *times.entry(&arrival.send).or_default() += 1);
    let doubled = times.values().filter(|times| **times > 1).count();
    let resent = ledger.rows.iter().filter(|row| row.is_resent).count();
    eprintln!(
        "SIM_SEED={seed}: {} jobs, {again} submitted again for want of an answer, {deaths} deaths, {} arrivals, \
         {doubled} doubled, {resent} flagged as sent again, ledger {:?}",
        told.len(),
        arrivals.len(),
        ledger.tally
    );
}
