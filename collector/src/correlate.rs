//! Joins records without trace context to a trace by a correlation value both carry (design §7, stitch).
//!
//! Where it sits: spans teach it (`value -> trace id`), log records and events ask it: when they arrive, when they are
//! read hot, and when they are sealed; so it does not matter which side comes first.
//!
//! Invariants:
//! - at most `max_correlations` values are remembered per tenant; the ones longest unused are forgotten first;
//! - the first trace seen with a value keeps it while it is remembered: a repeated value cannot move old rows.

use daymark_model::TraceId;
use daymark_wire::decode::{KeyValues, Value};
use xxhash_rust::xxh3::xxh3_64;

use crate::keyed::IdMap;

/// A correlation value, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CorrelationKey(u64);

impl CorrelationKey {
    pub(crate) fn of(value: &str) -> CorrelationKey {
        CorrelationKey(xxh3_64(value.as_bytes()))
    }
}

/// Longest correlation value; longer ones are not ids.
const MAX_VALUE_BYTES: usize = 256;

/// Finds the correlation value among the attributes of an item: the first of the configured keys that is present.
pub(crate) fn find<'a>(keys: &[String], attributes: &KeyValues<'_, 'a>) -> Option<&'a str> {
    let mut found: Option<(usize, &'a str)> = None;
    for (key, value) in attributes.iter() {
        let Value::Str(text) = value else { continue };
        if text.is_empty() || text.len() > MAX_VALUE_BYTES {
            continue;
        }
        let Some(rank) = keys.iter().position(|wanted| wanted == key) else { continue };
        if found.is_none_or(|(best, _)| rank < best) {
            found = Some((rank, text));
        }
    }
    found.map(|(_, text)| text)
}

/// What the correlation values of one tenant lead to.
pub(crate) struct Correlations {
    half: usize,
    young: IdMap<CorrelationKey, TraceId>,
    old: IdMap<CorrelationKey, TraceId>,
    /// Grows with each new value: a reader that saw the same count need not look again.
    learned: u64,
}

impl Correlations {
    pub(crate) fn new(max: usize) -> Correlations {
        Correlations { half: (max / 2).max(1), young: IdMap::default(), old: IdMap::default(), learned: 0 }
    }

    /// A span of `trace` carries the value.
    pub(crate) fn learn(&mut self, key: CorrelationKey, trace: TraceId) {
        if self.lookup(key).is_some() {
            return;
        }
        self.learned += 1;
        self.insert(key, trace);
    }

    /// The trace of the value, when a span carried it.
    pub(crate) fn lookup(&mut self, key: CorrelationKey) -> Option<TraceId> {
        if let Some(trace) = self.young.get(&key) {
            return Some(*trace);
        }
        let trace = self.old.remove(&key)?;
        self.insert(key, trace);
        Some(trace)
    }

    /// How many values were learned so far.
    pub(crate) fn learned(&self) -> u64 {
        self.learned
    }

    fn insert(&mut self, key: CorrelationKey, trace: TraceId) {
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, trace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(n: u8) -> TraceId {
        TraceId([n; 16])
    }

    #[test]
    fn values_are_bounded_and_the_unused_are_forgotten_first() {
        let mut correlations = Correlations::new(4);
        let key = |n: u8| CorrelationKey::of(&n.to_string());
        correlations.learn(key(0), trace(0));
        for n in 1..100 {
            correlations.learn(key(n), trace(n));
            assert_eq!(correlations.lookup(key(0)), Some(trace(0)), "used each time, so kept");
        }
        assert_eq!(correlations.lookup(key(1)), None);
        assert!(correlations.young.len() + correlations.old.len() <= 4);
    }

    #[test]
    fn the_first_trace_keeps_a_value() {
        let mut correlations = Correlations::new(4);
        let key = CorrelationKey::of("order-1");
        correlations.learn(key, trace(1));
        correlations.learn(key, trace(2));
        assert_eq!(correlations.lookup(key), Some(trace(1)));
    }
}
