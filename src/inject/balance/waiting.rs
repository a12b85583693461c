//! A message at one target, from when it is queued until it is settled, or given up by who waits for it.

use super::TargetHandle;
use crate::fault::Fault;
use crate::inject::delivery::{Delivery, Elsewhere, Errand, Parcel, Settled};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Longest wait for a session of a message that has another way.
const SESSION_WAIT: Duration = Duration::from_millis(300);
/// The same where there is no session yet.
const FIRST_SESSION_WAIT: Duration = Duration::from_secs(1);

pub(super) async fn deliver_to(
    handle: &TargetHandle,
    mut delivery: Delivery,
    elsewhere: Elsewhere,
) -> Settled {
    let target = handle.target();
    match target.breaker.shut() {
        Some((kind, cause)) if !handle.errand.bears(kind) => {
            return Settled::Unreached(kind.told(cause, 0), Box::new(delivery));
        }
        _ => {}
    }
    let name = &target.settings.name;
    if handle.errand == Errand::Hasty {
        let wait = if target.established() > 0 { SESSION_WAIT } else { FIRST_SESSION_WAIT };
        let soon = Instant::now() + wait;
        delivery.give_up_at = Some(delivery.give_up_at.map_or(soon, |at| at.min(soon)));
    }
    let give_up_at = delivery.give_up_at;
    let (mut parcel, mut settled, claim) = Parcel::new(delivery, handle.errand);
    parcel.elsewhere = elsewhere;
    // There is nearly always room. Only a parcel that waits for some has a place in this future, which each job has.
    let waits = target.try_submit(parcel).err();
    let submitted = async {
        if let Some(parcel) = waits {
            target.submit(parcel).await;
        }
        if handle.errand == Errand::Attempt {
            // Its sessions may all wait for answers that never come.
            target.grow();
        }
        (&mut settled).await
    };
    let Some(at) = give_up_at else {
        return submitted.await.unwrap_or_else(|_| vanished(name));
    };
    match timeout_at(at, submitted).await {
        Ok(answer) => answer.unwrap_or_else(|_| vanished(name)),
        Err(_) if claim.get() => Settled::Failed(target.not_taken().into()),
        // A session has it: its own deadlines bound the rest.
        Err(_) => settled.await.unwrap_or_else(|_| vanished(name)),
    }
}

/// A worker that vanished with the parcel may have sent it.
fn vanished(target: &Arc<str>) -> Settled {
    Settled::Failed(Fault::in_doubt(format!("the session to target {target} was lost")).at(target).into())
}
