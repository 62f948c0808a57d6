//! Brings the spans of forgotten traces back from the `spans` table, so that a late span finds the trace it belongs to.
//!
//! Where it sits: [`crate::lookup`] has found the traces' rows; they tell when their spans are. Published and hot spans
//! are read in one consistent view.
//!
//! Invariants:
//! - a trace is restored whole or not at all: when fewer spans are found than its row counts (damage, retention), and
//!   beyond the limits here, it keeps its row's counts without its spans and is `truncated`;
//! - spans come back in the order of their offsets, so that of repeats the first counts.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, FixedSizeBinaryArray, Int64Array, MapArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use async_trait::async_trait;
use daymark_model::{LogOffset, TenantId, TimeRange, TraceId, UnixNanos};
use daymark_store::{
    CollectorStatus, HotError, HotRequest, HotRows, HotSource, ReadSpec, Reader, StoreError, TableName,
};
use daymark_trace::{Kind, Span};

use crate::columns::TraceRow;
use crate::core::Shared;
use crate::handle;
use crate::keyed::IdMap;
use crate::lookup::{MAX_BLOOM_IDS, MAX_SEGMENTS, one_of};
use crate::resources::clock;
use crate::stitch::{DATABASE, SpanFacts, Stitcher, Stored, target};

/// Traces restored at a time.
const MAX_TRACES: usize = 1_024;

const COLUMNS: [&str; 15] = [
    "trace_id",
    "span_id",
    "parent_span_id",
    "service_name",
    "name",
    "kind",
    "start_time_unix_nano",
    "duration_ns",
    "status",
    "correlation_id",
    "attributes",
    "attribute_types",
    "resource_attributes",
    "resource_attribute_types",
    "log_offset",
];

/// Hot rows for the applier: as they stand, because what is not applied yet waits for the applier itself.
struct OwnRows(Arc<Shared>);

#[async_trait]
impl HotSource for OwnRows {
    async fn hot(&self, request: HotRequest) -> Result<HotRows, HotError> {
        handle::read_hot(&self.0, &request, LogOffset(0))
    }

    async fn status(&self) -> Result<CollectorStatus, HotError> {
        Ok(handle::status(&self.0))
    }
}

/// How much may be brought back at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RestoreLimits {
    spans_per_trace: u64,
    spans: u64,
}

impl RestoreLimits {
    pub(crate) fn of(stitcher: &Stitcher) -> RestoreLimits {
        RestoreLimits { spans_per_trace: stitcher.max_spans_per_trace() as u64, spans: stitcher.max_restored() as u64 }
    }
}

/// What the store holds of traces that come back.
pub(crate) struct StoredParts {
    traces: IdMap<TraceId, Stored>,
    spans: Vec<RecordBatch>,
}

/// Reads the spans of the traces in `rows`, as far as the limits allow.
///
/// # Errors
/// When a table cannot be read.
pub(crate) async fn stored_spans(
    shared: &Arc<Shared>,
    tenant: &TenantId,
    rows: IdMap<TraceId, TraceRow>,
    limits: RestoreLimits,
) -> Result<StoredParts, StoreError> {
    let mut spans = Vec::new();
    let whole = choose(&rows, limits);
    let mut counts: IdMap<TraceId, HashSet<[u8; 8]>> = whole.iter().map(|id| (*id, HashSet::new())).collect();
    if !whole.is_empty() {
        spans = read(shared, tenant, &rows, whole).await?.unwrap_or_default();
    }
    for batch in &spans {
        let [Some(traces), Some(ids)] = ["trace_id", "span_id"].map(|name| ids(batch, name)) else { continue };
        for row in 0..batch.num_rows() {
            let known = TraceId::from_slice(traces.value(row)).and_then(|trace| counts.get_mut(&trace));
            if let (Some(known), Ok(id)) = (known, ids.value(row).try_into()) {
                known.insert(id);
            }
        }
    }
    let stored = |(id, row): (TraceId, TraceRow)| {
        let with_spans = counts.get(&id).is_some_and(|spans| !spans.is_empty() && spans.len() as u64 >= row.span_count);
        (id, Stored { row, with_spans })
    };
    Ok(StoredParts { traces: rows.into_iter().map(stored).collect(), spans })
}

