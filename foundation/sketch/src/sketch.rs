//! [`Sketch`]: an HDR histogram of 2 digits that is small while it holds little.
//!
//! The ladder: up to [`RAW_VALUES`] values inside the struct without heap; then sorted (bucket, count) pairs; then
//! dense counters. Which rung a sketch is on is never visible from outside: answers depend on count, sum, min, max
//! and bucket counts alone, so that the order of merges cannot change them.

use crate::bucket::{Bucket, BucketIndex, highest, index_of, lowest, middle};
use crate::rungs::{Rungs, RungsIter};

/// Values held without heap.
pub(crate) const RAW_VALUES: usize = 4;

/// Where counts saturate: the HDR V2 encoding has signed counts.
pub(crate) const MAX_COUNT: u64 = i64::MAX as u64;

/// A distribution of `u64` values.
#[derive(Clone, Debug)]
pub struct Sketch(Ladder);

#[derive(Clone, Debug)]
enum Ladder {
    Raw { len: u8, values: [u64; RAW_VALUES] },
    Wide(Box<Wide>),
}

#[derive(Clone, Debug)]
struct Wide {
    count: u64,
    sum: u64,
    min: u64,
    max: u64,
    rungs: Rungs,
}

/// Count, sum, min and max as stated by whoever made the buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stated {
    pub(crate) count: u64,
    pub(crate) sum: u64,
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl Default for Sketch {
    fn default() -> Sketch {
        Sketch::new()
    }
}

impl PartialEq for Sketch {
    fn eq(&self, other: &Sketch) -> bool {
        (self.count(), self.sum(), self.min(), self.max()) == (other.count(), other.sum(), other.min(), other.max())
            && self.indices().eq(other.indices())
    }
}

impl Sketch {
    /// An empty sketch; does not allocate.
    pub const fn new() -> Sketch {
        Sketch(Ladder::Raw { len: 0, values: [0; RAW_VALUES] })
    }

    /// A sketch of buckets with the exact figures stated beside them. The caller has checked that they agree.
    pub(crate) fn from_parts(stated: Stated, buckets: impl Iterator<Item = (BucketIndex, u64)>) -> Sketch {
        if stated.count == 0 {
            return Sketch::new();
        }
        let mut rungs = Rungs::new();
        buckets.for_each(|(index, count)| rungs.add(index, count));
        let Stated { count, sum, min, max } = stated;
        Sketch(Ladder::Wide(Box::new(Wide { count: count.min(MAX_COUNT), sum, min, max, rungs })))
    }

    /// Adds one value.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Adds `n` equal values.
    pub fn record_n(&mut self, value: u64, n: u64) {
        if n == 0 {
            return;
        }
        if let Ladder::Raw { len, values } = &mut self.0 {
            let end = u64::from(*len).saturating_add(n);
            if end <= RAW_VALUES as u64 {
                values[usize::from(*len)..end as usize].fill(value);
                *len = end as u8;
                return;
            }
        }
        let wide = self.widen();
        wide.absorb(Stated { count: n, sum: value.saturating_mul(n), min: value, max: value });
        wide.rungs.add(index_of(value), n.min(MAX_COUNT));
    }

    /// Adds all values of another sketch.
    pub fn merge(&mut self, other: &Sketch) {
        match &other.0 {
            Ladder::Raw { len, values } => values[..usize::from(*len)].iter().for_each(|&value| self.record(value)),
            Ladder::Wide(other) => {
                let wide = self.widen();
                wide.absorb(Stated { count: other.count, sum: other.sum, min: other.min, max: other.max });
                wide.rungs.merge(&other.rungs);
            }
        }
    }

    fn widen(&mut self) -> &mut Wide {
        if let Ladder::Raw { len, values } = self.0 {
            let mut wide = Wide { count: 0, sum: 0, min: u64::MAX, max: 0, rungs: Rungs::new() };
            for &value in &values[..usize::from(len)] {
                wide.absorb(Stated { count: 1, sum: value, min: value, max: value });
                wide.rungs.add(index_of(value), 1);
            }
            self.0 = Ladder::Wide(Box::new(wide));
        }
        match &mut self.0 {
            Ladder::Wide(wide) => wide,
            Ladder::Raw { .. } => unreachable!("made wide above"),
        }
    }

    /// Number of values; saturates at `i64::MAX`.
    pub fn count(&self) -> u64 {
        match &self.0 {
            Ladder::Raw { len, .. } => u64::from(*len),
            Ladder::Wide(wide) => wide.count,
        }
    }

    /// Exact sum of the values; saturates.
    pub fn sum(&self) -> u64 {
        match &self.0 {
            Ladder::Raw { len, values } => some(len, values).iter().fold(0, |sum, &value| sum.saturating_add(value)),
            Ladder::Wide(wide) => wide.sum,
        }
    }

