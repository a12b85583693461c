//! The ledger as the HTTP door sees it: the journal's file, read by a few threads beside the flow.

use crate::accept::http::ledger::{
    AttemptView, CampaignView, CountView, EventPage, EventView, JobView, Ledger, RecordView, ResultPage,
    ResultView, StandingView, Told, Unreadable, VerdictView, Wanted,
};
use crate::fault::State;
use crate::job::SendNumber;
use crate::journal::Journal;
use crate::journal::ledger::{self, LedgerError, Readers, Standing, Verdict, Whose};
use std::path::PathBuf;
use std::sync::Arc;

/// Reads at once; more wait. Each takes a thread and a few megabytes of cache at most.
const READERS: usize = 4;

/// The ledger that lies in the journal's directory. `journal` is the one that writes it.
pub fn for_doors(journal_dir: PathBuf, journal: Option<Journal>) -> Arc<dyn Ledger> {
    Arc::new(OfJournal { readers: Readers::new(journal_dir, READERS), journal })
}

struct OfJournal {
    readers: Readers,
    journal: Option<Journal>,
}

impl OfJournal {
    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&ledger::Ledger) -> Result<T, LedgerError> + Send + 'static,
    ) -> Told<T> {
        let (readers, journal) = (self.readers.clone(), self.journal.clone());
        Box::pin(async move {
            let found = readers.read(read).await.map_err(|error| {
                tracing::warn!(%error, "the ledger cannot be read");
                Unreadable
            })?;
            // What was read may not be on the disk yet, and a power cut must not take back what an engine was told.
            match journal {
                Some(journal) => journal.durable().await.map(|()| found).map_err(|_| Unreadable),
                None => Ok(found),
            }
        })
    }
}

impl Ledger for OfJournal {
    fn job(&self, engine: Arc<str>, send: SendNumber) -> Told<Option<JobView>> {
        self.read(move |ledger| {
            let found = ledger.by_send(&send)?.filter(|entry| *entry.engine == *engine);
            let Some(entry) = found else { return Ok(None) };
            let standing = ledger.standing(entry.number)?;
            let attempts = ledger.attempts(entry.number)?;
            Ok(Some(job(entry, standing, attempts)))
        })
    }

    fn campaign(&self, engine: Arc<str>, campaign: Box<str>) -> Told<Option<CampaignView>> {
        self.read(move |ledger| {
            let counts = ledger.campaign(Some(&engine), &campaign)?;
            Ok((counts.jobs() > 0).then(|| CampaignView {
                campaign: campaign.into(),
                jobs: counts.jobs(),
                finished: counts.is_finished(),
                journaled: counts.of(State::Journaled),
                unknown: counts.of(State::Unknown),
                counts: counts
                    .0
                    .into_iter()
                    .map(|count| CountView { state: count.state, reason: count.reason, jobs: count.jobs })
                    .collect(),
            }))
        })
    }

    fn results(&self, engine: Arc<str>, wanted: Wanted) -> Told<ResultPage> {
        self.read(move |ledger| {
            let Wanted { campaign, after, limit } = wanted;
            let whose = Whose { engine: Some(&engine), campaign: campaign.as_deref() };
            let ledger::Results { results, next, is_end } = ledger.results(whose, after, limit)?;
            let view = |(seq, entry)| ResultView { seq, job: record(entry) };
            Ok(ResultPage { results: results.into_iter().map(view).collect(), next, is_end })
        })
    }

    fn events(&self, engine: Arc<str>, after: i64, limit: usize) -> Told<EventPage> {
        self.read(move |ledger| {
            let ledger::Events { events, next, is_end } = ledger.events(Some(&engine), after, limit)?;
            Ok(EventPage { events: events.into_iter().map(event).collect(), next, is_end })
        })
    }

    fn settled(&self) -> Told<()> {
        let journal = self.journal.clone();
        Box::pin(async move {
            let Some(journal) = journal else { return Ok(()) };
            journal.settled().await.map_err(|fault| {
                tracing::warn!(detail = %fault.detail, "the ledger cannot be written");
                Unreadable
            })
        })
    }

