//! Sets of rows of a segment: as bits while a question is answered, as runs in the file.
//!
//! Runs, one after the other: `varint(gap · 2 + long)`, where the gap counts rows since the end of the run before (the
//! first: since row 0), then for a long run `varint(rows - 2)`. A row on its own so takes one byte when the one before
//! is less than 64 rows away, and all rows of a segment take some three bytes.

use std::ops::Range;

use crate::RowChoice;

/// Appends `value`, seven bits a byte, the low ones first.
pub(super) fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Takes a number off the front; `None` when it is cut or larger than 63 bits.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Rows that come in ascending order, encoded as they come.
#[derive(Debug, Default)]
pub(super) struct RunWriter {
    bytes: Vec<u8>,
    /// Where the last run in `bytes` ends.
    written: u32,
    /// The run that still grows.
    open: Range<u32>,
}

impl RunWriter {
    /// Adds `row`, which comes after all others.
    pub(super) fn push(&mut self, row: u32) {
        if row == self.open.end && !self.open.is_empty() {
            self.open.end += 1;
            return;
        }
        self.close();
        self.open = row..row + 1;
    }

    fn close(&mut self) {
        let rows = self.open.end - self.open.start;
        if rows == 0 {
            return;
        }
        let is_long = rows > 1;
        put_varint(&mut self.bytes, u64::from(self.open.start - self.written) << 1 | u64::from(is_long));
        if is_long {
            put_varint(&mut self.bytes, u64::from(rows - 2));
        }
        self.written = self.open.end;
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.close();
        self.bytes
    }
}

/// The runs in `bytes`, which lie below `rows`, ascend and do not touch.
///
/// # Errors
/// What is wrong with the first that does not.
pub(super) fn check_runs(mut bytes: &[u8], rows: u32) -> Result<(), String> {
    let mut end = None;
    while !bytes.is_empty() {
        let head = take_varint(&mut bytes).ok_or("a run of rows is cut")?;
        let more = if head & 1 == 1 { take_varint(&mut bytes).ok_or("a run of rows is cut")? + 1 } else { 0 };
        let start = match end {
            Some(_) if head >> 1 == 0 => return Err("runs of rows touch".to_owned()),
            before => before.unwrap_or(0_u64).saturating_add(head >> 1),
        };
        let last = start.saturating_add(more);
        if last >= u64::from(rows) {
            return Err(format!("row {last} of {rows}"));
        }
        end = Some(last + 1);
    }
    end.map(|_| ()).ok_or_else(|| "a value without rows".to_owned())
}

/// The runs of bytes that [`check_runs`] has seen.
pub(super) fn runs(mut bytes: &[u8]) -> impl Iterator<Item = Range<u32>> {
    let mut end = 0;
    std::iter::from_fn(move || {
        let head = take_varint(&mut bytes)?;
        let more = if head & 1 == 1 { take_varint(&mut bytes)? + 1 } else { 0 };
        let start = end + (head >> 1);
        end = start + more + 1;
        Some(start as u32..end as u32)
    })
}

/// Some of the rows `0..rows`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowSet {
    rows: u32,
    bits: Vec<u64>,
}

impl RowSet {
    /// How many rows it chooses from.
    pub(crate) fn rows(&self) -> u32 {
        self.rows
    }

    pub(crate) fn none(rows: u32) -> RowSet {
        RowSet { rows, bits: vec![0; rows.div_ceil(64) as usize] }
    }

    pub(crate) fn all(rows: u32) -> RowSet {
        let mut all = RowSet::none(rows);
        all.insert(0..rows);
        all
    }

    /// Adds rows; those that there are not are left out.
    pub(crate) fn insert(&mut self, rows: Range<u32>) {
        let end = rows.end.min(self.rows);
        let mut at = rows.start;
        while at < end {
            let until = end.min((at / 64 + 1) * 64);
            let ones = u64::MAX >> (64 - (until - at));
            self.bits[(at / 64) as usize] |= ones << (at % 64);
            at = until;
        }
    }

