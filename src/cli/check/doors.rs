//! The listeners: whether each could be opened, and whether engines could trust it.

use super::{Fault, Step};
use crate::app::{bind_fix, folder, overlap};
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
    /// There is no journal to tell, or it cannot be read.
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
    let mut opened = Vec::new();
    for listener in &config.listeners {
        let name = format!("listener {}", listener.bind);
        steps.push(match (place(&listener.bind, owner, &mut opened).await, identity(listener)) {
            (Err(fault), _) | (_, Err(fault)) => fault.of(&name),
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

/// A door that could be opened, and is kept open while the others are tried, as a start does.
type Opened<'a> = (&'a Bind, TcpListener);

/// Whether it could be listened on; what there is to say of it.
async fn place<'a>(
    bind: &'a Bind,
    owner: Owner,
    opened: &mut Vec<Opened<'a>>,
) -> Result<Option<String>, Fault> {
    let tried = match bind {
        Bind::Tcp(address) => TcpListener::bind(address).await.map(|door| opened.push((bind, door))),
        Bind::Unix(path) => socket(path),
    };
    let Err(cause) = tried else { return Ok(None) };
    let others: Vec<&Bind> = opened.iter().map(|(other, _)| *other).collect();
    match taken(bind, owner, &cause) {
        Some(said) if !others.iter().any(|other| overlap(bind, other)) => Ok(Some(said)),
        _ => Err(Fault {
            cause: format!("cannot listen on it: {}", cause.kind()),
            fix: bind_fix(bind, &cause, others),
        }),
    }
}

/// What is said of a door that cannot be opened here, where that is no fault.
fn taken(bind: &Bind, owner: Owner, cause: &io::Error) -> Option<String> {
    let said = match (cause.kind(), owner, bind) {
        (io::ErrorKind::AddrInUse, Owner::Relay, _) => "the running relay has it",
        (io::ErrorKind::AddrInUse, Owner::Unknown, _) => {
            "somebody listens there: the running relay, or a program that has to end before a start"
        }
        // The relay's unit may have the right that whoever asks has not.
        (io::ErrorKind::PermissionDenied, Owner::Relay, Bind::Tcp(_)) => {
            "this user may not try its port; a relay is running"
        }
        _ => return None,
    };
    Some(said.to_owned())
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
        .map_err(|error| Fault { cause: error.to_string(), fix: error.fix() })?;
    let until = match Validity::of_file(&certificate) {
        None => return Ok(String::from("certificate and key fit")),
        Some(validity) => validity,
    };
    let shown = certificate.display();
    let now = SystemTime::now();
    if until.end <= now {
        let fix =
            "renew it: engines that look at it cannot connect; the relay takes the new file up by itself";
        let cause = format!("the certificate {shown} has expired, on {}", until.end_day);
        return Err(Fault { cause, fix: fix.into() });
    }
    if until.begin > now {
        let fix = "correct this machine's clock, or wait";
        let cause = format!("the certificate {shown} is not valid yet, but from {}", until.begin_day);
        return Err(Fault { cause, fix: fix.into() });
    }
    Ok(format!("certificate and key fit, until {}", until.end_day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn d_doors_that_keep_each_other_from_opening_are_named_whoever_runs() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let binds = [free, (std::net::Ipv4Addr::UNSPECIFIED, free.port()).into()].map(Bind::Tcp);
        for owner in [Owner::Nobody, Owner::Unknown, Owner::Relay] {
            let mut opened = Vec::new();
            assert_eq!(place(&binds[0], owner, &mut opened).await, Ok(None));
            let Fault { fix, .. } = place(&binds[1], owner, &mut opened).await.unwrap_err();
            assert_eq!(
                fix,
                format!("{free} takes this port already: give one of the two another one, or remove one")
            );
        }
    }

    #[tokio::test]
    async fn d_a_door_that_the_running_relay_has_is_no_fault_beside_one_that_is_new() {
        let [taken_door, free] = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let binds = [&free, &taken_door].map(|door| Bind::Tcp(door.local_addr().unwrap()));
        drop(free);
        for (owner, said) in
            [(Owner::Relay, "the running relay has it"), (Owner::Unknown, "somebody listens")]
        {
            let mut opened = Vec::new();
            assert_eq!(place(&binds[0], owner, &mut opened).await, Ok(None));
            let told = place(&binds[1], owner, &mut opened).await.unwrap().unwrap();
            assert!(told.starts_with(said), "{told}");
        }
        assert!(place(&binds[1], Owner::Nobody, &mut Vec::new()).await.is_err());
    }

    #[test]
    fn d_a_port_that_this_user_may_not_try_is_the_running_relays() {
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let bind = Bind::Tcp((std::net::Ipv4Addr::UNSPECIFIED, 25).into());
        assert!(super::taken(&bind, Owner::Relay, &denied).is_some());
        assert_eq!(super::taken(&bind, Owner::Nobody, &denied), None);
    }
}
