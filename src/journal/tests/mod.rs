//! The journal as a whole: its rules, its crashes, its disks.

mod again;
mod beside;
mod copies;
mod crashes;
mod cuts;
mod disks;
mod handoffs;
mod kept;
mod model;
mod rules;
mod salvaged;
mod set_back;
mod together;
mod waiting;

use super::order::Order;
use super::*;
use crate::fault::ReplyCode;
use crate::job::{Content, Data, InlineContent, Job, Repeat, SendNumber};
use crate::ticket::{Relayed, StageTimes};
use std::sync::Arc;
use tokio::sync::oneshot;

/// What most tests want.
pub fn settings(dir: &std::path::Path) -> Settings {
    Settings {
        dir: dir.to_owned(),
        bytes_max: 1 << 30,
        disk_free_min: 0,
        retry_first: Duration::from_millis(1),
        retry_max: Duration::from_millis(4),
        expires: Duration::from_secs(3600),
        unknown: WhenUnknown::Hold,
        retention: Duration::from_secs(3600),
        keep_refused: KeepRefused { duration: Duration::from_secs(3600), bytes_max: 1 << 20 },
    }
}

pub const RETRY: ledger::Ask = ledger::Ask::Retry { tried_for: Duration::from_secs(3600) };

pub const BOOT: origin::BootId = Some([b'7'; 36]);

/// A machine in this run of its kernel.
pub fn here(boot: origin::BootId) -> origin::Here {
    origin::Here { boot, machine: Some([1; 16]), witnesses: Vec::new() }
}

/// A journal in a directory of its own, that can be killed and opened again.
pub struct Place {
    _dir: tempfile::TempDir,
    pub settings: Settings,
    pub journal: Option<Journal>,
}

