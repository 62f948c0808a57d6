//! Merging the fragments of one series.

use std::borrow::Cow;
use std::collections::BTreeMap;

use daymark_guard::fault::{self, Fault};
use daymark_model::UnixNanos;

use super::fragment::{Fragment, pick};
use super::increase::increases;
use super::{Exemplar, Point};

/// The points of a series, by time, and how many of them lost their distribution because bucket bounds differ.
/// Fragments begin no earlier than `since`.
pub fn merge(fragments: Vec<Fragment<'static>>, cumulative: bool, since: UnixNanos) -> (Vec<Point>, u64) {
    let fragments = if cumulative { increases(fragments, since) } else { fragments };
    let mut windows: BTreeMap<UnixNanos, Window> = BTreeMap::new();
    let mut twice = fault::active(Fault::MergeRollupTwice);
    for fragment in fragments {
        let window = windows.entry(fragment.window).or_insert_with(|| Window::new(fragment.window));
        if std::mem::take(&mut twice) {
            window.absorb(fragment.clone());
        }
        window.absorb(fragment);
    }
    let unmergeable = windows.values().filter(|window| window.unmergeable).count() as u64;
    (windows.into_values().map(|window| window.point).collect(), unmergeable)
}

struct Window {
    point: Point,
    last_time: u64,
    unmergeable: bool,
}

impl Window {
    fn new(time: UnixNanos) -> Window {
        let point = Point {
            time,
            count: 0,
            sum: 0.0,
            min: None,
            max: None,
            last: None,
            hist: None,
            err_bound: 0.0,
            exemplar: None,
        };
        Window { point, last_time: 0, unmergeable: false }
    }

    fn absorb(&mut self, fragment: Fragment<'static>) {
        let point = &mut self.point;
        point.count = point.count.saturating_add(fragment.count);
        point.sum += fragment.sum;
        point.min = pick(point.min, fragment.min, f64::min);
        point.max = pick(point.max, fragment.max, f64::max);
        point.err_bound = point.err_bound.max(fragment.err_bound);
        // Of equal times the larger value, so that the order of fragments does not matter.
        let newer =
            fragment.last_time > self.last_time || (fragment.last_time == self.last_time && fragment.last > point.last);
        if fragment.last.is_some() && (newer || point.last.is_none()) {
            point.last = fragment.last;
            self.last_time = fragment.last_time;
        }
        point.exemplar = Exemplar::better(point.exemplar, fragment.exemplar);
        match (&mut point.hist, fragment.hist) {
            (_, None) => {}
            (_, Some(_)) if self.unmergeable => {}
            (ours @ None, theirs) => *ours = theirs.map(Cow::into_owned),
            (Some(ours), Some(theirs)) => self.unmergeable = ours.merge(&theirs).is_err(),
        }
        if self.unmergeable {
            point.hist = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use daymark_sketch::{Histogram, Sketch};
    use proptest::prelude::*;

    use super::*;

    fn fragment(window: u64, values: &[u64]) -> Fragment<'static> {
        let mut sketch = Sketch::new();
        values.iter().for_each(|&value| sketch.record(value));
        Fragment {
            window: UnixNanos(window * 10),
            start: 0,
            last_time: window * 10 + values.len() as u64,
            count: values.len() as u64,
            sum: values.iter().sum::<u64>() as f64,
            min: values.iter().min().map(|&value| value as f64),
            max: values.iter().max().map(|&value| value as f64),
            last: values.last().map(|&value| value as f64),
            hist: Some(Cow::Owned(Histogram::Hdr(sketch))),
            err_bound: 0.0,
            exemplar: None,
        }
    }

    #[test]
    fn rollup_fragments_merge_exactly_once() {
        let fragments = vec![fragment(1, &[5, 7]), fragment(2, &[100]), fragment(1, &[3]), fragment(1, &[])];
        let (points, unmergeable) = merge(fragments, false, UnixNanos(0));
        let counts: Vec<(u64, u64, f64)> = points.iter().map(|p| (p.time.0, p.count, p.sum)).collect();
        assert_eq!(counts, [(10, 3, 15.0), (20, 1, 100.0)]);
        assert_eq!(points[0].hist.as_ref().map(Histogram::count), Some(3));
        assert_eq!((points[0].min, points[0].max, points[0].last), (Some(3.0), Some(7.0), Some(7.0)));
        assert_eq!(unmergeable, 0);
    }

    #[test]
    fn windows_that_mix_bucket_bounds_have_no_distribution() {
        let explicit = |bound: f64| {
            let hist = daymark_sketch::ExplicitHistogram::new(vec![bound], vec![1, 1], 3.0, None, None).unwrap();
            Fragment { hist: Some(Cow::Owned(Histogram::Explicit(hist))), ..fragment(1, &[1, 2]) }
        };
        let (points, unmergeable) = merge(vec![explicit(1.0), explicit(2.0), explicit(1.0)], false, UnixNanos(0));
        assert_eq!((points[0].count, unmergeable), (6, 1));
        assert!(points[0].hist.is_none());
    }

    proptest! {
        #[test]
        fn any_split_and_order_of_fragments_merges_to_the_same_points(
            values in prop::collection::vec((0..4_u64, 0..1_000_000_u64), 0..40),
            cuts in prop::collection::vec(0..6_usize, 40),
            seed in any::<u64>(),
        ) {
            let mut parts: BTreeMap<(u64, usize), Vec<u64>> = BTreeMap::new();
            let mut whole: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
            for (&(window, value), &cut) in values.iter().zip(&cuts) {
                parts.entry((window, cut)).or_default().push(value);
                whole.entry(window).or_default().push(value);
            }
            let mut fragments: Vec<Fragment> =
                parts.iter().map(|((window, _), values)| fragment(*window, values)).collect();
            let (straight, _) = merge(fragments.clone(), false, UnixNanos(0));
            fragments.sort_by_key(|f| (f.count ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(f.last_time ^ seed));
            let (shuffled, _) = merge(fragments, false, UnixNanos(0));
            prop_assert_eq!(&straight, &shuffled);
            prop_assert_eq!(straight.len(), whole.len());
            for (point, (window, values)) in straight.iter().zip(&whole) {
                let expected = fragment(*window, values);
                prop_assert_eq!(point.count, expected.count);
                prop_assert_eq!(point.sum, expected.sum);
                prop_assert_eq!((point.min, point.max), (expected.min, expected.max));
                prop_assert_eq!(point.hist.as_ref(), expected.hist.as_deref());
            }
        }
    }
}
