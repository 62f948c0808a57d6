//! A consistent view: one snapshot of a table and the hot rows after it.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use daymark_model::{LogOffset, Receipt, TenantId, TimeRange};

use super::columns::{conform, schema_of};
use super::{Filter, ReadSpec, RowChoice, Segment, reach};
use crate::lost;
use crate::segment::BLOOM_COLUMNS;
use crate::{BodyQuery, HotError, HotRequest, HotRows, HotSource, Snapshot, Store, StoreError, Table, TableName};

/// How often a view is begun anew because the snapshot was too old for the collector.
const MAX_STALE: u32 = 50;
/// Wait before the next try: the commit that the collector knows of becomes visible at once on local disk.
const STALE_WAIT_MS: u64 = 10;

/// Reads tables, hot rows included.
#[derive(Clone)]
pub struct Reader {
    store: Arc<Store>,
    hot: Option<Arc<dyn HotSource>>,
}

/// Published and hot rows of one table in a range of time. Segments and batches may hold rows outside the range: add
/// [`crate::Filter::time`].
pub struct View {
    /// Which table.
    pub table: TableName,
    /// The range asked for.
    pub range: TimeRange,
    /// The table's snapshot.
    pub snapshot: Snapshot,
    /// Segments that may hold rows in the range, oldest written first.
    pub segments: Vec<Segment>,
    /// Hot rows that may lie in the range, with all columns or those asked for.
    pub hot: Vec<RecordBatch>,
    /// Newest log offset reflected, hot rows included.
    pub through: LogOffset,
    /// What was read so far; the view's methods add to it.
    pub receipt: Receipt,
}

impl Reader {
    /// Reads `store`, and hot rows from `hot`. Without a source only published rows are seen, which is complete only
    /// where no collector runs (offline tools).
    pub fn new(store: Arc<Store>, hot: Option<Arc<dyn HotSource>>) -> Reader {
        Reader { store, hot }
    }

    /// The tables.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The collector.
    pub fn hot_source(&self) -> Option<&Arc<dyn HotSource>> {
        self.hot.as_ref()
    }

    /// A view with all columns of the hot rows.
    ///
    /// # Errors
    /// Faults of the store. A collector that cannot be reached makes the receipt partial instead.
    pub async fn view(&self, tenant: &TenantId, name: TableName, range: TimeRange) -> Result<View, StoreError> {
        self.view_columns(tenant, name, range, None).await
    }

    /// A view whose hot rows have only `columns` (plus nothing): less to send from a collector elsewhere.
    ///
    /// # Errors
    /// As [`Reader::view`].
    pub async fn view_columns(
        &self,
        tenant: &TenantId,
        name: TableName,
        range: TimeRange,
        columns: Option<Vec<String>>,
    ) -> Result<View, StoreError> {
        let table = self.store.table(tenant, name);
        let mut receipt = Receipt::new();
        let mut snapshot = reach::snapshot(&table, &mut receipt).await?;
        let mut rows = HotRows { through: snapshot.consumed, batches: Vec::new(), behind: false };
        let mut stale = 0;
        while let Some(source) = &self.hot {
            let request = HotRequest {
                tenant: tenant.clone(),
                table: name,
                time: range,
                columns: columns.clone(),
                after: snapshot.consumed,
            };
            match source.hot(request).await {
                Ok(answer) => rows = answer,
                // A store that is away has no newer snapshot to offer.
                Err(HotError::Stale { .. }) if stale < MAX_STALE && receipt.missing.is_empty() => {
                    stale += 1;
                    snapshot = reach::snapshot(&table, &mut receipt).await?;
                    if stale > 1 {
                        tokio::time::sleep(Duration::from_millis(STALE_WAIT_MS)).await;
                    }
                    continue;
                }
                Err(error) => receipt.miss(format!("rows of {name} not yet published: {error}")),
            }
            break;
        }
        if rows.behind {
            receipt.warn(format!("the newest acknowledged rows of {name} are still being applied: ask again for them"));
        }
        // A collector of another version may have other columns.
        let wanted = schema_of(name, columns.as_deref())?;
        let conforming = rows.batches.into_iter().map(|batch| conform(batch, &wanted));
        rows.batches = conforming.collect::<Result<_, _>>()?;
        self.warn_of_losses(range, &mut receipt).await;
        rows.through = rows.through.max(snapshot.consumed);
        receipt.segments_total = snapshot.segments.len() as u64;
        receipt.hot_rows = rows.batches.iter().map(|batch| batch.num_rows() as u64).sum();
        let inside = snapshot.segments.iter().filter(|segment| segment.overlaps(range));
        let segments = inside.map(|meta| Segment::new(table.clone(), Arc::clone(meta))).collect();
        Ok(View { table: name, range, snapshot, segments, hot: rows.batches, through: rows.through, receipt })
    }

