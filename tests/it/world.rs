//! The world of one test, and the check at its end of what must always hold.

use crate::http::Http;
use crate::log;
use crate::set_up::{RunningMta, Turn};
use crate::smtp::Smtp;
use crate::transcript::Transcript;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokenrelay::app::{App, OpenDoor, vault_settings};
use tokenrelay::config::Config;
use tokenrelay::fault::State;
use tokenrelay::load::leak::{Hit, LeakSearch};
use tokenrelay::load::sink::{SinkHandle, SunkMessage};
use tokenrelay::ticket::Board;
use tokenrelay::vault::{Draft, Vault};
use tokio::time::{interval, timeout};

/// Longest wait for something that has to come about.
pub const PATIENCE: Duration = Duration::from_secs(20);
const BEAT: Duration = Duration::from_millis(2);

pub struct World {
    pub dir: TempDir,
    pub config: Config,
    pub app: Option<App>,
    pub board: Arc<Board>,
    pub people: Vec<Member>,
    pub mtas: Vec<RunningMta>,
    /// The SMTP password and HTTP key of the engine `campaigns`.
    pub secret: String,
    /// Everything under `keys`.
    pub(crate) secrets: Vec<String>,
    pub(crate) doors: Vec<OpenDoor>,
    pub(crate) transcript: Transcript,
    pub(crate) tls: Arc<rustls::ClientConfig>,
    pub(crate) log_mark: usize,
    pub(crate) left_by_stop: Option<u64>,
    pub(crate) is_finished: bool,
    pub(crate) _turn: Turn,
}

/// Somebody in the vault.
pub struct Member {
    pub token: String,
    pub row: Vec<(&'static str, String)>,
}

impl Member {
    pub fn address(&self) -> String {
        format!("{}@tokens.example", self.token)
    }

    pub fn value(&self, column: &str) -> &str {
        self.row.iter().find(|(name, _)| *name == column).map_or("", |(_, value)| value)
    }

    /// All that must not leave the vault.
    fn personal_values(&self) -> impl Iterator<Item = &str> {
        let is_personal = |name: &&str| !["locale", "consent", "retention"].contains(name);
        self.row.iter().filter(move |(name, _)| is_personal(name)).map(|(_, value)| value.as_str())
    }
}

impl World {
    pub fn door(&self, kind: &str) -> SocketAddr {
        self.doors.iter().find(|door| door.kind == kind).and_then(|door| door.address.tcp()).unwrap()
    }

    /// The engine `campaigns` on a new HTTP connection.
    pub async fn http(&self) -> Http {
        self.http_as(&self.secret).await
    }

    pub async fn http_as(&self, key: &str) -> Http {
        Http::connect(self.door("http"), self.tls.clone(), key, self.transcript.clone()).await.unwrap()
    }

    /// The same at the last of the doors with HTTP.
    pub async fn http_at_last(&self) -> Http {
        let door = self.doors.iter().rev().find(|door| door.kind == "http").unwrap();
        let address = door.address.tcp().unwrap();
        Http::connect(address, self.tls.clone(), &self.secret, self.transcript.clone()).await.unwrap()
    }

    /// The engine `campaigns`, logged in on a new SMTP connection.
    pub async fn smtp(&self) -> Smtp {
        self.smtp_as("campaigns", &self.secret).await
    }

    pub async fn smtp_as(&self, engine: &str, secret: &str) -> Smtp {
        let mut smtp =
            Smtp::connect(self.door("smtp"), self.tls.clone(), self.transcript.clone()).await.unwrap();
        let reply = smtp.log_in(engine, secret).await;
        assert_eq!(reply.code, 235, "{reply:?}");
        smtp
    }

    /// A job for a person with the template `note`.
    pub fn job(&self, person: usize, job_id: &str) -> Value {
        json!({"job_id": job_id, "to": self.people[person].address(), "template": "note", "purpose": "service"})
    }

    /// A message that is its own template.
    pub fn message(&self, person: usize) -> String {
        format!(
            "From: Shop <shop@shop.example>\r\nTo: {}\r\nSubject: {{{{person.first_name}}}}, your order\r\n\
             X-TokenRelay-Purpose: service\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
             \r\nDear {{{{person.first_name}}}} {{{{person.last_name}}}},\r\n\r\nyour order is on its way.",
            self.people[person].address()
        )
    }

    /// The only first MTA, or the first one.
    pub fn sink(&self) -> &SinkHandle {
        self.mtas[0].sink.as_ref().expect("this MTA serves")
    }

    pub fn messages(&self) -> Vec<SunkMessage> {
        self.mtas.iter().filter_map(|mta| mta.sink.as_ref()).flat_map(SinkHandle::messages).collect()
    }

    pub fn app(&self) -> &App {
        self.app.as_ref().expect("the relay runs")
    }

    /// Recipients whose outcome this was.
    pub fn settled(&self, state: State) -> u64 {
        self.board.settled(state)
    }

    /// Stops the relay and starts it again on what it left.
    pub async fn restart(&mut self) {
        self.stop().await;
        assert_eq!(self.left_by_stop.take(), Some(0));
        self.start().await;
    }

