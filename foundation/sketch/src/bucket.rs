//! The buckets of an HDR histogram with 2 significant digits and lowest discernible value 1.
//!
//! Values below 256 have a bucket each; above, every octave has 128 buckets of equal width. Bucket numbers are those
//! of the HDR V2 encoding.

/// Number of buckets that cover all of `u64`.
pub(crate) const BUCKETS: u16 = 256 + 56 * 128;

/// Number of a bucket, below [`BUCKETS`].
pub(crate) type BucketIndex = u16;

/// The bucket that holds `value`.
pub(crate) const fn index_of(value: u64) -> BucketIndex {
    if value < 256 {
        return value as BucketIndex;
    }
    let octave = 63 - value.leading_zeros();
    let slot = (value >> (octave - 7)) as u32 - 128;
    (256 + (octave - 8) * 128 + slot) as BucketIndex
}

/// Log2 of the width of a bucket.
const fn width_log2(index: BucketIndex) -> u32 {
    if index < 256 { 0 } else { (index as u32 - 256) / 128 + 1 }
}

/// Lowest value in a bucket.
pub(crate) const fn lowest(index: BucketIndex) -> u64 {
    if index < 256 { index as u64 } else { (128 + (index as u64 - 256) % 128) << width_log2(index) }
}

/// Highest value in a bucket.
pub(crate) const fn highest(index: BucketIndex) -> u64 {
    lowest(index) + ((1 << width_log2(index)) - 1)
}

/// The value that stands for a bucket (`median_equivalent` of the HDR libraries).
pub(crate) const fn middle(index: BucketIndex) -> u64 {
    lowest(index) + ((1 << width_log2(index)) >> 1)
}

/// Highest value that shares a bucket with `value`: the edge a threshold on `value` snaps to, so that
/// `count_at_or_below(edge)` is exact.
pub fn bucket_edge(value: u64) -> u64 {
    highest(index_of(value))
}

/// One bucket with values in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Lowest value that falls in.
    pub lowest: u64,
    /// Highest value that falls in.
    pub highest: u64,
    /// Values that fell in.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_tile_all_of_u64() {
        assert_eq!(lowest(0), 0);
        assert_eq!(highest(BUCKETS - 1), u64::MAX);
        for index in 1..BUCKETS {
            assert_eq!(lowest(index), highest(index - 1) + 1);
            assert_eq!(index_of(lowest(index)), index);
            assert_eq!(index_of(middle(index)), index);
            assert_eq!(index_of(highest(index)), index);
        }
    }

    proptest! {
        #[test]
        fn buckets_are_those_of_hdrhistogram(value: u64, shift in 0_u32..64) {
            let value = value >> shift;
            let oracle = Histogram::<u64>::new_with_bounds(1, u64::MAX, 2).unwrap();
            let index = index_of(value);
            prop_assert_eq!(lowest(index), oracle.lowest_equivalent(value));
            prop_assert_eq!(highest(index), oracle.highest_equivalent(value));
            prop_assert_eq!(middle(index), oracle.median_equivalent(value));
            prop_assert_eq!(bucket_edge(value), oracle.highest_equivalent(value));
        }
    }
}
