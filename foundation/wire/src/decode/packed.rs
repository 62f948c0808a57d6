//! Packed lists of numbers, also when a sender writes them unpacked or in several pieces.

use super::wire::{Field, Parse, varint};
use crate::Problem;

/// The numbers of a packed fixed64 or double list.
fn fixed64s(bytes: &[u8]) -> impl ExactSizeIterator<Item = u64> + use<'_> {
    let (numbers, _) = bytes.as_chunks::<8>();
    numbers.iter().map(|number| u64::from_le_bytes(*number))
}

/// The numbers of a packed varint list; ends at the first byte that is not one.
fn varints(bytes: &[u8]) -> impl Iterator<Item = u64> + use<'_> {
    let mut rest = bytes;
    std::iter::from_fn(move || varint(&mut rest).ok())
}

/// A repeated number field: borrowed when it comes in one packed piece, as senders write it; else collected.
#[derive(Default)]
pub(super) struct Packed<'a> {
    whole: &'a [u8],
    spill: Vec<u8>,
    spilled: bool,
}

impl<'a> Packed<'a> {
    pub(super) fn clear(&mut self) {
        self.whole = &[];
        self.spilled = false;
    }

    /// All numbers so far, packed.
    pub(super) fn bytes(&self) -> &[u8] {
        if self.spilled { &self.spill } else { self.whole }
    }

    /// Adds the fixed64s or doubles of one field.
    pub(super) fn push_fixed64s(&mut self, field: &Field<'a>, name: &str) -> Parse<()> {
        if !field.is_bytes() {
            let number = field.fixed64(name)?;
            self.spill().extend_from_slice(&number.to_le_bytes());
            return Ok(());
        }
        let piece = field.bytes(name)?;
        if piece.len() % 8 != 0 {
            return Err(field.fault(name, Problem::Truncated));
        }
        self.append(piece);
        Ok(())
    }

    /// Adds the varints of one field.
    pub(super) fn push_varints(&mut self, field: &Field<'a>, name: &str) -> Parse<()> {
        if !field.is_bytes() {
            let number = field.varint(name)?;
            crate::proto::put_varint(self.spill(), number);
            return Ok(());
        }
        let piece = field.bytes(name)?;
        let mut rest = piece;
        while !rest.is_empty() {
            varint(&mut rest).map_err(|problem| field.fault(name, problem))?;
        }
        self.append(piece);
        Ok(())
    }

    fn append(&mut self, piece: &'a [u8]) {
        if !self.spilled && self.whole.is_empty() {
            self.whole = piece;
        } else {
            self.spill().extend_from_slice(piece);
        }
    }

    fn spill(&mut self) -> &mut Vec<u8> {
        if !self.spilled {
            self.spill.clear();
            self.spill.extend_from_slice(self.whole);
            self.spilled = true;
        }
        &mut self.spill
    }
}

/// A packed list of doubles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubles<'s>(pub(super) &'s [u8]);

impl<'s> Doubles<'s> {
    /// The numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = f64> + use<'s> {
        fixed64s(self.0).map(f64::from_bits)
    }

    /// The packed bytes, 8 a number, little-endian: equal bytes are equal lists.
    pub fn raw(&self) -> &'s [u8] {
        self.0
    }
}

/// A packed list of unsigned 64-bit integers of fixed width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fixed64s<'s>(pub(super) &'s [u8]);

impl<'s> Fixed64s<'s> {
    /// The numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u64> + use<'s> {
        fixed64s(self.0)
    }
}

/// A packed list of unsigned 64-bit integers of variable width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Varints<'s> {
    bytes: &'s [u8],
    len: usize,
}

impl<'s> Varints<'s> {
    /// The numbers packed in `bytes`.
    pub(super) fn of(bytes: &'s [u8]) -> Varints<'s> {
        Varints { bytes, len: varints(bytes).count() }
    }

    /// The numbers.
    pub fn iter(&self) -> impl Iterator<Item = u64> + use<'s> {
        varints(self.bytes)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
