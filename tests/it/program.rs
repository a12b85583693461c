//! The relay as a process of its own, for what only a process has: standard error, signals, an exit code.

use crate::set_up::Stage;
use crate::world::{World, eventually};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use tokenrelay::app::OpenDoor;
use tokenrelay::config::Bind;
use toml_edit::value;

/// A relay that runs beside a world, on its folder and with its first MTAs.
pub struct Program {
    child: Child,
    http: SocketAddr,
}

impl Stage {
    /// A world whose own relay has stopped, so that a process can take its place.
    pub async fn for_a_program(self) -> World {
        let [smtp, http] = free_ports();
        let stage = self.edit(move |file| {
            for (index, address) in [smtp, http].into_iter().enumerate() {
                file["listener"][index]["bind"] = value(address.to_string());
            }
        });
        let mut world = stage.up().await;
        world.stop().await;
        world
    }
}

/// Both at once, so that they differ.
fn free_ports() -> [SocketAddr; 2] {
    let taken = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    taken.map(|socket| socket.local_addr().unwrap())
}

/// `tokenrelay serve` on the folder of a world.
pub fn serve(world: &World) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenrelay"));
    command.args(["serve", "-c"]).arg(&world.config.file);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

impl Program {
    /// Starts it, its standard error set up so, and waits until it takes jobs.
    pub async fn start(world: &mut World, set_up: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let mut command = serve(world);
        set_up(&mut command);
        Self::run(world, &mut command).await
    }

    /// Likewise by a command that becomes it.
    pub async fn run(world: &mut World, command: &mut Command) -> Self {
        let bind = |index: usize| world.config.listeners[index].bind.clone();
        let [smtp, http] = [0, 1].map(bind);
        let address = http.tcp().unwrap();
        let door = |kind, address: Bind| OpenDoor { kind, address, tls: "starttls" };
        world.doors = vec![door("smtp", smtp), door("http", http)];
        let mut child = command.spawn().unwrap();
        eventually("the relay serves", || {
            assert_eq!(child.try_wait().unwrap(), None, "it ended");
            TcpStream::connect(address).is_ok()
        })
        .await;
        Self { child, http: address }
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Waits until it takes no more jobs.
    pub async fn stops_listening(&self) {
        eventually("its doors are shut", || TcpStream::connect(self.http).is_err()).await;
    }

    pub async fn ended(mut self) -> ExitStatus {
        let mut status = None;
        eventually("the process ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A counter or gauge of the metrics page.
pub async fn metric(world: &World, name: &str) -> u64 {
    let page = world.http().await.get("/metrics").await.text;
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in {page}")).parse().unwrap()
}

/// How often a file holds this text.
pub fn count_in(file: &Path, text: &str) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().matches(text).count()
}
