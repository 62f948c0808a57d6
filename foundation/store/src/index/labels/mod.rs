//! The label postings of a segment of the table `series`: which rows have which value of a label.
//!
//! Where it sits: built with the segment, read by [`crate::series`]. It answers which rows match, and which labels and
//! values rows have, without the attributes in the rows.
//!
//! Layout: a packed file (`../pack.rs`) of three sections, numbers as varints:
//! - `labels`: their number; then of each `scope u8` (0 column, 1 attribute, 2 attribute of the resource), length and
//!   bytes of the name, number of values. Sorted by scope and name;
//! - `values`: of each value, label after label, sorted: bytes shared with the value before, length and bytes of the
//!   rest, number of its list of rows;
//! - `rows`: lists of rows: length in bytes, and the runs (`rows.rs`). Values on the same rows share one: what a resource
//!   says of itself comes in several words.
//!
//! Invariants:
//! - rows that are not chosen do not match, and rows that are chosen do: a row that has a name twice has its last value;
//! - whatever the bytes are, opening them ends in an error or in an index whose look-ups cannot fail;
//! - what it takes in memory is bounded by [`LabelIndex::MAX_FILE_BYTES`], [`MAX_TEXT_BYTES`] and [`MAX_LABELS`]: a segment beyond has no index.

mod build;
mod rows;
mod search;

use std::ops::Range;

use bytes::Bytes;

use super::pack::unpack;

pub(crate) use build::LabelBuilder;
pub(crate) use rows::RowSet;
use rows::{check_runs, take_varint};

/// Postings name rows, not pages of them.
pub(crate) const ROWS_PER_PAGE: u32 = 1;
/// Longest text of names and values together.
const MAX_TEXT_BYTES: usize = 64 << 20;
/// Most names of labels.
const MAX_LABELS: usize = 1 << 16;
const LABELS_SECTION: &str = "labels";
const VALUES_SECTION: &str = "values";
const ROWS_SECTION: &str = "rows";

/// Where a row has a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Scope {
    Column = 0,
    Attribute = 1,
    Resource = 2,
}

impl Scope {
    const ALL: [Scope; 3] = [Scope::Column, Scope::Attribute, Scope::Resource];

    /// The columns of the table that hold such labels.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Scope::Column => &["metric", "service_name"],
            Scope::Attribute => &["attributes"],
            Scope::Resource => &["resource_attributes"],
        }
    }
}

/// The columns that it is built from.
pub(super) fn columns() -> Vec<&'static str> {
    Scope::ALL.iter().flat_map(|scope| scope.columns()).copied().collect()
}

/// An open index.
#[derive(Debug, PartialEq)]
pub(crate) struct LabelIndex {
    rows: u32,
    /// Sorted by scope and name.
    labels: Vec<Label>,
    /// Where each value ends in `text`, and which of `lists` are its rows.
    values: Vec<(u32, u32)>,
    /// The values, one behind the other.
    text: String,
    /// Where lists of rows lie in `postings`.
    lists: Vec<Range<u32>>,
    postings: Bytes,
}

#[derive(Debug, PartialEq)]
struct Label {
    scope: Scope,
    name: Box<str>,
    /// Positions in the index's `values`.
    values: Range<usize>,
}

impl LabelIndex {
    /// Largest file; a segment with more has none.
    pub(crate) const MAX_FILE_BYTES: u64 = 128 << 20;

    /// Opens and checks the index of a segment of `rows`.
    ///
    /// # Errors
    /// What is damaged or does not fit.
    pub(crate) fn open(file: &Bytes, rows: u64) -> Result<LabelIndex, String> {
        let (header, sections) = unpack(file)?;
        let rows_there = u32::try_from(rows).map_err(|error| error.to_string())?;
        if (header.rows, header.rows_per_page) != (rows, ROWS_PER_PAGE) {
            return Err(format!("made for {} rows, not {rows}", header.rows));
        }
        let section = |wanted: &str| {
            let found = sections.iter().find(|(name, _)| name == wanted);
            found.map(|(_, bytes)| bytes.clone()).ok_or_else(|| format!("no section {wanted}"))
        };
        let (labels, values) = (section(LABELS_SECTION)?, section(VALUES_SECTION)?);
        let mut index = LabelIndex {
            rows: rows_there,
            labels: Vec::new(),
            values: Vec::new(),
            text: String::new(),
            lists: Vec::new(),
            postings: section(ROWS_SECTION)?,
        };
        index.read_lists()?;
        index.read_labels(&labels, values.len())?;
        index.read_values(&values)?;
        Ok(index)
    }

