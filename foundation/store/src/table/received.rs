//! How many rows of a stretch of the ingest log a table holds, published or not, and for how many data points those of a
//! metric table stand: what a ledger can be held against.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use daymark_model::{LogOffset, TimeRange};
use futures::TryStreamExt;

use super::{Snapshot, Table};
use crate::reader::Segment;
use crate::{Filter, HotError, HotRequest, HotSource, ReadSpec, SegmentMeta, StoreError, Tally, tally};

/// Snapshots that may turn out too old before a count gives up.
const ATTEMPTS: u32 = 40;
/// Between them.
const WAIT: Duration = Duration::from_millis(100);

impl Table {
    /// Rows that came with log offsets after `after` up to `until`, those included that the collector behind `hot` holds
    /// and has not published. It must have applied everything up to `until`.
    ///
    /// # Errors
    /// [`StoreError::Collector`], [`StoreError::Contended`], damage, faults of the object store.
    pub async fn rows_received(
        &self,
        after: LogOffset,
        until: LogOffset,
        hot: &dyn HotSource,
    ) -> Result<u64, StoreError> {
        let is_meant = |offset: i64| {
            let offset = u64::try_from(offset).unwrap_or(0);
            after.0 < offset && offset <= until.0
        };
        let (snapshot, unpublished) = self.with_unpublished(&["log_offset"], LogOffset(0), hot).await?;
        let mut count = 0;
        for batch in &unpublished {
            let offsets = batch.column_by_name("log_offset").and_then(|o| o.as_primitive_opt::<Int64Type>());
            let offsets = offsets.into_iter().flat_map(|offsets| offsets.values());
            count += offsets.filter(|offset| is_meant(**offset)).count() as u64;
        }
        for meta in snapshot.segments.iter() {
            let (first, last) = meta.offsets;
            count += match () {
                () if last <= after || until < first => 0,
                () if after < first && last <= until => meta.rows,
                () => self.rows_between(meta, after, until).await?,
            };
        }
        Ok(count)
    }

    /// The data points that rows of this metric table stand for, those included that the collector behind `hot` holds and
    /// has not published, up to `until` at least; and the deletions that the table has seen. `None` when a segment does
    /// not say.
    ///
    /// # Errors
    /// As [`Table::rows_received`].
    pub async fn tally_received(
        &self,
        until: LogOffset,
        hot: &dyn HotSource,
    ) -> Result<(Option<Tally>, u64), StoreError> {
        let (snapshot, unpublished) = self.with_unpublished(&tally::COLUMNS, until, hot).await?;
        let mut sum = snapshot.tally();
        for batch in &unpublished {
            sum = sum.zip(Tally::of_rows(batch)).map(|(sum, rows)| sum.plus(rows));
        }
        Ok((sum, snapshot.deletions))
    }

    /// A snapshot and the rows after it that are not published, which reflect `until` at least.
    async fn with_unpublished(
        &self,
        columns: &[&str],
        until: LogOffset,
        hot: &dyn HotSource,
    ) -> Result<(Snapshot, Vec<RecordBatch>), StoreError> {
        for _ in 0..ATTEMPTS {
            let snapshot = self.snapshot().await?;
            let request = HotRequest {
                tenant: self.tenant().clone(),
                table: self.name(),
                time: TimeRange::ALL,
                columns: Some(columns.iter().map(|&column| column.to_owned()).collect()),
                after: snapshot.consumed,
            };
            match hot.hot(request).await {
                Ok(rows) if rows.through >= until => return Ok((snapshot, rows.batches)),
                // Windows under way are shown as they stood up to a second ago.
                Ok(_) => tokio::time::sleep(WAIT).await,
                Err(HotError::Stale { .. }) => {}
                Err(error) => return Err(StoreError::Collector(error)),
            }
        }
        Err(StoreError::Contended { table: self.location().1.to_string(), attempts: ATTEMPTS })
    }

    async fn rows_between(
        &self,
        meta: &Arc<SegmentMeta>,
        after: LogOffset,
        until: LogOffset,
    ) -> Result<u64, StoreError> {
        let bound = |offset: u64| i64::try_from(offset).unwrap_or(i64::MAX);
        let filter = Filter::integer("log_offset", bound(after.0.saturating_add(1)), bound(until.0));
        let spec = ReadSpec::columns(&["log_offset"]).filter(filter);
        let rows = Segment::new(self.clone(), Arc::clone(meta)).stream(&spec).await?;
        rows.try_fold(0, |sum, batch| async move { Ok(sum + batch.num_rows() as u64) }).await
    }
}
