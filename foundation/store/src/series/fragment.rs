//! One row of a metric table, and how two rows of one series join into one.
//!
//! Where it sits: the collector folds fine windows into coarse ones with it, compaction makes one row of a window's
//! fragments with it, readers get their rows in this form.
//!
//! Invariants:
//! - fragments join in order of `last_time`, and only when the joined one says as much as the two: a running total
//!   that was reset, or distributions with other bucket bounds, stay rows of their own;
//! - what is summed up does not depend on the order in which data points came.

use std::borrow::Cow;

use daymark_model::UnixNanos;
use daymark_sketch::{ExplicitHistogram, Histogram, Sketch};

use super::Exemplar;

/// How the rows of a series add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adding {
    /// Current values: last, min, max, sum and count are kept.
    Gauge,
    /// Each is new: values and buckets are summed.
    Delta,
    /// Each replaces the one before: running totals, which readers turn into increases.
    Cumulative,
}

impl Adding {
    /// By the `kind` and `temporality` columns.
    pub fn of(kind: &str, temporality: &str) -> Adding {
        match (kind, temporality) {
            ("gauge", _) => Adding::Gauge,
            (_, "cumulative") => Adding::Cumulative,
            _ => Adding::Delta,
        }
    }
}

/// Part of one window of one series, or all of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fragment<'h> {
    /// Start of the window.
    pub window: UnixNanos,
    /// When a cumulative series began to count, of deltas the first start; 0 when unknown.
    pub start: u64,
    /// Time of the newest data point in it.
    pub last_time: u64,
    /// Histograms: values. Others: data points.
    pub count: u64,
    /// Sum of the values; of cumulative histograms since the start.
    pub sum: f64,
    /// Smallest value.
    pub min: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
    /// Newest value; of cumulative counters the running total.
    pub last: Option<f64>,
    /// The distribution.
    pub hist: Option<Cow<'h, Histogram>>,
    /// Relative error that foreign histograms may have added to quantiles.
    pub err_bound: f64,
    /// An example.
    pub exemplar: Option<Exemplar>,
}

impl<'h> Fragment<'h> {
    /// Adds `next`, a fragment of the same series and window whose `last_time` is not earlier. False when the two must
    /// stay apart; then nothing is changed.
    #[must_use]
    pub fn join(&mut self, next: &Fragment<'h>, adding: Adding) -> bool {
        let joined = match adding {
            Adding::Cumulative => self.continue_with(next),
            Adding::Delta | Adding::Gauge => self.sum_up(next),
        };
        if joined {
            self.err_bound = self.err_bound.max(next.err_bound);
            self.exemplar = Exemplar::better(self.exemplar, next.exemplar);
        }
        joined
    }

    fn continue_with(&mut self, next: &Fragment<'h>) -> bool {
        if self.start != next.start || self.hist.is_some() != next.hist.is_some() {
            return false;
        }
        let same_time = self.last_time == next.last_time;
        if let (Some(ours), Some(theirs)) = (&self.hist, &next.hist) {
            // Two totals of one instant: the larger is the whole one, in whatever order they come.
            if same_time && continues(theirs, ours) {
                return true;
            }
            if !continues(ours, theirs) {
                return false;
            }
            (self.count, self.sum, self.hist) = (next.count, next.sum, next.hist.clone());
            (self.min, self.max) = (next.min, next.max);
        } else if self.last.is_none() && next.last.is_none() {
            // Count and sum of values without buckets.
            if same_time && next.count <= self.count {
                return true;
            }
            if next.count < self.count {
                return false;
            }
            (self.count, self.sum, self.min, self.max) = (next.count, next.sum, next.min, next.max);
        } else {
            if next.last < self.last && !same_time {
                return false;
            }
            self.count = self.count.saturating_add(next.count);
            self.last = if same_time { pick(self.last, next.last, f64::max) } else { next.last };
        }
        self.last_time = next.last_time;
        true
    }

    fn sum_up(&mut self, next: &Fragment<'h>) -> bool {
        match (&mut self.hist, &next.hist) {
            (_, None) => {}
            (ours @ None, Some(theirs)) => *ours = Some(theirs.clone()),
            (Some(ours), Some(theirs)) => {
                if !same_buckets(ours, theirs) || ours.to_mut().merge(theirs).is_err() {
                    return false;
                }
            }
        }
        self.count = self.count.saturating_add(next.count);
        self.sum += next.sum;
        (self.min, self.max) = (pick(self.min, next.min, f64::min), pick(self.max, next.max, f64::max));
        // Of equal times the larger value, so that the order of fragments does not matter.
        if next.last_time > self.last_time || (next.last_time == self.last_time && next.last > self.last) {
            self.last = next.last.or(self.last);
        }
        self.start = match (self.start, next.start) {
            (0, start) | (start, 0) => start,
            (ours, theirs) => ours.min(theirs),
        };
        self.last_time = self.last_time.max(next.last_time);
        true
    }
}

/// Whether the running total `new` may come after `old` without a reset between them.
pub fn continues(old: &Histogram, new: &Histogram) -> bool {
    match (old, new) {
        (Histogram::Explicit(old), Histogram::Explicit(new)) => {
            same_bounds(old, new) && old.counts.iter().zip(&new.counts).all(|(old, new)| old <= new)
        }
        (Histogram::Hdr(old), Histogram::Hdr(new)) => hdr_continues(old, new),
        _ => false,
    }
}

fn hdr_continues(old: &Sketch, new: &Sketch) -> bool {
    let mut new = new.buckets();
    old.buckets().all(|old| {
        new.by_ref()
            .find(|new| new.lowest >= old.lowest)
            .is_some_and(|new| new.lowest == old.lowest && new.count >= old.count)
    })
}

fn same_buckets(ours: &Histogram, theirs: &Histogram) -> bool {
    match (ours, theirs) {
        (Histogram::Explicit(ours), Histogram::Explicit(theirs)) => same_bounds(ours, theirs),
        (Histogram::Hdr(_), Histogram::Hdr(_)) => true,
        _ => false,
    }
}

fn same_bounds(ours: &ExplicitHistogram, theirs: &ExplicitHistogram) -> bool {
    ours.bounds == theirs.bounds && ours.counts.len() == theirs.counts.len()
}

impl Exemplar {
    /// The one that explains more: the larger value. Ids only make the choice independent of order.
    #[must_use]
    pub fn better(ours: Option<Exemplar>, theirs: Option<Exemplar>) -> Option<Exemplar> {
        let rank = |exemplar: &Exemplar| {
            // Orders like the numbers themselves, negative ones included.
            let bits = exemplar.value.to_bits();
            (if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }, exemplar.trace_id, exemplar.span_id)
        };
        match (ours, theirs) {
            (Some(ours), Some(theirs)) if rank(&theirs) > rank(&ours) => Some(theirs),
            (ours, theirs) => ours.or(theirs),
        }
    }
}

pub(super) fn pick(ours: Option<f64>, theirs: Option<f64>, of: fn(f64, f64) -> f64) -> Option<f64> {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => Some(of(ours, theirs)),
        (ours, theirs) => ours.or(theirs),
    }
}
