//! Room for what waits for the collector, bounded in items and in bytes, and how long the first has waited.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use daymark_model::UnixNanos;

/// Why something has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// There will be, once others have left.
    Now,
    /// It is larger than the whole queue.
    Ever,
}

/// The bounded room.
#[derive(Clone)]
pub(crate) struct Queue {
    waiting: Arc<Mutex<Waiting>>,
    items: u64,
    bytes: u64,
}

#[derive(Default)]
struct Waiting {
    items: u64,
    bytes: u64,
    /// When each came, by its number: the first one has waited longest.
    since: BTreeMap<u64, UnixNanos>,
    next: u64,
}

/// A place taken; dropping it gives the room back.
pub(crate) struct Place {
    queue: Queue,
    items: u64,
    bytes: u64,
    number: u64,
}

impl Queue {
    pub(crate) fn new(items: u64, bytes: u64) -> Queue {
        Queue { waiting: Arc::default(), items, bytes }
    }

    /// Takes room at once, or says why there is none.
    pub(crate) fn enter(&self, items: u64, bytes: u64, now: UnixNanos) -> Result<Place, NoRoom> {
        if items > self.items || bytes > self.bytes {
            return Err(NoRoom::Ever);
        }
        let mut waiting = self.lock();
        if items > self.items - waiting.items || bytes > self.bytes - waiting.bytes {
            return Err(NoRoom::Now);
        }
        let number = waiting.next;
        waiting.next += 1;
        waiting.items += items;
        waiting.bytes += bytes;
        waiting.since.insert(number, now);
        Ok(Place { queue: self.clone(), items, bytes, number })
    }

    /// Items and bytes waiting.
    pub(crate) fn waiting(&self) -> (u64, u64) {
        let waiting = self.lock();
        (waiting.items, waiting.bytes)
    }

    /// At least `bytes` wait, the first of them for at least `wait_ms`.
    pub(crate) fn is_slow(&self, bytes: u64, wait_ms: u64, now: UnixNanos) -> bool {
        let waiting = self.lock();
        let first = waiting.since.first_key_value().map(|(_, since)| since.0);
        waiting.bytes >= bytes && first.is_some_and(|since| now.0.saturating_sub(since) >= wait_ms * 1_000_000)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.queue.lock();
        waiting.items -= self.items;
        waiting.bytes -= self.bytes;
        waiting.since.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNanos = UnixNanos(5_000_000_000);

    #[test]
    fn a_queue_is_slow_when_much_waits_and_the_first_has_waited_long() {
        let queue = Queue::new(100, 100);
        let after_ms = |ms: u64| UnixNanos(NOW.0 + ms * 1_000_000);
        assert!(!queue.is_slow(0, 10, after_ms(99)), "nothing waits");
        let first = queue.enter(1, 20, NOW).unwrap();
        let _second = queue.enter(1, 20, after_ms(8)).unwrap();
        assert!(!queue.is_slow(40, 10, after_ms(9)));
        assert!(queue.is_slow(40, 10, after_ms(10)));
        assert!(!queue.is_slow(41, 10, after_ms(99)), "too little waits");
        drop(first);
        assert!(!queue.is_slow(20, 10, after_ms(17)));
        assert!(queue.is_slow(20, 10, after_ms(18)));
    }

    #[test]
    fn room_is_bounded_and_given_back() {
        let queue = Queue::new(10, 100);
        let place = queue.enter(4, 90, NOW).unwrap();
        assert_eq!(queue.enter(1, 11, NOW).err(), Some(NoRoom::Now));
        assert_eq!(queue.enter(7, 1, NOW).err(), Some(NoRoom::Now));
        assert_eq!(queue.enter(11, 1, NOW).err(), Some(NoRoom::Ever));
        assert_eq!(queue.enter(1, 101, NOW).err(), Some(NoRoom::Ever));
        let other = queue.enter(6, 10, NOW).unwrap();
        assert_eq!(queue.waiting(), (10, 100));
        drop((place, other));
        assert_eq!(queue.waiting(), (0, 0));
    }
}
