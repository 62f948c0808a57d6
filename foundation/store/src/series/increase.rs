//! Running totals into increases.
//!
//! A fragment of a cumulative series holds its newest data point as it came: the total since `start`. The increase of a
//! fragment is its total less that of the fragment before it, or the whole total after a reset: a later start time, or
//! a total that dropped. The first fragment in sight counts in full only when its series began in sight, too: its total
//! may be years old.

use std::borrow::Cow;

use daymark_model::UnixNanos;
use daymark_sketch::{ExplicitHistogram, Histogram, Sketch};

use super::fragment::Fragment;

/// Replaces totals by increases. Fragments that only give a base are left out.
pub(super) fn increases(mut totals: Vec<Fragment<'static>>, since: UnixNanos) -> Vec<Fragment<'static>> {
    let rank = |total: &Fragment<'_>| (total.last_time, total.window, total.start, total.count);
    let value = |total: &Fragment<'_>| total.last.unwrap_or(0.0);
    totals.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| value(a).total_cmp(&value(b))));
    let mut increases = Vec::with_capacity(totals.len());
    let mut before: Option<&Fragment<'static>> = None;
    for total in &totals {
        match before {
            Some(before) => increases.push(step(before, total)),
            None if total.start != 0 && total.start >= since.0 => increases.push(whole(total)),
            None => {}
        }
        before = Some(total);
    }
    increases
}

/// A counter's total is its value; a histogram has count, sum and buckets.
fn is_counter(total: &Fragment<'_>) -> bool {
    total.last.is_some() && total.hist.is_none()
}

/// All of `total` is new.
fn whole(total: &Fragment<'static>) -> Fragment<'static> {
    match total.last {
        Some(value) if is_counter(total) => Fragment { sum: value, min: None, max: None, ..total.clone() },
        _ => total.clone(),
    }
}

/// What came between two totals.
fn step(before: &Fragment<'static>, total: &Fragment<'static>) -> Fragment<'static> {
    let restarted = total.start > before.start && before.start != 0;
    if restarted {
        return whole(total);
    }
    if is_counter(total) {
        let (old, new) = (before.last.unwrap_or(0.0), total.last.unwrap_or(0.0));
        return if new < old { whole(total) } else { Fragment { sum: new - old, ..whole(total) } };
    }
    let Some(count) = total.count.checked_sub(before.count) else { return whole(total) };
    let hist = match (&before.hist, &total.hist) {
        (Some(old), Some(new)) => match difference(old, new) {
            Some(hist) => Some(Cow::Owned(hist)),
            // A bucket dropped, or the bounds are new: counted from zero again.
            None => return whole(total),
        },
        (_, new) => new.clone(),
    };
    // Smallest and largest value since the start say nothing about this step.
    Fragment { count, sum: total.sum - before.sum, min: None, max: None, hist, ..total.clone() }
}

