//! The relay as it is shipped, in a process of its own and a folder of its own, so that it can be killed as a power cut
//! would kill it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokenrelay::app::vault_settings;
use tokenrelay::cli::init;
use tokenrelay::config::Config;
use tokenrelay::load::people;
use tokenrelay::vault::{AddressChange, Draft, Vault};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

pub const ENGINE: &str = "campaigns";
const PEOPLE: usize = 40;
/// Longest wait for doors to open, or for a peaceful end.
const PATIENCE: Duration = Duration::from_secs(30);
const BEAT: Duration = Duration::from_millis(10);

/// How a run's relay is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub accept: &'static str,
    pub unknown: &'static str,
}

impl Rule {
    /// Seeds that follow each other have different ones.
    pub fn of(seed: u64) -> Self {
        Self {
            accept: ["auto", "journal"][(seed % 2) as usize],
            unknown: ["hold", "resend"][(seed / 2 % 2) as usize],
        }
    }
}

/// Somebody in the vault.
#[derive(Clone)]
pub struct Member {
    /// What an engine knows.
    pub token_address: String,
    /// What the first MTA gets.
    pub email: String,
}

pub struct Relay {
    pub dir: TempDir,
    pub http: SocketAddr,
    pub smtp: SocketAddr,
    /// Where the relay believes its first MTA is.
    pub target: SocketAddr,
    pub secret: String,
    pub members: Vec<Member>,
    config: Config,
    child: Option<Child>,
    _places: Vec<TcpSocket>,
}

impl Relay {
    /// Not running yet.
    pub fn new(rule: Rule, seed: u64) -> Self {
        let dir = tempfile::Builder::new().prefix("tokenrelay-sim-").tempdir().unwrap();
        init::fill(dir.path(), init::Sample::None).unwrap();
        // Bound and not listening: nobody else takes the ports while the relay is dead.
        let places: Vec<TcpSocket> = (0..3).map(|_| place()).collect();
        let [http, smtp, target] = [0, 1, 2].map(|at: usize| places[at].local_addr().unwrap());
        let file = dir.path().join("tokenrelay.toml");
        std::fs::write(&file, config_text(rule, [http, smtp, target])).unwrap();
        let config = Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
        let members = fill_vault(&config, seed);
        let secret = std::fs::read_to_string(dir.path().join("keys/campaigns.secret")).unwrap();
        let secret = secret.trim().to_owned();
        Self { dir, http, smtp, target, secret, members, config, child: None, _places: places }
    }

    pub fn journal_file(&self) -> PathBuf {
        self.config.journal_dir().join(tokenrelay::journal::FILE_NAME)
    }

    /// Starts it on what it left; back when its doors are open.
    pub async fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenrelay"));
        command.arg("serve").arg("-c").arg(&self.config.file).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        for door in [self.http, self.smtp] {
            let opened = timeout(PATIENCE, self.wait_for(door)).await;
            assert!(opened.is_ok(), "no door opened:\n{}", self.log_end());
        }
    }

    async fn wait_for(&mut self, door: SocketAddr) {
        while TcpStream::connect(door).await.is_err() {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "the relay did not start:\n{}", self.log_end());
            tokio::time::sleep(BEAT).await;
        }
    }

    /// SIGKILL: nothing is said, written or closed any more.
    pub async fn crash(&mut self) {
        let mut child = self.child.take().expect("the relay runs");
        if let Some(ended) = child.try_wait().unwrap() {
            panic!("the relay ended by itself with {ended}:\n{}", self.log_end());
        }
        child.kill().await.unwrap();
    }

    /// SIGTERM, and as long as it takes.
    pub async fn stop(&mut self) {
        let mut child = self.child.take().expect("the relay runs");
        let id = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        let id = id.unwrap_or_else(|| panic!("the relay ended by itself:\n{}", self.log_end()));
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        assert!(timeout(PATIENCE, child.wait()).await.is_ok(), "it did not stop:\n{}", self.log_end());
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("serve.log")
    }

    fn log_end(&self) -> String {
        let text = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

fn place() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    socket
}

/// Everything speaks in clear, so that the network can be cut at a final dot.
fn config_text(rule: Rule, [http, smtp, target]: [SocketAddr; 3]) -> String {
    let Rule { accept, unknown } = rule;
    let door = |kind, bind| {
        format!(
            "[[listener]]\nkind = \"{kind}\"\nbind = \"{bind}\"\ntls = \"none\"\naccept = \"{accept}\"\n\
             token_domains = [\"tokens.example\"]\n"
        )
    };
    let port = target.port();
    format!(
        "state_dir = \"state\"\n[vault]\nkey = \"file:keys/vault.key\"\n[templates]\ndir = \"templates\"\n\
         [limits]\nhandoff_wait = \"300ms\"\ndrain_wait = \"2s\"\n\
         [journal]\nunknown = \"{unknown}\"\nretry_first = \"50ms\"\nretry_max = \"300ms\"\n\
         disk_free_min = \"1MiB\"\n{}{}\
         [[target]]\nname = \"mta1\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
         connect_timeout = \"500ms\"\nreply_timeout = \"700ms\"\nfinal_dot_timeout = \"700ms\"\nconnections_max = 8\n\
         [[engine]]\nname = \"{ENGINE}\"\nsecret = \"file:keys/campaigns.secret\"\ntemplates = [\"*\"]\n\
         fields = [\"*\"]\npurposes = [\"service\"]\npurpose_default = \"service\"\n",
        door("http", http),
        door("smtp", smtp),
    )
}

fn fill_vault(config: &Config, seed: u64) -> Vec<Member> {
    let vault = Vault::open_or_create(&vault_settings(config).unwrap()).unwrap();
    let mut writer = vault.writer().unwrap();
    let rows: Vec<_> = people::markers(PEOPLE, seed).collect();
    let drafts: Vec<Draft> = rows
        .iter()
        .map(|person| {
            let mut draft = Draft::default();
            for (column, value) in people::COLUMNS.into_iter().zip(person.row()) {
                draft.set_named(column, value).unwrap();
            }
            draft.checked().unwrap()
        })
        .collect();
    let stored = writer.put_batch(&drafts, AddressChange::Refused).unwrap();
    writer.settle().unwrap();
    let email = people::COLUMNS.iter().position(|column| *column == "email").unwrap();
    let member = |(put, person): (tokenrelay::vault::Put, &people::InventedPerson)| Member {
        token_address: format!("{}@tokens.example", put.unwrap().email_token.unwrap()),
        email: person.row()[email].to_owned(),
    };
    stored.into_iter().zip(&rows).map(member).collect()
}
