//! Who else could take a message that one target does not.

use super::{Injector, TargetHandle};
use crate::inject::breaker::Kind;
use crate::inject::delivery::Elsewhere;
use crate::inject::inquiry::Company;
use crate::inject::target::Target;
use std::sync::Arc;

impl Injector {
    /// Whether one of these is up beside this one.
    pub(super) fn company(
        &self,
        target: &Arc<Target>,
        is_eligible: impl Fn(&Arc<Target>) -> bool,
    ) -> Company {
        let is_other = |other: &Arc<Target>| !Arc::ptr_eq(other, target) && is_eligible(other);
        match self.targets.iter().any(|other| is_other(other) && other.breaker.shut().is_none()) {
            true => Company::Others,
            false => Company::Alone,
        }
    }

    /// Who could take a message that the target of this handle does not.
    pub(super) fn elsewhere(&self, handle: &TargetHandle, passed: &[Arc<Target>]) -> Elsewhere {
        if handle.is_named || self.targets.len() == 1 {
            return Elsewhere::Nowhere;
        }
        let is_new = |other: &Arc<Target>| {
            !Arc::ptr_eq(other, handle.target()) && !passed.iter().any(|passed| Arc::ptr_eq(passed, other))
        };
        // One that has refused everybody until now may be the one that has them.
        let can_be_asked =
            |other: &Arc<Target>| other.breaker.shut().is_none_or(|(kind, _)| kind == Kind::Refusing);
        match self.targets.iter().any(|other| is_new(other) && can_be_asked(other)) {
            true => Elsewhere::AnotherTarget,
            false => Elsewhere::Nowhere,
        }
    }
}
