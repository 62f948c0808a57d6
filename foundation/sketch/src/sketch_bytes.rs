//! [`Sketch`] to bytes and back.
//!
//! Layout: `count · sum · min · max` (LEB128 of at most 9 bytes each), then, unless the one or two values are min and
//! max themselves, the standard HDR V2 encoding (uncompressed), which any HdrHistogram library reads. An empty sketch
//! is the single byte 0.

use crate::bucket::{BUCKETS, BucketIndex, highest, index_of};
use crate::error::SketchError;
use crate::sketch::{MAX_COUNT, Sketch, Stated};
use crate::varint::{Cursor, put_leb, unzigzag, zigzag};

/// First four bytes of HDR V2: the cookie with its word-size bits.
const V2_COOKIE: u32 = 0x1c84_9313;
const V2_HEADER_LEN: usize = 40;

impl Sketch {
    /// The sketch as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        self.encode_to(&mut out);
        out
    }

    pub(crate) fn encode_to(&self, out: &mut Vec<u8>) {
        put_leb(out, self.count());
        let (Some(min), Some(max)) = (self.min(), self.max()) else { return };
        put_leb(out, self.sum());
        put_leb(out, min);
        put_leb(out, max);
        if !self.is_min_and_max() {
            self.encode_v2(out);
        }
    }

    /// Reads what [`Sketch::encode`] wrote.
    ///
    /// # Errors
    /// [`SketchError`] for anything else. Never panics; allocates no more than a small multiple of `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Sketch, SketchError> {
        let mut cursor = Cursor::new(bytes);
        let count = cursor.leb()?;
        if count == 0 {
            return cursor.finish().map(|()| Sketch::new());
        }
        let stated = Stated { count, sum: cursor.leb()?, min: cursor.leb()?, max: cursor.leb()? };
        if count > MAX_COUNT || stated.min > stated.max {
            return Err(invalid("header", "count too large or min above max"));
        }
        if cursor.remaining() > 0 {
            return decode_v2(cursor, stated);
        }
        let sketch = Sketch::from_min_and_max(count, stated.min, stated.max);
        let sketch = sketch.ok_or(SketchError::Truncated { at: bytes.len() })?;
        if sketch.sum() != stated.sum {
            return Err(invalid("sum", "is not that of min and max"));
        }
        Ok(sketch)
    }

    fn encode_v2(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&V2_COOKIE.to_be_bytes());
        out.extend_from_slice(&[0; 4]); // payload length, set below
        out.extend_from_slice(&0_u32.to_be_bytes()); // normalizing index offset
        out.extend_from_slice(&2_u32.to_be_bytes()); // significant digits
        out.extend_from_slice(&1_u64.to_be_bytes()); // lowest discernible value
        let highest_at = out.len();
        out.extend_from_slice(&[0; 8]); // highest trackable value, set below
        out.extend_from_slice(&1_f64.to_be_bytes()); // integer-to-double ratio

        let mut next = 0;
        for (index, count) in self.indices() {
            match index - next {
                0 => {}
                1 => put_leb(out, 0),
                zeros => put_leb(out, zigzag(-i64::from(zeros))),
            }
            put_leb(out, zigzag(count as i64));
            next = index + 1;
        }
        let payload_len = (out.len() - start - V2_HEADER_LEN) as u32;
        out[start + 4..start + 8].copy_from_slice(&payload_len.to_be_bytes());
        let highest_trackable = highest(next.saturating_sub(1)).max(2);
        out[highest_at..highest_at + 8].copy_from_slice(&highest_trackable.to_be_bytes());
    }
}

