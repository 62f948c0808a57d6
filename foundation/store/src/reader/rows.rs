//! Which rows of a segment to look at.

use std::ops::Range;

use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

/// Rows of one segment, by position in the file.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum RowChoice {
    /// Every row.
    #[default]
    All,
    /// These ranges: ascending, not empty, neither touching nor overlapping.
    Ranges(Vec<Range<u64>>),
}

impl RowChoice {
    /// No row.
    pub const NONE: RowChoice = RowChoice::Ranges(Vec::new());

    /// From ranges in any order, overlapping or not.
    pub fn from_ranges(mut ranges: Vec<Range<u64>>) -> RowChoice {
        ranges.retain(|range| range.start < range.end);
        ranges.sort_by_key(|range| range.start);
        let mut merged: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        RowChoice::Ranges(merged)
    }

    /// Whether no row is chosen.
    pub fn is_empty(&self) -> bool {
        matches!(self, RowChoice::Ranges(ranges) if ranges.is_empty())
    }

    /// How many rows of `total` are chosen.
    pub fn count(&self, total: u64) -> u64 {
        match self {
            RowChoice::All => total,
            RowChoice::Ranges(ranges) => ranges.iter().map(|range| range.end.min(total) - range.start.min(total)).sum(),
        }
    }

    /// Rows in both.
    #[must_use]
    pub fn intersect(&self, other: &RowChoice) -> RowChoice {
        let (RowChoice::Ranges(left), RowChoice::Ranges(right)) = (self, other) else {
            return if *self == RowChoice::All { other.clone() } else { self.clone() };
        };
        let (mut i, mut j) = (0, 0);
        let mut both = Vec::new();
        while i < left.len() && j < right.len() {
            let start = left[i].start.max(right[j].start);
            let end = left[i].end.min(right[j].end);
            if start < end {
                both.push(start..end);
            }
            if left[i].end < right[j].end { i += 1 } else { j += 1 }
        }
        RowChoice::Ranges(both)
    }

    /// The row groups touched and the selection inside them; `None` selects whole row groups. `group_rows` are the
    /// rows of each row group.
    pub(crate) fn select(&self, group_rows: &[u64]) -> (Vec<usize>, Option<RowSelection>) {
        let RowChoice::Ranges(ranges) = self else { return ((0..group_rows.len()).collect(), None) };
        let mut groups = Vec::new();
        let mut selectors = Vec::new();
        let mut start = 0;
        for (group, rows) in group_rows.iter().enumerate() {
            let end = start + rows;
            let first = ranges.partition_point(|range| range.end <= start);
            let inside = ranges[first..].iter().take_while(|range| range.start < end);
            let mut at = start;
            for range in inside {
                let (from, to) = (range.start.max(start), range.end.min(end));
                selectors.push(RowSelector::skip((from - at) as usize));
                selectors.push(RowSelector::select((to - from) as usize));
                at = to;
            }
            if at > start {
                selectors.push(RowSelector::skip((end - at) as usize));
                groups.push(group);
            }
            start = end;
        }
        (groups, Some(selectors.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn choice() -> impl Strategy<Value = RowChoice> {
        let range = (0..60_u64, 0..12_u64).prop_map(|(start, len)| start..start + len);
        prop_oneof![
            1 => Just(RowChoice::All),
            9 => prop::collection::vec(range, 0..8).prop_map(RowChoice::from_ranges),
        ]
    }

    fn rows(choice: &RowChoice, total: u64) -> BTreeSet<u64> {
        match choice {
            RowChoice::All => (0..total).collect(),
            RowChoice::Ranges(ranges) => ranges.iter().cloned().flatten().filter(|row| *row < total).collect(),
        }
    }

    proptest! {
        #[test]
        fn choices_are_sets_of_rows(a in choice(), b in choice(), groups in prop::collection::vec(1..40_u64, 1..4)) {
            let total = groups.iter().sum();
            let (set_a, set_b) = (rows(&a, total), rows(&b, total));
            prop_assert_eq!(a.count(total), set_a.len() as u64);
            let both: BTreeSet<u64> = set_a.intersection(&set_b).copied().collect();
            prop_assert_eq!(rows(&a.intersect(&b), total), both);

            let (chosen, selection) = a.select(&groups);
            let mut selected = BTreeSet::new();
            let starts: Vec<u64> = groups.iter().scan(0, |s, n| { *s += n; Some(*s - n) }).collect();
            let mut positions = chosen.iter().flat_map(|&g| starts[g]..starts[g] + groups[g]);
            match selection {
                None => selected.extend(positions),
                Some(selection) => for selector in selection.iter() {
                    let taken: Vec<u64> = positions.by_ref().take(selector.row_count).collect();
                    prop_assert_eq!(taken.len(), selector.row_count);
                    if !selector.skip { selected.extend(taken) }
                }
            }
            prop_assert_eq!(selected, set_a);
        }
    }
}
