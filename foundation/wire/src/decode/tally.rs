//! Counting items and judging their ids and times.

use daymark_model::{SpanId, TraceId, UnixNanos};

use super::wire::{Fault, Parse};
use super::{DecodeLimits, Walked};
use crate::Problem;

/// Latest time the tables can hold: signed 64-bit nanoseconds (the year 2262).
const TIME_MAX: u64 = i64::MAX as u64;

/// Earlier than any telemetry: a time before it was not counted in nanoseconds since 1970.
const EARLIEST_NS: u64 = 946_684_800_000_000_000;

/// Times that items may have. Outside of it an item is rejected: its sender counts in another unit, or its clock is
/// wrong, and rows at such times would never be looked at and never grow old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeBounds {
    /// Earliest time.
    pub earliest: UnixNanos,
    /// Latest time.
    pub latest: UnixNanos,
}

impl TimeBounds {
    /// All that the tables can hold.
    pub const ANY: TimeBounds = TimeBounds { earliest: UnixNanos(0), latest: UnixNanos(TIME_MAX) };

    /// What a request that arrived at `arrived` can hold: nothing before the year 2000, nothing more than
    /// `max_future_ms` ahead.
    pub fn on_arrival(arrived: UnixNanos, max_future_ms: u64) -> TimeBounds {
        TimeBounds::until(UnixNanos(arrived.0.saturating_add(max_future_ms.saturating_mul(1_000_000))))
    }

    /// Nothing before the year 2000, nothing after `latest`.
    pub fn until(latest: UnixNanos) -> TimeBounds {
        TimeBounds { earliest: UnixNanos(EARLIEST_NS), latest: UnixNanos(latest.0.min(TIME_MAX)) }
    }
}

/// What to say of a time that is not plausible.
pub(super) struct Implausible {
    pub(super) early: &'static str,
    pub(super) late: &'static str,
}

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

    /// Notes that the last item is not valid when `fault` concerns it alone; other faults are the request's.
    #[cold]
    pub(super) fn spoil(&mut self, fault: Box<Fault>) -> Parse<()> {
        let reason = fault.of_one_item().ok_or(fault)?;
        self.reject(reason);
        Ok(())
    }

    /// Notes that the last item is not valid.
    pub(super) fn reject(&mut self, reason: &'static str) {
        self.walked.rejected += 1;
        self.walked.reasons.add(reason, 1);
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

/// `Ok` when `time` lies within `bounds`.
pub(super) fn plausible(time: UnixNanos, bounds: TimeBounds, say: &Implausible) -> Result<(), &'static str> {
    match time {
        early if early < bounds.earliest => Err(say.early),
        late if late > bounds.latest => Err(say.late),
        _ => Ok(()),
    }
}

/// The time, or `reason` if it is missing or the tables cannot hold it.
pub(super) fn required_time(nanos: u64, reason: &'static str) -> Result<UnixNanos, &'static str> {
    if nanos == 0 { Err(reason) } else { time(nanos, reason) }
}
