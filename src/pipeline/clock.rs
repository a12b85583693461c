//! The time as messages show it.

use crate::render::Moment;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::SystemTime;

thread_local! {
    /// Each thread has its own: every job asks twice, and what threads share they wait for.
    static SECOND: RefCell<Option<(u64, Arc<Moment>)>> = const { RefCell::new(None) };
}

/// The current time in the forms messages need, made once a second.
#[derive(Debug, Default)]
pub struct Clock(());

impl Clock {
    pub fn now(&self) -> Arc<Moment> {
        let time = SystemTime::now();
        let second = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        SECOND.with_borrow_mut(|kept| match kept {
            Some((of, moment)) if *of == second => moment.clone(),
            _ => {
                let moment = Arc::new(Moment::at(time));
                *kept = Some((second, moment.clone()));
                moment
            }
        })
    }
}
