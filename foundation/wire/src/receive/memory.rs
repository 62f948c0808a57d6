//! One limit on the memory of all requests in hand of a listener, beside the budget of the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use daymark_guard::Held;
use daymark_model::Refusal;

/// Counts the bytes that requests hold.
pub(super) struct RequestMemory {
    used: AtomicUsize,
    max: usize,
    retry_after_ms: u64,
}

impl RequestMemory {
    pub(super) fn new(max: usize, retry_after_ms: u64) -> Arc<RequestMemory> {
        Arc::new(RequestMemory { used: AtomicUsize::new(0), max, retry_after_ms })
    }

    /// Room for one request, empty at first; `held` is its part of the process's budget.
    pub(super) fn room(self: &Arc<RequestMemory>, held: Option<Held>) -> Room {
        Room { gate: self.clone(), held, bytes: 0 }
    }
}

/// What one request has reserved; given back when dropped.
pub(super) struct Room {
    gate: Arc<RequestMemory>,
    held: Option<Held>,
    bytes: usize,
}

impl Room {
    /// Reserves `bytes` more.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let fits = |used: usize| used.checked_add(bytes).filter(|used| *used <= self.gate.max);
        if self.gate.used.fetch_update(Relaxed, Relaxed, fits).is_err() {
            let message = "the listener's memory for requests is full: send again later";
            return Err(Refusal::unavailable("memory_full", message, self.gate.retry_after_ms));
        }
        self.bytes += bytes;
        self.held.as_mut().map_or(Ok(()), |held| held.grow(bytes as u64))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.gate.used.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_share_one_limit_and_give_back() {
        let gate = RequestMemory::new(100, 1);
        let (mut first, mut second) = (gate.room(None), gate.room(None));
        first.grow(60).unwrap();
        second.grow(40).unwrap();
        assert_eq!(second.grow(1).unwrap_err().reason, "memory_full");
        drop(first);
        second.grow(60).unwrap();
        drop(second);
        assert_eq!(gate.used.load(Relaxed), 0);
    }
}