/// The traces whose spans are read: the newest, few enough.
fn choose(rows: &IdMap<TraceId, TraceRow>, limits: RestoreLimits) -> Vec<TraceId> {
    let mut rows: Vec<&TraceRow> = rows.values().filter(|row| row.span_count <= limits.spans_per_trace).collect();
    rows.sort_unstable_by_key(|row| (std::cmp::Reverse(row.version), row.trace_id));
    let mut spans = 0;
    let fits = |row: &&&TraceRow| {
        spans += row.span_count;
        spans <= limits.spans
    };
    rows.iter().take(MAX_TRACES).take_while(fits).map(|row| row.trace_id).collect()
}

/// All stored spans of some traces; none when they lie in too many segments.
async fn read(
    shared: &Arc<Shared>,
    tenant: &TenantId,
    rows: &IdMap<TraceId, TraceRow>,
    ids: Vec<TraceId>,
) -> Result<Option<Vec<RecordBatch>>, StoreError> {
    let times: Vec<(UnixNanos, UnixNanos)> = ids
        .iter()
        .filter_map(|id| rows.get(id))
        .map(|row| (row.raw_start, row.raw_start.plus(row.raw_duration_ns)))
        .collect();
    let start = times.iter().map(|time| time.0).min().unwrap_or_default();
    let end = times.iter().map(|time| time.1).max().unwrap_or_default().plus(1);
    let reader = Reader::new(shared.store.clone(), Some(Arc::new(OwnRows(Arc::clone(shared)))));
    let view = reader.view(tenant, TableName::Spans, TimeRange { start, end }).await?;
    let holds = |time: (UnixNanos, UnixNanos)| times.iter().any(|own| own.0 <= time.1 && time.0 <= own.1);
    let segments: Vec<_> = view.segments.iter().filter(|segment| holds(segment.meta().time)).collect();
    if segments.len() > MAX_SEGMENTS {
        tracing::debug!(%tenant, segments = segments.len(), "late spans of traces in too many segments: not read again");
        return Ok(None);
    }
    let wanted = ReadSpec::columns(&COLUMNS).filter(one_of(ids.clone()));
    let mut batches = Vec::new();
    for segment in segments {
        let mut may_hold = ids.len() > MAX_BLOOM_IDS;
        for id in ids.iter().take(MAX_BLOOM_IDS) {
            may_hold = may_hold || !segment.bloom("trace_id", &id.0).await?.is_empty();
        }
        if may_hold {
            let rows = segment.pages_in(TimeRange { start, end }).await?;
            batches.extend(segment.read(&ReadSpec { rows, ..wanted.clone() }).await?);
        }
    }
    for batch in &view.hot {
        batches.push(wanted.apply(batch)?);
    }
    batches.retain(|batch| batch.num_rows() > 0);
    Ok(Some(batches))
}

/// Gives the stitcher back what was found.
///
/// # Errors
/// When columns are missing: damage.
pub(crate) fn restore(stitcher: &mut Stitcher, parts: &StoredParts) -> Result<(), ArrowError> {
    let mut rows: Vec<(LogOffset, usize, usize)> = Vec::new();
    let columns = parts.spans.iter().map(SpanBatch::of).collect::<Option<Vec<SpanBatch<'_>>>>();
    let columns = columns.ok_or_else(|| ArrowError::SchemaError("columns of stored spans are missing".to_owned()))?;
    for (at, batch) in columns.iter().enumerate() {
        rows.extend((0..batch.offset.len()).map(|row| (LogOffset(batch.offset.value(row) as u64), at, row)));
    }
    rows.sort_unstable();
    for (offset, at, row) in rows {
        columns[at].restore(stitcher, &parts.traces, offset, row);
    }
    stitcher.found(&parts.traces);
    Ok(())
}

