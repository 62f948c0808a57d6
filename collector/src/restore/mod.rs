//! Reads the spans of forgotten traces back from the `spans` table, so that a late span finds the trace it belongs to.
//!
//! Where it sits: [`crate::lookup`] has found the traces' rows; they tell when their spans are. Published and hot spans
//! are read in one consistent view, batch by batch, and only what the stitcher keeps of a span is kept.
//!
//! Invariants:
//! - a trace is restored whole or not at all: when fewer spans are found than its row counts (damage, retention), and
//!   beyond the limits here, it keeps its row's counts without its spans and is `truncated`;
//! - spans come back in the order of their offsets, so that of repeats the first counts;
//! - memory is bounded by [`RestoreLimits`] and one batch of a segment, and counted in the process's budget.

mod spans;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use async_trait::async_trait;
use daymark_guard::Held;
use daymark_model::{LogOffset, TenantId, TimeRange, TraceId, UnixNanos};
use daymark_store::{
    CollectorStatus, HotError, HotRequest, HotRows, HotSource, ReadSpec, Reader, Segment, StoreError, TableName,
};
use daymark_trace::Span;
use futures::StreamExt;

use self::spans::{COLUMNS, SpanBatch, StoredSpan, Texts};
use crate::columns::TraceRow;
use crate::core::Shared;
use crate::handle;
use crate::keyed::IdMap;
use crate::lookup::{MAX_BLOOM_IDS, MAX_SEGMENTS, Rows, one_of, whole, within};
use crate::stitch::{SpanFacts, Stitcher, Stored, TRUNCATED};

/// Hot rows of some traces, as they stand: what is not applied yet waits for the applier itself.
struct OwnRows {
    shared: Arc<Shared>,
    wanted: ReadSpec,
}

#[async_trait]
impl HotSource for OwnRows {
    async fn hot(&self, request: HotRequest) -> Result<HotRows, HotError> {
        handle::hot_rows(&self.shared, &request, LogOffset(0), |batch| self.wanted.apply(batch))
    }

    async fn status(&self) -> Result<CollectorStatus, HotError> {
        Ok(handle::status(&self.shared))
    }
}

/// How much may be brought back at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RestoreLimits {
    pub(crate) spans_per_trace: u64,
    pub(crate) spans: u64,
    /// Of columns read.
    pub(crate) bytes: usize,
}

/// What the store holds of traces that come back.
#[derive(Default)]
pub(crate) struct StoredParts {
    traces: IdMap<TraceId, Stored>,
    spans: Vec<StoredSpan>,
    texts: Texts,
    /// Traces that did not fit beside the others.
    later: Vec<TraceId>,
    /// Nothing was read, because it was too much at a time: fewer traces are to be asked for.
    pub(crate) too_much: bool,
    pub(crate) damaged: usize,
    /// Why spans were not read: the rows alone are here, for the case that waiting longer is no use.
    pub(crate) failed: Option<StoreError>,
    /// What it takes of the memory budget.
    _held: Option<Held>,
}

