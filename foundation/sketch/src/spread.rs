//! Foreign exponential histograms into HDR, with a stated error.
//!
//! A bucket's count is spread over the HDR buckets it overlaps as if its values were log-uniform, which is what an
//! exponential histogram assumes; the whole count arrives, in whole numbers (design §5: ≤ 0.16 % off up to p99.9 where
//! counting at mid-points gives 1.2–3.9 %). Exact min and max clamp the edges.

use crate::HDR_ERROR;
use crate::bucket::{BUCKETS, BucketIndex, highest, index_of, lowest};
use crate::exponential::Exponential;
use crate::sketch::{MAX_COUNT, Sketch, Stated};

/// Bound stated for buckets so wide that their quantiles say nothing.
const ERROR_MAX: f64 = 1e6;

/// Turns a foreign exponential histogram into a sketch of its values times `unit` (e.g. 1e9 for seconds in
/// nanoseconds). `sum`, `min` and `max` are in the histogram's own unit.
///
/// Returns the sketch and the largest relative error of its quantiles. Values beyond `u64` after scaling, negative
/// ones among them, end in the outermost buckets; the negative side of a histogram has no place here and is the
/// caller's to refuse. Hostile input is safe: the work is bounded by the number of counts and of HDR buckets.
pub fn spread_exponential(
    exponential: &Exponential,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    unit: f64,
) -> (Sketch, f64) {
    let scaled = |value: f64| (value * unit).round() as u64;
    let limits = (min.map_or(0, scaled), max.map_or(u64::MAX, scaled));
    let mut spread = Spread { counts: vec![0; BUCKETS.into()], limits: (limits.0.min(limits.1), limits.1) };
    if exponential.zero_count > 0 {
        spread.add(0.0, 0.0, exponential.zero_count);
    }
    let scale = exponential.scale.clamp(-20, 20);
    let ln_base = std::f64::consts::LN_2 * f64::from(-scale).exp2();
    for (at, &count) in exponential.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let index = f64::from(exponential.offset) + at as f64;
        let (low, high) = ((index * ln_base).exp() * unit, ((index + 1.0) * ln_base).exp() * unit);
        spread.add(low, high, count);
    }
    // The true value may lie at either end of its bucket, so the bound is a whole bucket, not half of one.
    let width = ln_base.exp_m1().min(ERROR_MAX);
    (spread.finish(sum.map(scaled), min.map(scaled), max.map(scaled)), width + HDR_ERROR)
}

struct Spread {
    counts: Vec<u64>,
    /// Smallest and largest value possible.
    limits: (u64, u64),
}

impl Spread {
    /// Spreads `count` values over `(low, high]`.
    fn add(&mut self, low: f64, high: f64, count: u64) {
        let clamp = |value: f64| (value as u64).clamp(self.limits.0, self.limits.1);
        let (first, last) = (index_of(clamp(low)), index_of(clamp(high)));
        if first == last {
            return self.put(first, count);
        }
        let low = (clamp(low) as f64).max(0.5);
        let ln_width = (clamp(high) as f64 / low).ln();
        let mut given = 0;
        for index in first..last {
            // Share of the values below the upper edge of this HDR bucket; whole numbers by rounding the running sum.
            let share = ((highest(index) as f64 + 0.5) / low).ln() / ln_width;
            let upto = ((count as f64 * share.clamp(0.0, 1.0)).round() as u64).clamp(given, count);
            self.put(index, upto - given);
            given = upto;
        }
        self.put(last, count - given);
    }

    fn put(&mut self, index: BucketIndex, count: u64) {
        let slot = &mut self.counts[usize::from(index)];
        *slot = slot.saturating_add(count).min(MAX_COUNT);
    }