    fn last_event(&self) -> Told<i64> {
        self.read(ledger::Ledger::last_event)
    }
}

fn job(entry: ledger::Entry, standing: Standing, attempts: Vec<ledger::Attempt>) -> JobView {
    let attempt = |attempt: ledger::Attempt| AttemptView {
        attempt: attempt.attempt,
        at: attempt.at.to_string(),
        verdict: verdict(attempt.verdict),
    };
    JobView {
        record: record(entry),
        standing: match standing {
            Standing::Waiting => StandingView::Waiting,
            Standing::InFlight => StandingView::InFlight,
            Standing::HeldInDoubt => StandingView::HeldInDoubt,
            Standing::Parked => StandingView::Parked,
            Standing::Kept => StandingView::Kept,
            Standing::Ended => StandingView::Ended,
        },
        attempts: attempts.into_iter().map(attempt).collect(),
    }
}

fn record(entry: ledger::Entry) -> RecordView {
    RecordView {
        send: entry.send.to_string(),
        job_id: entry.job_id,
        campaign: entry.campaign,
        token: entry.token,
        verdict: verdict(entry.verdict),
        attempt: entry.attempt,
        resent: entry.resent,
        maybe_repeated: entry.maybe_repeated,
        accepted: entry.accepted.to_string(),
        changed: entry.changed.to_string(),
    }
}

fn event(event: ledger::Event) -> EventView {
    EventView {
        seq: event.seq,
        at: event.at.to_string(),
        send: event.send.to_string(),
        job_id: event.job_id,
        campaign: event.campaign,
        verdict: verdict(event.verdict),
        attempt: event.attempt,
        maybe_repeated: event.maybe_repeated,
    }
}

fn verdict(verdict: Verdict) -> VerdictView {
    let Verdict { state, reason, detail, target, code, enhanced } = verdict;
    VerdictView { state, reason, detail, target, code, enhanced }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Reason;
    use crate::journal::ledger::tests::{Book, Stand};

    #[tokio::test]
    async fn an_engine_is_told_of_its_own_jobs_only() {
        let mut book = Book::new();
        let mine = book.add("mine", Some("c"), Stand::Retry { at: 9_000 });
        book.attempt(mine, 1, State::Deferred, Some(Reason::TargetRejected));
        let theirs = book.add("theirs", Some("c"), Stand::Doubt);
        let ledger = for_doors(book.dir.path().to_owned(), None);
        let mine = ledger.job("mine".into(), Book::send(mine.0)).await.unwrap().unwrap();
        assert_eq!((mine.standing, mine.attempts.len()), (StandingView::Waiting, 1));
        assert_eq!(mine.record.accepted, "1970-01-01T00:00:01.000Z");
        assert!(ledger.job("mine".into(), Book::send(theirs.0)).await.unwrap().is_none());
        let campaign = ledger.campaign("mine".into(), "c".into()).await.unwrap().unwrap();
        assert_eq!((campaign.jobs, campaign.finished, campaign.unknown), (1, false, 0));
        assert!(ledger.campaign("nobody".into(), "c".into()).await.unwrap().is_none());
        let page = ledger.events("theirs".into(), 0, 10).await.unwrap();
        assert_eq!((page.events.len(), page.next, page.is_end), (1, 2, true));
        assert_eq!(ledger.last_event().await.unwrap(), 2);
        let wanted = Wanted { campaign: Some("c".into()), after: 0, limit: 10 };
        let page = ledger.results("theirs".into(), wanted.clone()).await.unwrap();
        assert_eq!((page.results.len(), page.results[0].seq, page.next, page.is_end), (1, 2, 2, true));
        assert_eq!(page.results[0].job.send, Book::send(theirs.0).to_string());
        assert!(ledger.results("nobody".into(), wanted).await.unwrap().results.is_empty());
        assert_eq!(for_doors("/nowhere".into(), None).last_event().await, Err(Unreadable));
    }
}