    /// Smallest value, exactly; `None` when empty.
    pub fn min(&self) -> Option<u64> {
        match &self.0 {
            Ladder::Raw { len, values } => some(len, values).iter().min().copied(),
            Ladder::Wide(wide) => Some(wide.min),
        }
    }

    /// Largest value, exactly; `None` when empty.
    pub fn max(&self) -> Option<u64> {
        match &self.0 {
            Ladder::Raw { len, values } => some(len, values).iter().max().copied(),
            Ladder::Wide(wide) => Some(wide.max),
        }
    }

    /// The value at quantile `q` (0 to 1, clamped; nearest rank), within [`crate::HDR_ERROR`] of the true one; the
    /// first and the last are exact. `None` when empty or `q` is not a number.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let (min, max) = (self.min()?, self.max()?);
        if q.is_nan() {
            return None;
        }
        let count = self.count();
        let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as u64).clamp(1, count);
        if rank == 1 {
            return Some(min);
        }
        if rank == count {
            return Some(max);
        }
        let mut below = 0_u64;
        for (index, count) in self.indices() {
            below = below.saturating_add(count);
            if below >= rank {
                return Some(middle(index).clamp(min, max));
            }
        }
        Some(max)
    }

    /// Number of values at or below the edge of the bucket of `value`: exact when `value` is a
    /// [`crate::bucket_edge`].
    pub fn count_at_or_below(&self, value: u64) -> u64 {
        let last = index_of(value);
        let counts = self.indices().take_while(|(index, _)| *index <= last).map(|(_, count)| count);
        counts.fold(0, |sum, count| sum.saturating_add(count).min(MAX_COUNT))
    }

    /// Non-empty buckets in ascending order.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        self.indices().map(|(index, count)| Bucket { lowest: lowest(index), highest: highest(index), count })
    }

    /// Memory in use, bytes, the struct itself included.
    pub fn memory_bytes(&self) -> usize {
        let heap = match &self.0 {
            Ladder::Raw { .. } => 0,
            Ladder::Wide(wide) => size_of::<Wide>() + wide.rungs.heap_bytes(),
        };
        size_of::<Sketch>() + heap
    }

    /// Whether count, min and max alone rebuild the sketch: it is empty, or its one or two values are min and max.
    pub fn is_min_and_max(&self) -> bool {
        let (Some(min), Some(max)) = (self.min(), self.max()) else { return true };
        Sketch::from_min_and_max(self.count(), min, max).is_some_and(|rebuilt| rebuilt == *self)
    }

    /// The sketch of at most two values, which are `min` and `max`; `None` for other counts and when they disagree.
    pub fn from_min_and_max(count: u64, min: u64, max: u64) -> Option<Sketch> {
        let mut sketch = Sketch::new();
        match count {
            0 => {}
            1 if min == max => sketch.record(min),
            2 if min <= max => {
                sketch.record(min);
                sketch.record(max);
            }
            _ => return None,
        }
        Some(sketch)
    }

    /// The values as they were recorded, while they are few.
    pub(crate) fn raw(&self) -> Option<&[u64]> {
        match &self.0 {
            Ladder::Raw { len, values } => Some(some(len, values)),
            Ladder::Wide(_) => None,
        }
    }

    /// Non-empty buckets in ascending order, by number.
    pub(crate) fn indices(&self) -> Indices<'_> {
        match &self.0 {
            Ladder::Raw { len, values } => {
                let mut sorted = *values;
                sorted[..usize::from(*len)].sort_unstable();
                Indices::Raw { sorted, next: 0, len: usize::from(*len) }
            }
            Ladder::Wide(wide) => Indices::Wide(wide.rungs.iter()),
        }
    }
}

/// Those of the raw values that are in use.
fn some<'v>(len: &u8, values: &'v [u64; RAW_VALUES]) -> &'v [u64] {
    &values[..usize::from(*len)]
}

impl Wide {
    fn absorb(&mut self, other: Stated) {
        self.count = self.count.saturating_add(other.count).min(MAX_COUNT);
        self.sum = self.sum.saturating_add(other.sum);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

/// See [`Sketch::indices`].
#[derive(Clone)]
pub(crate) enum Indices<'a> {
    Raw { sorted: [u64; RAW_VALUES], next: usize, len: usize },
    Wide(RungsIter<'a>),
}

impl Iterator for Indices<'_> {
    type Item = (BucketIndex, u64);

    fn next(&mut self) -> Option<(BucketIndex, u64)> {
        match self {
            Indices::Wide(rungs) => rungs.next(),
            Indices::Raw { sorted, next, len } => {
                let rest = &sorted[*next..*len];
                let index = index_of(*rest.first()?);
                let same = rest.iter().take_while(|&&value| index_of(value) == index).count();
                *next += same;
                Some((index, same as u64))
            }
        }
    }
}

#[cfg(test)]
#[path = "sketch_tests.rs"]
pub(crate) mod tests;
