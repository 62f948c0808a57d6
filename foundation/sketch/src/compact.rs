//! [`Sketch`] as few bytes as its content needs: what an agent sends for each series of a batch.
//!
//! Layout: a LEB128 of at most 9 bytes, `2 · count`, and as many values when the sketch holds at most
//! [`RAW_VALUES`]; else `2 · pairs + 1`, then `count · sum · min · max` and the pairs `bucket − bucket before · count`,
//! ascending. The standard HDR V2 of [`Sketch::encode`] takes 40 bytes before its first bucket, and OTLP's
//! exponential histogram a byte for each empty bucket in between.
//!
//! Invariant: equal sketches that were recorded in the same order give equal bytes.

use crate::bucket::{BUCKETS, BucketIndex, index_of};
use crate::error::SketchError;
use crate::sketch::{MAX_COUNT, RAW_VALUES, Sketch, Stated};
use crate::varint::{Cursor, put_leb};

impl Sketch {
    /// Appends the sketch to `out`.
    pub fn encode_compact(&self, out: &mut Vec<u8>) {
        if let Some(values) = self.raw() {
            put_leb(out, values.len() as u64 * 2);
            values.iter().for_each(|&value| put_leb(out, value));
            return;
        }
        put_leb(out, self.indices().count() as u64 * 2 + 1);
        for part in [self.count(), self.sum(), self.min().unwrap_or(0), self.max().unwrap_or(0)] {
            put_leb(out, part);
        }
        let mut before = 0;
        for (index, count) in self.indices() {
            put_leb(out, u64::from(index - before));
            put_leb(out, count);
            before = index;
        }
    }

    /// Most bytes that [`Sketch::encode_compact`] writes.
    pub fn compact_bound(&self) -> usize {
        9 + match self.raw() {
            Some(values) => 9 * values.len(),
            None => 36 + 11 * self.indices().count(),
        }
    }

    /// Reads what [`Sketch::encode_compact`] wrote.
    ///
    /// # Errors
    /// [`SketchError`] for anything else. Never panics; allocates no more than a small multiple of `bytes`.
    pub fn decode_compact(bytes: &[u8]) -> Result<Sketch, SketchError> {
        let mut cursor = Cursor::new(bytes);
        let head = cursor.leb()?;
        let sketch = if head % 2 == 0 { raw(&mut cursor, head / 2)? } else { wide(&mut cursor, head / 2)? };
        cursor.finish().map(|()| sketch)
    }
}

fn raw(cursor: &mut Cursor<'_>, count: u64) -> Result<Sketch, SketchError> {
    if count > RAW_VALUES as u64 {
        return Err(invalid("count", "is more than are sent one by one"));
    }
    let mut sketch = Sketch::new();
    for _ in 0..count {
        sketch.record(cursor.leb()?);
    }
    Ok(sketch)
}

fn wide(cursor: &mut Cursor<'_>, pairs: u64) -> Result<Sketch, SketchError> {
    let stated = Stated { count: cursor.leb()?, sum: cursor.leb()?, min: cursor.leb()?, max: cursor.leb()? };
    if stated.count == 0 || stated.count > MAX_COUNT || stated.min > stated.max {
        return Err(invalid("header", "count is zero or too large, or min above max"));
    }
    // Each pair takes two bytes at least.
    if pairs > cursor.remaining() as u64 / 2 {
        return Err(invalid("pairs", "are more than bytes follow"));
    }
    let (mut buckets, mut next, mut total) = (Vec::with_capacity(pairs as usize), 0_u64, 0_u64);
    for at in 0..pairs {
        let (step, count) = (cursor.leb()?, cursor.leb()?);
        next = next.saturating_add(step);
        if count == 0 || (step == 0 && at > 0) || next >= u64::from(BUCKETS) {
            return Err(invalid("buckets", "do not ascend, are empty or reach beyond u64"));
        }
        total = total.saturating_add(count).min(MAX_COUNT);
        buckets.push((next as BucketIndex, count));
    }
    let ends = (buckets.first().map(|pair| pair.0), buckets.last().map(|pair| pair.0));
    if total != stated.count || ends != (Some(index_of(stated.min)), Some(index_of(stated.max))) {
        return Err(invalid("buckets", "contradict count, min or max"));
    }
    Ok(Sketch::from_parts(stated, buckets.into_iter()))
}

fn invalid(field: &'static str, why: &'static str) -> SketchError {
    SketchError::Invalid { field, why }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sketch::tests::{any_values, sketch_of};

    fn bytes_of(sketch: &Sketch) -> Vec<u8> {
        let mut bytes = Vec::new();
        sketch.encode_compact(&mut bytes);
        bytes
    }

    #[test]
    fn few_values_are_sent_as_they_are() {
        assert_eq!(bytes_of(&Sketch::new()), [0]);
        assert_eq!(bytes_of(&sketch_of(&[9, 7])), [4, 9, 7]);
        assert_eq!(bytes_of(&sketch_of(&[7; 5])), [3, 5, 35, 7, 7, 7, 5]);
    }

    proptest! {
        #[test]
        fn bytes_round_trip(values in any_values(600)) {
            let sketch = sketch_of(&values);
            let bytes = bytes_of(&sketch);
            prop_assert!(bytes.len() <= sketch.compact_bound());
            prop_assert_eq!(Sketch::decode_compact(&bytes).unwrap(), sketch);
        }

        #[test]
        fn damaged_bytes_are_an_error_or_another_sketch(
            values in any_values(40), at: prop::sample::Index, flip in 1_u8.., cut: prop::sample::Index,
        ) {
            let mut bytes = bytes_of(&sketch_of(&values));
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(sketch) = Sketch::decode_compact(&bytes) {
                prop_assert!(sketch.memory_bytes() < 100_000);
                prop_assert_eq!(Sketch::decode_compact(&bytes_of(&sketch)).unwrap(), sketch);
            }
            let _ = Sketch::decode_compact(&bytes[..cut.index(bytes.len())]);
        }

        #[test]
        fn garbage_does_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Sketch::decode_compact(&bytes);
        }
    }
}
