//! What must not end, stall or slow the process, and what must end it.

use crate::program::{Program, count_in, metric, serve};
use crate::set_up::{Mta, Presence, Stage};
use crate::world::{PATIENCE, World, eventually};
use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use tokenrelay::load::sink::Script;
use tokio::time::timeout;
use toml_edit::value;

const JOBS: usize = 40;

async fn submit(world: &World, what: &str) {
    let mut http = world.http().await;
    for number in 0..JOBS {
        let result = http.post(&world.job(number % 4, &format!("{what}-{number}"))).await;
        assert_eq!(result.json()["state"], "relayed", "{what}: {}", result.text);
    }
}

/// Jobs go on, each log line that is lost is counted, and the process ends as it should.
async fn goes_on(stderr: Stdio, what: &str) {
    let stage = Stage::new().edit(|file| file["log"]["level"] = value("tokenrelay=trace"));
    let mut world = stage.for_a_program().await;
    let relay = Program::start(&mut world, |serve| serve.stderr(stderr)).await;
    submit(&world, what).await;
    assert!(metric(&world, "tokenrelay_log_lines_dropped_total").await > 0, "{what}");
    relay.signal("-TERM");
    assert_eq!(relay.ended().await.code(), Some(0), "{what}");
    assert_eq!(world.sink().stats().messages, JOBS as u64);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_a_log_whose_reader_is_gone_ends_nothing() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    goes_on(writer.into(), "reader-gone").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_a_full_log_disk_ends_nothing() {
    goes_on(OpenOptions::new().write(true).open("/dev/full").unwrap().into(), "disk-full").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_a_pipe_that_nobody_reads_stalls_nothing() {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut world = Stage::new().for_a_program().await;
    // Full before the first line.
    let filler = writer.try_clone().unwrap();
    fill(&filler);
    drop(filler);
    let relay = Program::start(&mut world, |serve| serve.stderr(writer)).await;
    submit(&world, "full").await;
    relay.signal("-TERM");
    assert_eq!(relay.ended().await.code(), Some(0));
    drop(reader);
    world.finish().await;
}

/// Writes until a pipe takes no more.
fn fill(pipe: &std::io::PipeWriter) {
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    let flags = fcntl_getfl(pipe).unwrap();
    fcntl_setfl(pipe, flags | OFlags::NONBLOCK).unwrap();
    while rustix::io::write(pipe, &[b'x'; 4096]).is_ok() {}
    fcntl_setfl(pipe, flags).unwrap();
}

/// Runs what follows in the background of a terminal that stops who writes to it from there; what it says goes to a file.
const BEHIND_A_TERMINAL: &str = r#"
import os, pty, signal, sys, termios
told, command = sys.argv[1], sys.argv[2:]
reading, writing = os.pipe()
leader, terminal = pty.fork()
if leader == 0:
    mode = termios.tcgetattr(0)
    mode[3] |= termios.TOSTOP
    termios.tcsetattr(0, termios.TCSANOW, mode)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.execv(command[0], command)
    os.write(writing, b"%d" % child)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
child = int(os.read(reading, 20))
signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
with open(told, "wb", buffering=0) as file:
    try:
        while said := os.read(terminal, 4096):
            file.write(said)
    except OSError:
        pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(leader, 0)[1]))
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_a_terminal_that_stops_who_writes_in_the_background_stops_nothing() {
    let mut world = Stage::new().for_a_program().await;
    let (serve, told) = (serve(&world), world.dir.path().join("told"));
    let mut python = Command::new("python3");
    python.args(["-c", BEHIND_A_TERMINAL]).arg(&told).arg(serve.get_program()).args(serve.get_args());
    let relay = Program::run(&mut world, &mut python).await;
    submit(&world, "terminal").await;
    relay.signal("-TERM");
    assert_eq!(relay.ended().await.code(), Some(0));
    assert_eq!(count_in(&told, "every accepted recipient has its outcome"), 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_standard_descriptors_that_are_closed_become_no_sockets() {
    let mut world = Stage::new().for_a_program().await;
    let serve = serve(&world);
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" <&- >&- 2>&-"]).arg(serve.get_program()).args(serve.get_args());
    let relay = Program::run(&mut world, &mut shell).await;
    submit(&world, "closed").await;
    relay.signal("-TERM");
    assert_eq!(relay.ended().await.code(), Some(0));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c1_a_mistake_is_an_exit_code_also_when_nobody_can_read_it() {
    let world = Stage::new().for_a_program().await;
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenrelay"));
    let status = command.args(["serve", "-c", "/nowhere.toml"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(78));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p11_a_secret_that_others_can_read_keeps_the_relay_from_starting() {
    let mut world = Stage::new().for_a_program().await;
    let secret = world.dir.path().join("keys/campaigns.secret");
    let state = world.config.state_dir.clone();
    for (path, open, fix) in [
        (&secret, 0o644, "chmod o-rwx"),
        (&secret, 0o660, "chmod g-w,o-rwx"),
        (&state, 0o777, "chmod g-w,o-rwx"),
    ] {
        let before = std::fs::metadata(path).unwrap().permissions();
        std::fs::set_permissions(path, Permissions::from_mode(open)).unwrap();
        let output = tokio::process::Command::from(serve(&world)).kill_on_drop(true).output();
        let output = timeout(PATIENCE, output).await.expect("it has started").unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(&format!("{fix} {}", path.display())), "{said}");
        std::fs::set_permissions(path, before).unwrap();
    }
    // As Kubernetes hands it out with `fsGroup`.
    std::fs::set_permissions(&secret, Permissions::from_mode(0o440)).unwrap();
    let relay = Program::start(&mut world, |serve| serve).await;
    relay.signal("-TERM");
    assert_eq!(relay.ended().await.code(), Some(0));
    std::fs::set_permissions(&secret, Permissions::from_mode(0o644)).unwrap();
    let relay = Program::start(&mut world, |serve| serve.env("TOKENRELAY__OPEN_FILES", "warn")).await;
    relay.signal("-TERM");
    assert_eq!(relay.ended().await.code(), Some(0));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c11_a_second_signal_ends_the_relay_at_once() {
    let silent = Mta { presence: Presence::Silent, ..Mta::new("mta1", Script::default()) };
    let stage = Stage::new().mta(silent).edit(|file| {
        file["limits"]["drain_wait"] = value("10m");
        file["limits"]["handoff_wait"] = value("10m");
    });
    let mut world = stage.for_a_program().await;
    let log = world.dir.path().join("log");
    let mut relay = Program::start(&mut world, |serve| serve.stderr(File::create(&log).unwrap())).await;
    let mut smtp = world.smtp().await;
    smtp.hand_over(&world.people[1].address(), &world.message(1)).await.unwrap();
    relay.signal("-TERM");
    relay.stops_listening().await;
    assert!(relay.is_running(), "it waits for the job");
    relay.signal("-INT");
    assert_eq!(relay.ended().await.code(), Some(3));
    assert_eq!(count_in(&log, "told twice to stop"), 1);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c11_a_first_start_asks_the_disk_a_dozen_times_at_most() {
    let mut world = Stage::new().accept("auto").for_a_program().await;
    std::fs::remove_dir_all(world.config.journal_dir()).unwrap();
    let trace = world.dir.path().join("trace");
    let serve = serve(&world);
    let mut traced = Command::new("strace");
    traced.args([
        "-D",
        "-f",
        "-qq",
        "-e",
        "signal=none",
        "-e",
        "trace=fsync,fdatasync,sync,syncfs,msync",
        "-o",
    ]);
    traced.arg(&trace).arg(serve.get_program()).args(serve.get_args()).stderr(Stdio::null());
    let relay = Program::run(&mut world, &mut traced).await;
    let calls = count_in(&trace, "sync(");
    assert!((1..=12).contains(&calls), "{}", std::fs::read_to_string(&trace).unwrap());
    let mut http = world.http().await;
    assert_eq!(http.post(&world.job(0, "a")).await.json()["state"], "relayed");
    eventually("its outcome is in the ledger", || world.ledger("a").is_some()).await;
    drop(relay);
    world.finish().await;
}

/// Whether the process takes SIGTERM itself by now (proc_pid_status(5)).
fn takes_signals(child: &Child) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & 1 << (15 - 1) != 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c11_a_signal_ends_a_relay_that_still_reads_what_does_not_answer() {
    let world = Stage::new().for_a_program().await;
    let silent = world.dir.path().join("silent");
    rustix::fs::mkfifoat(rustix::fs::CWD, &silent, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let hanging = world.dir.path().join("hanging.toml");
    let mut written: toml_edit::DocumentMut =
        std::fs::read_to_string(&world.config.file).unwrap().parse().unwrap();
    written["vault"]["key"] = value("cmd:sleep 600");
    std::fs::write(&hanging, written.to_string()).unwrap();
    for config in [silent, hanging] {
        let mut serve = Command::new(env!("CARGO_BIN_EXE_tokenrelay"));
        let mut child = serve.args(["serve", "-c"]).arg(&config).stderr(Stdio::null()).spawn().unwrap();
        eventually("it takes signals", || takes_signals(&child)).await;
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let mut status = None;
        eventually("it ends", || {
            status = child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        assert_eq!(status.unwrap().code(), Some(0), "{config:?}");
    }
    world.finish().await;
}
