//! What is in hand, from its arrival on, and how long the first of it has been; and room, bounded in items and in bytes, for
//! the part of it that waits for the collector.

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
    /// Of all that is in hand.
    in_hand_bytes: u64,
    /// When each came, by its number: the first one has waited longest.
    since: BTreeMap<u64, UnixNanos>,
    next: u64,
}

/// A request in hand; dropping it lets it go.
pub(crate) struct InHand {
    queue: Queue,
    bytes: u64,
    number: u64,
}

/// A place taken; dropping it gives the room back.
pub(crate) struct Place {
    _in_hand: InHand,
    queue: Queue,
    items: u64,
    bytes: u64,
}

impl Queue {
    pub(crate) fn new(items: u64, bytes: u64) -> Queue {
        Queue { waiting: Arc::default(), items, bytes }
    }

    /// Notes a request of `bytes` that came at `now`. What decoding it costs is part of its wait.
    pub(crate) fn take(&self, bytes: u64, now: UnixNanos) -> InHand {
        let mut waiting = self.lock();
        let number = waiting.next;
        waiting.next += 1;
        waiting.in_hand_bytes += bytes;
        waiting.since.insert(number, now);
        InHand { queue: self.clone(), bytes, number }
    }

    /// Takes room at once for a request in hand, or says why there is none.
    pub(crate) fn enter(&self, in_hand: InHand, items: u64, bytes: u64) -> Result<Place, NoRoom> {
        if items > self.items || bytes > self.bytes {
            return Err(NoRoom::Ever);
        }
        let mut waiting = self.lock();
        if items > self.items - waiting.items || bytes > self.bytes - waiting.bytes {
            return Err(NoRoom::Now);
        }
        waiting.items += items;
        waiting.bytes += bytes;
        Ok(Place { _in_hand: in_hand, queue: self.clone(), items, bytes })
    }

    /// Items and bytes waiting.
    pub(crate) fn waiting(&self) -> (u64, u64) {
        let waiting = self.lock();
        (waiting.items, waiting.bytes)
    }

    /// At least `bytes` are in hand, the first of them for at least `wait_ms`.
    pub(crate) fn is_slow(&self, bytes: u64, wait_ms: u64, now: UnixNanos) -> bool {
        let waiting = self.lock();
        let first = waiting.since.first_key_value().map(|(_, since)| since.0);
        waiting.in_hand_bytes >= bytes && first.is_some_and(|since| now.0.saturating_sub(since) >= wait_ms * 1_000_000)
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
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        let mut waiting = self.queue.lock();
        waiting.in_hand_bytes -= self.bytes;
        waiting.since.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixNanos = UnixNanos(5_000_000_000);

    #[test]
    fn a_queue_is_slow_when_much_is_in_hand_and_the_first_has_waited_long() {
        let queue = Queue::new(100, 100);
        let after_ms = |ms: u64| UnixNanos(NOW.0 + ms * 1_000_000);
        assert!(!queue.is_slow(0, 10, after_ms(99)), "nothing waits");
        let first = queue.enter(queue.take(20, NOW), 1, 25).unwrap();
        let _second = queue.take(20, after_ms(8));
        assert!(!queue.is_slow(40, 10, after_ms(9)));
        assert!(queue.is_slow(40, 10, after_ms(10)));
        assert!(!queue.is_slow(41, 10, after_ms(99)), "too little is in hand");
        drop(first);
        assert!(!queue.is_slow(20, 10, after_ms(17)));
        assert!(queue.is_slow(20, 10, after_ms(18)));
    }

    #[test]
    fn room_is_bounded_and_given_back() {
        let queue = Queue::new(10, 100);
        let enter = |items: u64, bytes: u64| queue.enter(queue.take(bytes, NOW), items, bytes);
        let place = enter(4, 90).unwrap();
        assert_eq!(enter(1, 11).err(), Some(NoRoom::Now));
        assert_eq!(enter(7, 1).err(), Some(NoRoom::Now));
        assert_eq!(enter(11, 1).err(), Some(NoRoom::Ever));
        assert_eq!(enter(1, 101).err(), Some(NoRoom::Ever));
        let other = enter(6, 10).unwrap();
        assert_eq!(queue.waiting(), (10, 100));
        drop((place, other));
        assert_eq!(queue.waiting(), (0, 0));
    }
}
