//! What the door needs to tell what became of jobs: a ledger to ask, and what it answers, as it goes out.

use crate::fault::{Reason, State};
use crate::job::SendNumber;
use futures_util::future::BoxFuture;
use serde::Serialize;
use std::sync::Arc;

/// The ledger cannot be read right now. Whoever says so has written the cause into the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

pub type Told<T> = BoxFuture<'static, Result<T, Unreadable>>;

/// The ledger as one engine may see it: of another engine's jobs nothing is told, not even that they are there. No
/// call blocks, and what is asked at once is bounded behind it.
pub trait Ledger: Send + Sync {
    fn job(&self, engine: Arc<str>, send: SendNumber) -> Told<Option<JobView>>;

    /// `None` when the ledger has no job of this campaign.
    fn campaign(&self, engine: Arc<str>, campaign: Box<str>) -> Told<Option<CampaignView>>;

    /// Jobs by their last results, in the order of the ledger's sequence.
    fn results(&self, engine: Arc<str>, wanted: Wanted) -> Told<ResultPage>;

    /// Up to `limit` events behind the cursor `after`.
    fn events(&self, engine: Arc<str>, after: i64, limit: usize) -> Told<EventPage>;

    /// Waits until every outcome that the house has told so far is in the ledger, and on the disk.
    fn settled(&self) -> Told<()>;

    /// The cursor behind the last event there is.
    fn last_event(&self) -> Told<i64>;
}

/// A state with its cause.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = Verdict)]
pub struct VerdictView {
    #[schema(value_type = super::openapi::StateText)]
    pub state: State,
    /// One of a closed list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::openapi::ReasonText>)]
    pub reason: Option<Reason>,
    /// Cause and fix in words; never a value of a person or of `data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Name of the target that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The target's reply code (RFC 5321 §4.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// The target's enhanced status code (RFC 3463).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enhanced: Option<String>,
}

/// What the ledger says about one job.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = JobRecord, example = json!({"send": "s_chkrkqopv4emf76nwf6tsxbprm", "job_id": "c42-17", "campaign": "c42",
    "token": "e_684384628", "state": "relayed", "target": "mta1", "code": 250, "enhanced": "2.0.0", "attempt": 2,
    "resent": false, "standing": "ended", "accepted": "2031-05-04T09:00:00.120Z", "changed": "2031-05-04T09:00:31.007Z",
    "attempts": [{"attempt": 1, "at": "2031-05-04T09:00:00.340Z", "state": "deferred", "reason": "target-rejected",
    "code": 451}]}))]
pub struct JobView {
    #[serde(flatten)]
    #[schema(inline)]
    pub record: RecordView,
    pub standing: StandingView,
    /// The attempts that did not end the job, the latest 200, oldest first.
    pub attempts: Vec<AttemptView>,
}

/// A job's row of the ledger.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = JobRow)]
pub struct RecordView {
    pub send: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    /// The recipient's token, without its domain.
    pub token: String,
    #[serde(flatten)]
    #[schema(inline)]
    pub verdict: VerdictView,
    /// Attempts so far.
    pub attempt: u32,
    /// Sent again after an outcome in doubt, or about to be: it may arrive twice, under one Message-ID.
    pub resent: bool,
    /// The relay may have carried it before and have forgotten (a power cut, a restored state): it may arrive twice, under
    /// one Message-ID. Absent for no.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub maybe_repeated: bool,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub accepted: String,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub changed: String,
}

/// Which results.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Of one campaign, or of all.
    pub campaign: Option<Box<str>>,
    /// Behind this cursor.
    pub after: i64,
    /// At most so many.
    pub limit: usize,
}

/// The last result of a job.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = LedgerResult, example = json!({"seq": 17, "send": "s_chkrkqopv4emf76nwf6tsxbprm", "job_id": "c42-17",
    "campaign": "c42", "token": "e_684384628", "state": "relayed", "target": "mta1", "code": 250, "enhanced": "2.0.0",
    "attempt": 2, "resent": false, "accepted": "2031-05-04T09:00:00.120Z", "changed": "2031-05-04T09:00:31.007Z"}))]
pub struct ResultView {
    /// Grows with every result, with gaps: the cursor.
    pub seq: i64,
    #[serde(flatten)]
    #[schema(inline)]
    pub job: RecordView,
}

/// Some results, and where to go on.
#[derive(Debug, Clone)]
pub struct ResultPage {
    pub results: Vec<ResultView>,
    /// May be ahead of the last one: others were passed over.
    pub next: i64,
    /// There was nothing more.
    pub is_end: bool,
}

/// Where a job is: it waits for its next attempt, one is under way, it is held because it may have been delivered, it is
/// parked since the relay's state was copied or restored, until a person says so, it was refused and is kept so that it can be
/// judged anew, or nothing more will be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Standing)]
pub enum StandingView {
    Waiting,
    InFlight,
    HeldInDoubt,
    Parked,
    Kept,
    Ended,
}

#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptView {
    /// From 1.
    pub attempt: u32,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub at: String,
    #[serde(flatten)]
    #[schema(inline)]
    pub verdict: VerdictView,
}

/// What became of a campaign's jobs so far.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = Campaign, example = json!({"campaign": "c42", "jobs": 1000, "finished": false, "journaled": 3, "unknown": 1,
    "counts": [{"state": "relayed", "jobs": 990}, {"state": "suppressed", "reason": "no-consent", "jobs": 6},
    {"state": "journaled", "jobs": 3}, {"state": "unknown", "reason": "target-unavailable", "jobs": 1}]}))]
pub struct CampaignView {
    pub campaign: String,
    pub jobs: u64,
    /// No job is still to be delivered. Jobs in doubt (`unknown`) do not keep a campaign from being finished; they are
    /// told apart.
    pub finished: bool,
    /// Still to be delivered.
    pub journaled: u64,
    /// In doubt: they may have been delivered.
    pub unknown: u64,
    pub counts: Vec<CountView>,
}

#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = Count)]
pub struct CountView {
    #[schema(value_type = super::openapi::StateText)]
    pub state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::openapi::ReasonText>)]
    pub reason: Option<Reason>,
    pub jobs: u64,
}

/// One change of a job's state.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[schema(as = Event, example = json!({"seq": 17, "at": "2031-05-04T09:00:31.007Z", "send": "s_chkrkqopv4emf76nwf6tsxbprm",
    "job_id": "c42-17", "campaign": "c42", "state": "relayed", "target": "mta1", "code": 250, "enhanced": "2.0.0",
    "attempt": 2}))]
pub struct EventView {
    /// Grows with every event, with gaps: the cursor.
    pub seq: i64,
    /// RFC 3339, UTC.
    #[schema(format = DateTime)]
    pub at: String,
    pub send: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    #[serde(flatten)]
    #[schema(inline)]
    pub verdict: VerdictView,
    pub attempt: u32,
    /// The job may have been carried before: it may arrive twice, under one Message-ID. Absent for no.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub maybe_repeated: bool,
}

/// Some events, and where to go on.
#[derive(Debug, Clone)]
pub struct EventPage {
    pub events: Vec<EventView>,
    /// May be ahead of the last event: those of other engines were passed over.
    pub next: i64,
    /// There was nothing more.
    pub is_end: bool,
}
