//! Histograms with the bucket bounds of whoever made them: kept as they are, merged exactly while the bounds match.
//!
//! A quantile is only known to lie in a bucket: the answer names the bucket's edges beside the estimate.
//!
//! Bytes: `number of bounds · bounds (f64 LE) · counts (LEB128) · sum (f64 LE) · flags · min · max (f64 LE, if flagged)`.

use crate::error::{BoundsDiffer, SketchError};
use crate::varint::{Cursor, put_leb};

const HAS_MIN: u8 = 1;
const HAS_MAX: u8 = 2;

/// Counts between bounds: `counts[i]` is of values in `(bounds[i-1], bounds[i]]`, the last of those above all bounds.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ExplicitHistogram {
    /// Upper bounds, strictly increasing.
    pub bounds: Vec<f64>,
    /// One more than bounds.
    pub counts: Vec<u64>,
    /// Sum of the values.
    pub sum: f64,
    /// Smallest value, if known.
    pub min: Option<f64>,
    /// Largest value, if known.
    pub max: Option<f64>,
}

/// A quantile of a histogram that only knows buckets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BucketQuantile {
    /// The true value is at least this; negative infinity when nothing bounds it.
    pub lower: f64,
    /// The true value is at most this; infinity when nothing bounds it.
    pub upper: f64,
    /// Linear interpolation between the two; the finite one when the other is infinite.
    pub estimate: f64,
}

impl ExplicitHistogram {
    /// Checks what came over the wire.
    ///
    /// # Errors
    /// [`SketchError::Invalid`] unless bounds increase strictly, are numbers, and are one fewer than the counts.
    pub fn new(
        bounds: Vec<f64>,
        counts: Vec<u64>,
        sum: f64,
        min: Option<f64>,
        max: Option<f64>,
    ) -> Result<ExplicitHistogram, SketchError> {
        if counts.len() != bounds.len() + 1 {
            return Err(SketchError::Invalid { field: "counts", why: "are not one more than the bounds" });
        }
        if bounds.iter().any(|bound| bound.is_nan()) || !bounds.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err(SketchError::Invalid { field: "bounds", why: "do not increase strictly" });
        }
        Ok(ExplicitHistogram { bounds, counts, sum, min, max })
    }

    /// Adds all values of another.
    ///
    /// # Errors
    /// [`BoundsDiffer`], and `self` is unchanged.
    pub fn merge(&mut self, other: &ExplicitHistogram) -> Result<(), BoundsDiffer> {
        if self.bounds != other.bounds || self.counts.len() != other.counts.len() {
            return Err(BoundsDiffer);
        }
        // A side without values does not know min and max, and does not make the other's unknown.
        let extreme = |pick: fn(f64, f64) -> f64, ours: Option<f64>, theirs: Option<f64>| match (ours, theirs) {
            (Some(ours), Some(theirs)) => Some(pick(ours, theirs)),
            (ours, _) if other.count() == 0 => ours,
            (_, theirs) if self.count() == 0 => theirs,
            _ => None,
        };
        let (min, max) = (extreme(f64::min, self.min, other.min), extreme(f64::max, self.max, other.max));
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.sum += other.sum;
        (self.min, self.max) = (min, max);
        Ok(())
    }

    /// Number of values; saturates.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The bucket that holds quantile `q` (0 to 1, clamped; nearest rank). `None` when empty or `q` is not a number.
    pub fn quantile(&self, q: f64) -> Option<BucketQuantile> {
        let count = self.count();
        if count == 0 || q.is_nan() {
            return None;
        }
        let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as u64).clamp(1, count);
        let mut below = 0_u64;
        for (at, &here) in self.counts.iter().enumerate() {
            if below.saturating_add(here) >= rank {
                return Some(self.within(at, (rank - below) as f64 / here as f64));
            }
            below = below.saturating_add(here);
        }
        None
    }

    /// Values at or below `threshold` for certain, and at most: equal when `threshold` is a bound.
    pub fn count_at_or_below(&self, threshold: f64) -> (u64, u64) {
        let whole = self.bounds.partition_point(|bound| *bound <= threshold);
        let sum = |counts: &[u64]| counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
        let certain = sum(&self.counts[..whole.min(self.counts.len())]);
        if whole > 0 && self.bounds[whole - 1] == threshold {
            return (certain, certain);
        }
        if self.max.is_some_and(|max| max <= threshold) {
            return (self.count(), self.count());
        }
        (certain, sum(&self.counts[..(whole + 1).min(self.counts.len())]))
    }

    fn within(&self, at: usize, fraction: f64) -> BucketQuantile {
        let below = at.checked_sub(1).map_or(f64::NEG_INFINITY, |at| self.bounds[at]);
        let above = self.bounds.get(at).copied().unwrap_or(f64::INFINITY);
        // Min and max are true of all values: they can only narrow a bucket.
        let lower = self.min.map_or(below, |min| below.max(min)).min(above);
        let upper = self.max.map_or(above, |max| above.min(max)).max(lower);
        let estimate = match (lower.is_finite(), upper.is_finite()) {
            (true, true) => lower + (upper - lower) * fraction,
            (true, false) => lower,
            (false, true) => upper,
            (false, false) => self.sum / self.count() as f64,
        };
        BucketQuantile { lower, upper, estimate }
    }

    /// The histogram as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + 9 * self.bounds.len());
        self.encode_to(&mut out);
        out
    }

    pub(crate) fn encode_to(&self, out: &mut Vec<u8>) {
        put_leb(out, self.bounds.len() as u64);
        self.bounds.iter().for_each(|bound| out.extend_from_slice(&bound.to_le_bytes()));
        self.counts.iter().for_each(|count| put_leb(out, *count));
        out.extend_from_slice(&self.sum.to_le_bytes());
        let flags = self.min.map_or(0, |_| HAS_MIN) | self.max.map_or(0, |_| HAS_MAX);
        out.push(flags);
        self.min.iter().chain(&self.max).for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
    }

    /// Reads what [`ExplicitHistogram::encode`] wrote.
    ///
    /// # Errors
    /// [`SketchError`] for anything else. Never panics; allocates no more than a small multiple of `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<ExplicitHistogram, SketchError> {
        let mut cursor = Cursor::new(bytes);
        let len = cursor.leb()?;
        if len > (cursor.remaining() / 8) as u64 {
            return Err(SketchError::Truncated { at: bytes.len() });
        }
        let bounds = (0..len).map(|_| read_f64(&mut cursor)).collect::<Result<_, _>>()?;
        let counts = (0..=len).map(|_| cursor.leb()).collect::<Result<_, _>>()?;
        let sum = read_f64(&mut cursor)?;
        let flags = cursor.byte()?;
        if flags & !(HAS_MIN | HAS_MAX) != 0 {
            return Err(SketchError::Invalid { field: "flags", why: "are unknown" });
        }
        let mut flagged = |flag| (flags & flag != 0).then(|| read_f64(&mut cursor)).transpose();
        let (min, max) = (flagged(HAS_MIN)?, flagged(HAS_MAX)?);
        cursor.finish()?;
        ExplicitHistogram::new(bounds, counts, sum, min, max)
    }
}

fn read_f64(cursor: &mut Cursor<'_>) -> Result<f64, SketchError> {
    cursor.array().map(f64::from_le_bytes)
}

#[cfg(test)]
#[path = "explicit_tests.rs"]
pub(crate) mod tests;
