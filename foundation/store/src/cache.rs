//! Footers, bloom filters and indexes that were read, kept up to a number of bytes.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// What kind of thing a file's entry is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Footer,
    Index,
    Bloom { row_group: usize, column: String },
}

type Key = (String, Kind);

struct Entry {
    value: Arc<dyn Any + Send + Sync>,
    bytes: usize,
    used: u64,
}

#[derive(Default)]
struct Entries {
    map: HashMap<Key, Entry>,
    bytes: usize,
    clock: u64,
}

/// A cache that drops what was not used for longest. Files never change, so entries never go stale.
pub(crate) struct Cache {
    entries: Mutex<Entries>,
    max_bytes: usize,
}

impl Cache {
    pub(crate) fn new(max_bytes: usize) -> Cache {
        Cache { entries: Mutex::default(), max_bytes }
    }

    pub(crate) fn get<T: Any + Send + Sync>(&self, path: &str, kind: Kind) -> Option<Arc<T>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clock += 1;
        let now = entries.clock;
        let entry = entries.map.get_mut(&(path.to_owned(), kind))?;
        entry.used = now;
        Arc::clone(&entry.value).downcast().ok()
    }

    pub(crate) fn put<T: Any + Send + Sync>(&self, path: &str, kind: Kind, value: Arc<T>, bytes: usize) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clock += 1;
        let used = entries.clock;
        if let Some(old) = entries.map.insert((path.to_owned(), kind), Entry { value, bytes, used }) {
            entries.bytes -= old.bytes;
        }
        entries.bytes += bytes;
        if entries.bytes > self.max_bytes {
            shrink(&mut entries, self.max_bytes / 4 * 3);
        }
    }

    /// Drops what is kept of these files.
    pub(crate) fn forget(&self, paths: &HashSet<String>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut freed = 0;
        entries.map.retain(|(path, _), entry| {
            let stays = !paths.contains(path);
            freed += if stays { 0 } else { entry.bytes };
            stays
        });
        entries.bytes -= freed;
    }
}

/// Drops the longest unused entries. A quarter at a time, so that the sort is rare.
fn shrink(entries: &mut Entries, to_bytes: usize) {
    let mut by_use: Vec<(u64, Key)> = entries.map.iter().map(|(key, entry)| (entry.used, key.clone())).collect();
    by_use.sort_by_key(|(used, _)| *used);
    for (_, key) in by_use {
        if entries.bytes <= to_bytes {
            break;
        }
        if let Some(dropped) = entries.map.remove(&key) {
            entries.bytes -= dropped.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_sum_is_bounded() {
        let cache = Cache::new(1000);
        for i in 0..100_u64 {
            cache.put(&format!("{i}"), Kind::Footer, Arc::new(i), 100);
            assert_eq!(cache.get::<u64>("0", Kind::Footer).as_deref(), Some(&0));
        }
        let kept = (0..100).filter(|i| cache.get::<u64>(&format!("{i}"), Kind::Footer).is_some()).count();
        assert!((5..=10).contains(&kept), "{kept}");
    }

    #[test]
    fn what_is_forgotten_makes_room() {
        let cache = Cache::new(1000);
        cache.put("a", Kind::Footer, Arc::new(1_u64), 600);
        cache.put("b", Kind::Footer, Arc::new(2_u64), 300);
        cache.forget(&HashSet::from(["a".to_owned()]));
        cache.put("c", Kind::Footer, Arc::new(3_u64), 600);
        let there = |path| cache.get::<u64>(path, Kind::Footer).is_some();
        assert_eq!((there("a"), there("b"), there("c")), (false, true, true));
    }
}
