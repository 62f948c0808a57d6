//! Room for what waits for the collector, bounded in items and in bytes.

use std::sync::{Arc, Mutex};

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
    used: Arc<Mutex<Used>>,
    items: u64,
    bytes: u64,
}

#[derive(Clone, Copy, Default)]
struct Used {
    items: u64,
    bytes: u64,
}

/// A place taken; dropping it gives the room back.
pub(crate) struct Place {
    queue: Queue,
    took: Used,
}

impl Queue {
    pub(crate) fn new(items: u64, bytes: u64) -> Queue {
        Queue { used: Arc::default(), items, bytes }
    }

    /// Takes room at once, or says why there is none.
    pub(crate) fn enter(&self, items: u64, bytes: u64) -> Result<Place, NoRoom> {
        if items > self.items || bytes > self.bytes {
            return Err(NoRoom::Ever);
        }
        let mut used = self.lock();
        if items > self.items - used.items || bytes > self.bytes - used.bytes {
            return Err(NoRoom::Now);
        }
        used.items += items;
        used.bytes += bytes;
        Ok(Place { queue: self.clone(), took: Used { items, bytes } })
    }

    /// Items and bytes waiting.
    pub(crate) fn waiting(&self) -> (u64, u64) {
        let used = self.lock();
        (used.items, used.bytes)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut used = self.queue.lock();
        used.items -= self.took.items;
        used.bytes -= self.took.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_bounded_and_given_back() {
        let queue = Queue::new(10, 100);
        let place = queue.enter(4, 90).unwrap();
        assert_eq!(queue.enter(1, 11).err(), Some(NoRoom::Now));
        assert_eq!(queue.enter(7, 1).err(), Some(NoRoom::Now));
        assert_eq!(queue.enter(11, 1).err(), Some(NoRoom::Ever));
        assert_eq!(queue.enter(1, 101).err(), Some(NoRoom::Ever));
        let other = queue.enter(6, 10).unwrap();
        assert_eq!(queue.waiting(), (10, 100));
        drop((place, other));
        assert_eq!(queue.waiting(), (0, 0));
    }
}
