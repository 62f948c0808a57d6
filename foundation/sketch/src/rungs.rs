//! The bucket counts of a sketch that outgrew its raw values: sparse pairs first, then a dense `hdrhistogram`.

use hdrhistogram::Histogram;

use crate::bucket::{BucketIndex, highest, index_of, lowest, middle};
use crate::sketch::MAX_COUNT;

/// Distinct buckets above which dense counts are cheaper than inserting into sorted pairs.
const SPARSE_LIMIT: usize = 256;

/// Counts by bucket.
#[derive(Clone, Debug)]
pub(crate) enum Rungs {
    /// Sorted by bucket, without zero counts.
    Sparse(Vec<(BucketIndex, u32)>),
    /// One counter for each bucket up to the largest in use.
    Dense(Box<Histogram<u64>>),
}

impl Rungs {
    pub(crate) fn new() -> Rungs {
        Rungs::Sparse(Vec::new())
    }

    /// Adds `count` values to a bucket.
    pub(crate) fn add(&mut self, index: BucketIndex, count: u64) {
        match self {
            Rungs::Sparse(pairs) => {
                let at = pairs.binary_search_by_key(&index, |pair| pair.0);
                let before = at.map_or(0, |at| u64::from(pairs[at].1));
                match (at, u32::try_from(before.saturating_add(count))) {
                    (Ok(at), Ok(sum)) => pairs[at].1 = sum,
                    (Err(at), Ok(sum)) if pairs.len() < SPARSE_LIMIT => pairs.insert(at, (index, sum)),
                    _ => {
                        self.densify();
                        self.add(index, count);
                    }
                }
            }
            Rungs::Dense(dense) => record(dense, index, count),
        }
    }

    /// Adds all counts of another.
    pub(crate) fn merge(&mut self, other: &Rungs) {
        match (&mut *self, other) {
            (Rungs::Dense(dense), Rungs::Dense(other)) => {
                // Cannot fail: `dense` grows as needed and both have 2 digits.
                let merged = dense.add(other.as_ref());
                debug_assert!(merged.is_ok());
            }
            (Rungs::Sparse(_), Rungs::Dense(_)) => {
                self.densify();
                self.merge(other);
            }
            (_, Rungs::Sparse(pairs)) => pairs.iter().for_each(|&(index, count)| self.add(index, count.into())),
        }
    }

    fn densify(&mut self) {
        let Rungs::Sparse(pairs) = self else { return };
        let mut dense = Histogram::<u64>::new(2).expect("2 is a valid number of digits");
        // Largest first, so that the counters grow once.
        for &(index, count) in pairs.iter().rev() {
            record(&mut dense, index, count.into());
        }
        *self = Rungs::Dense(Box::new(dense));
    }

    /// Non-empty buckets in ascending order.
    pub(crate) fn iter(&self) -> RungsIter<'_> {
        match self {
            Rungs::Sparse(pairs) => RungsIter::Sparse(pairs.iter()),
            Rungs::Dense(dense) => {
                let end = if dense.is_empty() { 0 } else { index_of(dense.max()) + 1 };
                let next = if dense.is_empty() { 0 } else { index_of(dense.min()) };
                RungsIter::Dense { dense, next, end }
            }
        }
    }

    /// Heap in use, bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Rungs::Sparse(pairs) => pairs.capacity() * size_of::<(BucketIndex, u32)>(),
            Rungs::Dense(dense) => size_of::<Histogram<u64>>() + dense.distinct_values() * size_of::<u64>(),
        }
    }
}

fn record(dense: &mut Histogram<u64>, index: BucketIndex, count: u64) {
    // Cannot fail: the counters grow as needed up to u64::MAX.
    let recorded = dense.record_n(middle(index), count);
    debug_assert!(recorded.is_ok());
}

/// See [`Rungs::iter`].
#[derive(Clone)]
pub(crate) enum RungsIter<'a> {
    Sparse(std::slice::Iter<'a, (BucketIndex, u32)>),
    Dense { dense: &'a Histogram<u64>, next: BucketIndex, end: BucketIndex },
}

impl Iterator for RungsIter<'_> {
    type Item = (BucketIndex, u64);

    fn next(&mut self) -> Option<(BucketIndex, u64)> {
        match self {
            RungsIter::Sparse(pairs) => pairs.next().map(|&(index, count)| (index, count.into())),
            RungsIter::Dense { dense, next, end } => {
                while *next < *end {
                    let index = *next;
                    *next += 1;
                    debug_assert!(lowest(index) <= highest(index));
                    match dense.count_at(lowest(index)) {
                        0 => {}
                        count => return Some((index, count.min(MAX_COUNT))),
                    }
                }
                None
            }
        }
    }
}
