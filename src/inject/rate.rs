//! Messages per second to one target.

use governor::clock::Clock;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use tokio::time::sleep;

pub(super) struct Rate {
    limiter: DefaultDirectRateLimiter,
}

impl Rate {
    /// At most `per_second_max` a second, a tenth of it at once. Zero is read as one.
    pub fn new(per_second_max: u32) -> Self {
        let at_least_one = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let quota =
            Quota::per_second(at_least_one(per_second_max)).allow_burst(at_least_one(per_second_max / 10));
        Self { limiter: RateLimiter::direct(quota) }
    }

    pub fn try_take(&self) -> bool {
        self.limiter.check().is_ok()
    }

    /// Waits for the right to send one message. Cancel-safe: a dropped wait has taken nothing.
    pub async fn take(&self) {
        while let Err(not_yet) = self.limiter.check() {
            sleep(not_yet.wait_time_from(self.limiter.clock().now())).await;
        }
    }
}