    fn finish(self, sum: Option<u64>, min: Option<u64>, max: Option<u64>) -> Sketch {
        let buckets = || (0_u16..).zip(&self.counts).filter(|(_, count)| **count > 0).map(|(i, count)| (i, *count));
        let count = buckets().fold(0_u64, |sum, (_, count)| sum.saturating_add(count).min(MAX_COUNT));
        let (Some((first, _)), Some((last, _))) = (buckets().next(), buckets().last()) else {
            return Sketch::new();
        };
        let estimated_sum = || {
            let sums = buckets().map(|(index, count)| lowest(index).saturating_mul(count));
            sums.fold(0_u64, u64::saturating_add)
        };
        let min = min.unwrap_or(lowest(first)).min(highest(first));
        let max = max.unwrap_or(highest(last)).max(lowest(last)).max(min);
        Sketch::from_parts(Stated { count, sum: sum.unwrap_or_else(estimated_sum), min, max }, buckets())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An exponential histogram of `values` at `scale`, as an SDK makes it.
    fn exponential_of(values: &[f64], scale: i32) -> Exponential {
        let index = |value: f64| (value.log2() * f64::from(scale).exp2()).ceil() as i32 - 1;
        let offset = values.iter().map(|value| index(*value)).min().unwrap_or(0);
        let mut counts = Vec::new();
        for value in values {
            let at = (index(*value) - offset) as usize;
            counts.resize(counts.len().max(at + 1), 0);
            counts[at] += 1;
        }
        Exponential { scale, zero_count: 0, offset, counts }
    }

    #[test]
    fn extreme_input_is_survived() {
        for scale in [i32::MIN, -10, 0, 8, 20, i32::MAX] {
            for offset in [i32::MIN, -5, 0, i32::MAX] {
                for unit in [1e9, 1.0, 0.0, f64::INFINITY, f64::NAN, -1.0] {
                    let hostile = Exponential { scale, zero_count: 3, offset, counts: vec![u64::MAX, 1, 0, 7] };
                    let (sketch, _) = spread_exponential(&hostile, Some(f64::NAN), Some(5.0), Some(-1.0), unit);
                    assert_eq!(Sketch::decode(&sketch.encode()).unwrap(), sketch);
                }
            }
        }
        assert_eq!(spread_exponential(&Exponential::default(), None, None, None, 1.0).0, Sketch::new());
    }

    #[test]
    fn quantiles_of_a_lognormal_are_closer_than_midpoints() {
        // Inverse-normal by a sum of uniforms; deterministic.
        let mut state = 7_u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let mut values: Vec<f64> =
            (0..100_000).map(|_| ((0..12).map(|_| uniform()).sum::<f64>() - 6.0).exp() * 0.02).collect();
        let exponential = exponential_of(&values, 3);
        values.sort_by(f64::total_cmp);
        let (sum, min, max) = (values.iter().sum(), values[0], values[values.len() - 1]);
        let (sketch, error) = spread_exponential(&exponential, Some(sum), Some(min), Some(max), 1e9);
        assert!((0.094..0.095).contains(&error), "{error}");
        for q in [0.5, 0.9, 0.99, 0.999] {
            let truth = values[(q * 1e5) as usize - 1] * 1e9;
            let off = (sketch.quantile(q).unwrap() as f64 - truth).abs() / truth;
            assert!(off < 0.01, "p{q}: {off}");
        }
    }

    proptest! {
        #[test]
        fn count_and_limits_are_exact_and_the_error_is_honest(
            mut values in prop::collection::vec(1e-6..1e4_f64, 1..300), scale in 0..10_i32, q in 0.0..=1.0_f64,
        ) {
            let exponential = exponential_of(&values, scale);
            values.sort_by(f64::total_cmp);
            let (min, max) = (values[0], values[values.len() - 1]);
            let (sketch, error) = spread_exponential(&exponential, None, Some(min), Some(max), 1e9);
            prop_assert_eq!(sketch.count(), values.len() as u64);
            prop_assert_eq!(sketch.min(), Some((min * 1e9).round() as u64));
            prop_assert_eq!(sketch.max(), Some((max * 1e9).round() as u64));
            prop_assert_eq!(Sketch::decode(&sketch.encode()).unwrap(), sketch.clone());
            let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let truth = values[rank - 1] * 1e9;
            let off = (sketch.quantile(q).unwrap() as f64 - truth).abs() / truth;
            prop_assert!(off <= error + 1e-3, "{off} for {error}");
        }
    }
}
