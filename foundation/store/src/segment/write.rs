//! skeleton
use arrow::array::RecordBatch;

use crate::{SegmentFile, StoreError, Table};

/// How a segment is written.
#[derive(Clone, Debug)]
pub struct SegmentOptions {
    /// zstd level of the Parquet pages.
    pub zstd_level: i32,
    /// Rows of a row group.
    pub row_group_rows: usize,
    /// Rows of a page of the columns that are read by row: the fetch quantum.
    pub page_rows: usize,
    /// Rows that one document of the text index stands for.
    pub index_page_rows: u32,
    /// Whether the bodies of logs get a text index.
    pub index: bool,
}

impl Default for SegmentOptions {
    fn default() -> SegmentOptions {
        SegmentOptions { zstd_level: 1, row_group_rows: 128 << 10, page_rows: 1024, index_page_rows: 1024, index: true }
    }
}

/// Writes rows (in the order given) as a segment of `table`: Parquet file and index are durable on return, and not yet
/// published. The work runs on a blocking thread.
///
/// # Errors
/// [`StoreError::WrongSchema`], [`StoreError::EmptySegment`], faults of the object store.
pub async fn write_segment(
    table: &Table,
    batches: Vec<RecordBatch>,
    options: SegmentOptions,
) -> Result<SegmentFile, StoreError> {
    let _ = (table, batches, options);
    todo!()
}
