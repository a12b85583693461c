//! How fast the journal takes jobs on and gives them out: `cargo run --release --example journal-rates -- DIR [JOBS]
//! [HOLDERS]`. The directory should be on the disk in question; it is left behind for a look.

#![expect(clippy::print_stdout, reason = "its figures are for a person")]

use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokenrelay::engine::{Credential, Engine};
use tokenrelay::fault::ReplyCode;
use tokenrelay::job::{Content, Data, Job, SendNumber, Token};
use tokenrelay::journal::{Body, Held, How, Journal, KeepRefused, Settings, WhenUnknown};
use tokenrelay::ticket::{Outcome, Relayed, StageTimes};

#[tokio::main]
async fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let dir = PathBuf::from(words.next().context("usage: journal-rates DIR [JOBS] [HOLDERS]")?);
    let jobs: usize = words.next().map_or(Ok(200_000), |word| word.parse())?;
    let holders: usize = words.next().map_or(Ok(1_000), |word| word.parse())?;
    let (journal, _) = Journal::open(settings(dir.clone()))?;
    let each = jobs.div_ceil(holders);

    let (began, cpu) = (Instant::now(), cpu());
    let tasks: Vec<_> = (0..holders).map(|_| tokio::spawn(hold(journal.clone(), each))).collect();
    for task in tasks {
        task.await??;
    }
    report("hold", each * holders, began, cpu, &journal);
    journal.close().await;

    let began = Instant::now();
    let (journal, found) = Journal::open(settings(dir))?;
    println!("open with {} held: {:?}, resident {} MiB", found.held, began.elapsed(), resident_mib());

    let (began, cpu) = (Instant::now(), self::cpu());
    let mut settled = 0;
    loop {
        let due = journal.lanes().await?;
        let Some((lane, _)) = due.first() else { break };
        let claimed = journal.claim(lane, 1_000).await?;
        for claimed in claimed {
            journal.offered(claimed.number)?;
            journal.settle(claimed.number, relayed()).await;
            settled += 1;
        }
    }
    while journal.stats().held_jobs > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    report("claim + settle", settled, began, cpu, &journal);
    journal.close().await;
    Ok(())
}

async fn hold(journal: Journal, jobs: usize) -> Result<()> {
    let engine = engine();
    for _ in 0..jobs {
        let job = Arc::new(job(&engine)?);
        let body = Body::of(&job);
        let held = journal.hold(vec![(job, body, How::Queued)]).await?;
        if !matches!(held[..], [Held::New(_)]) {
            bail!("a new job is not new");
        }
    }
    Ok(())
}

fn report(what: &str, jobs: usize, began: Instant, cpu_before: [u64; 2], journal: &Journal) {
    let seconds = began.elapsed().as_secs_f64();
    let [process, writer] = cpu();
    let per_job = |before, now: u64| (now - before) as f64 * 10_000.0 / jobs as f64;
    println!(
        "{what}: {jobs} jobs in {seconds:.2} s, {:.0}/s; CPU {:.1} us a job, of it the writer's thread {:.1} us \
         (so at most {:.0}/s); commits so far {}",
        jobs as f64 / seconds,
        per_job(cpu_before[0], process),
        per_job(cpu_before[1], writer),
        1e6 / per_job(cpu_before[1], writer),
        journal.stats().commits
    );
}

/// Ticks of 10 ms: of the process, and of the writer's thread.
fn cpu() -> [u64; 2] {
    let mut found = [0, 0];
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        let Some((name, rest)) = stat.rsplit_once(") ") else { continue };
        let fields: Vec<u64> =
            rest.split(' ').skip(11).take(2).filter_map(|word| word.parse().ok()).collect();
        let ticks: u64 = fields.iter().sum();
        found[0] += ticks;
        found[1] += if name.contains("journal-write") { ticks } else { 0 };
    }
    found
}

fn resident_mib() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) / 256
}

fn settings(dir: PathBuf) -> Settings {
    Settings {
        dir,
        bytes_max: 64 << 30,
        disk_free_min: 64 << 20,
        retry_first: Duration::from_secs(30),
        retry_max: Duration::from_secs(3600),
        expires: Duration::from_secs(2 * 24 * 3600),
        unknown: WhenUnknown::Hold,
        retention: Duration::from_secs(30 * 24 * 3600),
        keep_refused: KeepRefused { duration: Duration::from_secs(7 * 24 * 3600), bytes_max: 256 << 20 },
    }
}

fn engine() -> Arc<Engine> {
    Arc::new(Engine {
        name: "campaigns".into(),
        credential: Credential::of(b"secret"),
        templates: vec![],
        fields: vec![],
        purposes: vec![],
        senders: None,
        allow_literal: vec![],
        purpose_default: None,
        rate_per_second_max: None,
    })
}

fn job(engine: &Arc<Engine>) -> Result<Job> {
    let data: Data =
        serde_json::from_str(r#"{"order":"A-1700042","items":[{"name":"lamp","price":"17.00"}]}"#)?;
    let send = SendNumber::fresh();
    let local = format!("e_{}", send.as_str().trim_start_matches("s_"));
    Ok(Job {
        job_id: Some(send.as_str().into()),
        send,
        engine: engine.clone(),
        token: Token::from_local(&local)?,
        content: Content::Template("welcome".into()),
        data,
        locale: None,
        campaign: Some("c42".into()),
        purpose: None,
        target: None,
        expires: None,
        sender: None,
        require_tls: false,
        read_at: std::time::Instant::now(),
        repeat: tokenrelay::job::Repeat::No,
    })
}

fn relayed() -> Outcome {
    Outcome::Relayed(Relayed {
        target: "mta1".into(),
        code: ReplyCode::new(250, 2, 0, 0),
        attempt: 1,
        times: StageTimes::default(),
        repeat: tokenrelay::job::Repeat::No,
    })
}