    pub(crate) fn contains(&self, row: u32) -> bool {
        self.bits.get((row / 64) as usize).is_some_and(|word| word & (1 << (row % 64)) != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bits.iter().all(|word| *word == 0)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> u64 {
        self.bits.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Whether any of `rows`, which are not empty, is in it.
    pub(super) fn has_any(&self, rows: &Range<u32>) -> bool {
        let mut at = rows.start;
        while at < rows.end {
            let Some(word) = self.bits.get((at / 64) as usize) else { return false };
            let until = rows.end.min((at / 64 + 1) * 64);
            if (word >> (at % 64)) & (u64::MAX >> (64 - (until - at))) != 0 {
                return true;
            }
            at = until;
        }
        false
    }

    pub(crate) fn and(&mut self, other: &RowSet) {
        self.bits.iter_mut().zip(&other.bits).for_each(|(mine, theirs)| *mine &= theirs);
    }

    pub(super) fn or(&mut self, other: &RowSet) {
        self.bits.iter_mut().zip(&other.bits).for_each(|(mine, theirs)| *mine |= theirs);
    }

    pub(super) fn and_not(&mut self, other: &RowSet) {
        self.bits.iter_mut().zip(&other.bits).for_each(|(mine, theirs)| *mine &= !theirs);
    }

    /// The same rows, for a reader.
    pub(crate) fn choice(&self) -> RowChoice {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for (at, &word) in self.bits.iter().enumerate() {
            let mut left = word;
            while left != 0 {
                let start = left.trailing_zeros();
                let rows = (!(left >> start)).trailing_zeros();
                let start_row = at as u64 * 64 + u64::from(start);
                let range = start_row..start_row + u64::from(rows);
                match ranges.last_mut() {
                    Some(last) if last.end == range.start => last.end = range.end,
                    _ => ranges.push(range),
                }
                left = if start + rows == 64 { 0 } else { left >> (start + rows) << (start + rows) };
            }
        }
        RowChoice::Ranges(ranges)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(of: &BTreeSet<u32>, rows: u32) -> RowSet {
        let mut set = RowSet::none(rows);
        of.iter().for_each(|&row| set.insert(row..row + 1));
        set
    }

    fn rows_of(choice: &RowChoice) -> BTreeSet<u32> {
        let RowChoice::Ranges(ranges) = choice else { panic!("{choice:?}") };
        assert_eq!(RowChoice::from_ranges(ranges.clone()), *choice, "ascending, apart");
        ranges.iter().flat_map(|range| range.start as u32..range.end as u32).collect()
    }

    proptest! {
        #[test]
        fn runs_give_back_their_rows(picks in prop::collection::vec(any::<bool>(), 1..400), spread in 1..200_u32) {
            let picked = picks.iter().zip(0..).filter(|(picked, _)| **picked);
            let of: BTreeSet<u32> = picked.flat_map(|(_, at)| [at / 3 * spread + at % 3]).collect();
            let mut writer = RunWriter::default();
            of.iter().for_each(|&row| writer.push(row));
            let bytes = writer.finish();
            prop_assert_eq!(runs(&bytes).flatten().collect::<BTreeSet<u32>>(), of.clone());
            let rows = of.last().map_or(1, |last| last + 1);
            prop_assert_eq!(check_runs(&bytes, rows).is_ok(), !of.is_empty());
            prop_assert!(check_runs(&bytes, rows - 1).is_err());
        }

        #[test]
        fn row_sets_are_sets(
            rows in 1..300_u32,
            a in prop::collection::btree_set(0..300_u32, 0..80),
            b in prop::collection::btree_set(0..300_u32, 0..80),
            range in (0..300_u32, 1..140_u32),
        ) {
            let below = |of: BTreeSet<u32>| of.into_iter().filter(|row| *row < rows).collect::<BTreeSet<u32>>();
            let (a, b) = (below(a), below(b));
            prop_assert_eq!(rows_of(&set(&a, rows).choice()), a.clone());
            let (mut and, mut or, mut without) = (set(&a, rows), set(&a, rows), set(&a, rows));
            and.and(&set(&b, rows));
            or.or(&set(&b, rows));
            without.and_not(&set(&b, rows));
            prop_assert_eq!(rows_of(&and.choice()), a.intersection(&b).copied().collect::<BTreeSet<u32>>());
            prop_assert_eq!(rows_of(&or.choice()), a.union(&b).copied().collect::<BTreeSet<u32>>());
            prop_assert_eq!(rows_of(&without.choice()), a.difference(&b).copied().collect::<BTreeSet<u32>>());
            prop_assert_eq!((and.count(), and.is_empty()), (a.intersection(&b).count() as u64, a.is_disjoint(&b)));
            let range = range.0..range.0 + range.1;
            prop_assert_eq!(set(&a, rows).has_any(&range), a.range(range.clone()).next().is_some());
            let mut all = RowSet::none(rows);
            all.insert(range.clone());
            prop_assert_eq!(rows_of(&all.choice()), below(range.collect()));
            prop_assert_eq!(RowSet::all(rows).count(), u64::from(rows));
        }

        #[test]
        fn hostile_runs_are_refused_or_lie_inside(bytes in prop::collection::vec(any::<u8>(), 0..24), rows in 0..5_000_u32) {
            if check_runs(&bytes, rows).is_ok() {
                let mut end = None;
                for run in runs(&bytes) {
                    prop_assert!(run.start < run.end && run.end <= rows && end.is_none_or(|end| end < run.start));
                    end = Some(run.end);
                }
            }
        }
    }
}
