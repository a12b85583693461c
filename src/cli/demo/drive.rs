//! Sends the demo's messages: half as HTTP jobs with the relay's templates, half over SMTP as messages that are
//! their own template.

use super::set_up::{Member, Stage};
use crate::cli::CliError;
use crate::cli::progress::bar;
use crate::config::TlsMode;
use crate::fault::Fault;
use crate::inject::{self, DeliverError, Delivery, EightBit, Injector, TargetAuth, TargetSettings};
use crate::load::client::{Client, Endpoint, ResultText};
use crate::personal::Personal;
use crate::tls::{ClientTls, Trust};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use hdrhistogram::Histogram;
use indicatif::ProgressBar;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// SMTP messages under way at once.
const SMTP_AT_ONCE: usize = 16;
const TEMPLATES: [&str; 3] = ["welcome", "receipt", "statement"];

/// What came of it.
pub struct Driven {
    pub jobs: usize,
    pub relayed: usize,
    /// What was not relayed, by the reason given.
    pub failed: BTreeMap<String, usize>,
    pub http: Door,
    pub smtp: Door,
    /// How often each address was to get a message.
    pub expected: BTreeMap<String, usize>,
}

/// One door's part.
pub struct Door {
    pub jobs: usize,
    pub took: Duration,
    /// From job sent to answer read, in microseconds.
    pub latency: Histogram<u64>,
}

impl Door {
    fn new(jobs: usize) -> Self {
        let latency = Histogram::new_with_max(600_000_000, 3).expect("the bounds are valid");
        Self { jobs, took: Duration::ZERO, latency }
    }
}

pub async fn send(stage: &Stage, jobs: usize) -> Result<Driven, CliError> {
    let (http, smtp) = (jobs / 2, jobs - jobs / 2);
    let mut driven = Driven {
        jobs,
        relayed: 0,
        failed: BTreeMap::new(),
        http: Door::new(http),
        smtp: Door::new(smtp),
        expected: BTreeMap::new(),
    };
    for index in 0..jobs {
        *driven.expected.entry(member(stage, index).person.email.clone()).or_default() += 1;
    }
    let bar = progress(jobs as u64);
    over_http(stage, &mut driven, &bar).await?;
    over_smtp(stage, &mut driven, &bar).await?;
    bar.finish_and_clear();
    Ok(driven)
}

fn member(stage: &Stage, index: usize) -> &Member {
    &stage.people[index % stage.people.len()]
}

fn progress(total: u64) -> ProgressBar {
    bar(Some(total), "{bar:40} {human_pos}/{human_len} messages, {rate}")
}

impl Driven {
    fn count(&mut self, state: &str, reason: &str) {
        if state == "relayed" {
            self.relayed += 1;
        } else {
            *self.failed.entry(format!("{state} {reason}")).or_default() += 1;
        }
    }
}

fn trust_in_our_ca(stage: &Stage) -> Result<ClientTls, CliError> {
    ClientTls::load(Trust::CaFile(stage.folder.path().join("certs/ca.pem"))).map_err(CliError::failed)
}

async fn over_http(stage: &Stage, driven: &mut Driven, bar: &ProgressBar) -> Result<(), CliError> {
    let url = format!("https://{}", stage.door("http"));
    let endpoint = Endpoint::new(&url, Some(trust_in_our_ca(stage)?.config())).map_err(CliError::failed)?;
    let mut client = Client::connect(&endpoint, &stage.secret).await.map_err(CliError::failed)?;
    let jobs: Vec<Bytes> = (0..driven.http.jobs).map(|index| http_job(member(stage, index), index)).collect();
    let started = Instant::now();
    let mut results = client.submit(stream::iter(jobs)).await.map_err(CliError::failed)?;
    while let Some(line) = results.next().await.map_err(CliError::failed)? {
        let result = ResultText::read(&line).map_err(CliError::failed)?;
        driven.count(&result.state, result.reason.as_deref().unwrap_or_default());
        if let Some(micros) = relay_micros(&line) {
            driven.http.latency.saturating_record(micros);
        }
        bar.inc(1);
    }
    driven.http.took = started.elapsed();
    Ok(())
}

/// In a stream the time until the answer is mostly the queue before it; the relay's own stages are in the result, but for
/// messages in which a person's values choose: their times are told in tenths of a second.
fn relay_micros(line: &[u8]) -> Option<u64> {
    let result: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
    let ms = |stage: &str| result["ms"][stage].as_f64().unwrap_or_default();
    let is_exact = ms("render") < 100.0;
    is_exact.then(|| ((ms("resolve") + ms("render") + ms("inject")) * 1_000.0) as u64)
}