    /// Starts the relay on what was left.
    pub async fn start(&mut self) {
        let config = Config::load(&self.config.file).unwrap();
        let app = App::start(config).await.unwrap();
        self.board = app.board().clone();
        self.doors = app.doors().to_vec();
        self.app = Some(app);
    }

    /// State and reason of a job, and whether it was sent again in doubt, as the ledger on disk has them.
    pub fn ledger(&self, job_id: &str) -> Option<(String, Option<String>, bool)> {
        let row = "SELECT state, reason, is_resent FROM job WHERE job_id = ?1";
        self.journal().query_row(row, [job_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).ok()
    }

    /// Waits until the ledger says so.
    pub async fn ends(&self, job_id: &str, state: &str) {
        let what = format!("{job_id} becomes {state}");
        eventually(&what, || self.ledger(job_id).is_some_and(|(now, ..)| now == state)).await;
    }

    /// The person says no to a purpose from now on.
    pub fn refuse(&self, person: usize, purpose: &str) {
        self.consent(person, &format!("-{purpose}"));
    }

    /// As an import of a list with this in its column `consent` would.
    pub fn consent(&self, person: usize, said: &str) {
        let vault = Vault::open(&vault_settings(&self.config).unwrap()).unwrap();
        let mut writer = vault.writer().unwrap();
        let mut draft = Draft::default();
        draft.set_named("email", self.people[person].value("email")).unwrap();
        draft.set_named("consent", said).unwrap();
        writer.put(&draft.checked().unwrap()).unwrap().unwrap();
        writer.settle().unwrap();
    }

    /// Rows of a table of the journal.
    pub fn rows(&self, table: &str) -> i64 {
        self.journal().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    pub fn journal(&self) -> rusqlite::Connection {
        let file = self.config.journal_dir().join(tokenrelay::journal::FILE_NAME);
        let journal = rusqlite::Connection::open(file).unwrap();
        journal.busy_timeout(PATIENCE).unwrap();
        journal
    }

    /// Stops the relay; what it left without an outcome is judged by [`World::finish`].
    pub async fn stop(&mut self) {
        let app = self.app.take().expect("the relay runs");
        self.left_by_stop = Some(app.stop().await);
    }

    /// Takes the world down and checks what must always hold: every accepted recipient has one outcome, nothing
    /// is held any more, and no value of a person is anywhere outside the vault.
    pub async fn finish(mut self) {
        self.is_finished = true;
        let board = self.board.clone();
        eventually("every accepted recipient has its outcome", || board.open() == 0).await;
        if self.app.is_some() {
            self.check_gate().await;
            self.stop().await;
        }
        assert_eq!(self.left_by_stop, Some(0), "recipients were lost or left without an outcome");
        let outcomes: u64 = State::ALL.iter().map(|state| board.settled(*state)).sum();
        assert_eq!(outcomes, board.accepted(), "every accepted recipient has one outcome");
        assert_eq!(board.settled(State::Lost), 0, "recipients were lost");
        for mta in &mut self.mtas {
            if let Some(sink) = mta.sink.take() {
                sink.stop().await;
            }
        }
        self.check_leaks();
    }

    /// Doors give room back a moment after they answered.
    async fn check_gate(&self) {
        let whole = format!("tokenrelay_gate_free_jobs {}", self.config.limits.jobs_in_flight_max);
        let mut http = self.http().await;
        let free = async {
            while !http.get("/metrics").await.text.lines().any(|line| line == whole) {
                tokio::time::sleep(BEAT).await;
            }
        };
        assert!(timeout(PATIENCE, free).await.is_ok(), "jobs are still within the gate");
    }

    /// The metrics page and every result are in the transcript. Keys lie in files of their own, and nowhere else.
    fn check_leaks(&self) {
        let values: Vec<&str> = self.people.iter().flat_map(Member::personal_values).collect();
        let search = LeakSearch::new(&values);
        let files = search.search_dir(self.dir.path(), &|_: &Path| false).unwrap();
        assert_none("personal values in files", &files);
        let secrets: Vec<&str> = self.secrets.iter().map(String::as_str).collect();
        for (what, search) in [("personal values", search), ("secrets", LeakSearch::new(&secrets))] {
            let lines = search.search_bytes(&log::since(self.log_mark)).unwrap();
            assert_none(&format!("{what} in log lines"), &lines);
            let told = search.search_bytes(&self.transcript.whole()).unwrap();
            assert_none(&format!("{what} in what engines were told"), &told);
        }
    }
}

fn assert_none(what: &str, found: &[Hit]) {
    let first: Vec<String> = found.iter().take(3).map(ToString::to_string).collect();
    assert!(found.is_empty(), "{} {what}: {}", found.len(), first.join("; "));
}

impl Drop for World {
    fn drop(&mut self) {
        assert!(self.is_finished || std::thread::panicking(), "a world has to be finished");
    }
}

/// Waits until it holds. Nothing is concluded from time passing, except that too much of it passed.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        let mut beat = interval(BEAT);
        while !holds() {
            beat.tick().await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "it did not come about that {what}");
}

/// Whether a result says so; anything it says beside is no matter here.
#[track_caller]
pub fn assert_result(result: &Value, state: &str, reason: &str) {
    assert_eq!((&result["state"], &result["reason"]), (&json!(state), &json!(reason)), "{result}");
}
