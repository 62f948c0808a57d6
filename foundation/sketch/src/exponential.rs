//! HDR buckets as an OTLP exponential histogram of scale 8, losslessly (design §5).
//!
//! At scale 8 every HDR bucket of 2 digits has an index of its own: `ceil(256 · log2(x)) − 1` for the value `x` in
//! its middle. The tables below hold that index within an octave; they were computed with exact integers
//! (the smallest `n` with `2^n ≥ x^256`), so no floating point takes part. Value 0 goes to `zero_count`.
//!
//! An index outside the map means that the histogram is foreign or was downscaled: [`NotHdr`], and the caller takes
//! [`crate::spread_exponential`].

use crate::bucket::{BucketIndex, index_of};
use crate::error::NotHdr;
use crate::sketch::{MAX_COUNT, Sketch, Stated};

/// The scale at which HDR of 2 digits embeds; also the largest native schema of Prometheus.
pub const HDR_SCALE: i32 = 8;

/// Index in its octave, plus 1, of a bucket of width 1: the value `(128 + k) / 128` of the octave's start.
const NARROW: [u8; 128] = [
    0, 3, 6, 9, 12, 15, 17, 20, 23, 26, 28, 31, 34, 36, 39, 41, 44, 47, 49, 52, 54, 57, 59, 62, 64, 66, 69, 71, 74, 76,
    78, 81, 83, 85, 88, 90, 92, 94, 97, 99, 101, 103, 105, 107, 110, 112, 114, 116, 118, 120, 122, 124, 126, 128, 130,
    133, 135, 137, 139, 141, 142, 144, 146, 148, 150, 152, 154, 156, 158, 160, 162, 163, 165, 167, 169, 171, 173, 174,
    176, 178, 180, 182, 183, 185, 187, 189, 190, 192, 194, 195, 197, 199, 201, 202, 204, 206, 207, 209, 210, 212, 214,
    215, 217, 219, 220, 222, 223, 225, 226, 228, 230, 231, 233, 234, 236, 237, 239, 240, 242, 243, 245, 246, 248, 249,
    251, 252, 254, 255,
];

/// Index in its octave of a wider bucket: the value `(256 + 2k + 1) / 256` of the octave's start.
const WIDE: [u8; 128] = [
    1, 4, 7, 9, 12, 15, 18, 21, 23, 26, 29, 31, 34, 37, 39, 42, 44, 47, 49, 52, 54, 57, 59, 62, 64, 67, 69, 71, 74, 76,
    78, 81, 83, 85, 88, 90, 92, 94, 97, 99, 101, 103, 105, 108, 110, 112, 114, 116, 118, 120, 122, 124, 126, 128, 131,
    133, 135, 137, 139, 140, 142, 144, 146, 148, 150, 152, 154, 156, 158, 160, 162, 163, 165, 167, 169, 171, 173, 174,
    176, 178, 180, 181, 183, 185, 187, 188, 190, 192, 194, 195, 197, 199, 200, 202, 204, 205, 207, 209, 210, 212, 214,
    215, 217, 218, 220, 222, 223, 225, 226, 228, 229, 231, 232, 234, 235, 237, 239, 240, 242, 243, 245, 246, 247, 249,
    250, 252, 253, 255,
];

const NARROW_SLOT: [u8; 256] = inverse(&NARROW);
const WIDE_SLOT: [u8; 256] = inverse(&WIDE);
const NO_SLOT: u8 = u8::MAX;

const fn inverse(table: &[u8; 128]) -> [u8; 256] {
    let mut slots = [NO_SLOT; 256];
    let mut k = 0;
    while k < 128 {
        slots[table[k] as usize] = k as u8;
        k += 1;
    }
    slots
}

