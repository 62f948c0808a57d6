//! Finds the newest row of traces that were forgotten, for late spans.
//!
//! Where it sits: [`crate::late`] asks before the applier shows or writes a trace whose id is in the stitcher's bloom
//! filter, for many such traces at once; [`crate::restore`] reads their spans then. And what the tables hold when a collector starts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arrow::array::{Array, AsArray, BooleanArray};
use daymark_model::{Classify as _, ErrorClass, LogOffset, TenantId, TimeRange, TraceId};
use daymark_store::{Filter, HotError, ReadSpec, Reader, Segment, Store, StoreError, TableAccount, TableName, View};
use futures::StreamExt;

use crate::columns::{TraceRow, read_trace_rows};
use crate::core::Shared;
use crate::error::CollectorError;
use crate::keyed::IdMap;
use crate::rollup::level;
use crate::tenant::{TABLES, at};

/// Segments looked through, newest first. Spans later than that start a new trace row.
pub(crate) const MAX_SEGMENTS: usize = 64;
/// Up to so many ids the bloom filters are asked before a segment is read.
pub(crate) const MAX_BLOOM_IDS: usize = 32;
/// Tenants whose tables are opened at once at start.
const OPENED_AT_ONCE: usize = 16;
/// Ids told to the stitcher at start, newest segments first.
const MAX_STORED_IDS: usize = 2 << 20;

/// What was found of traces.
#[derive(Default)]
pub(crate) struct Rows {
    /// The newest row of each trace that has one.
    pub(crate) found: IdMap<TraceId, TraceRow>,
    /// Traces whose newest row may lie in a damaged segment.
    pub(crate) unknown: Vec<TraceId>,
    /// Damaged segments.
    pub(crate) damaged: usize,
}

impl Rows {
    /// Adds rows in memory.
    pub(crate) fn add(&mut self, rows: Vec<TraceRow>) {
        for row in rows {
            match self.found.get(&row.trace_id) {
                Some(known) if known.version >= row.version => {}
                _ => drop(self.found.insert(row.trace_id, row)),
            }
        }
    }
}

/// Adds the published rows of the traces `missing`, which have none in memory.
///
/// # Errors
/// When the store does not answer. Damage makes traces unknown instead.
pub(crate) async fn from_segments(
    shared: &Shared,
    tenant: &TenantId,
    mut missing: Vec<TraceId>,
    rows: &mut Rows,
) -> Result<(), StoreError> {
    if missing.is_empty() {
        return Ok(());
    }
    let reader = Reader::new(shared.store.clone(), None);
    let view = reader.view(tenant, TableName::Traces, TimeRange::ALL).await?;
    whole(&view)?;
    for segment in newest_first(&view) {
        // Every row is a complete summary. A segment that ends before a row that was found holds no newer one; one that
        // ends after it may, because merged segments overlap in offsets.
        let ends = segment.meta().offsets.1;
        missing.retain(|id| rows.found.get(id).is_none_or(|row| row.version < ends));
        if missing.is_empty() {
            break;
        }
        match rows_in(segment, &missing).await {
            Ok(found) => rows.add(found),
            Err(error) if error.may_pass() => return Err(error),
            Err(error) => {
                tracing::debug!(segment = segment.meta().path, %error, "a damaged segment may hold rows of traces");
                rows.damaged += 1;
                rows.unknown.append(&mut missing);
            }
        }
    }
    Ok(())
}

/// `read`, or an error after `time`.
///
/// # Errors
/// Those of `read`, and when it takes too long.
pub(crate) async fn within<T>(
    time: Duration,
    read: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let answer = tokio::time::timeout(time, read).await;
    answer.unwrap_or_else(|_| {
        let late = format!("the store gave no answer within {} ms", time.as_millis());
        Err(StoreError::Collector(HotError::Unreachable(late)))
    })
}

/// A view that lacks what was published or applied last would pass old rows off as the newest.
pub(crate) fn whole(view: &View) -> Result<(), StoreError> {
    if view.receipt.missing.is_empty() {
        return Ok(());
    }
    Err(StoreError::Collector(HotError::Unreachable(view.receipt.missing.join("; "))))
}

async fn rows_in(segment: &Segment, missing: &[TraceId]) -> Result<Vec<TraceRow>, StoreError> {
    let mut asked: Vec<TraceId> = Vec::new();
    for id in missing {
        if missing.len() > MAX_BLOOM_IDS || !segment.bloom("trace_id", &id.0).await?.is_empty() {
            asked.push(*id);
        }
    }
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let batches = segment.read(&ReadSpec::default().filter(one_of(asked))).await?;
    Ok(batches.iter().flat_map(|batch| read_trace_rows(batch, |_| true)).collect())
}

