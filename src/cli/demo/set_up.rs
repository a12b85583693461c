//! The demo's stage: a throw-away folder as `init` makes it, people in its vault, a sink, and the relay.

use crate::app::App;
use crate::cli::{CliError, init};
use crate::config::Config;
use crate::load::people::{self, InventedPerson};
use crate::load::sink::{Sink, SinkHandle, SinkSettings, SinkTls};
use crate::secret::SecretRef;
use crate::telemetry::{self, LogTo};
use crate::tls::{ServerFiles, ServerTls};
use crate::vault::{AddressChange, Draft, Vault};
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::path::Path;
use tempfile::TempDir;
use toml_edit::{DocumentMut, value};
use zeroize::Zeroizing;

/// Chosen so that the commands printed are those of the README, if the ports are free.
const SMTP_PORT: u16 = 2525;
const HTTP_PORT: u16 = 8025;
const MTA_PORT: u16 = 2587;
const SEED: u64 = 2026;

pub struct Stage {
    pub folder: TempDir,
    pub people: Vec<Member>,
    pub sink: SinkHandle,
    pub app: App,
    pub config: Config,
    pub secret: Zeroizing<String>,
}

/// An invented person and the token the vault gave them.
pub struct Member {
    pub person: InventedPerson,
    pub token: String,
}

impl Stage {
    pub async fn build(people: usize) -> Result<Self, CliError> {
        let folder =
            tempfile::Builder::new().prefix("tokenrelay-demo-").tempdir().map_err(CliError::failed)?;
        let dir = folder.path();
        init::fill(dir, init::Sample::None).map_err(CliError::failed)?;
        let mta = bind(MTA_PORT).map_err(CliError::failed)?;
        let config_file = dir.join("tokenrelay.toml");
        write_ports(&config_file, mta.local_addr().map_err(CliError::failed)?).map_err(CliError::failed)?;
        let config = Config::load(&config_file).map_err(CliError::failed)?;
        let log = std::fs::File::create(dir.join("relay.log")).map_err(CliError::failed)?;
        telemetry::start_log(&config.log, LogTo::File(log)).map_err(CliError::failed)?;
        let people = fill_vault(&config, people)?;
        let sink = start_sink(dir, mta)?;
        let app = App::start(config.clone()).await?;
        let secret = SecretRef::File(dir.join("keys/campaigns.secret")).read().map_err(CliError::failed)?;
        let secret = Zeroizing::new(String::from_utf8_lossy(&secret).into_owned());
        Ok(Self { folder, people, sink, app, config, secret })
    }

    pub fn door(&self, kind: &str) -> SocketAddr {
        let found = self.app.doors().iter().find(|door| door.kind == kind);
        found.and_then(|door| door.address.tcp()).expect("the example configuration has both doors")
    }

    /// Stops everything and removes the folder; returns recipients left without an outcome.
    pub async fn take_down(self) -> u64 {
        let open = self.app.stop().await;
        self.sink.stop().await;
        open
    }
}

/// The usual port, or any free one.
fn bind(port: u16) -> std::io::Result<StdListener> {
    StdListener::bind((Ipv4Addr::LOCALHOST, port)).or_else(|_| StdListener::bind((Ipv4Addr::LOCALHOST, 0)))
}

/// Puts the addresses of this run into the file that `init` wrote, so that every other command works with it.
fn write_ports(file: &Path, mta: SocketAddr) -> std::io::Result<()> {
    let text = std::fs::read_to_string(file)?;
    let mut document: DocumentMut = text.parse().map_err(std::io::Error::other)?;
    // Held until both are known, so that they differ.
    let (smtp, http) = (bind(SMTP_PORT)?, bind(HTTP_PORT)?);
    for (index, socket) in [&smtp, &http].into_iter().enumerate() {
        document["listener"][index]["bind"] = value(socket.local_addr()?.to_string());
    }
    document["target"][0]["port"] = value(i64::from(mta.port()));
    std::fs::write(file, document.to_string())
}

fn fill_vault(config: &Config, count: usize) -> Result<Vec<Member>, CliError> {
    let settings = crate::app::vault_settings(config)?;
    let vault = Vault::open_or_create(&settings).map_err(CliError::failed)?;
    let mut writer = vault.writer().map_err(CliError::failed)?;
    let invented: Vec<InventedPerson> = people::invent(count, SEED).collect();
    let drafts = invented.iter().map(draft).collect::<Result<Vec<_>, _>>()?;
    let stored = writer.put_batch(&drafts, AddressChange::Refused).map_err(CliError::failed)?;
    writer.settle().map_err(CliError::failed)?;
    let member = |(person, put): (InventedPerson, crate::vault::Put)| {
        let token = put.ok().and_then(|stored| stored.email_token);
        let token = token.ok_or_else(|| CliError::failed("an invented person could not be stored"))?;
        Ok(Member { person, token: token.to_string() })
    };
    invented.into_iter().zip(stored).map(member).collect()
}

fn draft(person: &InventedPerson) -> Result<Draft, CliError> {
    let mut draft = Draft::default();
    for (column, value) in people::COLUMNS.iter().zip(person.row()) {
        draft
            .set_named(column, value)
            .map_err(|_| CliError::failed(format!("invented {column} is refused")))?;
    }
    draft.checked().map_err(|_| CliError::failed("an invented person is refused"))
}

fn start_sink(dir: &Path, socket: StdListener) -> Result<SinkHandle, CliError> {
    let certs = dir.join("certs");
    let files =
        ServerFiles { certificate: certs.join("mta1.pem"), key: SecretRef::File(certs.join("mta1.key")) };
    let tls = ServerTls::load(files, &[]).map_err(CliError::failed)?;
    socket.set_nonblocking(true).map_err(CliError::failed)?;
    let listener = tokio::net::TcpListener::from_std(socket).map_err(CliError::failed)?;
    let settings =
        SinkSettings { tls: SinkTls::StartTls(tls.config()), keep: true, ..SinkSettings::default() };
    Ok(Sink::start(vec![listener], settings))
}
