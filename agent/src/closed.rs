//! Up to when the agent has closed event time: the watermark of alerts is the minimum of this over agents.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use daymark_model::UnixNanos;

/// Arrival times of the requests in flight.
#[derive(Clone, Default)]
pub(crate) struct Closed {
    inner: Arc<Mutex<Arrivals>>,
}

#[derive(Default)]
struct Arrivals {
    next: u64,
    open: BTreeSet<(UnixNanos, u64)>,
}

/// One request in flight; until it is dropped, time is not closed beyond its arrival.
pub(crate) struct Open {
    closed: Closed,
    key: (UnixNanos, u64),
}

impl Closed {
    /// A request arrived at `now`.
    pub(crate) fn open(&self, now: UnixNanos) -> Open {
        let mut arrivals = self.lock();
        let key = (now, arrivals.next);
        arrivals.next += 1;
        arrivals.open.insert(key);
        drop(arrivals);
        Open { closed: self.clone(), key }
    }

    /// `now` when nothing is in flight, else the arrival of the oldest request that is.
    pub(crate) fn until(&self, now: UnixNanos) -> UnixNanos {
        self.lock().open.first().map_or(now, |(oldest, _)| now.min(*oldest))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Arrivals> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Open {
    /// When the request arrived.
    pub(crate) fn arrived(&self) -> UnixNanos {
        self.key.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.closed.lock().open.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_closed_up_to_the_oldest_request_in_flight() {
        let closed = Closed::default();
        let now = UnixNanos(100);
        assert_eq!(closed.until(now), now);
        let first = closed.open(UnixNanos(40));
        let same = closed.open(UnixNanos(40));
        let later = closed.open(UnixNanos(60));
        assert_eq!(closed.until(now), UnixNanos(40));
        drop(first);
        assert_eq!(closed.until(now), UnixNanos(40));
        drop(same);
        assert_eq!(closed.until(now), UnixNanos(60));
        drop(later);
        assert_eq!(closed.until(now), now);
    }
}