/// The newest segments by the offsets they hold: file names follow a clock, which may be set back.
fn newest_first(view: &View) -> Vec<&Segment> {
    let mut segments: Vec<&Segment> = view.segments.iter().collect();
    segments.sort_by_key(|segment| std::cmp::Reverse(segment.meta().offsets.1));
    segments.truncate(MAX_SEGMENTS);
    segments
}

pub(crate) fn one_of(ids: Vec<TraceId>) -> Filter {
    let ids: IdMap<TraceId, ()> = ids.into_iter().map(|id| (id, ())).collect();
    Filter::new(&["trace_id"], move |batch| {
        let column = batch.column_by_name("trace_id").and_then(|column| column.as_fixed_size_binary_opt());
        let Some(column) = column else { return Ok(BooleanArray::from(vec![false; batch.num_rows()])) };
        let known = |row| TraceId::from_slice(column.value(row)).is_some_and(|id| ids.contains_key(&id));
        Ok((0..column.len()).map(|row| Some(known(row))).collect())
    })
}

/// Tells the stitcher of `tenant` which traces are stored, so that late spans after a restart find their rows.
///
/// # Errors
/// When a segment cannot be read for now.
pub(crate) async fn remember_stored(shared: &Shared, tenant: &TenantId) -> Result<(), CollectorError> {
    let reader = Reader::new(shared.store.clone(), None);
    let view = reader.view(tenant, TableName::Traces, TimeRange::ALL).await?;
    let mut told = 0;
    for segment in newest_first(&view) {
        if told >= MAX_STORED_IDS {
            break;
        }
        let batches = match segment.read(&ReadSpec::columns(&["trace_id"])).await {
            Ok(batches) => batches,
            // What is in it is lost to every reader; late spans of its traces begin new rows.
            Err(error) if error.class() == ErrorClass::Corrupt => {
                tracing::warn!(%tenant, segment = %segment.meta().path, %error, "damaged segment of traces is left out");
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let mut core = shared.write();
        let Some(tenant) = core.tenants.get_mut(tenant) else { return Ok(()) };
        for batch in &batches {
            let Some(ids) = batch.column(0).as_fixed_size_binary_opt() else { continue };
            (0..ids.len()).filter_map(|row| TraceId::from_slice(ids.value(row))).for_each(|id| {
                tenant.stitcher.stored_before(&id);
            });
            told += batch.num_rows();
        }
    }
    Ok(())
}

/// What the tables hold of the log, and what the metric tables hold at all, by tenant.
pub(crate) type Opened = BTreeMap<TenantId, OpenedTables>;
type OpenedTables = ([LogOffset; TABLES], [TableAccount; TableName::METRICS.len()]);

/// The newest offset that any table holds.
pub(crate) fn newest(tables: &Opened) -> LogOffset {
    tables.values().flat_map(|(consumed, _)| consumed).copied().max().unwrap_or_default()
}

/// The tables of every tenant that is ours, and the tenants of other collectors.
///
/// # Errors
/// Faults of the store.
pub(crate) async fn tenants(store: &Store) -> Result<(Opened, BTreeSet<TenantId>), StoreError> {
    let (mut ours, mut foreign) = (Opened::new(), BTreeSet::new());
    let tenants = futures::stream::iter(store.tenants().await?);
    let mut opened =
        tenants.map(|tenant| async move { (open(store, &tenant).await, tenant) }).buffer_unordered(OPENED_AT_ONCE);
    while let Some((tables, tenant)) = opened.next().await {
        match tables? {
            Some(tables) => drop(ours.insert(tenant, tables)),
            None => drop(foreign.insert(tenant)),
        }
    }
    if !foreign.is_empty() {
        let tenants: Vec<&str> = foreign.iter().map(TenantId::as_str).collect();
        tracing::warn!(?tenants, "these tenants are another collector's: nothing is taken for them");
    }
    Ok((ours, foreign))
}

/// The tables of `tenant`; `None` when another collector writes them.
async fn open(store: &Store, tenant: &TenantId) -> Result<Option<OpenedTables>, StoreError> {
    let mut consumed = [LogOffset(0); TABLES];
    let mut metrics = [TableAccount::empty(); TableName::METRICS.len()];
    for table in TableName::ALL {
        let snapshot = store.table(tenant, table).claim().await?;
        if snapshot.foreign {
            return Ok(None);
        }
        consumed[at(table)] = snapshot.consumed;
        if let Some(account) = level(table).and_then(|level| metrics.get_mut(level)) {
            *account = TableAccount::open(&snapshot);
        }
    }
    Ok(Some((consumed, metrics)))
}
