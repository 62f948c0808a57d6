//! Derives request counts, errors and durations from spans and events, while checking them: one pass over the bytes.
//!
//! One series for each service, name, kind and status: an HDR histogram (`daymark-sketch`) of durations in ns. The
//! collector stores them as `traces.span.metrics.duration` and `events.duration` (`docs/formats/derived-metrics.md`).
//! A series covers the aligned window of `DERIVED_WINDOW_NS` that holds the *end* of its items.
//!
//! Invariants:
//! - the counts of all series together equal the valid items of the request: none sampled, none dropped;
//! - equal requests derive equal bytes;
//! - the number of series of one request is capped; beyond the cap, values go to visible overflow series.

mod encode;
mod series;
mod visit;

use std::sync::Mutex;

use daymark_model::{Refusal, Signal, UnixNanos};
use daymark_wire::{
    Checked, DecodeError, DecodeLimits, DerivedSource, TimeBounds, Walked, check, walk_logs_within, walk_traces_within,
};

use crate::options::AgentOptions;
use series::SeriesMap;
use visit::{EventDurations, SpanDurations};

/// Series maps kept for reuse at most, and the size up to which one is kept: idle memory stays small.
const POOL_LIMIT: usize = 8;
const KEEP_SERIES: usize = 2_048;
const KEEP_TEXT_BYTES: usize = 256 << 10;

/// What a pass over a sound request found.
pub(crate) struct Derived {
    pub(crate) walked: Walked,
    /// The `derived` part of the batch; none when there was nothing to derive from.
    pub(crate) series: Option<Vec<u8>>,
    /// The latest time that an item could have.
    pub(crate) latest: UnixNanos,
    /// The same for a collector in this process, which then does not walk spans and log records again.
    pub(crate) checked: Option<Checked>,
}

/// A request that is refused as a whole.
#[derive(Debug)]
pub(crate) struct Unsound {
    /// Items it had; 1 when that is not known.
    pub(crate) items: u64,
    pub(crate) refusal: Refusal,
}

impl From<DecodeError> for Unsound {
    fn from(error: DecodeError) -> Unsound {
        Unsound { items: 1, refusal: error.into() }
    }
}

/// Derives, with series maps that are reused from request to request.
pub(crate) struct DeriverPool {
    idle: Mutex<Vec<SeriesMap>>,
    max_items: u64,
    max_future_ms: u64,
    max_series: usize,
    max_bytes: usize,
}

impl DeriverPool {
    pub(crate) fn new(options: &AgentOptions) -> DeriverPool {
        DeriverPool {
            idle: Mutex::default(),
            max_items: options.max_items_per_request,
            max_future_ms: options.max_future_ms,
            max_series: options.max_series_per_batch,
            max_bytes: options.max_derived_bytes,
        }
    }

    /// Checks a request that arrived at `arrived` and derives from it.
    pub(crate) fn derive(&self, signal: Signal, payload: &[u8], arrived: UnixNanos) -> Result<Derived, Unsound> {
        let mut series = self.take();
        let bounds = TimeBounds::on_arrival(arrived, self.max_future_ms);
        let limits = DecodeLimits::at(bounds);
        let (source, walked, expanded_bytes) = match signal {
            Signal::Traces => {
                let mut visitor = SpanDurations::new(&mut series);
                let walked = walk_traces_within(payload, &mut visitor, limits);
                (DerivedSource::Spans, walked, Some(visitor.expanded_bytes()))
            }
            Signal::Logs => {
                let mut visitor = EventDurations::new(&mut series, arrived);
                let walked = walk_logs_within(payload, &mut visitor, limits);
                (DerivedSource::Events, walked, Some(visitor.expanded_bytes()))
            }
            Signal::Metrics => (DerivedSource::Spans, check(signal, payload, &limits), None),
        };
        // A map that saw half a request before an error is dropped with what it holds.
        let walked = walked?;
        let items = walked.items;
        if items > self.max_items {
            let message = format!("{items} items in one request, more than {}: send smaller batches", self.max_items);
            return Err(Unsound { items, refusal: Refusal::reject("too_many_items", message) });
        }
        if encode::size_bound(&series) > self.max_bytes {
            let message =
                format!("metrics derived from this request exceed {} bytes: send smaller batches", self.max_bytes);
            return Err(Unsound { items, refusal: Refusal::reject("derived_too_large", message) });
        }
        let checked = expanded_bytes.map(|expanded_bytes| {
            let series = series.len() as u64;
            Checked { signal, walked, series, expanded_bytes }
        });
        let derived = (!series.is_empty()).then(|| encode::derived_series(source, &mut series));
        self.give_back(series);
        Ok(Derived { walked, series: derived, latest: bounds.latest, checked })
    }

    fn take(&self) -> SeriesMap {
        let idle = self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
        idle.unwrap_or_else(|| SeriesMap::new(self.max_series))
    }

    fn give_back(&self, mut series: SeriesMap) {
        if series.len() > KEEP_SERIES || series.text_bytes() > KEEP_TEXT_BYTES {
            return;
        }
        series.clear();
        let mut idle = self.idle.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if idle.len() < POOL_LIMIT {
            idle.push(series);
        }
    }
}

#[cfg(test)]
mod tests;
