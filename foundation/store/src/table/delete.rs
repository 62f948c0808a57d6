//! Deletion of rows: segments that hold some are rewritten without them, in one commit.
//!
//! Invariants:
//! - the rewritten segments and their indexes are durable before the commit that names them;
//! - consumed log offsets stay as they are, so a replay does not bring the rows back;
//! - compaction, retention and the collector may work meanwhile: whoever commits second finds its segments gone, and
//!   the deletion looks again until no segment of the newest version holds such a row.
//!
//! It does not reach rows that are not published ([`Table::unpublished`] counts them), older versions within their
//! grace ([`Table::purge`] ends that), or the ingest log.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::Int64Type;
use daymark_model::{Classify, ErrorClass, LogOffset, TimeRange};
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;

use super::commit::Change;
use super::rows::{RowTest, Rows};
use super::{CompactOptions, Table};
use crate::reader::Segment;
use crate::segment::write_segment_from;
use crate::series::has_text;
use crate::{
    Filter, HotError, HotRequest, HotSource, ReadSpec, SegmentFile, SegmentMeta, SegmentOptions, StoreError, TableName,
};

/// Lost races before a deletion gives up.
const ATTEMPTS: u32 = 20;

/// What a deletion did to one table, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// The table's path in the tables directory.
    pub table: String,
    /// Rows deleted.
    pub rows: u64,
    /// Segments rewritten without them.
    pub segments_rewritten: u64,
    /// Segments that held nothing else.
    pub segments_dropped: u64,
    /// The version without the rows; none when nothing was committed.
    pub version: Option<u64>,
    /// Segments that cannot be read: rows in them are neither found nor deleted.
    pub unreadable: Vec<String>,
    /// Segments of metrics of an older version, which name series in their own rows: rewriting them would lose the names
    /// of the rows that stay. Rows in them are not deleted, unless a segment holds no others.
    pub older: Vec<String>,
}

