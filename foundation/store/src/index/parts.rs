//! The index of a segment: its parts, one behind the other. A merger of large segments has one for each of them.

use bytes::Bytes;

use super::pack::{split, unpack};
use super::search::PartIndex;
use crate::body::BodyQuery;
use crate::{RowChoice, StoreError};

/// The parts of an index of `rows`, every byte checked.
///
/// # Errors
/// What is damaged or does not fit.
pub(crate) fn checked_parts(file: &Bytes, rows: u64, rows_per_page: u32) -> Result<Vec<(u64, Bytes)>, String> {
    let parts = split(file)?;
    for (rows, part) in &parts {
        let (header, _) = unpack(part)?;
        if (header.rows, header.rows_per_page) != (*rows, rows_per_page) {
            return Err(format!("a part is made for {} rows in pages of {}", header.rows, header.rows_per_page));
        }
    }
    let held: u64 = parts.iter().map(|(rows, _)| *rows).sum();
    if held == rows { Ok(parts) } else { Err(format!("made for {held} rows, not {rows}")) }
}

/// An open index.
pub(crate) struct TextIndex {
    /// In the order of their rows.
    parts: Vec<PartIndex>,
}

impl TextIndex {
    /// Opens and checks the index of a segment of `rows` in pages of `rows_per_page`.
    ///
    /// # Errors
    /// What is damaged or does not fit.
    pub(crate) fn open(file: &Bytes, rows: u64, rows_per_page: u32) -> Result<TextIndex, String> {
        let files = split(file)?;
        let held: u64 = files.iter().map(|(rows, _)| *rows).sum();
        if held != rows {
            return Err(format!("made for {held} rows, not {rows}"));
        }
        let parts = files.iter().map(|(rows, file)| PartIndex::open(file, *rows, rows_per_page));
        Ok(TextIndex { parts: parts.collect::<Result<_, _>>()? })
    }

    /// Memory it takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.parts.iter().map(PartIndex::memory_bytes).sum()
    }

    /// Rows of the pages that may match.
    ///
    /// # Errors
    /// When the index contradicts itself.
    pub(crate) fn search(&self, query: &BodyQuery) -> Result<RowChoice, StoreError> {
        if let [part] = self.parts.as_slice() {
            return part.search(query);
        }
        let mut ranges = Vec::new();
        let mut start = 0;
        for part in &self.parts {
            match part.search(query)? {
                RowChoice::All => ranges.push(start..start + part.rows()),
                RowChoice::Ranges(chosen) => {
                    ranges.extend(chosen.into_iter().map(|rows| start + rows.start..start + rows.end));
                }
            }
            start += part.rows();
        }
        Ok(RowChoice::from_ranges(ranges))
    }

    /// The first thing that `other` says otherwise about the same rows.
    ///
    /// # Errors
    /// When an index contradicts itself.
    pub(crate) fn disagreement(&self, other: &TextIndex) -> Result<Option<String>, StoreError> {
        if !self.parts.iter().map(PartIndex::rows).eq(other.parts.iter().map(PartIndex::rows)) {
            return Ok(Some("its parts are not those of the other".to_owned()));
        }
        for (ours, theirs) in self.parts.iter().zip(&other.parts) {
            let found = ours.disagreement(theirs)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}
