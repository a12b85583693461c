//! A socket in memory, without a runtime: the same script gives the same pieces and the same waits each time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Both ends of it are this one, shared.
#[derive(Clone)]
pub struct Wire(Rc<RefCell<State>>);

struct State {
    to_read: VecDeque<u8>,
    said: Vec<u8>,
    has_ended: bool,
    /// At most so many bytes in one read or write.
    piece: usize,
    /// Writes that have to wait.
    held_writes: usize,
    given: usize,
    taken: usize,
    progress: usize,
}

impl Wire {
    pub fn new(choice: usize) -> Self {
        let piece = [100_000, 1, 5, 1000, 18_000, 4096][choice / 4 % 6];
        Self(Rc::new(RefCell::new(State {
            to_read: VecDeque::new(),
            said: Vec::new(),
            has_ended: false,
            piece,
            held_writes: 0,
            given: 0,
            taken: 0,
            progress: 0,
        })))
    }

    pub fn put(&self, bytes: &[u8]) {
        let mut state = self.0.borrow_mut();
        state.to_read.extend(bytes);
        state.given += bytes.len();
    }

    /// Put so far.
    pub fn given(&self) -> usize {
        self.0.borrow().given
    }

    pub fn end(&self) {
        let mut state = self.0.borrow_mut();
        (state.has_ended, state.held_writes) = (true, 0);
    }

    pub fn read_at_most(&self, bytes: usize) {
        self.0.borrow_mut().piece = bytes.max(1);
    }

    pub fn piece(&self) -> usize {
        self.0.borrow().piece
    }

    pub fn hold_writes(&self) {
        self.0.borrow_mut().held_writes = 3;
    }

    /// Not read yet.
    pub fn waiting(&self) -> usize {
        self.0.borrow().to_read.len()
    }

    /// Read so far.
    pub fn taken(&self) -> usize {
        self.0.borrow().taken
    }

    /// Grows with whatever happens on it.
    pub fn progress(&self) -> usize {
        self.0.borrow().progress
    }

    /// What was written since the last time.
    pub fn said(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut().said)
    }

    /// One bit, so far from the end of what is not read yet.
    pub fn flip(&self, from_end: usize) {
        let mut state = self.0.borrow_mut();
        if let Some(at) = state.to_read.len().checked_sub(1 + from_end) {
            state.to_read[at] ^= 1 << (from_end % 8);
        }
    }

    pub fn drop_last(&self, bytes: usize) {
        let mut state = self.0.borrow_mut();
        let left = state.to_read.len().saturating_sub(bytes);
        state.to_read.truncate(left);
    }

    /// The last `bytes` go before all others that are not read yet.
    pub fn exchange(&self, bytes: usize) {
        let mut state = self.0.borrow_mut();
        let bytes = bytes.min(state.to_read.len());
        state.to_read.rotate_right(bytes);
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.borrow_mut();
        let bytes = state.piece.min(room.remaining()).min(state.to_read.len());
        if bytes == 0 && !state.has_ended {
            return Poll::Pending;
        }
        let (first, second) = state.to_read.as_slices();
        let from_first = bytes.min(first.len());
        room.put_slice(&first[..from_first]);
        room.put_slice(&second[..bytes - from_first]);
        state.to_read.drain(..bytes);
        state.taken += bytes;
        state.progress += bytes;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.borrow_mut();
        state.progress += 1;
        if state.held_writes > 0 {
            state.held_writes -= 1;
            return Poll::Pending;
        }
        let taken = bytes.len().min(state.piece);
        state.said.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
