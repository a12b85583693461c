//! What a world is built from: a folder as `init` fills it, a configuration edited for the test, people, and
//! first MTAs that behave by script.

use crate::log;
use crate::transcript::Transcript;
use crate::world::{Member, World};
use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tempfile::TempDir;
use tokenrelay::app::{App, vault_settings};
use tokenrelay::cli::{CliError, init};
use tokenrelay::config::Config;
use tokenrelay::load::people::{self, InventedPerson};
use tokenrelay::load::sink::{Script, Sink, SinkHandle, SinkSettings, SinkTls};
use tokenrelay::secret::SecretRef;
use tokenrelay::tls::{ClientTls, ServerFiles, ServerTls, Trust};
use tokenrelay::vault::value::Words;
use tokenrelay::vault::{AddressChange, Draft, Vault};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

/// A template small enough to be loaded once a test.
const NOTE: [(&str, &str); 3] = [
    (
        "note/template.toml",
        "from = \"Shop <shop@shop.example>\"\n\
         to_name = \"{{person.first_name}} {{person.last_name}}\"\n\
         [field.first_name]\nrequired = true\n[field.last_name]\nrequired = true\n\
         [data.order]\ndefault = \"A-1\"\n",
    ),
    ("note/subject.hbs", "{{person.first_name}}, your order {{data.order}}"),
    ("note/body.txt.hbs", "Dear {{person.first_name}} {{person.last_name}},\n\nyour order {{data.order}}.\n"),
];

/// Different in every world, so that one world's people are not found in another's log lines.
static SEED: AtomicU64 = AtomicU64::new(1);

/// A first MTA.
pub struct Mta {
    pub name: &'static str,
    pub script: Script,
    pub identity: Identity,
    pub presence: Presence,
    pub priority: i64,
    /// Asked for before MAIL.
    pub password: Option<&'static str>,
}

/// The user of every target that asks for a password.
pub const TARGET_USER: &str = "relay";

/// The certificate it shows.
pub enum Identity {
    /// The one `init` made, which the relay trusts.
    Ours,
    /// Another one, and the authority that the relay is to trust, if not ours.
    Other { config: Arc<rustls::ServerConfig>, authority_pem: Option<String> },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Serving,
    /// Connections are made and nothing is said on them until [`World::open`].
    Silent,
    /// Connections are refused until [`World::open`].
    Down,
}

impl Mta {
    pub fn new(name: &'static str, script: Script) -> Self {
        Self {
            name,
            script,
            identity: Identity::Ours,
            presence: Presence::Serving,
            priority: 0,
            password: None,
        }
    }

    /// By the names of the sink's profiles.
    pub fn behaving(profiles: &str) -> Self {
        Self::new("mta1", Script::profile(profiles).unwrap())
    }
}

type Edit = Box<dyn FnOnce(&mut DocumentMut)>;

/// A world to be.
pub struct Stage {
    pub dir: TempDir,
    mtas: Vec<Mta>,
    people: usize,
    columns: Vec<(usize, &'static str, &'static str)>,
    edits: Vec<Edit>,
    quiet: bool,
    accept: &'static str,
}

