//! What the process itself must not give away: no core dump, no reading by a tracer of the same user, no
//! values in panic messages.

use nix::sys::signal::{SigSet, Signal};
use std::io::Write;

/// Switches off core dumps and ptrace by others, and replaces the panic message by its place: a message such
/// as "byte index 1 is not a char boundary of `…`" quotes the value. For every command, since those of the vault hold
/// people in memory as much as the relay does.
pub fn harden() {
    let no_core = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, no_core);
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    // Nothing in it may panic, which would end the process: what is logged goes through a queue, and standard error is
    // written to without looking at what comes of it.
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, ToString::to_string);
        if tracing::dispatcher::has_been_set() {
            tracing::error!(%place, "a task failed (panic), a defect of the relay");
        } else {
            // Nobody is left to tell when stderr is gone.
            let _ = writeln!(std::io::stderr(), "error: defect in tokenrelay at {place}; please report it");
        }
    }));
}

/// A terminal must not stop the relay: one that is set so (`stty tostop`) sends SIGTTOU to whoever writes to it from the
/// background, and its log is written there. To be called before there are other threads, which take this over; what is
/// blocked is written all the same (POSIX.1-2017, General Terminal Interface 11.1.4).
pub fn write_from_the_background() {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTTOU);
    // It cannot fail for a signal that there is.
    let _ = signals.thread_block();
}

/// Keeps the process' memory out of swap, where the system lets it: people are in it. False when it does not
/// (`RLIMIT_MEMLOCK` is not unlimited): then swap has to be off or encrypted.
pub fn lock_memory() -> bool {
    use rustix::mm::MlockAllFlags;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock);
    // With a finite limit a later allocation would fail in place of being swapped.
    limit.current.is_none()
        && rustix::mm::mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
            .is_ok()
}

/// Lets the process hold as many connections as the system allows it to.
pub fn raise_file_limit() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, raised);
}
