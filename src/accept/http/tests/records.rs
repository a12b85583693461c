//! Jobs, campaigns and events over HTTP, from a ledger written by hand.

use super::*;
use crate::accept::http::ledger::*;
use crate::engine::{Credential, Engine, Engines};
use crate::fault::{Reason, State};
use crate::job::{Acceptance, SendNumber, Token};
use futures_util::future::ready;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

/// Each job's engine, with what is told of it.
#[derive(Default)]
pub(super) struct Records {
    jobs: Mutex<Vec<(&'static str, JobView)>>,
    /// Told to their engine, and not written yet.
    coming: Mutex<Vec<(&'static str, JobView)>>,
    events: Mutex<Vec<(&'static str, EventView)>>,
    pub(super) is_broken: AtomicBool,
}

impl Records {
    pub(super) fn add_event(&self, engine: &'static str) {
        let mut events = self.events.lock().unwrap();
        let event = EventView {
            seq: events.len() as i64 + 1,
            at: "2031-05-04T09:00:00.000Z".into(),
            send: SendNumber::fresh().to_string(),
            job_id: Some("c42-17".into()),
            campaign: None,
            verdict: verdict(State::Relayed, None),
            attempt: 1,
            maybe_repeated: false,
        };
        events.push((engine, event));
    }

    /// Looks at three events at a time, so that a page can end before its events do.
    fn page(&self, engine: &str, after: i64, limit: usize) -> EventPage {
        let events = self.events.lock().unwrap();
        let seen: Vec<_> = events.iter().filter(|(_, event)| event.seq > after).take(3).collect();
        let is_end = seen.last().is_none_or(|(_, last)| last.seq == events.len() as i64);
        let next = seen.last().map_or(after, |(_, last)| last.seq);
        let own = seen.into_iter().filter(|(of, _)| *of == engine).map(|(_, event)| event.clone());
        EventPage { events: own.take(limit).collect(), next, is_end }
    }

    fn told<T: Send + 'static>(&self, told: T) -> Told<T> {
        Box::pin(ready(if self.is_broken.load(Relaxed) { Err(Unreadable) } else { Ok(told) }))
    }
}

impl Ledger for Records {
    fn job(&self, engine: Arc<str>, send: SendNumber) -> Told<Option<JobView>> {
        let jobs = self.jobs.lock().unwrap();
        let mut all = jobs.iter().filter(|(of, job)| **of == *engine && job.record.send == send.as_str());
        self.told(all.next().map(|(_, job)| job.clone()))
    }

    fn campaign(&self, engine: Arc<str>, campaign: Box<str>) -> Told<Option<CampaignView>> {
        let found = (&*engine, &*campaign) == ("campaigns", "c 42/a");
        let counts = vec![CountView { state: State::Suppressed, reason: Some(Reason::NoConsent), jobs: 3 }];
        self.told(found.then(|| CampaignView {
            campaign: campaign.into(),
            jobs: 3,
            finished: true,
            journaled: 0,
            unknown: 0,
            counts,
        }))
    }

    fn events(&self, engine: Arc<str>, after: i64, limit: usize) -> Told<EventPage> {
        self.told(self.page(&engine, after, limit))
    }

    /// Each event is the last of a job of its own; those of odd numbers are of the campaign `odd & ends`.
    fn results(&self, engine: Arc<str>, wanted: Wanted) -> Told<ResultPage> {
        let page = self.page(&engine, wanted.after, usize::MAX);
        let is_odd = |event: &EventView| event.seq % 2 == 1;
        let is_meant = |event: &EventView| match wanted.campaign.as_deref() {
            None => true,
            Some(name) => name == "odd & ends" && is_odd(event),
        };
        let view = |event: EventView| ResultView {
            seq: event.seq,
            job: job_view(&SendNumber::parse(&event.send).unwrap()).record,
        };
        let results: Vec<_> = page.events.into_iter().filter(is_meant).map(view).take(wanted.limit).collect();
        let is_full = results.len() == wanted.limit;
        let next = results.last().filter(|_| is_full).map_or(page.next, |last| last.seq);
        self.told(ResultPage { results, next, is_end: page.is_end && !is_full })
    }

    fn settled(&self) -> Told<()> {
        self.jobs.lock().unwrap().append(&mut self.coming.lock().unwrap());
        self.told(())
    }

    fn last_event(&self) -> Told<i64> {
        self.told(self.events.lock().unwrap().len() as i64)
    }
}

fn verdict(state: State, reason: Option<Reason>) -> VerdictView {
    VerdictView { state, reason, detail: None, target: None, code: None, enhanced: None }
}

fn job_view(send: &SendNumber) -> JobView {
    JobView {
        record: RecordView {
            send: send.to_string(),
            job_id: Some("c42/17".into()),
            campaign: None,
            token: "e_684384628".into(),
            verdict: verdict(State::Journaled, Some(Reason::TargetUnavailable)),
            attempt: 2,
            resent: false,
            maybe_repeated: false,
            accepted: "2031-05-04T09:00:00.000Z".into(),
            changed: "2031-05-04T09:00:00.000Z".into(),
        },
        standing: StandingView::Waiting,
        attempts: Vec::new(),
    }
}

pub(super) async fn world(limits: Limits) -> (World, Arc<Records>) {
    let records = Arc::new(Records::default());
    (World::keeping(limits, Acceptance::Auto, Some(records.clone())).await, records)
}

fn quick() -> Limits {
    Limits {
        events_poll: Duration::from_millis(2),
        event_heartbeat: Duration::from_millis(40),
        event_streams_max: 2,
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_job_is_told_to_its_engine_by_either_name_and_to_nobody_else() {
    let (world, records) = world(Limits::default()).await;
    let house = house(Gate::new(1, 1), Arc::default(), Arc::new(Semaphore::new(0)));
    let send = house.send_number("campaigns", "c42/17");
    let foreign = SendNumber::fresh();
    records.jobs.lock().unwrap().extend([("campaigns", job_view(&send)), ("slow", job_view(&foreign))]);
    for id in ["c42%2F17", send.as_str()] {
        let (status, job, _) = world.send(get(&format!("/v1/jobs/{id}"))).await;
        assert_eq!((status, &job["send"]), (200, &json!(send.as_str())));
        assert_eq!((&job["state"], &job["standing"]), (&json!("journaled"), &json!("waiting")));
    }
    // Of a message with several recipients: each is asked for by the id they share.
    let tokens = ["e_684384628", "e_684384629"].map(|local| Token::from_local(local).unwrap());
    let numbers = tokens.each_ref().map(|token| house.shared_send_number("campaigns", "m1", token));
    records.jobs.lock().unwrap().extend(numbers.each_ref().map(|send| ("campaigns", job_view(send))));
    for (to, send) in ["e_684384628@tokens.example", "E_684384629%40tokens.example"].iter().zip(&numbers) {
        let (status, job, _) = world.send(get(&format!("/v1/jobs/m1?to={to}"))).await;
        assert_eq!((status, &job["send"]), (200, &json!(send.as_str())));
    }
    for (query, expected) in
        [("", 404), ("?to=e_684384630", 404), ("?to=dana", 400), ("?for=e_684384628", 400)]
    {
        assert_eq!(world.send(get(&format!("/v1/jobs/m1{query}"))).await.0, expected, "{query}");
    }
    let unknown = world.send(get(&format!("/v1/jobs/{}", SendNumber::fresh()))).await;
    let others = world.send(get(&format!("/v1/jobs/{foreign}"))).await;
    assert_eq!((others.0, &others.1), (404, &unknown.1));
    records.is_broken.store(true, Relaxed);
    let (status, problem, head) = world.send(get("/v1/jobs/c1")).await;
    assert_eq!((status, &problem["type"]), (503, &json!("urn:tokenrelay:problem:ledger-unavailable")));
    assert!(head.headers().contains_key("retry-after"));
    world.close().await;
}

#[tokio::test]
async fn p11_a_job_is_found_as_soon_as_its_engine_was_told_of_it() {
    let (world, records) = world(Limits::default()).await;
    let send = SendNumber::fresh();
    records.coming.lock().unwrap().push(("campaigns", job_view(&send)));
    let (status, job, _) = world.send(get(&format!("/v1/jobs/{send}"))).await;
    assert_eq!((status, &job["send"]), (200, &json!(send.as_str())));
    world.close().await;
}

#[tokio::test]
async fn a_campaign_is_counted_or_not_there() {
    let (world, _) = world(Limits::default()).await;
    let (status, campaign, _) = world.send(get("/v1/campaigns/c%2042%2Fa")).await;
    assert_eq!((status, &campaign["counts"][0]["reason"]), (200, &json!("no-consent")));
    assert_eq!(world.send(get("/v1/campaigns/c43")).await.0, 404);
    let mut other = get("/v1/campaigns/c%2042%2Fa");
    other.headers_mut().insert("authorization", "Bearer k-slow".parse().unwrap());
    assert_eq!(world.send(other).await.0, 404);
    assert_eq!(world.send(post("application/json", full(""))).await.0, 400);
    world.close().await;
}

async fn page(world: &World, query: &str) -> (Vec<i64>, i64) {
    list(world, &format!("/v1/events{query}")).await
}

async fn list(world: &World, query: &str) -> (Vec<i64>, i64) {
    let response = world.client().await.send_request(get(query)).await.unwrap();
    assert_eq!(response.status(), 200, "{query}");
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let cursor = response.headers()["tokenrelay-cursor"].to_str().unwrap().parse().unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let lines = std::str::from_utf8(&body).unwrap().lines();
    let seq = |line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_i64().unwrap();
    (lines.map(seq).collect(), cursor)
}

#[tokio::test]
async fn pages_of_events_go_on_behind_their_cursor() {
    let (world, records) = world(quick()).await;
    assert_eq!(page(&world, "").await, (vec![], 0));
    for engine in ["slow", "slow", "slow", "slow", "campaigns", "campaigns", "slow"] {
        records.add_event(engine);
    }
    assert_eq!(page(&world, "?after=0&limit=10").await, (vec![5, 6], 6));
    assert_eq!(page(&world, "?after=5").await, (vec![6], 7));
    assert_eq!(page(&world, "?after=latest").await, (vec![], 7));
    for query in ["?after=-1", "?after=x", "?limit=0", "?wait=soon", "?colour=1"] {
        let (status, problem, _) = world.send(get(&format!("/v1/events{query}"))).await;
        assert_eq!((status, &problem["type"]), (400, &json!("urn:tokenrelay:problem:bad-query")), "{query}");
    }
    world.close().await;
}

#[tokio::test]
async fn d_results_are_read_page_by_page_behind_their_cursor() {
    let (world, records) = world(quick()).await;
    let results = async |query: &str| list(&world, &format!("/v1/jobs{query}")).await;
    assert_eq!(results("").await, (vec![], 0));
    for engine in ["slow", "slow", "slow", "slow", "campaigns", "campaigns", "slow", "campaigns", "campaigns"]
    {
        records.add_event(engine);
    }
    // Reads on past what is others', until the page is full or there is nothing more.
    assert_eq!(results("").await, (vec![5, 6, 8, 9], 9));
    assert_eq!(results("?limit=2").await, (vec![5, 6], 6));
    assert_eq!(results("?after=6&limit=1").await, (vec![8], 8));
    assert_eq!(results("?campaign=odd+%26%20ends").await, (vec![5, 9], 9));
    assert_eq!(results("?campaign=odd").await, (vec![], 9));
    assert_eq!(results("?after=latest").await, (vec![], 9));
    for query in
        ["?campaign=", "?after=-1", "?after=x", "?limit=0", "?wait=soon", "?colour=1", "?campaign=%f"]
    {
        let (status, problem, _) = world.send(get(&format!("/v1/jobs{query}"))).await;
        assert_eq!((status, &problem["type"]), (400, &json!("urn:tokenrelay:problem:bad-query")), "{query}");
    }
    let (told, ()) = tokio::join!(results("?after=9&wait=30"), async { records.add_event("campaigns") });
    assert_eq!(told, (vec![10], 10));
    let mut keyless = get("/v1/jobs");
    keyless.headers_mut().remove("authorization");
    assert_eq!(world.send(keyless).await.0, 401);
    records.is_broken.store(true, Relaxed);
    assert_eq!(world.send(get("/v1/jobs")).await.0, 503);
    world.close().await;
}

#[tokio::test]
async fn d_an_engine_reads_few_lists_of_results_at_once() {
    let (world, _) = world(Limits { result_pages_max: 2, ..quick() }).await;
    let waiting = [world.client().await, world.client().await].map(|mut client| {
        tokio::spawn(async move { client.send_request(get("/v1/jobs?wait=1")).await.unwrap().status() })
    });
    let both_wait = async { while world.send(get("/v1/jobs")).await.0 == 200 {} };
    tokio::time::timeout(Duration::from_secs(30), both_wait).await.expect("the third is refused");
    assert_eq!(world.send(get("/v1/jobs")).await.0, 429);
    for waiting in waiting {
        assert_eq!(waiting.await.unwrap(), 200);
    }
    assert_eq!(world.send(get("/v1/jobs")).await.0, 200);
    world.close().await;
}

/// As a reload does.
async fn taken_away(world: &World, engines: Vec<Arc<Engine>>) {
    // Its requests wait.
    tokio::time::sleep(Duration::from_millis(20)).await;
    world.engines.send_replace(Arc::new(Engines::new(engines)));
}

#[tokio::test]
async fn d_who_waits_learns_nothing_more_when_the_right_to_ask_is_taken_away() {
    let other_key = Arc::new(Engine {
        credential: Credential::of(b"k-new"),
        ..Arc::into_inner(engine("campaigns", None)).unwrap()
    });
    for left in [vec![], vec![other_key]] {
        for path in ["/v1/jobs?wait=60", "/v1/events?wait=60"] {
            let (world, records) = world(quick()).await;
            let asked = list(&world, path);
            let told = async {
                let ((), told) = tokio::join!(taken_away(&world, left.clone()), asked);
                told
            };
            let told = tokio::time::timeout(Duration::from_secs(30), told).await.expect("it waits no more");
            assert_eq!(told, (vec![], 0), "{path}");
            records.add_event("campaigns");
            assert_eq!(world.send(get(path)).await.0, 401);
            world.close().await;
        }
    }
}

#[tokio::test]
async fn a_page_waits_for_its_first_event() {
    let (world, records) = world(quick()).await;
    let happening = async {
        records.add_event("slow");
        tokio::task::yield_now().await;
        records.add_event("campaigns");
    };
    let (told, ()) = tokio::join!(page(&world, "?after=0&wait=30"), happening);
    assert_eq!(told, (vec![2], 2));
    world.close().await;
}

#[tokio::test]
async fn a_stream_of_events_goes_on_lives_and_ends_with_the_door() {
    let (mut world, records) = world(quick()).await;
    for engine in ["campaigns", "slow", "campaigns"] {
        records.add_event(engine);
    }
    let request = || {
        let mut request = get("/v1/events");
        request.headers_mut().insert("accept", "text/html, text/event-stream;q=0.9".parse().unwrap());
        request.headers_mut().insert("last-event-id", "1".parse().unwrap());
        request
    };
    let response = world.client().await.send_request(request()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let mut text = String::new();
    while !text.contains(": still here\nid: 3\n\n") {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&frame).unwrap());
    }
    assert!(text.starts_with("retry: 2000\n\nid: 3\ndata: {\"seq\":3,"), "{text}");
    assert_eq!(text.matches("data: ").count(), 1);
    records.add_event("campaigns");
    while !text.contains("id: 4\ndata: ") {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&frame).unwrap());
    }
    // Two at a time for an engine; the place of one that ended is free.
    let second = world.client().await.send_request(request()).await.unwrap();
    assert_eq!(world.send(request()).await.0, 429);
    assert_eq!(world.send(get("/v1/events?wait=1")).await.0, 429);
    assert_eq!(page(&world, "?after=3").await.0, [4]);
    drop(second);
    let mut status = 429;
    while status == 429 {
        status = world.client().await.send_request(request()).await.unwrap().status().as_u16();
    }
    world.stop.take().unwrap().send(()).unwrap();
    while body.frame().await.is_some() {}
    (&mut world.door).await.unwrap();
    assert_eq!(world.counts.connections_open.load(Relaxed), 0);
}
