//! The ledger (design G3): `received = stored + rejected + shed + sampled + in_flight`, at every component.
//!
//! Each term is counted where it happens, none is computed from the others, so that the sum can be wrong
//! and a test can see it. Counts are items (spans, log records, data points).
//!
//! The only way to receive is to take an [`InFlight`] guard. It ends in exactly one outcome; one that is dropped
//! without an outcome (a cancelled request, a panic) counts as `rejected{reason="abandoned"}`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use crate::{Signal, UnixNanos};

#[derive(Default)]
struct Counts {
    received: AtomicU64,
    stored: AtomicU64,
    in_flight: AtomicU64,
}

/// Counters of one component. Clones share the counts.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    component: &'static str,
    since: UnixNanos,
    counts: [Counts; 3],
    losses: Mutex<BTreeMap<(Signal, &'static str, &'static str), u64>>,
}

impl Ledger {
    /// An empty ledger for `component` (`agent`, `collector`) that does not know when it began.
    pub fn new(component: &'static str) -> Ledger {
        Ledger::since(component, UnixNanos(0))
    }

    /// An empty ledger for `component` that counts from `since` on: the start of its process.
    pub fn since(component: &'static str, since: UnixNanos) -> Ledger {
        Ledger { inner: Arc::new(Inner { component, since, counts: Default::default(), losses: Mutex::default() }) }
    }

    /// Counts `items` as received; the guard must be given their outcome.
    pub fn receive(&self, signal: Signal, items: u64) -> InFlight {
        let counts = &self.inner.counts[signal as usize];
        counts.received.fetch_add(items, Relaxed);
        counts.in_flight.fetch_add(items, Relaxed);
        InFlight { ledger: self.clone(), signal, items }
    }

    /// All counts now.
    pub fn snapshot(&self) -> LedgerSnapshot {
        let losses = self.inner.losses.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let rows = Signal::ALL
            .map(|signal| {
                let counts = &self.inner.counts[signal as usize];
                let of = |outcome: &str| {
                    losses
                        .iter()
                        .filter(|((s, o, _), _)| *s == signal && *o == outcome)
                        .map(|((_, _, reason), n)| ((*reason).to_owned(), *n))
                        .collect::<BTreeMap<String, u64>>()
                };
                LedgerRow {
                    signal,
                    received: counts.received.load(Relaxed),
                    stored: counts.stored.load(Relaxed),
                    rejected: of("rejected"),
                    shed: of("shed"),
                    sampled: of("sampled"),
                    in_flight: counts.in_flight.load(Relaxed),
                }
            })
            .into();
        LedgerSnapshot { component: self.inner.component.to_owned(), since: self.inner.since, rows }
    }
}

/// Items that were received and have no outcome yet.
pub struct InFlight {
    ledger: Ledger,
    signal: Signal,
    items: u64,
}

impl InFlight {
    /// Items without an outcome.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// All remaining items are durable at the next stage.
    pub fn stored(mut self) {
        let items = std::mem::take(&mut self.items);
        self.counts().stored.fetch_add(items, Relaxed);
        self.counts().in_flight.fetch_sub(items, Relaxed);
    }

    /// `items` of them were refused for good (`malformed`, `duplicate`, `invalid_id`).
    pub fn reject(&mut self, reason: &'static str, items: u64) {
        self.lose("rejected", reason, items);
    }

    /// `items` of them were turned away because of load (`queue_full`, `timeout`); the sender was told to retry.
    pub fn shed(&mut self, reason: &'static str, items: u64) {
        self.lose("shed", reason, items);
    }

    /// `items` of them were left out by sampling rule `rule`.
    pub fn sample_out(&mut self, rule: &'static str, items: u64) {
        self.lose("sampled", rule, items);
    }

    fn lose(&mut self, outcome: &'static str, reason: &'static str, items: u64) {
        let items = items.min(self.items);
        if items == 0 {
            return;
        }
        self.items -= items;
        let mut losses = self.ledger.inner.losses.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *losses.entry((self.signal, outcome, reason)).or_default() += items;
        drop(losses);
        self.counts().in_flight.fetch_sub(items, Relaxed);
    }

    fn counts(&self) -> &Counts {
        &self.ledger.inner.counts[self.signal as usize]
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.lose("rejected", "abandoned", self.items);
    }
}

/// The ledger of one component at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerSnapshot {
    /// Which component counted.
    pub component: String,
    /// When it began to count; 0 when that is not known. A restart begins anew.
    #[serde(default)]
    pub since: UnixNanos,
    /// One row a signal.
    pub rows: Vec<LedgerRow>,
}

/// The ledger of one signal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerRow {
    /// Which signal.
    pub signal: Signal,
    /// Items that arrived.
    pub received: u64,
    /// Items made durable at the next stage.
    pub stored: u64,
    /// Items refused for good, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Items turned away because of load, by reason.
    pub shed: BTreeMap<String, u64>,
    /// Items left out by sampling, by rule.
    pub sampled: BTreeMap<String, u64>,
    /// Items without an outcome yet.
    pub in_flight: u64,
}

impl LedgerRow {
    /// Received less the sum of all outcomes: 0 when every item is explained.
    pub fn unexplained(&self) -> i64 {
        let lost = |by: &BTreeMap<String, u64>| by.values().sum::<u64>();
        let explained = self.stored + lost(&self.rejected) + lost(&self.shed) + lost(&self.sampled) + self.in_flight;
        self.received as i64 - explained as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_received_is_explained() {
        let ledger = Ledger::new("agent");
        ledger.receive(Signal::Traces, 10).stored();
        let mut partly = ledger.receive(Signal::Traces, 5);
        partly.reject("invalid_id", 2);
        partly.stored();
        drop(ledger.receive(Signal::Traces, 3));
        let waiting = ledger.receive(Signal::Traces, 7);

        let row = &ledger.snapshot().rows[0];
        assert_eq!((row.received, row.stored, row.in_flight), (25, 13, 7));
        assert_eq!(row.rejected, BTreeMap::from([("invalid_id".into(), 2), ("abandoned".into(), 3)]));
        assert_eq!(row.unexplained(), 0);
        drop(waiting);
    }
}
