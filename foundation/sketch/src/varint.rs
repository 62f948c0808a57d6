//! A cursor over untrusted bytes, and the variable-length integers of both formats.

use crate::error::SketchError;

/// Reads fields in order; every read is checked against what is left.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0 }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], SketchError> {
        let taken = self.bytes[self.at..].get(..len).ok_or(SketchError::Truncated { at: self.bytes.len() })?;
        self.at += len;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], SketchError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, SketchError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn finish(&self) -> Result<(), SketchError> {
        match self.remaining() {
            0 => Ok(()),
            extra => Err(SketchError::Trailing { extra }),
        }
    }

    /// LEB128 as HDR V2 has it: at most 9 bytes, the ninth holds 8 bits.
    pub(crate) fn leb(&mut self) -> Result<u64, SketchError> {
        let mut value = 0_u64;
        for shift in 0..8 {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << (7 * shift);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Ok(value | u64::from(self.byte()?) << 56)
    }
}

/// Writes what [`Cursor::leb`] reads.
pub(crate) fn put_leb(out: &mut Vec<u8>, mut value: u64) {
    for _ in 0..8 {
        if value < 0x80 {
            out.push(value as u8);
            return;
        }
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_round_trip(value: u64, shift in 0_u32..64) {
            let value = value >> shift;
            let mut bytes = Vec::new();
            put_leb(&mut bytes, value);
            let mut cursor = Cursor::new(&bytes);
            prop_assert_eq!(cursor.leb(), Ok(value));
            prop_assert_eq!(cursor.finish(), Ok(()));
            prop_assert_eq!(zigzag(unzigzag(value)), value);
        }
    }
}
