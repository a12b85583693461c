//! Ways through the blocks of a program.

use crate::render::program::{Block, Op};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Branch {
    Body,
    Other,
}

impl Branch {
    fn flipped(self) -> Self {
        match self {
            Self::Body => Self::Other,
            Self::Other => Self::Body,
        }
    }
}

/// Which turn of the loops around is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    First,
    Later,
}

/// What a later turn of a loop takes of the blocks that are told: `{{#if @first}}` is not the same in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Later {
    #[default]
    AsFirst,
    Flipped,
}

/// Which branch is taken of some blocks, by where they stand in memory; of the others, as many ways tell.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) branches: BTreeMap<usize, Branch>,
    pub(super) later: Later,
}

impl Taken {
    pub(super) fn of(&self, block: &Block, turn: Turn) -> Option<Branch> {
        let branch = *self.branches.get(&address(block))?;
        Some(if (self.later, turn) == (Later::Flipped, Turn::Later) { branch.flipped() } else { branch })
    }
}

/// Where a block stands in memory: what it is told by.
pub(super) fn address(block: &Block) -> usize {
    std::ptr::from_ref(block).addr()
}

/// Ways that are needed to walk every branch once.
pub(super) fn width(ops: &[Op]) -> usize {
    ops.iter()
        .map(|op| match op {
            Op::Fixed(_) | Op::Value(_) => 1,
            Op::If(branch) => block_width(&branch.block),
            Op::Each(each) | Op::With(each) => block_width(&each.block),
        })
        .fold(1, usize::max)
}

pub(super) fn block_width(block: &Block) -> usize {
    width(&block.body).saturating_add(width(&block.other))
}
