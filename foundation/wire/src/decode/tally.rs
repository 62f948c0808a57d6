//! Counting items and judging their ids and times.

use daymark_model::{SpanId, TraceId, UnixNanos};

use super::wire::{Fault, Parse};
use super::{DecodeLimits, Walked};
use crate::Problem;

/// Latest time the tables can hold: signed 64-bit nanoseconds (the year 2262).
const TIME_MAX: u64 = i64::MAX as u64;

/// Counts the items of one walk.
pub(super) struct Tally {
    pub(super) limits: DecodeLimits,
    pub(super) walked: Walked,
}

impl Tally {
    pub(super) fn new(limits: DecodeLimits) -> Tally {
        Tally { limits, walked: Walked::default() }
    }

    /// Counts the item that `message` holds.
    pub(super) fn count(&mut self, message: &[u8]) -> Parse<()> {
        self.walked.items += 1;
        if self.walked.items > self.limits.max_items {
            return Err(Fault::new(message, "item", Problem::TooManyItems { limit: self.limits.max_items }));
        }
        Ok(())
    }

    /// Notes that the last item is not valid.
    pub(super) fn reject(&mut self, reason: &'static str) {
        self.walked.rejected += 1;
        self.walked.reason.get_or_insert(reason);
    }
}

/// The id if it has the right length and is not zero.
pub(super) fn trace_id(bytes: &[u8]) -> Option<TraceId> {
    TraceId::from_slice(bytes).filter(|id| !id.is_zero())
}

/// The id if it has the right length and is not zero.
pub(super) fn span_id(bytes: &[u8]) -> Option<SpanId> {
    SpanId::from_slice(bytes).filter(|id| !id.is_zero())
}

/// The time, or `reason` if the tables cannot hold it.
pub(super) fn time(nanos: u64, reason: &'static str) -> Result<UnixNanos, &'static str> {
    if nanos <= TIME_MAX { Ok(UnixNanos(nanos)) } else { Err(reason) }
}

/// The time, or `reason` if it is missing or the tables cannot hold it.
pub(super) fn required_time(nanos: u64, reason: &'static str) -> Result<UnixNanos, &'static str> {
    if nanos == 0 { Err(reason) } else { time(nanos, reason) }
}