    fn read_lists(&mut self) -> Result<(), String> {
        if self.postings.len() as u64 > Self::MAX_FILE_BYTES {
            return Err(format!("{} bytes of rows, more than {}", self.postings.len(), Self::MAX_FILE_BYTES));
        }
        let mut left: &[u8] = &self.postings;
        while !left.is_empty() {
            let length = take_number(&mut left, "a list of rows is cut")?;
            let start = self.postings.len() - left.len();
            let (runs, rest) = left.split_at_checked(length).ok_or("a list of rows is cut")?;
            check_runs(runs, self.rows)?;
            self.lists.push(start as u32..(start + length) as u32);
            left = rest;
        }
        Ok(())
    }

    fn read_labels(&mut self, mut bytes: &[u8], values_bytes: usize) -> Result<(), String> {
        let cut = "the list of labels is cut";
        let count = take_varint(&mut bytes).ok_or(cut)?;
        if count > MAX_LABELS as u64 {
            return Err(format!("{count} labels, more than {MAX_LABELS}"));
        }
        let mut values = 0;
        for _ in 0..count {
            let (&scope, rest) = bytes.split_first().ok_or(cut)?;
            bytes = rest;
            let scope = Scope::ALL.get(usize::from(scope)).copied().ok_or("a label of no known kind")?;
            let length = take_number(&mut bytes, cut)?;
            let (name, rest) = bytes.split_at_checked(length).ok_or(cut)?;
            bytes = rest;
            let name = str::from_utf8(name).map_err(|error| error.to_string())?;
            if self.labels.last().is_some_and(|last| (last.scope, &*last.name) >= (scope, name)) {
                return Err("labels are not in order".to_owned());
            }
            // A value takes three bytes or more.
            let more = take_number(&mut bytes, cut)?;
            let range = values..more.checked_add(values).filter(|end| *end <= values_bytes).ok_or(cut)?;
            values = range.end;
            self.labels.push(Label { scope, name: name.into(), values: range });
        }
        if bytes.is_empty() { Ok(()) } else { Err("more than the labels".to_owned()) }
    }

    fn read_values(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        let cut = "the list of values is cut";
        let mut value = Vec::new();
        for label in &self.labels {
            value.clear();
            for at in label.values.clone() {
                let (shared, length) = (take_number(&mut bytes, cut)?, take_number(&mut bytes, cut)?);
                let (rest, after) = bytes.split_at_checked(length).ok_or(cut)?;
                bytes = after;
                let follows =
                    value.get(shared..).is_some_and(|before: &[u8]| before < rest || at == label.values.start);
                if !follows {
                    return Err(format!("values of {} are not in order", label.name));
                }
                value.truncate(shared);
                value.extend(rest);
                if self.text.len() + value.len() > MAX_TEXT_BYTES {
                    return Err(format!("values of more than {MAX_TEXT_BYTES} bytes"));
                }
                self.text.push_str(str::from_utf8(&value).map_err(|error| error.to_string())?);
                let list = take_number(&mut bytes, cut)?;
                if list >= self.lists.len() {
                    return Err(format!("list of rows {list} of {}", self.lists.len()));
                }
                self.values.push((self.text.len() as u32, list as u32));
            }
        }
        if bytes.is_empty() { Ok(()) } else { Err("more than the values of the labels".to_owned()) }
    }

    /// Memory it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let labels: usize = self.labels.iter().map(|label| size_of::<Label>() + label.name.len()).sum();
        labels
            + (self.values.len() + self.lists.len()) * size_of::<(u32, u32)>()
            + self.text.len()
            + self.postings.len()
    }

    /// Rows of the segment.
    pub(crate) fn rows(&self) -> u32 {
        self.rows
    }

    /// A value and its rows.
    fn value(&self, at: usize) -> (&str, &[u8]) {
        let text_start = at.checked_sub(1).map_or(0, |before| self.values[before].0);
        let (text_end, list) = self.values[at];
        let rows = &self.lists[list as usize];
        (&self.text[text_start as usize..text_end as usize], &self.postings[rows.start as usize..rows.end as usize])
    }
}

fn take_number(bytes: &mut &[u8], cut: &str) -> Result<usize, String> {
    take_varint(bytes).and_then(|number| usize::try_from(number).ok()).ok_or_else(|| cut.to_owned())
}

#[cfg(test)]
mod tests;