/// Reads the spans of the traces in `rows`, as far as the limits allow, within `time`. Traces with spans in a damaged
/// segment come back by their row.
pub(crate) async fn stored_parts(
    shared: &Arc<Shared>,
    tenant: &TenantId,
    rows: Rows,
    limits: RestoreLimits,
    held: Held,
    time: Duration,
) -> StoredParts {
    let (whole, later) = choose(&rows, limits);
    let mut reading = Reading::new(held);
    for row in whole.iter().filter_map(|id| rows.found.get(id)) {
        reading.known.insert(row.trace_id, Known { until: row.version, spans: HashSet::new() });
    }
    let (mut fits, mut failed) = (true, None);
    if !whole.is_empty() {
        let read = within(time, reading.read(shared, tenant, &rows, &whole, limits.bytes)).await;
        fits = read.unwrap_or_else(|error| {
            // Memory for fewer traces may be there.
            failed = Some(error).filter(|error| whole.len() == 1 || !matches!(error, StoreError::Memory(_)));
            false
        });
    }
    if !fits && failed.is_none() && whole.len() > 1 {
        let later = rows.found.into_keys().chain(rows.unknown).collect();
        return StoredParts { later, too_much: true, ..StoredParts::default() };
    }
    let mut traces: IdMap<TraceId, Stored> = rows.unknown.iter().map(|id| (*id, Stored::Unknown)).collect();
    for (id, row) in rows.found {
        if later.contains(&id) || traces.contains_key(&id) {
            continue;
        }
        let is_whole = fits && reading.has_all(&id, &row);
        traces.insert(id, if is_whole { Stored::Spans } else { Stored::Row(Box::new(row)) });
    }
    let Reading { mut known, mut spans, texts, damaged, held, .. } = reading;
    spans.sort_by_key(|span| span.offset);
    spans.retain(|span| {
        let is_first = known.get_mut(&span.trace).is_some_and(|known| known.spans.remove(&span.span.id));
        is_first && matches!(traces.get(&span.trace), Some(Stored::Spans))
    });
    StoredParts {
        traces,
        spans,
        texts,
        later,
        too_much: false,
        damaged: damaged.len() + rows.damaged,
        failed,
        _held: Some(held),
    }
}

/// The traces whose spans are read, the newest first, and those for another time. The others come back by their row:
/// those with too many spans, and truncated ones, whose row may not tell of all their spans.
fn choose(rows: &Rows, limits: RestoreLimits) -> (Vec<TraceId>, Vec<TraceId>) {
    let fits = |row: &&TraceRow| row.span_count <= limits.spans_per_trace && row.state != TRUNCATED;
    let known = |row: &&TraceRow| !rows.unknown.contains(&row.trace_id);
    let mut fitting: Vec<&TraceRow> = rows.found.values().filter(fits).filter(known).collect();
    fitting.sort_unstable_by_key(|row| (std::cmp::Reverse(row.version), row.trace_id));
    let mut spans = 0;
    let now = fitting.iter().take_while(|row| {
        spans += row.span_count;
        spans <= limits.spans.max(row.span_count)
    });
    let now = now.count();
    let later = fitting.split_off(now);
    (fitting.iter().map(|row| row.trace_id).collect(), later.iter().map(|row| row.trace_id).collect())
}

/// The spans that a row counts.
struct Known {
    /// Offset of the newest.
    until: LogOffset,
    spans: HashSet<u64>,
}

/// The spans of a few traces while they are read.
struct Reading {
    held: Held,
    known: IdMap<TraceId, Known>,
    spans: Vec<StoredSpan>,
    texts: Texts,
    bytes: usize,
    /// Times of segments that cannot be read.
    damaged: Vec<(UnixNanos, UnixNanos)>,
}

impl Reading {
    fn new(held: Held) -> Reading {
        Reading {
            held,
            known: IdMap::default(),
            spans: Vec::new(),
            texts: Texts::default(),
            bytes: 0,
            damaged: Vec::new(),
        }
    }