/// Exponential index of a bucket that does not hold 0.
fn exponential_index(bucket: BucketIndex) -> i32 {
    let bucket = i32::from(bucket);
    if bucket < 256 {
        let octave = bucket.ilog2() as i32;
        let slot = (bucket << (7 - octave)) - 128;
        256 * octave + i32::from(NARROW[slot as usize]) - 1
    } else {
        let octave = (bucket - 256) / 128 + 8;
        256 * octave + i32::from(WIDE[(bucket % 128) as usize])
    }
}

/// The bucket with this exponential index, if one has it.
fn bucket_at(index: i32) -> Option<BucketIndex> {
    if index < 8 * 256 {
        let (octave, within) = ((index + 1).checked_div_euclid(256)?, (index + 1).rem_euclid(256));
        let slot = NARROW_SLOT[within as usize];
        if !(0..8).contains(&octave) || slot == NO_SLOT {
            return None;
        }
        let scaled = u16::from(slot) + 128;
        let shift = 7 - octave;
        return (scaled.trailing_zeros() as i32 >= shift).then_some(scaled >> shift);
    }
    let (octave, within) = (index / 256, index % 256);
    let slot = WIDE_SLOT[within as usize];
    (octave < 64 && slot != NO_SLOT).then(|| (256 + (octave - 8) * 128) as BucketIndex + BucketIndex::from(slot))
}

/// The positive side of an OTLP exponential histogram.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Exponential {
    /// Resolution: bucket `i` is `(base^i, base^(i+1)]` with `base = 2^(2^-scale)`.
    pub scale: i32,
    /// Values that count as 0.
    pub zero_count: u64,
    /// Index of the first bucket in `counts`.
    pub offset: i32,
    /// Counts of consecutive buckets.
    pub counts: Vec<u64>,
}

impl Sketch {
    /// Number of values that are 0.
    pub fn zero_count(&self) -> u64 {
        self.indices().take_while(|(index, _)| *index == 0).map(|(_, count)| count).sum()
    }

    /// Exponential index (scale [`HDR_SCALE`]) and count of every non-empty bucket above 0, ascending: for writers
    /// that want no intermediate vector.
    pub fn exponential_buckets(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        self.indices().filter(|(index, _)| *index > 0).map(|(index, count)| (exponential_index(index), count))
    }

    /// The sketch as an exponential histogram of scale [`HDR_SCALE`]; [`Sketch::from_exponential`] gives it back.
    pub fn to_exponential(&self) -> Exponential {
        let mut out = Exponential { scale: HDR_SCALE, zero_count: self.zero_count(), ..Exponential::default() };
        for (index, count) in self.exponential_buckets() {
            if out.counts.is_empty() {
                out.offset = index;
            }
            out.counts.resize((index - out.offset) as usize, 0);
            out.counts.push(count);
        }
        out
    }

    /// The sketch that [`Sketch::to_exponential`] was made from, given its exact count, sum, min and max.
    ///
    /// # Errors
    /// [`NotHdr`] when the scale is another, an index is outside the map, or the figures contradict each other.
    pub fn from_exponential(
        exponential: &Exponential,
        count: u64,
        sum: u64,
        min: Option<u64>,
        max: Option<u64>,
    ) -> Result<Sketch, NotHdr> {
        if exponential.scale != HDR_SCALE {
            return Err(NotHdr { why: "the scale is not 8" });
        }
        let mut buckets = Vec::new();
        if exponential.zero_count > 0 {
            buckets.push((0, exponential.zero_count));
        }
        for (at, &count) in exponential.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let index = i32::try_from(at).ok().and_then(|at| exponential.offset.checked_add(at));
            let bucket = index.and_then(bucket_at).ok_or(NotHdr { why: "an index is outside the map" })?;
            buckets.push((bucket, count));
        }
        from_buckets(&buckets, count, sum, min, max)
    }
}