/// `None` when `new` does not continue `old`.
fn difference(old: &Histogram, new: &Histogram) -> Option<Histogram> {
    match (old, new) {
        (Histogram::Explicit(old), Histogram::Explicit(new)) => {
            if old.bounds != new.bounds || old.counts.len() != new.counts.len() {
                return None;
            }
            let counts = new.counts.iter().zip(&old.counts).map(|(new, old)| new.checked_sub(*old));
            let (counts, sum) = (counts.collect::<Option<Vec<u64>>>()?, new.sum - old.sum);
            ExplicitHistogram::new(new.bounds.clone(), counts, sum, None, None).ok().map(Histogram::Explicit)
        }
        (Histogram::Hdr(old), Histogram::Hdr(new)) => {
            let mut old = old.buckets().peekable();
            let mut added = Sketch::new();
            for bucket in new.buckets() {
                let gone = old.next_if(|known| known.lowest <= bucket.lowest);
                let known = match gone {
                    Some(known) if known.lowest < bucket.lowest => return None,
                    Some(known) => known.count,
                    None => 0,
                };
                let middle = bucket.lowest + (bucket.highest - bucket.lowest) / 2;
                added.record_n(middle, bucket.count.checked_sub(known)?);
            }
            old.next().is_none().then_some(Histogram::Hdr(added))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::merge::merge;
    use super::*;

    fn total(window: u64, start: u64, value: f64) -> Fragment<'static> {
        Fragment {
            window: UnixNanos(window * 10),
            start,
            last_time: window * 10 + 5,
            count: 1,
            sum: 0.0,
            min: Some(value),
            max: Some(value),
            last: Some(value),
            hist: None,
            err_bound: 0.0,
            exemplar: None,
        }
    }

    fn check(totals: &[(u64, u64, f64)], expected: &[(u64, f64)]) {
        let totals = totals.iter().map(|&(window, start, value)| total(window, start, value)).collect();
        let (points, _) = merge(totals, true, UnixNanos(100));
        let got: Vec<(u64, f64)> = points.iter().map(|point| (point.time.0 / 10, point.sum)).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn counters_increase_and_reset() {
        // Began before the range: the first total is only a base.
        check(&[(10, 1, 1000.0), (11, 1, 1003.0), (12, 1, 1003.0)], &[(11, 3.0), (12, 0.0)]);
        // Began in sight: counted in full.
        check(&[(10, 100, 4.0), (11, 100, 9.0)], &[(10, 4.0), (11, 5.0)]);
        // A later start, even with a higher total.
        check(&[(10, 100, 4.0), (11, 115, 7.0)], &[(10, 4.0), (11, 7.0)]);
        // A drop without start times.
        check(&[(10, 0, 50.0), (11, 0, 3.0), (12, 0, 4.0)], &[(11, 3.0), (12, 1.0)]);
        // Order of rows does not matter.
        check(&[(11, 100, 9.0), (10, 100, 4.0)], &[(10, 4.0), (11, 5.0)]);
    }

    fn distribution(values: &[u64]) -> Fragment<'static> {
        let mut sketch = Sketch::new();
        values.iter().for_each(|&value| sketch.record(value));
        let sum = values.iter().sum::<u64>() as f64;
        Fragment {
            last: None,
            count: values.len() as u64,
            sum,
            hist: Some(Cow::Owned(Histogram::Hdr(sketch))),
            ..total(10, 100, 0.0)
        }
    }

    proptest! {
        #[test]
        fn increases_of_a_distribution_add_up_to_the_last_total(
            values in prop::collection::vec(0..1_000_000_u64, 1..60),
            cuts in prop::collection::btree_set(1..60_usize, 0..6),
        ) {
            let ends = cuts.into_iter().filter(|cut| *cut < values.len()).chain([values.len()]);
            let totals: Vec<Fragment<'static>> = ends
                .enumerate()
                .map(|(i, end)| Fragment {
                    window: UnixNanos(1000 + 10 * i as u64),
                    last_time: 1000 + 10 * i as u64,
                    ..distribution(&values[..end])
                })
                .collect();
            let (points, _) = merge(totals.clone(), true, UnixNanos(100));
            prop_assert_eq!(points.len(), totals.len());
            prop_assert_eq!(points.iter().map(|p| p.count).sum::<u64>(), values.len() as u64);
            prop_assert_eq!(points.iter().map(|p| p.sum).sum::<f64>(), values.iter().sum::<u64>() as f64);
            let mut merged = Sketch::new();
            for point in &points {
                let Some(Histogram::Hdr(sketch)) = &point.hist else { panic!("no distribution") };
                prop_assert_eq!(sketch.count(), point.count);
                merged.merge(sketch);
            }
            let Some(Histogram::Hdr(whole)) = totals.last().unwrap().hist.as_deref() else { panic!("no distribution") };
            let buckets = |sketch: &Sketch| sketch.buckets().map(|b| (b.lowest, b.count)).collect::<Vec<_>>();
            prop_assert_eq!(buckets(&merged), buckets(whole));
        }
    }
}
