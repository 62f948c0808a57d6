//! Time: nanoseconds since the Unix epoch, UTC, as OTLP has it.

use serde::{Deserialize, Serialize};

/// Nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixNanos(pub u64);

impl UnixNanos {
    /// From whole seconds.
    pub const fn from_seconds(seconds: u64) -> UnixNanos {
        UnixNanos(seconds * 1_000_000_000)
    }

    /// From milliseconds.
    pub const fn from_millis(millis: u64) -> UnixNanos {
        UnixNanos(millis * 1_000_000)
    }

    /// Microseconds, as the tables store times (Delta has no finer type).
    pub const fn micros(self) -> i64 {
        (self.0 / 1_000) as i64
    }

    /// Whole seconds.
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// Start of the window of `width_ns` that holds this instant.
    pub const fn window(self, width_ns: u64) -> UnixNanos {
        UnixNanos(self.0 - self.0 % width_ns)
    }

    /// This instant less `nanos`, not below the epoch.
    pub const fn minus(self, nanos: u64) -> UnixNanos {
        UnixNanos(self.0.saturating_sub(nanos))
    }

    /// This instant plus `nanos`.
    pub const fn plus(self, nanos: u64) -> UnixNanos {
        UnixNanos(self.0.saturating_add(nanos))
    }
}

/// A half-open range of time: `start <= t < end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// First instant inside.
    pub start: UnixNanos,
    /// First instant after.
    pub end: UnixNanos,
}

impl TimeRange {
    /// All of time.
    pub const ALL: TimeRange = TimeRange { start: UnixNanos(0), end: UnixNanos(u64::MAX) };

    /// Whether `t` lies inside.
    pub fn contains(&self, t: UnixNanos) -> bool {
        self.start <= t && t < self.end
    }

    /// Whether the closed interval `[first, last]` has an instant inside.
    pub fn overlaps(&self, first: UnixNanos, last: UnixNanos) -> bool {
        first < self.end && last >= self.start
    }
}
