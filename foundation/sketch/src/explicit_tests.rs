//! Properties of [`ExplicitHistogram`] against the values that went in.

use proptest::prelude::*;

use super::*;

const BOUNDS: [f64; 6] = [0.0, 5.0, 10.0, 25.0, 100.0, 1_000.0];

pub(crate) fn explicit_of(values: &[f64]) -> ExplicitHistogram {
    let mut counts = vec![0; BOUNDS.len() + 1];
    for value in values {
        counts[BOUNDS.partition_point(|bound| bound < value)] += 1;
    }
    let extreme = |pick: fn(f64, f64) -> f64| values.iter().copied().reduce(pick);
    let (min, max) = (extreme(f64::min), extreme(f64::max));
    ExplicitHistogram::new(BOUNDS.to_vec(), counts, values.iter().sum(), min, max).unwrap()
}

fn any_values() -> impl Strategy<Value = Vec<f64>> {
    // Whole numbers, so that sums do not depend on the order.
    prop::collection::vec((-50..3_000_i32).prop_map(f64::from), 0..200)
}

#[test]
fn bounds_that_differ_do_not_merge() {
    let mut ours = explicit_of(&[1.0]);
    let theirs = ExplicitHistogram::new(vec![1.0], vec![1, 1], 2.0, None, None).unwrap();
    assert_eq!(ours.merge(&theirs), Err(BoundsDiffer));
    assert_eq!(ours, explicit_of(&[1.0]));
}

#[test]
fn invalid_histograms_are_refused() {
    for (bounds, counts) in [
        (vec![1.0, 2.0], vec![1, 2]),
        (vec![2.0, 1.0], vec![1, 2, 3]),
        (vec![1.0, 1.0], vec![1, 2, 3]),
        (vec![f64::NAN], vec![1, 2]),
    ] {
        assert!(ExplicitHistogram::new(bounds, counts, 0.0, None, None).is_err());
    }
}

#[test]
fn a_quantile_above_all_bounds_is_labelled() {
    let without_max = ExplicitHistogram::new(vec![10.0], vec![0, 4], 80.0, None, None).unwrap();
    let quantile = without_max.quantile(0.5).unwrap();
    assert_eq!((quantile.lower, quantile.upper, quantile.estimate), (10.0, f64::INFINITY, 10.0));
    let one_bucket = ExplicitHistogram::new(vec![], vec![4], 80.0, None, None).unwrap();
    assert_eq!(one_bucket.quantile(0.5).unwrap().estimate, 20.0);
    assert_eq!(ExplicitHistogram::default().quantile(0.5), None);
}

proptest! {
    #[test]
    fn a_quantile_names_the_bucket_of_the_true_value(mut values in any_values(), q in 0.0..=1.0_f64) {
        prop_assume!(!values.is_empty());
        let quantile = explicit_of(&values).quantile(q).unwrap();
        values.sort_by(f64::total_cmp);
        let truth = values[((q * values.len() as f64).ceil() as usize).clamp(1, values.len()) - 1];
        prop_assert!(quantile.lower <= truth && truth <= quantile.upper, "{quantile:?} for {truth}");
        prop_assert!(quantile.lower <= quantile.estimate && quantile.estimate <= quantile.upper);
    }

    #[test]
    fn counts_at_a_threshold_bracket_the_truth(values in any_values(), threshold in -60..3_100_i32) {
        let threshold = f64::from(threshold);
        let (certain, possible) = explicit_of(&values).count_at_or_below(threshold);
        let truth = values.iter().filter(|value| **value <= threshold).count() as u64;
        prop_assert!(certain <= truth && truth <= possible);
        if BOUNDS.contains(&threshold) {
            prop_assert_eq!(certain, possible);
        }
    }

    #[test]
    fn merging_is_the_same_in_any_order(a in any_values(), b in any_values(), c in any_values()) {
        let all = explicit_of(&[a.clone(), b.clone(), c.clone()].concat());
        let merged = |parts: [&[f64]; 3]| {
            let mut sum = explicit_of(parts[0]);
            sum.merge(&explicit_of(parts[1])).unwrap();
            sum.merge(&explicit_of(parts[2])).unwrap();
            sum
        };
        prop_assert_eq!(&merged([&a, &b, &c]), &all);
        prop_assert_eq!(&merged([&c, &b, &a]), &all);
    }

    #[test]
    fn bytes_round_trip_and_damage_is_survived(
        values in any_values(), at: prop::sample::Index, flip in 1_u8.., cut: prop::sample::Index,
    ) {
        let histogram = explicit_of(&values);
        let mut bytes = histogram.encode();
        prop_assert_eq!(ExplicitHistogram::decode(&bytes).unwrap(), histogram);
        let (at, cut) = (at.index(bytes.len()), cut.index(bytes.len()));
        prop_assert!(ExplicitHistogram::decode(&bytes[..cut]).is_err());
        bytes[at] ^= flip;
        if let Ok(histogram) = ExplicitHistogram::decode(&bytes) {
            let _ = (histogram.quantile(0.5), histogram.count_at_or_below(7.0));
        }
    }
}
