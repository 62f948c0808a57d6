//! Sets of pages.

use std::ops::Range;

use crate::RowChoice;

/// Some of the pages `0..pages`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageSet {
    pages: u32,
    bits: Vec<u64>,
}

impl PageSet {
    pub(super) fn none(pages: u32) -> PageSet {
        PageSet { pages, bits: vec![0; pages.div_ceil(64) as usize] }
    }

    /// Adds `page`, which is one of them.
    pub(super) fn insert(&mut self, page: u32) {
        debug_assert!(page < self.pages);
        self.bits[(page / 64) as usize] |= 1 << (page % 64);
    }

    pub(super) fn contains(&self, page: u32) -> bool {
        self.bits.get((page / 64) as usize).is_some_and(|word| word & (1 << (page % 64)) != 0)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> u32 {
        self.bits.iter().map(|word| word.count_ones()).sum()
    }

    pub(super) fn and(mut self, other: &PageSet) -> PageSet {
        self.bits.iter_mut().zip(&other.bits).for_each(|(mine, theirs)| *mine &= theirs);
        self
    }

    pub(super) fn or(mut self, other: &PageSet) -> PageSet {
        self.bits.iter_mut().zip(&other.bits).for_each(|(mine, theirs)| *mine |= theirs);
        self
    }

    /// The rows of these pages in a segment of `rows`.
    pub(super) fn rows(&self, rows_per_page: u32, rows: u64) -> RowChoice {
        let row = |page: u32| (u64::from(page) * u64::from(rows_per_page)).min(rows);
        let range = |page: u32| -> Range<u64> { row(page)..row(page + 1) };
        RowChoice::from_ranges((0..self.pages).filter(|&page| self.contains(page)).map(range).collect())
    }
}
