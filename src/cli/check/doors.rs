//! The listeners: whether each could be opened, and whether engines could trust it.

use super::Step;
use crate::app::{bind_fix, folder};
use crate::config::{Bind, Config, Listener, ListenerKind};
use crate::job::Acceptance;
use crate::tls::{ServerTls, Validity};
use std::io;
use std::path::Path;
use std::time::SystemTime;
use tokio::net::TcpListener;

/// Right as it is, but clients that send one message to several people and do not look at each answer lose mail by it.
const ONE_RECIPIENT: &str = "accept = \"handoff\" takes one recipient a message, the others get 452: for an engine that sends one message \
                             to several people set accept = \"auto\" or \"journal\"";

/// Whether a relay runs on this configuration, as its journal knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Relay,
    Nobody,
    /// There is no journal to tell.
    Unknown,
}

pub(super) async fn listeners(config: &Config, owner: Owner) -> Vec<Step> {
    if config.listeners.is_empty() {
        return vec![Step::bad(
            "listeners",
            "no engine can submit: there is no door",
            "add a [[listener]] with kind, bind and token_domains, as: kind = \"smtp\", bind = \"127.0.0.1:2525\"",
        )];
    }
    let mut steps = Vec::new();
    for listener in &config.listeners {
        let name = format!("listener {}", listener.bind);
        steps.push(match (place(&listener.bind, owner).await, identity(listener)) {
            (Err((cause, fix)), _) | (_, Err((cause, fix))) => Step::bad(name, cause, fix),
            (Ok(place), Ok(identity)) => {
                let parts = [Some(identity), place, one_recipient(listener)];
                Step::good(name, parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
            }
        });
    }
    steps
}

fn one_recipient(listener: &Listener) -> Option<String> {
    let told = (listener.kind, listener.accept) == (ListenerKind::Smtp, Acceptance::Handoff);
    told.then(|| ONE_RECIPIENT.to_owned())
}

/// A cause and its fix.
type Fault = (String, String);

/// Whether it could be listened on; what there is to say of it.
async fn place(bind: &Bind, owner: Owner) -> Result<Option<String>, Fault> {
    let tried = match bind {
        Bind::Tcp(address) => TcpListener::bind(address).await.map(drop),
        Bind::Unix(path) => socket(path),
    };
    let Err(cause) = tried else { return Ok(None) };
    match (cause.kind(), owner) {
        (io::ErrorKind::AddrInUse, Owner::Relay) => Ok(Some(String::from("the running relay has it"))),
        (io::ErrorKind::AddrInUse, Owner::Unknown) => Ok(Some(String::from(
            "somebody listens there: the running relay, or a program that has to end before a start",
        ))),
        (kind, _) => Err((format!("cannot listen on it: {kind}"), bind_fix(bind, &cause))),
    }
}

/// Looked at without making one: the relay that runs may have it.
fn socket(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    let folder = folder(path);
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)?;
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => Err(io::ErrorKind::AddrInUse.into()),
        _ => Ok(()),
    }
}

fn identity(listener: &Listener) -> Result<String, Fault> {
    let Some(files) = listener.identity.clone() else { return Ok(String::from("no TLS, this machine only")) };
    let certificate = files.certificate.clone();
    ServerTls::load_with_clients(files, listener.client_ca.clone(), &[])
        .map_err(|error| (error.to_string(), error.fix()))?;
    let until = match Validity::of_file(&certificate) {
        None => return Ok(String::from("certificate and key fit")),
        Some(validity) => validity,
    };
    let shown = certificate.display();
    let now = SystemTime::now();
    if until.end <= now {
        let fix =
            "renew it: engines that look at it cannot connect; the relay takes the new file up by itself";
        return Err((format!("the certificate {shown} has expired, on {}", until.end_day), fix.into()));
    }
    if until.begin > now {
        let fix = "correct this machine's clock, or wait";
        return Err((
            format!("the certificate {shown} is not valid yet, but from {}", until.begin_day),
            fix.into(),
        ));
    }
    Ok(format!("certificate and key fit, until {}", until.end_day))
}
