//! skeleton
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use daymark_model::{TimeRange, UnixNanos};
use futures::stream::BoxStream;
use parquet::file::metadata::ParquetMetaData;

use super::{ReadSpec, RowChoice};
use crate::{BodyQuery, SegmentMeta, StoreError, Table};

/// One published segment. Clones are cheap.
#[derive(Clone)]
pub struct Segment {
    table: Table,
    meta: Arc<SegmentMeta>,
}

/// What the text index says.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// Rows that may match; all others do not. The reader verifies on the body.
    pub rows: RowChoice,
    /// Why the index could not be used: then `rows` is all of them. Belongs into the answer's log, not its receipt: nothing is missing.
    pub damage: Option<String>,
}

/// Times of one page of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageTimes {
    /// Rows of the page.
    pub rows: Range<u64>,
    /// Smallest time.
    pub first: UnixNanos,
    /// Largest time.
    pub last: UnixNanos,
}

impl Segment {
    pub(crate) fn new(table: Table, meta: Arc<SegmentMeta>) -> Segment {
        Segment { table, meta }
    }

    /// What the table's log says about it.
    pub fn meta(&self) -> &SegmentMeta {
        &self.meta
    }

    /// The rows that `spec` asks for, in file order.
    ///
    /// # Errors
    /// Damage, faults of the object store, filters or columns that do not fit.
    pub async fn read(&self, spec: &ReadSpec) -> Result<Vec<RecordBatch>, StoreError> {
        let _ = (spec, &self.table);
        todo!()
    }

    /// As [`Segment::read`], batch by batch.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub async fn stream(
        &self,
        spec: &ReadSpec,
    ) -> Result<BoxStream<'static, Result<RecordBatch, StoreError>>, StoreError> {
        let _ = spec;
        todo!()
    }

    /// Rows that may match `query`, by the text index. Damage means all rows.
    pub async fn search(&self, query: &BodyQuery) -> Search {
        let _ = query;
        todo!()
    }

    /// Row groups that may hold `value` in `column`, by bloom filter; all rows for a column without one.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub async fn bloom(&self, column: &str, value: &[u8]) -> Result<RowChoice, StoreError> {
        let _ = (column, value);
        todo!()
    }

    /// Pages with rows in `range`.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub async fn pages_in(&self, range: TimeRange) -> Result<RowChoice, StoreError> {
        let _ = range;
        todo!()
    }

    /// Times of all pages, in file order.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub async fn page_times(&self) -> Result<Vec<PageTimes>, StoreError> {
        todo!()
    }

    /// The footer with its page index, cached.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub async fn footer(&self) -> Result<Arc<ParquetMetaData>, StoreError> {
        todo!()
    }

    pub(super) fn is_unreadable(&self, error: &StoreError) -> bool {
        matches!(error, StoreError::Parquet { .. } | StoreError::Object(_))
    }
}
