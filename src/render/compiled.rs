//! One variant of a template: its plan, or that it has a mistake.

use super::plan::Plan;
use std::sync::Arc;

#[derive(Debug)]
pub enum Compiled {
    Good(Arc<Plan>),
    /// It has a mistake. Its jobs wait: no other language is sent in its place, as the engine named this one.
    Spoilt,
}

impl Compiled {
    pub fn of(plan: Option<Plan>) -> Self {
        plan.map_or(Self::Spoilt, |plan| Self::Good(Arc::new(plan)))
    }

    pub fn plan(&self) -> Option<&Arc<Plan>> {
        match self {
            Self::Good(plan) => Some(plan),
            Self::Spoilt => None,
        }
    }
}