impl Stage {
    /// One well-behaved first MTA, four people, and the template `note`.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("tokenrelay-it-").tempdir().unwrap();
        init::fill(dir.path(), init::Sample::None).unwrap();
        let stage = Self {
            dir,
            mtas: Vec::new(),
            people: 4,
            columns: Vec::new(),
            edits: Vec::new(),
            quiet: false,
            accept: "handoff",
        };
        let stage = NOTE.iter().fold(stage, |stage, (file, text)| stage.file(&format!("small/{file}"), text));
        stage.edit(|file| file["templates"]["dir"] = value("small"))
    }

    /// A first MTA; the first call replaces the well-behaved one.
    pub fn mta(mut self, mta: Mta) -> Self {
        self.mtas.push(mta);
        self
    }

    pub fn people(mut self, count: usize) -> Self {
        self.people = count;
        self
    }

    /// Another value for one person; an empty one leaves the column out.
    pub fn column(mut self, person: usize, column: &'static str, value: &'static str) -> Self {
        self.columns.push((person, column, value));
        self
    }

    pub fn file(self, path: &str, text: &str) -> Self {
        let path = self.dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        if path.parent().is_some_and(|folder| folder.ends_with("keys")) {
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        }
        self
    }

    /// Changes the configuration that `init` wrote, after addresses and targets are in it.
    pub fn edit(mut self, edit: impl FnOnce(&mut DocumentMut) + 'static) -> Self {
        self.edits.push(Box::new(edit));
        self
    }

    /// One more engine with grants of its own. Its secret is `key_of(name)`.
    pub fn engine(self, name: &'static str, grants: Grants) -> Self {
        let secret = format!("keys/{name}.secret");
        let stage = self.file(&secret, &key_of(name));
        stage.edit(move |file| {
            let engines = file["engine"].as_array_of_tables_mut().unwrap();
            let mut engine = Table::new();
            engine["name"] = value(name);
            engine["secret"] = value(format!("file:{secret}"));
            engine["templates"] = list(grants.templates);
            engine["fields"] = list(grants.fields);
            engine["purposes"] = list(grants.purposes);
            engines.push(engine);
        })
    }

    /// What a positive answer means; `handoff` unless it is said. Held jobs are tried again soon.
    pub fn accept(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self.edit(|file| {
            file["journal"]["retry_first"] = value("100ms");
            file["journal"]["retry_max"] = value("400ms");
            file["journal"]["disk_free_min"] = value("1MiB");
        })
    }

    /// Runs while no other world does, so that the process's memory is this world's.
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    pub async fn up(self) -> World {
        self.start().await.unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// The error of a relay that does not start.
    pub async fn refused(self) -> CliError {
        match self.start().await {
            Err(error) => error,
            Ok(_) => panic!("the relay started"),
        }
    }

    async fn start(mut self) -> Result<World, CliError> {
        let turn = Turn::take(self.quiet).await;
        let log_mark = log::mark();
        if self.mtas.is_empty() {
            self.mtas.push(Mta::behaving("accept"));
        }
        let mut mtas: Vec<RunningMta> = Vec::new();
        for mta in self.mtas.drain(..) {
            mtas.push(RunningMta::start(mta, self.dir.path()));
        }
        let file = self.write_config(&mtas);
        let config =
            Config::load(&file).map_err(|error| CliError::new(tokenrelay::cli::Exit::Config, error))?;
        let people = fill_vault(&config, self.invented())?;
        let app = App::start(config.clone()).await?;
        let tls = ClientTls::load(Trust::CaFile(self.dir.path().join("certs/ca.pem"))).unwrap();
        let keys = self.dir.path().join("keys");
        let secret = std::fs::read_to_string(keys.join("campaigns.secret")).unwrap();
        let keys = std::fs::read_dir(keys).unwrap();
        let secrets = keys.map(|key| std::fs::read_to_string(key.unwrap().path()).unwrap().trim().to_owned());
        let secrets = secrets.collect();
        Ok(World {
            board: app.board().clone(),
            doors: app.doors().to_vec(),
            app: Some(app),
            dir: self.dir,
            config,
            people,
            mtas,
            secret: secret.trim().to_owned(),
            secrets,
            transcript: Transcript::default(),
            tls: tls.config(),
            log_mark,
            left_by_stop: None,
            is_finished: false,
            _turn: turn,
        })
    }

    fn invented(&self) -> Vec<Vec<(&'static str, String)>> {
        let seed = SEED.fetch_add(1, Relaxed) ^ (u64::from(std::process::id()) << 20);
        let row = |(index, person): (usize, InventedPerson)| {
            let mut row: Vec<(&'static str, String)> =
                people::COLUMNS.into_iter().zip(person.row().map(str::to_owned)).collect();
            for (_, column, value) in self.columns.iter().filter(|(of, ..)| *of == index) {
                row.retain(|(name, _)| name != column);
                row.push((column, (*value).to_owned()));
            }
            row
        };
        people::markers(self.people, seed).enumerate().map(row).collect()
    }

    fn write_config(&mut self, mtas: &[RunningMta]) -> std::path::PathBuf {
        let file = self.dir.path().join("tokenrelay.toml");
        let mut document: DocumentMut = std::fs::read_to_string(&file).unwrap().parse().unwrap();
        for index in 0..2 {
            document["listener"][index]["bind"] = value("127.0.0.1:0");
            document["listener"][index]["accept"] = value(self.accept);
        }
        let mut targets = ArrayOfTables::new();
        for mta in mtas {
            let mut target = Table::new();
            target["name"] = value(mta.name);
            target["host"] = value("127.0.0.1");
            target["port"] = value(i64::from(mta.address.port()));
            target["tls"] = value("starttls");
            target["ca"] = value(&mta.authority);
            target["priority"] = value(mta.priority);
            targets.push(target);
        }
        document["target"] = Item::ArrayOfTables(targets);
        self.edits.drain(..).for_each(|edit| edit(&mut document));
        std::fs::write(&file, document.to_string()).unwrap();
        file
    }
}

/// What an engine may do.
#[derive(Clone, Copy)]
pub struct Grants {
    pub templates: &'static [&'static str],
    pub fields: &'static [&'static str],
    pub purposes: &'static [&'static str],
}