    /// Says in the receipt what rows in `range` may have been lost to damage of the ingest log.
    async fn warn_of_losses(&self, range: TimeRange, receipt: &mut Receipt) {
        match reach::lost(&self.store).await {
            Ok(lost) => lost::warning(&lost, range).into_iter().for_each(|warning| receipt.warn(warning)),
            Err(error) => receipt.warn(format!("whether acknowledged rows were lost to damage is not known: {error}")),
        }
    }

    /// The table handle behind a view.
    pub fn table(&self, tenant: &TenantId, name: TableName) -> Table {
        self.store.table(tenant, name)
    }
}

impl View {
    /// Rows of the view's range that pass the filters of `spec`, from all segments and the hot rows, in no order.
    /// A segment that cannot be read makes the receipt partial.
    ///
    /// # Errors
    /// When a filter or a column does not fit the table.
    pub async fn read(&mut self, spec: &ReadSpec) -> Result<Vec<RecordBatch>, StoreError> {
        self.read_matching(spec, None).await
    }

    /// As [`View::read`], only rows (of logs) whose body matches `query`, found by the text index.
    ///
    /// # Errors
    /// As [`View::read`].
    pub async fn read_matching(
        &mut self,
        spec: &ReadSpec,
        query: Option<&BodyQuery>,
    ) -> Result<Vec<RecordBatch>, StoreError> {
        let spec = self.narrowed(spec, query);
        let mut batches = Vec::new();
        for segment in self.segments.clone() {
            let Some(rows) = self.choose(&segment, &spec, query).await? else { continue };
            if let Some(read) = self.read_rows(&segment, &spec, rows).await? {
                batches.extend(read);
            }
        }
        for batch in &self.hot {
            batches.push(spec.apply(batch)?);
        }
        batches.retain(|batch| batch.num_rows() > 0);
        Ok(batches)
    }

    /// `spec` with the view's range and `query` as filters: cheap ones first.
    pub(crate) fn narrowed(&self, spec: &ReadSpec, query: Option<&BodyQuery>) -> ReadSpec {
        let mut spec = spec.clone();
        if self.range != TimeRange::ALL {
            spec.filters.insert(0, Filter::time(self.table, self.range));
        }
        if let Some(query) = query.filter(|query| **query != BodyQuery::Everything) {
            spec.filters.push(Filter::body(query));
        }
        spec
    }

    /// Rows of `segment` that may pass: by page times, bloom filters and text index. `None` when there are none, or
    /// when the segment is not readable, which the receipt then says.
    pub(crate) async fn choose(
        &mut self,
        segment: &Segment,
        spec: &ReadSpec,
        query: Option<&BodyQuery>,
    ) -> Result<Option<RowChoice>, StoreError> {
        match choose_rows(segment, self.range, spec, query).await {
            Ok(rows) if rows.is_empty() => Ok(None),
            Ok(rows) => {
                self.receipt.segments_read += 1;
                segment.scan_warning(query).into_iter().for_each(|why| self.receipt.warn(why));
                Ok(Some(rows))
            }
            Err(error) => self.unreadable(segment, error).map(|()| None),
        }
    }

    /// Reads rows of one segment and counts them. `None` when it is not readable, which the receipt then says.
    pub(crate) async fn read_rows(
        &mut self,
        segment: &Segment,
        spec: &ReadSpec,
        rows: RowChoice,
    ) -> Result<Option<Vec<RecordBatch>>, StoreError> {
        self.receipt.rows_scanned += rows.count(segment.meta().rows);
        match segment.read(&ReadSpec { rows, ..spec.clone() }).await {
            Ok(batches) => Ok(Some(batches)),
            Err(error) => self.unreadable(segment, error).map(|()| None),
        }
    }

    pub(crate) fn unreadable(&mut self, segment: &Segment, error: StoreError) -> Result<(), StoreError> {
        if !Segment::is_unreadable(&error) {
            return Err(error);
        }
        tracing::warn!(segment = segment.meta().path, %error, "segment is not readable");
        self.receipt.miss(format!("segment {} of {}: {error}", segment.meta().path, self.table));
        Ok(())
    }
}

async fn choose_rows(
    segment: &Segment,
    range: TimeRange,
    spec: &ReadSpec,
    query: Option<&BodyQuery>,
) -> Result<RowChoice, StoreError> {
    let mut rows = segment.pages_in(range).await?.intersect(&spec.rows);
    for (column, value) in spec.filters.iter().filter_map(Filter::equality) {
        if BLOOM_COLUMNS.contains(&column) && !rows.is_empty() {
            rows = rows.intersect(&segment.bloom(column, value).await?);
        }
    }
    if let Some(query) = query
        && !rows.is_empty()
    {
        rows = rows.intersect(&segment.search(query).await.rows);
    }
    Ok(rows)
}
