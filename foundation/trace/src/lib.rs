//! What the spans of one trace tell together: who called whom, whose clock is off, what the trace waited for.
//!
//! Where it sits: the collector's stitcher asks it for every trace row, queries ask it for the spans they show. Both get
//! the same figures from the same spans.
//!
//! Invariants:
//! - no IO, no clock, no randomness; the answer depends on the set of spans, not on their order;
//! - nothing a sender can write makes it fail, or take more than `n log n`: cycles are cut, self-parents and duplicates
//!   are harmless, times beyond the year 2116 are taken for that year;
//! - it allocates only while it meets larger traces than before.
//!
//! What it does not do: it keeps no span (the caller does) and knows no names (services and clocks are numbers).

mod analysis;
mod clocks;
mod path;
mod span;
mod tree;

pub use analysis::{Analysis, ServiceTimes};
pub use clocks::{CLOCK_KEYS, clock_of};
pub use span::{Kind, Span};

#[cfg(test)]
mod tests;