fn decode_v2(mut cursor: Cursor<'_>, stated: Stated) -> Result<Sketch, SketchError> {
    if u32::from_be_bytes(cursor.array()?) != V2_COOKIE {
        return Err(invalid("cookie", "is not that of HDR V2"));
    }
    let payload_len = u32::from_be_bytes(cursor.array()?) as usize;
    let offset = u32::from_be_bytes(cursor.array()?);
    let digits = u32::from_be_bytes(cursor.array()?);
    let lowest = u64::from_be_bytes(cursor.array()?);
    let _highest_trackable: [u8; 8] = cursor.array()?;
    let ratio = f64::from_be_bytes(cursor.array()?);
    if (offset, digits, lowest, ratio) != (0, 2, 1, 1.0) {
        return Err(invalid("v2 header", "is not 2 digits, lowest 1, ratio 1"));
    }
    if payload_len != cursor.remaining() {
        return Err(invalid("v2 payload length", "is not the number of bytes that follow"));
    }
    let buckets = decode_counts(cursor)?;
    let total = buckets.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count).min(MAX_COUNT));
    let (Some((first, _)), Some((last, _))) = (buckets.first(), buckets.last()) else {
        return Err(invalid("buckets", "are empty"));
    };
    if total != stated.count || *first < index_of(stated.min) || *last > index_of(stated.max) {
        return Err(invalid("buckets", "contradict count, min or max"));
    }
    Ok(Sketch::from_parts(stated, buckets.into_iter()))
}

/// At most one pair for every byte of payload.
fn decode_counts(mut cursor: Cursor<'_>) -> Result<Vec<(BucketIndex, u64)>, SketchError> {
    let mut buckets = Vec::new();
    let mut next = 0_u64;
    while cursor.remaining() > 0 {
        let skipped = match unzigzag(cursor.leb()?) {
            0 => 1,
            count if count > 0 => {
                let index = BucketIndex::try_from(next).ok().filter(|index| *index < BUCKETS);
                buckets.push((index.ok_or(invalid("buckets", "reach beyond u64"))?, count as u64));
                1
            }
            zeros => zeros.unsigned_abs(),
        };
        next = next.saturating_add(skipped);
    }
    Ok(buckets)
}

fn invalid(field: &'static str, why: &'static str) -> SketchError {
    SketchError::Invalid { field, why }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram as Oracle;
    use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
    use proptest::prelude::*;

    use super::*;
    use crate::sketch::tests::{any_values, sketch_of};

    #[test]
    fn one_and_two_values_need_no_buckets() {
        assert_eq!(Sketch::new().encode(), [0]);
        assert_eq!(sketch_of(&[7]).encode(), [1, 7, 7, 7]);
        assert_eq!(sketch_of(&[9, 7]).encode(), [2, 16, 7, 9]);
        assert!(sketch_of(&[7, 7, 7]).encode().len() > V2_HEADER_LEN);
    }

    proptest! {
        #[test]
        fn bytes_round_trip(values in any_values(600)) {
            let sketch = sketch_of(&values);
            prop_assert_eq!(Sketch::decode(&sketch.encode()).unwrap(), sketch);
        }

        #[test]
        fn the_v2_part_is_that_of_hdrhistogram(values in any_values(600)) {
            let sketch = sketch_of(&values);
            let mut ours = Vec::new();
            sketch.encode_v2(&mut ours);
            let oracle: Oracle<u64> = Deserializer::new().deserialize(&mut ours.as_slice()).unwrap();
            prop_assert_eq!(oracle.len(), sketch.count());
            for bucket in sketch.buckets() {
                prop_assert_eq!(oracle.count_at(bucket.lowest), bucket.count);
            }
            if sketch.count() > 0 {
                let mut theirs = Vec::new();
                V2Serializer::new().serialize(&oracle, &mut theirs).unwrap();
                prop_assert_eq!(&ours[V2_HEADER_LEN..], &theirs[V2_HEADER_LEN..]);
            }
        }

        #[test]
        fn damaged_bytes_are_an_error_or_another_sketch(
            values in any_values(40), at: prop::sample::Index, flip in 1_u8.., cut: prop::sample::Index,
        ) {
            let mut bytes = sketch_of(&values).encode();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(sketch) = Sketch::decode(&bytes) {
                prop_assert!(sketch.memory_bytes() < 100_000);
                prop_assert_eq!(Sketch::decode(&sketch.encode()).unwrap(), sketch);
            }
            let _ = Sketch::decode(&bytes[..cut.index(bytes.len())]);
        }

        #[test]
        fn garbage_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Sketch::decode(&bytes);
        }
    }
}
