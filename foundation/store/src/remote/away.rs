//! Remembers for a moment that the store did not answer, so that not every question waits for it anew.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use daymark_model::UnixNanos;

/// How long a store that did not answer is not asked again by readers, milliseconds.
const PAUSE_MS: u64 = 2_000;

/// Whether the store is out of reach, as far as readers know.
#[derive(Debug, Default)]
pub(crate) struct Away {
    /// Nanoseconds since 1970; 0 when the store answers.
    until: AtomicU64,
}

impl Away {
    /// Whether to ask the store at `now`.
    pub(crate) fn may_ask(&self, now: UnixNanos) -> bool {
        let until = self.until.load(Relaxed);
        // A clock that was put back must not keep readers away for longer.
        now.0 >= until || until - now.0 > PAUSE_MS * 1_000_000
    }

    /// It did not answer.
    pub(crate) fn note(&self, now: UnixNanos) {
        self.until.store(now.0 + PAUSE_MS * 1_000_000, Relaxed);
    }

    /// It answered.
    pub(crate) fn clear(&self) {
        self.until.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_did_not_answer_is_left_alone_for_a_moment() {
        let (away, at) = (Away::default(), UnixNanos::from_seconds);
        assert!(away.may_ask(at(10)));
        away.note(at(10));
        assert!(!away.may_ask(at(11)) && away.may_ask(at(12)));
        assert!(away.may_ask(at(5)), "the clock was put back");
        away.note(at(10));
        away.clear();
        assert!(away.may_ask(at(10)));
    }
}