    /// False when it is too much.
    async fn read(
        &mut self,
        shared: &Arc<Shared>,
        tenant: &TenantId,
        rows: &Rows,
        ids: &[TraceId],
        most_bytes: usize,
    ) -> Result<bool, StoreError> {
        let times: Vec<(UnixNanos, UnixNanos)> = ids.iter().filter_map(|id| rows.found.get(id)).map(times_of).collect();
        let start = times.iter().map(|time| time.0).min().unwrap_or_default();
        let end = times.iter().map(|time| time.1).max().unwrap_or_default().plus(1);
        let range = TimeRange { start, end };
        let wanted = ReadSpec::columns(&COLUMNS).filter(one_of(ids.to_vec()));
        let own = OwnRows { shared: Arc::clone(shared), wanted: wanted.clone() };
        let reader = Reader::new(shared.store.clone(), Some(Arc::new(own)));
        let columns = Some(COLUMNS.map(str::to_owned).to_vec());
        let view = reader.view_columns(tenant, TableName::Spans, range, columns).await?;
        whole(&view)?;
        for batch in &view.hot {
            if !self.take(batch, most_bytes)? {
                return Ok(false);
            }
        }
        let holds = |time: (UnixNanos, UnixNanos)| times.iter().any(|own| overlap(*own, time));
        let segments: Vec<_> = view.segments.iter().filter(|segment| holds(segment.meta().time)).collect();
        if segments.len() > MAX_SEGMENTS {
            return Ok(false);
        }
        for segment in segments {
            match self.read_segment(segment, ids, &wanted, range, most_bytes).await {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) if error.may_pass() => return Err(error),
                Err(error) => {
                    tracing::debug!(segment = segment.meta().path, %error, "a damaged segment may hold spans");
                    self.damaged.push(segment.meta().time);
                }
            }
        }
        Ok(true)
    }

    async fn read_segment(
        &mut self,
        segment: &Segment,
        ids: &[TraceId],
        wanted: &ReadSpec,
        range: TimeRange,
        most_bytes: usize,
    ) -> Result<bool, StoreError> {
        let mut may_hold = ids.len() > MAX_BLOOM_IDS;
        for id in ids.iter().take(MAX_BLOOM_IDS) {
            may_hold = may_hold || !segment.bloom("trace_id", &id.0).await?.is_empty();
        }
        if may_hold {
            let rows = segment.pages_in(range).await?;
            let mut batches = segment.stream(&ReadSpec { rows, ..wanted.clone() }).await?;
            while let Some(batch) = batches.next().await {
                if !self.take(&batch?, most_bytes)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn take(&mut self, batch: &RecordBatch, most_bytes: usize) -> Result<bool, StoreError> {
        let bytes = batch.get_array_memory_size();
        self.bytes += bytes;
        if self.bytes > most_bytes {
            return Ok(false);
        }
        self.held.grow(bytes as u64).map_err(|refusal| StoreError::Memory(refusal.message))?;
        let columns = SpanBatch::of(batch)
            .ok_or_else(|| ArrowError::SchemaError("columns of stored spans are missing".to_owned()))?;
        for row in 0..batch.num_rows() {
            let Some(span) = columns.span(&mut self.texts, row) else { continue };
            // What came later than the row is with the stitcher.
            if let Some(known) = self.known.get_mut(&span.trace).filter(|known| span.offset <= known.until) {
                known.spans.insert(span.span.id);
                self.spans.push(span);
            }
        }
        Ok(true)
    }

    /// Every span that the row counts was read.
    fn has_all(&self, id: &TraceId, row: &TraceRow) -> bool {
        let known = self.known.get(id).map_or(0, |known| known.spans.len() as u64);
        known > 0 && known >= row.span_count && !self.damaged.iter().any(|damaged| overlap(*damaged, times_of(row)))
    }
}

fn times_of(row: &TraceRow) -> (UnixNanos, UnixNanos) {
    (row.raw_start, row.raw_start.plus(row.raw_duration_ns))
}

fn overlap(a: (UnixNanos, UnixNanos), b: (UnixNanos, UnixNanos)) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

impl StoredParts {
    /// Nothing is known of any trace.
    pub(crate) fn is_empty(&self) -> bool {
        self.traces.is_empty()
    }

    /// No trace of `stitcher` waits any longer. Those whose row is here go on with it. Says how many waited.
    pub(crate) fn give_up(&self, stitcher: &mut Stitcher) -> usize {
        stitcher.give_up(&self.traces)
    }

    /// Gives the stitcher back what was found.
    pub(crate) fn restore(&self, stitcher: &mut Stitcher) {
        let numbers: Vec<u16> = self.texts.all.iter().map(|text| stitcher.names.number(text)).collect();
        for stored in &self.spans {
            let (service, peer) = (numbers[stored.service as usize], numbers[stored.peer as usize]);
            let facts = SpanFacts {
                offset: stored.offset,
                written: true,
                span: Span { service, peer, ..stored.span },
                name: &stored.name,
                correlation: stored.correlation.as_deref(),
            };
            stitcher.restore(&stored.trace, &facts);
        }
        stitcher.found(&self.traces, &self.later);
    }
}
