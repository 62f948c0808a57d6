//! Packed lists of numbers, also when a sender writes them unpacked or in several pieces.

use super::wire::{Field, Parse, varint};
use crate::Problem;

/// The numbers of a packed fixed64 or double list.
pub(super) fn fixed64s(bytes: &[u8]) -> impl ExactSizeIterator<Item = u64> + use<'_> {
    let (numbers, _) = bytes.as_chunks::<8>();
    numbers.iter().map(|number| u64::from_le_bytes(*number))
}

/// The numbers of a packed varint list; ends at the first byte that is not one.
pub(super) fn varints(bytes: &[u8]) -> impl Iterator<Item = u64> + use<'_> {
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
