//! [`Histogram`]: the content of the `hist` column, of either kind.
//!
//! Bytes: a kind byte (1 HDR, 2 explicit), then the encoding of that kind.

use crate::error::{KindsDiffer, SketchError};
use crate::explicit::ExplicitHistogram;
use crate::sketch::Sketch;

const KIND_HDR: u8 = 1;
const KIND_EXPLICIT: u8 = 2;

/// A stored distribution.
#[derive(Clone, Debug, PartialEq)]
pub enum Histogram {
    /// HDR, 2 digits.
    Hdr(Sketch),
    /// The producer's own buckets.
    Explicit(ExplicitHistogram),
}

impl Histogram {
    /// `hdr` or `explicit`, as in the `hist_kind` column.
    pub fn kind(&self) -> &'static str {
        match self {
            Histogram::Hdr(_) => "hdr",
            Histogram::Explicit(_) => "explicit",
        }
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        match self {
            Histogram::Hdr(sketch) => sketch.count(),
            Histogram::Explicit(explicit) => explicit.count(),
        }
    }

    /// Adds all values of another.
    ///
    /// # Errors
    /// [`KindsDiffer`] when they cannot be merged exactly; `self` is unchanged.
    pub fn merge(&mut self, other: &Histogram) -> Result<(), KindsDiffer> {
        match (self, other) {
            (Histogram::Hdr(ours), Histogram::Hdr(theirs)) => {
                ours.merge(theirs);
                Ok(())
            }
            (Histogram::Explicit(ours), Histogram::Explicit(theirs)) => ours.merge(theirs).map_err(|_| KindsDiffer),
            _ => Err(KindsDiffer),
        }
    }

    /// The histogram as self-contained bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(80);
        match self {
            Histogram::Hdr(sketch) => {
                out.push(KIND_HDR);
                sketch.encode_to(&mut out);
            }
            Histogram::Explicit(explicit) => {
                out.push(KIND_EXPLICIT);
                explicit.encode_to(&mut out);
            }
        }
        out
    }

    /// Reads what [`Histogram::encode`] wrote.
    ///
    /// # Errors
    /// [`SketchError`] for anything else. Never panics; allocates no more than a small multiple of `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Histogram, SketchError> {
        match bytes.split_first() {
            None => Err(SketchError::Truncated { at: 0 }),
            Some((&KIND_HDR, rest)) => Sketch::decode(rest).map(Histogram::Hdr),
            Some((&KIND_EXPLICIT, rest)) => ExplicitHistogram::decode(rest).map(Histogram::Explicit),
            Some((&kind, _)) => Err(SketchError::UnknownKind { kind }),
        }
    }

    /// Bytes for a table row that has `count`, `min` and `max` in columns of their own, in the unit of the sketch:
    /// `None` when those say it all, as for most rows of sparse series (no value, one, or two).
    pub fn encode_row(&self) -> Option<Vec<u8>> {
        match self {
            Histogram::Hdr(sketch) if sketch.is_min_and_max() => None,
            _ => Some(self.encode()),
        }
    }

    /// Reads a row written with [`Histogram::encode_row`]. Without bytes, the row is an HDR of at most two values.
    ///
    /// # Errors
    /// [`SketchError`] for damaged bytes, and when they are missing although the row has more values.
    pub fn decode_row(hist: Option<&[u8]>, count: u64, min: u64, max: u64) -> Result<Histogram, SketchError> {
        match hist {
            Some(bytes) => Histogram::decode(bytes),
            None => Sketch::from_min_and_max(count, min, max)
                .map(Histogram::Hdr)
                .ok_or(SketchError::Invalid { field: "hist", why: "is missing for more than two values" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::explicit::tests::explicit_of;
    use crate::sketch::tests::{any_values, sketch_of};

    #[test]
    fn kinds_do_not_mix_and_unknown_kinds_are_named() {
        let mut hdr = Histogram::Hdr(sketch_of(&[1]));
        let explicit = Histogram::Explicit(explicit_of(&[1.0]));
        assert_eq!(hdr.merge(&explicit), Err(KindsDiffer));
        assert_eq!(hdr.merge(&hdr.clone()), Ok(()));
        assert_eq!((hdr.count(), hdr.kind(), explicit.kind()), (2, "hdr", "explicit"));
        assert_eq!(Histogram::decode(&explicit.encode()), Ok(explicit));
        assert_eq!(Histogram::decode(&[9, 1]), Err(SketchError::UnknownKind { kind: 9 }));
        assert_eq!(Histogram::decode(&[]), Err(SketchError::Truncated { at: 0 }));
        assert!(Histogram::decode_row(None, 3, 1, 2).is_err());
    }

    proptest! {
        #[test]
        fn rows_round_trip(values in any_values(50)) {
            let sketch = sketch_of(&values);
            let hdr = Histogram::Hdr(sketch.clone());
            let bytes = hdr.encode_row();
            prop_assert_eq!(bytes.is_none(), values.len() <= 2);
            let (min, max) = (sketch.min().unwrap_or(0), sketch.max().unwrap_or(0));
            prop_assert_eq!(Histogram::decode_row(bytes.as_deref(), sketch.count(), min, max).unwrap(), hdr);
        }
    }
}
