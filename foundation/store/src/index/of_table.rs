//! Which index the segments of a table have, and building it batch by batch.

use arrow::array::{AsArray, RecordBatch};

use super::build::IndexBuilder;
use super::labels::{self, LabelBuilder};
use crate::{StoreError, TableName};

/// The index of a segment while its rows come.
pub(crate) enum SegmentIndex {
    /// Words in the bodies of logs.
    Text { builder: Box<IndexBuilder>, rows_per_page: u32 },
    /// Labels of series.
    Labels(Box<LabelBuilder>),
}

impl SegmentIndex {
    /// Begins the index of a segment of `table`, of words in pages of `rows_per_page` and in parts of so many rows. `None`
    /// for a table without.
    ///
    /// # Errors
    /// As [`IndexBuilder::in_parts`].
    pub(crate) fn begin(
        table: TableName,
        rows_per_page: u32,
        parts: &[u64],
    ) -> Result<Option<SegmentIndex>, StoreError> {
        Ok(match table {
            TableName::Logs => {
                let builder = Box::new(IndexBuilder::in_parts(rows_per_page, parts)?);
                Some(SegmentIndex::Text { builder, rows_per_page })
            }
            TableName::Series => Some(SegmentIndex::Labels(Box::default())),
            _ => None,
        })
    }

    /// The columns that it is built from.
    pub(crate) fn columns(&self) -> Vec<&'static str> {
        match self {
            SegmentIndex::Text { .. } => vec!["body"],
            SegmentIndex::Labels(_) => labels::columns(),
        }
    }

    /// Rows that one entry of it stands for.
    pub(crate) fn rows_per_page(&self) -> u32 {
        match self {
            SegmentIndex::Text { rows_per_page, .. } => *rows_per_page,
            SegmentIndex::Labels(_) => labels::ROWS_PER_PAGE,
        }
    }

    /// The next rows, with at least [`SegmentIndex::columns`].
    ///
    /// # Errors
    /// When a column is not there; as [`IndexBuilder::add`].
    pub(crate) fn add(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        match self {
            SegmentIndex::Text { builder, .. } => {
                let bodies = batch.column_by_name("body").and_then(|bodies| bodies.as_string_opt::<i32>());
                let wrong = || StoreError::WrongSchema { table: "logs", reason: "no column body".to_owned() };
                builder.add(bodies.ok_or_else(wrong)?)
            }
            SegmentIndex::Labels(builder) => builder.add(batch),
        }
    }

    /// Packs it; `None` when it would be larger than a reader takes.
    ///
    /// # Errors
    /// As [`IndexBuilder::finish`].
    pub(crate) fn finish(self) -> Result<Option<Vec<u8>>, StoreError> {
        match self {
            SegmentIndex::Text { builder, .. } => builder.finish().map(Some),
            SegmentIndex::Labels(builder) => Ok(builder.finish()),
        }
    }
}