impl Place {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = settings(&dir.path().join("journal"));
        change(&mut settings);
        let mut place = Self { _dir: dir, settings, journal: None };
        place.open();
        place
    }

    pub fn open(&mut self) -> Recovered {
        self.open_after(BOOT)
    }

    pub fn open_after(&mut self, boot: origin::BootId) -> Recovered {
        self.open_at(here(boot))
    }

    pub fn open_at(&mut self, here: origin::Here) -> Recovered {
        let (journal, recovered) = Journal::open_in(self.settings.clone(), here).unwrap();
        self.journal = Some(journal);
        recovered
    }

    pub fn journal(&self) -> &Journal {
        self.journal.as_ref().unwrap()
    }

    /// As if the process were killed: what has not been committed is gone.
    pub async fn crash(&mut self) {
        let journal = self.journal.take().unwrap();
        let _ = journal.shared().inbox.push(Order::Crash);
        journal.close().await;
    }

    pub async fn close(&mut self) {
        self.journal.take().unwrap().close().await;
    }

    /// A connection beside the relay.
    pub fn db(&self) -> rusqlite::Connection {
        file::connect(&self.settings.dir.join(FILE_NAME), file::Use::Write).unwrap()
    }

    pub fn number(&self, sql: &str) -> i64 {
        self.db().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// On the writer's own connection.
    pub async fn run(&self, sql: &str) {
        let (answer, answered) = oneshot::channel();
        self.journal().shared().inbox.push(Order::Run(sql.into(), answer)).unwrap();
        answered.await.unwrap().unwrap();
    }

    pub async fn hold(&self, job: Job, how: How) -> Result<Held, Fault> {
        let job = Arc::new(job);
        let body = Body::of(&job);
        Ok(self.journal().hold(vec![(job, body, how)]).await?.remove(0))
    }

    pub async fn held(&self, job: Job, how: How) -> Number {
        match self.hold(job, how).await.unwrap() {
            Held::New(number) => number,
            other => panic!("{other:?}"),
        }
    }

    pub async fn claim(&self, is_retry: bool) -> Vec<Claimed> {
        let lane = Lane { target: "".into(), is_retry };
        self.journal().claim(&lane, 100).await.unwrap()
    }

    /// All of them may leave from here on.
    pub async fn armed(&self, claimed: Vec<Claimed>) -> Vec<Claimed> {
        let (count, mut armed) = (claimed.len(), Vec::new());
        let mut departures = self.journal().arm("mta1", claimed);
        while armed.len() < count {
            armed.extend(departures.next().await.unwrap());
        }
        armed
    }

    /// Waits until a retry is due, which the settings make a matter of milliseconds.
    pub async fn claim_retry(&self) -> Claimed {
        loop {
            if let Some(claimed) = self.claim(true).await.pop() {
                return claimed;
            }
            self.journal().stir().await;
        }
    }

    /// Settles, and waits until it is committed.
    pub async fn settle(&self, number: Number, outcome: Outcome) {
        self.journal().settle(number, outcome).await;
        self.run("").await;
        self.journal().hold(Vec::new()).await.unwrap();
    }

    pub async fn outcome(&self, send: &SendNumber) -> Outcome {
        self.journal().look_up(send).await.unwrap().unwrap().outcome
    }

    /// Every held job stands in exactly one place, and the sums agree with the rows.
    pub fn check(&self) {
        let wrong = self.number(
            "SELECT count(*) FROM job WHERE
                 (SELECT count(*) FROM due WHERE due.job = job.id)
                 + (SELECT count(*) FROM parked WHERE parked.job = job.id)
                 + (SELECT count(*) FROM flight WHERE flight.job = job.id) <> (state = 'journaled')
                 OR (state = 'journaled' AND NOT EXISTS (SELECT 1 FROM payload WHERE payload.job = job.id))
                 OR (state NOT IN ('journaled', 'unknown')
                     AND EXISTS (SELECT 1 FROM payload WHERE payload.job = job.id))",
        );
        assert_eq!(wrong, 0, "jobs are in one place");
        let strays = "SELECT (SELECT count(*) FROM due WHERE job NOT IN (SELECT id FROM job))
             + (SELECT count(*) FROM flight WHERE job NOT IN (SELECT id FROM job))
             + (SELECT count(*) FROM parked WHERE job NOT IN (SELECT id FROM job))
             + (SELECT count(*) FROM due JOIN payload USING (job) WHERE due.at <> payload.due OR due.target <> payload.target)
             + (SELECT count(*) FROM payload WHERE job NOT IN (SELECT id FROM job))
             + (SELECT count(*) FROM content WHERE uses <>
                 (SELECT count(*) FROM payload WHERE payload.content = content.hash))";
        assert_eq!(self.number(strays), 0, "nothing is left over");
        let bytes = "SELECT (SELECT ifnull(sum(length(record) + 256), 0) FROM payload)
             + (SELECT ifnull(sum(length(octets)), 0) FROM content)";
        assert_eq!(self.number(bytes), self.number("SELECT held_bytes FROM journal"));
        let jobs = "SELECT count(*) FROM payload";
        assert_eq!(self.number(jobs), self.number("SELECT held_jobs FROM journal"));
        let kept = "SELECT (SELECT ifnull(sum(length(record) + 256), 0) FROM kept)
             + (SELECT ifnull(sum(length(octets)), 0) FROM kept_content)";
        assert_eq!(self.number(kept), self.number("SELECT kept_bytes FROM journal"));
        assert_eq!(self.number("SELECT count(*) FROM kept"), self.number("SELECT kept_jobs FROM journal"));
        let strays = "SELECT (SELECT count(*) FROM kept JOIN payload USING (job))
             + (SELECT count(*) FROM kept WHERE job NOT IN (SELECT id FROM job))
             + (SELECT count(*) FROM kept_content WHERE uses <>
                 (SELECT count(*) FROM kept WHERE kept.content = kept_content.hash))";
        assert_eq!(self.number(strays), 0, "nothing is kept for nobody");
        let tally = "SELECT count(*) FROM (
             SELECT engine, ifnull(campaign, '') AS campaign, state,
                 iif(state = 'journaled', '', ifnull(reason, '')) AS reason, count(*) AS jobs
                 FROM job GROUP BY 1, 2, 3, 4
             EXCEPT SELECT engine, campaign, state, reason, jobs FROM tally)";
        assert_eq!(self.number(tally), 0, "the tally agrees");
        let untold = "SELECT count(*) FROM job WHERE state <> 'journaled' AND NOT EXISTS (SELECT 1 FROM event
             WHERE event.job = job.id AND event.state = job.state AND event.attempt = job.attempts)";
        assert_eq!(self.number(untold), 0, "each outcome is an event: the list of results is made of them");
    }
}

pub fn job_of(content: Content) -> Job {
    Job {
        content,
        data: serde_json::from_str(r#"{"order":"A-17"}"#).unwrap(),
        locale: Some("he".into()),
        campaign: Some("c42".into()),
        ..Job::sample()
    }
}

pub fn job() -> Job {
    job_of(Content::Template("welcome".into()))
}

pub fn message(header: &str, body: &str) -> Job {
    job_of(Content::Message(format!("{header}\r\n\r\n{body}").into_bytes().into()))
}

pub fn inline(text: &str) -> Job {
    let content = InlineContent {
        from: "shop@example.com".into(),
        subject: "Sale".into(),
        text: Some(text.into()),
        html: None,
        reply_to: None,
    };
    job_of(Content::Inline(Arc::new(content)))
}

pub fn relayed() -> Outcome {
    Outcome::Relayed(Relayed {
        target: "mta1".into(),
        code: ReplyCode::new(250, 2, 0, 0),
        attempt: 1,
        times: StageTimes::default(),
        repeat: Repeat::No,
    })
}

pub fn busy() -> Fault {
    Fault::refused(ReplyCode::new(451, 4, 3, 0), "busy").at(&"mta1".into())
}

pub fn refused() -> Fault {
    Fault::refused(ReplyCode::new(550, 5, 7, 1), "no").at(&"mta1".into())
}

pub fn is_same(one: &Job, other: &Job) -> bool {
    let mut other_data = Data::new();
    other_data.clone_from(&other.data);
    format!("{one:?}") == format!("{other:?}") && one.data == other_data
}
