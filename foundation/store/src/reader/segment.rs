//! One published segment: what to read of it, and reading it.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use daymark_model::{TimeRange, UnixNanos};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicate, ArrowPredicateFn, ArrowReaderMetadata, RowFilter};
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::file::metadata::ParquetMetaData;

use super::columns::{self, schema_of};
use super::source;
use super::{ReadSpec, RowChoice};
use crate::index::LabelIndex;
use crate::typed::{self, TypedColumn, restore};
use crate::{BodyQuery, SegmentMeta, StoreError, Table, TableName};

/// Rows of a batch that is handed out.
const BATCH_ROWS: usize = 8192;

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
    /// Why the index could not be used: then `rows` is all of them, and nothing is missing from the answer.
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
        self.stream(spec).await?.try_collect().await
    }

    /// As [`Segment::read`], batch by batch.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub async fn stream(
        &self,
        spec: &ReadSpec,
    ) -> Result<BoxStream<'static, Result<RecordBatch, StoreError>>, StoreError> {
        self.stream_as(self.table.name(), spec).await
    }

    /// As [`Segment::read`], with the columns of another table: what files of an older version had beside those of their
    /// own.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub(crate) async fn read_as(&self, table: TableName, spec: &ReadSpec) -> Result<Vec<RecordBatch>, StoreError> {
        self.stream_as(table, spec).await?.try_collect().await
    }

    /// As [`Segment::read_as`], batch by batch.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub(crate) async fn stream_as(
        &self,
        table: TableName,
        spec: &ReadSpec,
    ) -> Result<BoxStream<'static, Result<RecordBatch, StoreError>>, StoreError> {
        if spec.rows.is_empty() {
            return Ok(futures::stream::empty().boxed());
        }
        let footer = source::footer(&self.table, &self.meta).await?;
        let group_rows = footer.metadata().row_groups().iter().map(|group| group.num_rows().max(0) as u64);
        let (groups, selection) = spec.rows.select(&group_rows.collect::<Vec<_>>());
        let reader = source::SegmentBytes::new(&self.table, &self.meta);
        let mut builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, (*footer).clone())
            .with_batch_size(BATCH_ROWS)
            .with_row_groups(groups);
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        let wanted = schema_of(table, spec.columns.as_deref())?;
        builder = builder.with_projection(self.projection(&footer, &wanted, None)?);
        if !spec.filters.is_empty() {
            builder = builder.with_row_filter(self.row_filter(&footer, table, spec)?);
        }
        if let Some(limit) = spec.limit {
            builder = builder.with_limit(limit);
        }
        let path = self.path();
        let stream = builder.build().map_err(|error| StoreError::parquet(&path, error))?;
        let conform = move |batch: parquet::errors::Result<RecordBatch>| {
            let batch = batch.map_err(|error| StoreError::parquet(&path, error))?;
            Ok(columns::conform(restore(batch)?, &wanted)?)
        };
        Ok(stream.map(conform).boxed())
    }

    /// What a receipt says when a search for `query` looks at all rows of this segment, because it has no text index.
    pub fn scan_warning(&self, query: Option<&BodyQuery>) -> Option<String> {
        let is_scanned = self.meta.index.is_none() && query.is_some_and(|query| *query != BodyQuery::Everything);
        is_scanned.then(|| format!("rows of {} without a text index were scanned (--index-hours)", self.table.name()))
    }

    /// Rows that may match `query`, by the text index. A missing or damaged index means all rows.
    pub async fn search(&self, query: &BodyQuery) -> Search {
        let Some(index) = &self.meta.index else { return Search { rows: RowChoice::All, damage: None } };
        if *query == BodyQuery::Everything {
            return Search { rows: RowChoice::All, damage: None };
        }
        let found = match source::text_index(&self.table, &self.meta, index).await {
            Ok(index) => index.search(query),
            Err(error) => Err(error),
        };
        match found {
            Ok(rows) => Search { rows, damage: None },
            Err(error) => {
                tracing::warn!(index = %index.path, %error, "text index is not usable, scanning the segment");
                Search { rows: RowChoice::All, damage: Some(error.to_string()) }
            }
        }
    }

    /// The label postings of a segment of `series`; `None` where an older version wrote it, or they were too large.
    ///
    /// # Errors
    /// Why they cannot be used: nothing is missing from an answer that scans instead.
    pub(crate) async fn labels(&self) -> Result<Option<Arc<LabelIndex>>, StoreError> {
        match &self.meta.index {
            Some(index) => source::label_index(&self.table, &self.meta, index).await.map(Some),
            None => Ok(None),
        }
    }

    /// Row groups that may hold `value` in `column`, by bloom filter; all rows of groups without one.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub async fn bloom(&self, column: &str, value: &[u8]) -> Result<RowChoice, StoreError> {
        let footer = self.footer().await?;
        let mut ranges = Vec::new();
        let mut start = 0;
        for (number, group) in footer.row_groups().iter().enumerate() {
            let end = start + group.num_rows().max(0) as u64;
            let filter = source::bloom(&self.table, &self.meta, (number, group), column).await?;
            if filter.is_none_or(|filter| filter.check(value)) {
                ranges.push(start..end);
            }
            start = end;
        }
        Ok(RowChoice::from_ranges(ranges))
    }

    /// Pages with rows in `range`.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub async fn pages_in(&self, range: TimeRange) -> Result<RowChoice, StoreError> {
        if range.contains(self.meta.time.0) && range.contains(self.meta.time.1) {
            return Ok(RowChoice::All);
        }
        let pages = self.page_times().await?;
        let inside = pages.into_iter().filter(|page| range.overlaps(page.first, page.last));
        Ok(RowChoice::from_ranges(inside.map(|page| page.rows).collect()))
    }

    /// Times of all pages, in file order.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub async fn page_times(&self) -> Result<Vec<PageTimes>, StoreError> {
        Ok(source::page_times(self.table.name(), &*self.footer().await?))
    }

    /// The footer with its page index, cached.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub async fn footer(&self) -> Result<Arc<ParquetMetaData>, StoreError> {
        Ok(Arc::clone(source::footer(&self.table, &self.meta).await?.metadata()))
    }

    /// The columns of attributes that the file has.
    ///
    /// # Errors
    /// As [`Segment::read`].
    pub(crate) async fn typed_columns(&self) -> Result<Vec<TypedColumn>, StoreError> {
        let footer = source::footer(&self.table, &self.meta).await?;
        Ok(footer.schema().fields().iter().filter_map(|field| TypedColumn::parse(field.name())).collect())
    }

    fn path(&self) -> String {
        self.table.path_of(&self.meta.path).to_string()
    }

    /// Whether `error` concerns this segment alone, so that an answer can go on without it.
    pub(super) fn is_unreadable(error: &StoreError) -> bool {
        matches!(error, StoreError::Parquet { .. } | StoreError::Object(_))
    }

    /// The columns of `wanted` that the file has, with those that [`restore`] needs for them: of all attributes, or of
    /// those named.
    fn projection(
        &self,
        footer: &ArrowReaderMetadata,
        wanted: &Schema,
        attributes: Option<&[String]>,
    ) -> Result<ProjectionMask, ArrowError> {
        let there = columns::present(wanted, footer.schema(), self.table.name().nanos_column());
        let roots = there.iter().map(|column| footer.schema().index_of(column)).collect::<Result<Vec<_>, _>>()?;
        let typed = typed::needed(wanted, footer.schema(), attributes);
        Ok(ProjectionMask::roots(footer.parquet_schema(), roots.into_iter().chain(typed)))
    }

    fn row_filter(
        &self,
        footer: &ArrowReaderMetadata,
        table: TableName,
        spec: &ReadSpec,
    ) -> Result<RowFilter, ArrowError> {
        let mut predicates: Vec<Box<dyn ArrowPredicate>> = Vec::with_capacity(spec.filters.len());
        for filter in &spec.filters {
            let wanted = schema_of(table, Some(filter.columns()))?;
            let mask = self.projection(footer, &wanted, filter.attributes())?;
            let filter = filter.clone();
            let test = move |batch| filter.test(&columns::conform(restore(batch)?, &wanted)?);
            predicates.push(Box::new(ArrowPredicateFn::new(mask, test)));
        }
        Ok(RowFilter::new(predicates))
    }
}
