//! The time as messages show it.

use crate::render::Moment;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// The current time in the forms messages need, made once a second.
#[derive(Debug, Default)]
pub struct Clock {
    // Plain data, held for a comparison and a clone, never across an await.
    second: Mutex<Option<(u64, Arc<Moment>)>>,
}

impl Clock {
    pub fn now(&self) -> Arc<Moment> {
        let time = SystemTime::now();
        let second = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut kept = self.second.lock().expect("no holder of this lock panics");
        match &*kept {
            Some((of, moment)) if *of == second => moment.clone(),
            _ => {
                let moment = Arc::new(Moment::at(time));
                *kept = Some((second, moment.clone()));
                moment
            }
        }
    }
}
