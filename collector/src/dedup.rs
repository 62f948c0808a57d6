//! Recognises batches and requests that were received before (design G2).
//!
//! Where it sits: between the check of a request and its append to the log. A key is a stamp (agent, epoch, sequence)
//! or the content hash of a client's request, both under the tenant of the request's key; stamped requests have both.
//!
//! Invariants:
//! - a key is known as stored only after its frame is durable; while it is under way a repeat is told to come again;
//! - what one tenant sends is never a repeat of what another sent, whatever stamp it claims;
//! - a set of sequences is kept, not the highest one: parallel batches may arrive out of order;
//! - at most `dedup_entries` keys of each kind, for `dedup_age_ms`; the oldest are forgotten first.
//!
//! After a restart the window is rebuilt from the log's frames and from the snapshot that is written before a segment
//! of the log is deleted ([`crate::dedup_file`]).

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use daymark_model::{Stamp, TenantId, UnixNanos};

use crate::keyed::IdMap;

/// One way to recognise a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// A batch of an agent.
    Stamp(TenantId, Stamp),
    /// A client's request bytes.
    Content(TenantId, u128),
}

/// The keys of a request. A content hash of 0 means that there is none.
pub(crate) fn keys(tenant: &TenantId, stamp: Option<Stamp>, content_hash: u128) -> Vec<Key> {
    let content = (content_hash != 0).then(|| Key::Content(tenant.clone(), content_hash));
    stamp.map(|stamp| Key::Stamp(tenant.clone(), stamp)).into_iter().chain(content).collect()
}

/// What is known of a request that arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing: append it. The keys are marked as under way.
    New,
    /// Stored: answer at once.
    Stored,
    /// Under way: its outcome is not known yet.
    UnderWay,
}

#[derive(Default)]
struct Window {
    /// `None` while under way, else when it was stored.
    keys: IdMap<Key, Option<UnixNanos>>,
    stamps: VecDeque<(UnixNanos, Key)>,
    contents: VecDeque<(UnixNanos, Key)>,
}

/// The window of keys seen lately.
pub(crate) struct Dedup {
    entries: usize,
    age_ns: u64,
    window: Mutex<Window>,
}

impl Dedup {
    pub(crate) fn new(entries: usize, age_ms: u64) -> Dedup {
        Dedup { entries: entries.max(1), age_ns: age_ms * 1_000_000, window: Mutex::default() }
    }

    /// Looks a request up; a new one is marked as under way until [`Dedup::stored`] or [`Dedup::failed`].
    pub(crate) fn begin(&self, keys: &[Key]) -> Seen {
        let mut window = self.lock();
        for key in keys {
            match window.keys.get(key) {
                Some(Some(_)) => return Seen::Stored,
                Some(None) => return Seen::UnderWay,
                None => {}
            }
        }
        for key in keys {
            window.keys.insert(key.clone(), None);
        }
        Seen::New
    }

    /// The request is durable.
    pub(crate) fn stored(&self, keys: &[Key], at: UnixNanos) {
        let mut window = self.lock();
        for key in keys {
            if matches!(window.keys.insert(key.clone(), Some(at)), Some(Some(_))) {
                continue;
            }
            match key {
                Key::Stamp(..) => window.stamps.push_back((at, key.clone())),
                Key::Content(..) => window.contents.push_back((at, key.clone())),
            }
        }
        window.forget(self.entries, at.minus(self.age_ns));
    }

    /// The request was not appended, or it is not known whether it is durable: a repeat is taken as new. Keys that are
    /// stored stay so.
    pub(crate) fn failed(&self, keys: &[Key]) {
        let mut window = self.lock();
        for key in keys {
            if matches!(window.keys.get(key), Some(None)) {
                window.keys.remove(key);
            }
        }
    }

    /// All stored keys with their times, oldest first of each kind.
    pub(crate) fn entries(&self) -> Vec<(UnixNanos, Key)> {
        let window = self.lock();
        window.stamps.iter().chain(&window.contents).cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn forget(&mut self, entries: usize, before: UnixNanos) {
        let Window { keys, stamps, contents } = self;
        for queue in [stamps, contents] {
            while queue.len() > entries || queue.front().is_some_and(|(at, _)| *at < before) {
                let Some((_, key)) = queue.pop_front() else { break };
                keys.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use daymark_model::AgentId;

    use super::*;

    fn stamp(sequence: u64) -> Option<Stamp> {
        Some(Stamp { agent: AgentId([7; 16]), epoch: 1, sequence })
    }

    #[test]
    fn a_repeat_is_known_by_stamp_or_by_content_and_only_after_it_is_durable() {
        let dedup = Dedup::new(8, 1_000);
        let tenant = TenantId::default();
        let first = keys(&tenant, stamp(5), 99);
        assert_eq!(dedup.begin(&first), Seen::New);
        assert_eq!(dedup.begin(&first), Seen::UnderWay);
        dedup.stored(&first, UnixNanos::from_millis(1));
        assert_eq!(dedup.begin(&keys(&tenant, stamp(5), 0)), Seen::Stored);
        assert_eq!(dedup.begin(&keys(&tenant, stamp(6), 99)), Seen::Stored, "a client's retry through a new run");
        assert_eq!(dedup.begin(&keys(&tenant, stamp(4), 0)), Seen::New, "out of order");
        let other = TenantId::parse("other").unwrap();
        assert_eq!(dedup.begin(&keys(&other, None, 99)), Seen::New);
        assert_eq!(dedup.begin(&keys(&other, stamp(5), 0)), Seen::New, "a stamp is good for one tenant");
    }

    #[test]
    fn a_failed_request_may_be_repeated() {
        let dedup = Dedup::new(8, 1_000);
        let keys = keys(&TenantId::default(), None, 1);
        assert_eq!(dedup.begin(&keys), Seen::New);
        dedup.failed(&keys);
        assert_eq!(dedup.begin(&keys), Seen::New);
    }

    #[test]
    fn the_window_is_bounded_by_count_and_age() {
        let dedup = Dedup::new(4, 10);
        for n in 1..=10_u64 {
            dedup.stored(&keys(&TenantId::default(), None, n.into()), UnixNanos::from_millis(1));
        }
        assert_eq!(dedup.entries().len(), 4);
        dedup.stored(&keys(&TenantId::default(), None, 99), UnixNanos::from_millis(100));
        assert_eq!(dedup.entries().len(), 1);
    }
}