pub const NARROW: Grants = Grants { templates: &["note"], fields: &["first_name"], purposes: &["service"] };

/// The secret of an engine that [`Stage::engine`] adds.
pub fn key_of(engine: &str) -> String {
    format!("a secret of the engine {engine}").replace(' ', "-")
}

pub fn list(words: &[&str]) -> Item {
    value(words.iter().copied().collect::<toml_edit::Array>())
}

/// A first MTA with its address; it may not be there yet.
pub struct RunningMta {
    pub name: &'static str,
    pub sink: Option<SinkHandle>,
    address: SocketAddr,
    authority: String,
    priority: i64,
    waiting: Option<Waiting>,
}

struct Waiting {
    place: Place,
    settings: SinkSettings,
}

enum Place {
    Listener(TcpListener),
    /// Bound and not listening, so that nobody else takes the port.
    Socket(TcpSocket),
}

impl RunningMta {
    fn start(mta: Mta, dir: &Path) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = socket.local_addr().unwrap();
        let ours = String::from("certs/ca.pem");
        let (tls, authority) = match mta.identity {
            Identity::Ours => (our_tls(dir), ours),
            Identity::Other { config, authority_pem: None } => (config, ours),
            Identity::Other { config, authority_pem: Some(pem) } => {
                let theirs = format!("certs/of-{}.pem", mta.name);
                std::fs::write(dir.join(&theirs), pem).unwrap();
                (config, theirs)
            }
        };
        let settings = SinkSettings {
            tls: SinkTls::StartTls(tls),
            script: mta.script,
            auth: mta.password.map(|password| (TARGET_USER.to_owned(), password.to_owned())),
            keep: true,
            ..SinkSettings::default()
        };
        let place = match mta.presence {
            Presence::Down => Place::Socket(socket),
            Presence::Serving | Presence::Silent => Place::Listener(socket.listen(1024).unwrap()),
        };
        let waiting = Some(Waiting { place, settings });
        let mut running =
            Self { name: mta.name, sink: None, address, authority, priority: mta.priority, waiting };
        if mta.presence == Presence::Serving {
            running.open();
        }
        running
    }

    /// Begins to serve.
    pub fn open(&mut self) {
        let Waiting { place, settings } = self.waiting.take().expect("it does not serve yet");
        let listener = match place {
            Place::Listener(listener) => listener,
            Place::Socket(socket) => socket.listen(1024).unwrap(),
        };
        self.sink = Some(Sink::start(vec![listener], settings));
    }
}

fn our_tls(dir: &Path) -> Arc<rustls::ServerConfig> {
    let certs = dir.join("certs");
    let key = SecretRef::File(certs.join("mta1.key"));
    ServerTls::load(ServerFiles { certificate: certs.join("mta1.pem"), key }, &[]).unwrap().config()
}

fn fill_vault(config: &Config, rows: Vec<Vec<(&'static str, String)>>) -> Result<Vec<Member>, CliError> {
    let vault = Vault::open_or_create(&vault_settings(config)?).unwrap();
    let mut writer = vault.writer().unwrap();
    let draft = |row: &Vec<(&'static str, String)>| {
        // What looks like a placeholder is what somebody is called.
        let words =
            Words { as_is: row.iter().map(|(column, _)| column.to_string()).collect(), ..Words::default() };
        let mut draft = Draft::reading(&words);
        row.iter().for_each(|(column, value)| draft.set_named(column, value).unwrap());
        draft.checked().unwrap()
    };
    let drafts: Vec<Draft> = rows.iter().map(draft).collect();
    let stored = writer.put_batch(&drafts, AddressChange::Refused).unwrap();
    writer.settle().unwrap();
    let member = |(row, put): (Vec<(&'static str, String)>, tokenrelay::vault::Put)| Member {
        token: put.unwrap().email_token.unwrap().to_string(),
        row,
    };
    Ok(rows.into_iter().zip(stored).map(member).collect())
}

/// The right to run: shared, or alone. A test has one world at a time, so that waiting for it always ends.
pub enum Turn {
    Shared { _guard: OwnedRwLockReadGuard<()> },
    Alone { _guard: OwnedRwLockWriteGuard<()> },
}

impl Turn {
    async fn take(is_alone: bool) -> Self {
        static TURNS: OnceLock<Arc<RwLock<()>>> = OnceLock::new();
        let turns = TURNS.get_or_init(Arc::default).clone();
        if is_alone {
            Self::Alone { _guard: turns.write_owned().await }
        } else {
            Self::Shared { _guard: turns.read_owned().await }
        }
    }
}
