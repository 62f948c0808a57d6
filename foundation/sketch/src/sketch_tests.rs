//! Properties of [`Sketch`] against sorted vectors.

use proptest::prelude::*;

use super::*;
use crate::{HDR_ERROR, bucket_edge};

pub(crate) fn sketch_of(values: &[u64]) -> Sketch {
    let mut sketch = Sketch::new();
    values.iter().for_each(|value| sketch.record(*value));
    sketch
}

/// Values of all magnitudes, few and many: every rung of the ladder.
pub(crate) fn any_values(max_len: usize) -> impl Strategy<Value = Vec<u64>> {
    let value = (any::<u64>(), 0_u32..64).prop_map(|(value, shift)| value >> shift);
    prop_oneof![prop::collection::vec(value.clone(), 0..6), prop::collection::vec(value, 0..max_len)]
}

#[test]
fn a_small_sketch_is_small_and_without_heap() {
    assert!(size_of::<Sketch>() <= 40);
    assert_eq!(sketch_of(&[1, 1 << 40, 7, 9]).memory_bytes(), size_of::<Sketch>());
    let five = sketch_of(&[1, 1 << 40, 7, 9, 11]).memory_bytes();
    assert!(five < 256, "{five} B");
}

#[test]
fn counts_and_sums_saturate() {
    let mut sketch = Sketch::new();
    sketch.record_n(u64::MAX, u64::MAX);
    sketch.record_n(3, u64::MAX);
    assert_eq!((sketch.count(), sketch.sum()), (MAX_COUNT, u64::MAX));
    assert_eq!((sketch.min(), sketch.max()), (Some(3), Some(u64::MAX)));
    let copy = sketch.clone();
    sketch.merge(&copy);
    assert_eq!(Sketch::decode(&sketch.encode()).unwrap(), sketch);
}

#[test]
fn an_empty_sketch_has_no_quantiles() {
    let empty = Sketch::new();
    assert_eq!((empty.quantile(0.5), empty.min(), empty.max(), empty.sum()), (None, None, None, 0));
    assert_eq!(sketch_of(&[1]).quantile(f64::NAN), None);
}

proptest! {
    #[test]
    fn quantiles_are_within_half_a_bucket(mut values in any_values(1_000), q in 0.0..=1.0_f64) {
        prop_assume!(!values.is_empty());
        let sketch = sketch_of(&values);
        values.sort_unstable();
        let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
        let (truth, got) = (values[rank - 1] as f64, sketch.quantile(q).unwrap() as f64);
        prop_assert!((got - truth).abs() <= truth * HDR_ERROR, "{got} for {truth}");
        prop_assert_eq!(sketch.quantile(0.0), Some(values[0]));
        prop_assert_eq!(sketch.quantile(1.0), values.last().copied());
    }

    #[test]
    fn count_sum_min_max_and_edges_are_exact(values in any_values(1_000), threshold: u64, shift in 0_u32..64) {
        let sketch = sketch_of(&values);
        prop_assert_eq!(sketch.count(), values.len() as u64);
        prop_assert_eq!(sketch.sum(), values.iter().fold(0_u64, |sum, value| sum.saturating_add(*value)));
        prop_assert_eq!(sketch.min(), values.iter().min().copied());
        prop_assert_eq!(sketch.max(), values.iter().max().copied());
        let edge = bucket_edge(threshold >> shift);
        let below = values.iter().filter(|value| **value <= edge).count() as u64;
        prop_assert_eq!(sketch.count_at_or_below(edge), below);
    }

    #[test]
    fn merging_is_the_same_in_any_order(a in any_values(700), b in any_values(700), c in any_values(700)) {
        let all = sketch_of(&[a.clone(), b.clone(), c.clone()].concat());
        let (a, b, c) = (sketch_of(&a), sketch_of(&b), sketch_of(&c));
        let merged = |parts: &[&Sketch]| {
            let mut sum = Sketch::new();
            parts.iter().for_each(|part| sum.merge(part));
            sum
        };
        let right = merged(&[&b, &c]);
        for sum in [merged(&[&a, &b, &c]), merged(&[&c, &a, &b]), merged(&[&a, &right]), merged(&[&right, &a])] {
            prop_assert_eq!(&sum, &all);
        }
        prop_assert_eq!(all.indices().map(|(_, n)| n).sum::<u64>(), all.count());
    }

    #[test]
    fn recording_n_is_recording_n_times(value: u64, n in 0_u64..300) {
        let mut at_once = Sketch::new();
        at_once.record_n(value, n);
        prop_assert_eq!(at_once, sketch_of(&vec![value; n as usize]));
    }
}