fn http_job(to: &Member, index: usize) -> Bytes {
    let template = TEMPLATES[index % TEMPLATES.len()];
    let data = match template {
        "welcome" => json!({"shop": "Marigold", "voucher": "SPRING"}),
        "receipt" => json!({
            "order": format!("A-{index}"), "ordered_on": "2026-03-01", "total": "€33.50",
            "items": [{"name": "Green tea & biscuits", "quantity": 2, "price": "€7.00"},
                      {"name": "茶碗", "quantity": 1, "price": "€19.50"}],
        }),
        _ => json!({
            "period": "March 2026",
            "lines": [{"date": "2026-03-01", "text": "Rent", "amount": "€700.00", "kind": "out"},
                      {"date": "2026-03-02", "text": "Salary", "amount": "€2,100.00", "kind": "in"}],
        }),
    };
    let job = json!({
        "job_id": format!("demo-{index}"), "to": format!("{}@tokens.example", to.token), "template": template,
        "locale": to.person.locale, "data": data, "campaign": "demo",
    });
    Bytes::from(job.to_string())
}

/// The relay's SMTP door is a server like any other: our own client speaks to it, as an engine would.
async fn over_smtp(stage: &Stage, driven: &mut Driven, bar: &ProgressBar) -> Result<(), CliError> {
    let door = stage.door("smtp");
    let mut settings = TargetSettings::new("relay", &door.ip().to_string(), door.port());
    settings.tls = match stage.config.listeners[0].tls {
        TlsMode::Implicit => inject::TlsMode::Implicit,
        TlsMode::StartTls | TlsMode::None => inject::TlsMode::StartTls,
    };
    settings.client_tls = Some(trust_in_our_ca(stage)?);
    settings.connections_max = SMTP_AT_ONCE;
    settings.auth =
        Some(TargetAuth { user: "campaigns".into(), password: Personal::new(stage.secret.to_string()) });
    let engine = Injector::start(vec![settings]);
    let relay = engine.choose(Some("relay")).map_err(CliError::failed)?;
    let (from, to) = (driven.http.jobs, driven.jobs);
    let started = Instant::now();
    let sent: Vec<_> = stream::iter(from..to)
        .map(|index| {
            let (engine, relay) = (&engine, &relay);
            async move {
                let started = Instant::now();
                let sent = engine.deliver(relay, smtp_message(member(stage, index), index)).await;
                bar.inc(1);
                (sent.map(drop), started.elapsed())
            }
        })
        .buffer_unordered(SMTP_AT_ONCE)
        .collect()
        .await;
    driven.smtp.took = started.elapsed();
    for (outcome, latency) in sent {
        driven.smtp.latency.saturating_record(latency.as_micros() as u64);
        match outcome {
            Ok(()) => driven.count("relayed", ""),
            Err(DeliverError::Failed(fault)) => driven.count(fault.state().as_str(), &told(&fault)),
            Err(DeliverError::NeedsSevenBit) => driven.count("rejected", "no 8BITMIME"),
        }
    }
    engine.drain().await;
    Ok(())
}

fn told(fault: &Fault) -> String {
    fault.reply.map_or_else(|| fault.detail.to_string(), |code| code.basic.to_string())
}

fn smtp_message(to: &Member, index: usize) -> Delivery {
    let recipient = format!("{}@tokens.example", to.token);
    let message = format!(
        "From: Marigold <news@marigold.example>\r\nTo: {recipient}\r\n\
         Subject: {{{{person.first_name}}}}, your order A-{index} is on its way\r\n\
         X-TokenRelay-Purpose: service\r\nX-TokenRelay-Campaign: demo\r\nX-TokenRelay-Job-Id: demo-{index}\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         Dear {{{{person.first_name}}}} {{{{person.last_name}}}},\r\n\r\n\
         your order A-{index} is on its way to {{{{person.street}}}}, {{{{person.city}}}}.\r\n"
    );
    Delivery {
        message: message.into_bytes().into(),
        sender: "bounces@marigold.example".into(),
        whom: crate::inject::Whom::of(&recipient),
        recipient: Personal::new(recipient),
        eight_bit: EightBit::None,
        smtputf8: false,
        require_tls: false,
        give_up_at: None,
        on_offer: None,
        person: None,
    }
}