fn ids<'b>(batch: &'b RecordBatch, name: &str) -> Option<&'b FixedSizeBinaryArray> {
    batch.column_by_name(name)?.as_fixed_size_binary_opt()
}

/// The columns of stored spans.
struct SpanBatch<'b> {
    trace_id: &'b FixedSizeBinaryArray,
    span_id: &'b FixedSizeBinaryArray,
    parent: &'b FixedSizeBinaryArray,
    service: &'b StringArray,
    name: &'b StringArray,
    kind: &'b StringArray,
    status: &'b StringArray,
    correlation: &'b StringArray,
    start: &'b Int64Array,
    duration: &'b Int64Array,
    offset: &'b Int64Array,
    attributes: (&'b MapArray, &'b StringArray),
    resource: (&'b MapArray, &'b StringArray),
}

impl<'b> SpanBatch<'b> {
    fn of(batch: &'b RecordBatch) -> Option<SpanBatch<'b>> {
        let text = |name| batch.column_by_name(name)?.as_string_opt::<i32>();
        let long = |name| batch.column_by_name(name)?.as_primitive_opt::<Int64Type>();
        let map = |name| batch.column_by_name(name)?.as_map_opt();
        Some(SpanBatch {
            trace_id: ids(batch, "trace_id")?,
            span_id: ids(batch, "span_id")?,
            parent: ids(batch, "parent_span_id")?,
            service: text("service_name")?,
            name: text("name")?,
            kind: text("kind")?,
            status: text("status")?,
            correlation: text("correlation_id")?,
            start: long("start_time_unix_nano")?,
            duration: long("duration_ns")?,
            offset: long("log_offset")?,
            attributes: (map("attributes")?, text("attribute_types")?),
            resource: (map("resource_attributes")?, text("resource_attribute_types")?),
        })
    }

    fn restore(&self, stitcher: &mut Stitcher, traces: &IdMap<TraceId, Stored>, offset: LogOffset, row: usize) {
        let Some(trace) = TraceId::from_slice(self.trace_id.value(row)) else { return };
        if !traces.get(&trace).is_some_and(|stored| stored.with_spans) {
            return;
        }
        let id = |column: &FixedSizeBinaryArray| column.value(row).try_into().map_or(0, u64::from_be_bytes);
        let kind = Kind::parse(self.kind.value(row));
        let callee = target(kind, texts(self.attributes, row));
        let service = self.service.value(row);
        let attribute = |key: &str| texts(self.resource, row).find(|(known, _)| *known == key).map(|(_, value)| value);
        let mark = |mark: u8, set: bool| if set { mark } else { 0 };
        let facts = SpanFacts {
            offset,
            written: true,
            span: Span {
                id: id(self.span_id),
                parent: if self.parent.is_null(row) { 0 } else { id(self.parent) },
                start: self.start.value(row) as u64,
                duration: self.duration.value(row) as u64,
                clock: clock(service, attribute),
                service: stitcher.names.number(service),
                peer: stitcher.names.number(callee.name),
                kind,
                marks: mark(Span::ERROR, self.status.value(row) == "error") | mark(DATABASE, callee.is_database),
            },
            name: self.name.value(row),
            correlation: self.correlation.is_valid(row).then(|| self.correlation.value(row)),
        };
        stitcher.restore(&trace, &facts);
    }
}

/// The entries of a map of attributes that were sent as text.
fn texts<'b>((map, types): (&'b MapArray, &'b StringArray), row: usize) -> impl Iterator<Item = (&'b str, &'b str)> {
    let offsets = map.value_offsets();
    let entries = offsets[row] as usize..offsets[row + 1] as usize;
    let [keys, values] = [map.keys(), map.values()].map(|column| column.as_string_opt::<i32>());
    let types = types.value(row).chars();
    keys.zip(values).into_iter().flat_map(move |(keys, values)| {
        let of_text = entries.clone().zip(types.clone()).filter(|(_, kind)| *kind == 's');
        of_text.map(move |(at, _)| (keys.value(at), values.value(at)))
    })
}
