//! The clock seam: the system clock in production, a hand-set one in tests and replays.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use daymark_model::UnixNanos;

/// Tells the time of day.
pub trait Clock: Send + Sync + 'static {
    /// Now, UTC.
    fn now(&self) -> UnixNanos;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the clock seam itself")]
    fn now(&self) -> UnixNanos {
        // A clock before 1970 reads as 1970: nothing durable depends on it.
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixNanos(elapsed.as_nanos() as u64)
    }
}

/// A clock that stands where it is put.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: UnixNanos) -> ManualClock {
        ManualClock(AtomicU64::new(now.0))
    }

    /// Puts the clock to `now`.
    pub fn set(&self, now: UnixNanos) {
        self.0.store(now.0, Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixNanos {
        UnixNanos(self.0.load(Relaxed))
    }
}