fn from_buckets(
    buckets: &[(BucketIndex, u64)],
    count: u64,
    sum: u64,
    min: Option<u64>,
    max: Option<u64>,
) -> Result<Sketch, NotHdr> {
    let total = buckets.iter().try_fold(0_u64, |total, (_, count)| total.checked_add(*count));
    if total != Some(count) || count > MAX_COUNT {
        return Err(NotHdr { why: "the count is not the sum of the buckets" });
    }
    let (Some((first, _)), Some((last, _))) = (buckets.first(), buckets.last()) else {
        return Ok(Sketch::new());
    };
    let (Some(min), Some(max)) = (min, max) else {
        return Err(NotHdr { why: "min or max is missing" });
    };
    if min > max || index_of(min) != *first || index_of(max) != *last {
        return Err(NotHdr { why: "min or max is not in the outermost bucket" });
    }
    if let Some(small) = Sketch::from_min_and_max(count, min, max)
        && small.sum() == sum
    {
        return Ok(small);
    }
    Ok(Sketch::from_parts(Stated { count, sum, min, max }, buckets.iter().copied()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bucket::{BUCKETS, middle};
    use crate::sketch::tests::{any_values, sketch_of};

    fn round_trip(sketch: &Sketch) -> Sketch {
        let exponential = sketch.to_exponential();
        Sketch::from_exponential(&exponential, sketch.count(), sketch.sum(), sketch.min(), sketch.max()).unwrap()
    }

    #[test]
    fn every_bucket_round_trips_and_is_where_otlp_says() {
        let mut before = i32::MIN;
        for bucket in 1..BUCKETS {
            let index = exponential_index(bucket);
            assert!(index > before, "bucket {bucket} shares index {index}");
            assert_eq!(bucket_at(index), Some(bucket));
            // OTLP: base^index < x <= base^(index + 1).
            let log = 256.0 * (middle(bucket) as f64).log2();
            assert!(f64::from(index) < log + 1e-6 && log < f64::from(index + 1) + 1e-6, "bucket {bucket}");
            let mut sketch = Sketch::new();
            sketch.record_n(middle(bucket), u64::from(bucket));
            assert_eq!(round_trip(&sketch), sketch);
            before = index;
        }
    }

    #[test]
    fn every_index_is_a_bucket_of_its_own_or_none() {
        let mapped = (-300..64 * 256 + 300).filter_map(|index| Some((index, bucket_at(index)?)));
        let mut seen = 0;
        for (index, bucket) in mapped {
            assert_eq!(exponential_index(bucket), index);
            seen += 1;
        }
        assert_eq!(seen, i32::from(BUCKETS) - 1);
        assert_eq!((bucket_at(i32::MAX), bucket_at(i32::MIN), bucket_at(i32::MAX - 1)), (None, None, None));
    }

    #[test]
    fn foreign_histograms_are_told_apart() {
        let hdr = sketch_of(&[1_000, 2_000, 3_000]);
        let good = hdr.to_exponential();
        let decode =
            |it: &Exponential, count, min, max| Sketch::from_exponential(it, count, 6_000, Some(min), Some(max));
        assert_eq!(decode(&good, 3, 1_000, 3_000), Ok(hdr));
        let cases = [
            (Exponential { scale: 7, ..good.clone() }, 3, 1_000, 3_000),
            (Exponential { offset: good.offset + 1, ..good.clone() }, 3, 1_000, 3_000),
            (Exponential { offset: i32::MAX, ..good.clone() }, 3, 1_000, 3_000),
            (Exponential { offset: i32::MIN, ..good.clone() }, 3, 1_000, 3_000),
            (good.clone(), 4, 1_000, 3_000),
            (good.clone(), 3, 1, 3_000),
            (good.clone(), 3, 1_000, 4_000),
            (Exponential { zero_count: u64::MAX, ..good }, 3, 0, 3_000),
        ];
        for (exponential, count, min, max) in cases {
            assert!(decode(&exponential, count, min, max).is_err(), "{exponential:?}");
        }
    }

    proptest! {
        #[test]
        fn hdr_round_trips_losslessly(values in any_values(600)) {
            let sketch = sketch_of(&values);
            prop_assert_eq!(round_trip(&sketch), sketch);
        }
    }
}