impl Table {
    /// Deletes `rows`; with `dry_run` only counts them.
    ///
    /// # Errors
    /// [`StoreError::WrongCondition`], [`StoreError::Contended`], as [`Table::commit`]. The table is unchanged then.
    pub async fn delete(&self, rows: &Rows, dry_run: bool) -> Result<Deleted, StoreError> {
        let mut done = Deleted { table: self.location().1.to_string(), ..Deleted::default() };
        let Some(test) = rows.test(self.name())? else { return Ok(done) };
        let mut clean: HashSet<String> = HashSet::new();
        for _ in 0..ATTEMPTS {
            let snapshot = self.snapshot().await?;
            let mut found = Vec::new();
            let mut moved = false;
            let unseen: Vec<_> = snapshot.segments.iter().filter(|meta| !clean.contains(&meta.path)).collect();
            for meta in unseen {
                match self.count(meta, &test).await {
                    Ok(0) => _ = clean.insert(meta.path.clone()),
                    Ok(rows) if rows < meta.rows && self.names_series(meta).await? => {
                        clean.insert(meta.path.clone());
                        done.older.push(self.path_of(&meta.path).to_string());
                    }
                    Ok(rows) => found.push((Arc::clone(meta), rows)),
                    // Merged or dropped meanwhile, and its file deleted.
                    Err(error) if is_damage(&error) && !self.is_live(&meta.path).await? => moved = true,
                    Err(error) if is_damage(&error) => {
                        tracing::error!(segment = meta.path, %error, "rows to delete may be in a segment that is not readable");
                        clean.insert(meta.path.clone());
                        done.unreadable.push(self.path_of(&meta.path).to_string());
                    }
                    Err(error) => return Err(error),
                }
            }
            if moved {
                continue;
            }
            done.rows = found.iter().map(|(_, rows)| rows).sum();
            done.segments_dropped = found.iter().filter(|(meta, rows)| meta.rows == *rows).count() as u64;
            done.segments_rewritten = found.len() as u64 - done.segments_dropped;
            if found.is_empty() || dry_run {
                return Ok(done);
            }
            match self.without(&found, &test).await {
                Ok(version) => return Ok(Deleted { version: Some(version), ..done }),
                // Merged or dropped meanwhile: look where the rows are now.
                Err(StoreError::NotLive { .. }) => {}
                Err(error) if is_damage(&error) && !self.are_live(&found).await? => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Contended { table: done.table, attempts: ATTEMPTS })
    }

    /// Commits the rewritten segments in place of `found`.
    async fn without(&self, found: &[(Arc<SegmentMeta>, u64)], test: &RowTest) -> Result<u64, StoreError> {
        let mut change = Change { deletes: true, ..Change::default() };
        for (meta, rows) in found {
            change.remove.push(meta.path.clone());
            if *rows < meta.rows {
                change.add.push(self.rewritten(meta, *rows, test).await?);
            }
        }
        self.apply_change(change).await
    }

    async fn rewritten(
        &self,
        meta: &Arc<SegmentMeta>,
        without: u64,
        test: &RowTest,
    ) -> Result<SegmentFile, StoreError> {
        let test = test.clone();
        let kept = move |batch: arrow::array::RecordBatch| {
            let keep = not(&test.matches(&batch)?)?;
            Ok::<_, StoreError>(filter_record_batch(&batch, &keep)?)
        };
        let rows = Segment::new(self.clone(), Arc::clone(meta)).stream(&ReadSpec::default()).await?;
        let kept = rows.map(move |batch| batch.and_then(&kept)).boxed();
        let mut options = SegmentOptions { index: meta.index.is_some(), ..CompactOptions::default().segment };
        if let Some(index) = &meta.index {
            options.index_page_rows = index.rows_per_page;
        }
        let expected = meta.rows - without;
        let written = write_segment_from(self, expected as usize, kept, options).await?;
        if written.meta().rows != expected {
            let reason = format!("{} rows are left of {}, not {expected}", written.meta().rows, meta.path);
            return Err(StoreError::Background(format!("deletion from {}: {reason}", self.location().1)));
        }
        Ok(written)
    }

    /// Rows of a segment that are meant.
    async fn count(&self, meta: &Arc<SegmentMeta>, test: &RowTest) -> Result<u64, StoreError> {
        if test.is_all() {
            return Ok(meta.rows);
        }
        let columns = test.columns();
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        let test = test.clone();
        let filter = Filter::new(&names, move |batch| test.matches(batch));
        let spec = ReadSpec::columns(&["log_offset"]).filter(filter);
        let rows = Segment::new(self.clone(), Arc::clone(meta)).stream(&spec).await?;
        rows.try_fold(0, |sum, batch| async move { Ok(sum + batch.num_rows() as u64) }).await
    }

    /// Whether a segment of metrics is one of an older version.
    async fn names_series(&self, meta: &Arc<SegmentMeta>) -> Result<bool, StoreError> {
        Ok(TableName::METRICS.contains(&self.name()) && has_text(&Segment::new(self.clone(), Arc::clone(meta))).await?)
    }

    async fn is_live(&self, path: &str) -> Result<bool, StoreError> {
        Ok(self.snapshot().await?.segments.iter().any(|segment| segment.path == path))
    }

    async fn are_live(&self, found: &[(Arc<SegmentMeta>, u64)]) -> Result<bool, StoreError> {
        let live = self.snapshot().await?.segments;
        Ok(found.iter().all(|(meta, _)| live.iter().any(|segment| segment.path == meta.path)))
    }

    /// How many of `rows` the collector holds and has not published, of those it acknowledged up to `until`.
    ///
    /// # Errors
    /// [`StoreError::WrongCondition`], [`StoreError::Collector`].
    pub async fn unpublished(&self, rows: &Rows, until: LogOffset, hot: &dyn HotSource) -> Result<u64, StoreError> {
        let Some(test) = rows.test(self.name())? else { return Ok(0) };
        for _ in 0..ATTEMPTS {
            let request = HotRequest {
                tenant: self.tenant().clone(),
                table: self.name(),
                time: TimeRange::ALL,
                columns: Some([test.columns(), vec!["log_offset".to_owned()]].concat()),
                after: self.snapshot().await?.consumed,
            };
            let batches = match hot.hot(request).await {
                Ok(rows) => rows.batches,
                Err(HotError::Stale { .. }) => continue,
                Err(error) => return Err(StoreError::Collector(error)),
            };
            let mut count = 0;
            for batch in &batches {
                let offsets = batch.column_by_name("log_offset").and_then(|o| o.as_primitive_opt::<Int64Type>());
                let matching = test.matches(batch)?;
                let early = |row: usize| offsets.is_none_or(|offsets| offsets.value(row).max(0) as u64 <= until.0);
                count += (0..batch.num_rows()).filter(|&row| matching.value(row) && early(row)).count() as u64;
            }
            return Ok(count);
        }
        Err(StoreError::Contended { table: self.location().1.to_string(), attempts: ATTEMPTS })
    }
}

pub(crate) fn is_damage(error: &StoreError) -> bool {
    error.class() == ErrorClass::Corrupt || matches!(error, StoreError::Object(object_store::Error::NotFound { .. }))
}
