//! Everything the collector holds in memory for one tenant: builders, traces, correlations, rollups, hot layers.
//!
//! Where it sits: the decode stage fills it, hot reads and seals take from it. Nothing is shared between tenants.
//!
//! Invariants:
//! - a table's rows in memory are exactly those of log offsets it has not committed;
//! - every seal takes all rows of a table, so its commit consumes everything applied so far.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use daymark_model::{LogOffset, TimeRange, UnixNanos};
use daymark_store::TableName;

use crate::CollectorOptions;
use crate::account::Account;
use crate::columns::{Extent, LogColumns, SeriesColumns, SpanColumns, TraceColumns, fill_trace_ids};
use crate::correlate::Correlations;
use crate::hot_batch::HotBatch;
use crate::layers::{Chunk, Layers, Stale, Unread};
use crate::resources::Resources;
use crate::rollup::{Levels, Rollups, SeriesLimits, level};
use crate::stitch::{StitchLimits, Stitcher};

/// A chunk is frozen at so many rows, or bytes.
const CHUNK_ROWS: usize = 16_384;
const CHUNK_BYTES: usize = 8 << 20;

/// Number of tables.
pub(crate) const TABLES: usize = TableName::ALL.len();

/// Position of a table in arrays over [`TableName::ALL`].
pub(crate) fn at(table: TableName) -> usize {
    table as usize
}

/// When rows came that are not sealed yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    /// First log offset with such rows.
    pub(crate) first: LogOffset,
    /// Milliseconds of the collector's clock when it was applied.
    pub(crate) since_ms: u64,
}

/// One tenant's data in memory.
pub(crate) struct Tenant {
    pub(crate) spans: SpanColumns,
    pub(crate) logs: LogColumns,
    pub(crate) traces: TraceColumns,
    pub(crate) stitcher: Stitcher,
    pub(crate) correlations: Correlations,
    pub(crate) rollups: Rollups,
    pub(crate) resources: Resources,
    /// Rows of the catalogue of series.
    pub(crate) series: SeriesColumns,
    /// What its metric tables were given.
    pub(crate) account: Account,
    layers: [Layers; TABLES],
    pending: [Option<Pending>; TABLES],
    /// Newest offset each table has committed.
    pub(crate) consumed: [LogOffset; TABLES],
    /// See [`Tenant::holds_edges_until`].
    edges_until: LogOffset,
    /// How much the correlations knew when waiting log rows were last looked at.
    filled_at: u64,
}

impl Tenant {
    pub(crate) fn new(options: &CollectorOptions, consumed: [LogOffset; TABLES], account: Account) -> Tenant {
        Tenant {
            spans: SpanColumns::new(),
            logs: LogColumns::new(),
            traces: TraceColumns::new(),
            stitcher: Stitcher::new(StitchLimits {
                idle_ms: options.trace_idle_ms,
                max_age_ms: options.trace_max_age_ms,
                max_traces: options.max_traces,
                max_spans: options.max_stitched_spans,
                max_spans_per_trace: options.max_spans_per_trace,
                max_edges: options.max_edges,
            }),
            correlations: Correlations::new(options.max_correlations),
            rollups: Rollups::new(SeriesLimits { all: options.max_series, per_metric: options.max_series_per_metric }),
            resources: Resources::default(),
            series: SeriesColumns::new(),
            account,
            layers: consumed.map(Layers::new),
            pending: [None; TABLES],
            consumed,
            edges_until: LogOffset(0),
            filled_at: 0,
        }
    }

    /// Frames up to here brought no edges that are not in the table: a table without new rows gets no commit that says
    /// so, and a tenant may have calls to nobody for days.
    pub(crate) fn holds_edges_until(&mut self, published: LogOffset) {
        self.edges_until = published;
    }

    /// Frames up to here need not be applied for `table`.
    pub(crate) fn holds_until(&self, table: TableName) -> LogOffset {
        let consumed = self.consumed[at(table)];
        if table == TableName::Edges { consumed.max(self.edges_until) } else { consumed }
    }

    /// Notes that `offset` brought something for `table`.
    pub(crate) fn touch(&mut self, table: TableName, offset: LogOffset, now_ms: u64) {
        self.pending[at(table)].get_or_insert(Pending { first: offset, since_ms: now_ms });
    }

    /// When the oldest unsealed row of `table` came.
    pub(crate) fn pending(&self, table: TableName) -> Option<Pending> {
        self.pending[at(table)]
    }

    /// Rows of `table` that a seal would take.
    pub(crate) fn unsealed_rows(&self, table: TableName) -> usize {
        let building = match table {
            TableName::Spans => self.spans.rows(),
            TableName::Logs => self.logs.rows(),
            TableName::Traces => self.traces.rows() + self.stitcher.changed(),
            TableName::Metrics10s => self.rollups.rows(),
            TableName::Series => self.series.rows(),
            // Folded from the 10 s windows when those are sealed.
            TableName::Metrics1m | TableName::Metrics1h | TableName::Metrics1d => 0,
            TableName::Edges => self.stitcher.edge_rows().0,
        };
        building + self.layers[at(table)].frozen_rows()
    }

    /// Bytes that a seal of `table` would free, about.
    pub(crate) fn unsealed_bytes(&self, table: TableName) -> usize {
        let building = match table {
            TableName::Spans => self.spans.size_bytes(),
            TableName::Logs => self.logs.size_bytes(),
            TableName::Traces => self.traces.size_bytes() + 400 * self.stitcher.changed(),
            TableName::Metrics10s => self.rollups.size_bytes(),
            TableName::Series => self.series.size_bytes(),
            TableName::Metrics1m | TableName::Metrics1h | TableName::Metrics1d => 0,
            TableName::Edges => self.stitcher.edge_rows().1,
        };
        building + self.layers[at(table)].frozen_bytes()
    }

    /// Rows in memory that no commit holds.
    pub(crate) fn hot_rows(&self) -> usize {
        let unsealed: usize = TableName::ALL.into_iter().map(|table| self.unsealed_rows(table)).sum();
        let frozen: usize = self.layers.iter().map(Layers::frozen_rows).sum();
        let unpublished: usize = self.layers.iter().map(Layers::unpublished_rows).sum();
        unsealed - frozen + unpublished
    }

    /// Everything up to this offset is in the tables, or brought this tenant nothing; `applied` is the newest applied.
    pub(crate) fn safe_until(&self, applied: LogOffset) -> LogOffset {
        let sealing = self.layers.iter().filter_map(Layers::first_sealing);
        let unsealed = self.pending.iter().flatten().map(|pending| pending.first);
        sealing.chain(unsealed).min().map_or(applied, |first| LogOffset(first.0.saturating_sub(1)).min(applied))
    }

    /// Freezes what has grown to a chunk: columns of a fixed size are allocated once and their memory is used again,
    /// where growing ones would be copied and given back to the system each time.
    ///
    /// # Errors
    /// When columns do not fit the schema: a mistake in this crate.
    pub(crate) fn freeze_large(&mut self) -> Result<(), ArrowError> {
        if self.spans.rows() >= CHUNK_ROWS || self.spans.size_bytes() >= CHUNK_BYTES {
            self.freeze(TableName::Spans)?;
        }
        if self.logs.rows() >= CHUNK_ROWS || self.logs.size_bytes() >= CHUNK_BYTES {
            self.freeze(TableName::Logs)?;
        }
        Ok(())
    }

    /// Moves what was built into a chunk, without copying.
    fn freeze(&mut self, table: TableName) -> Result<(), ArrowError> {
        let chunk = match table {
            TableName::Spans if self.spans.rows() > 0 => plain(self.spans.finish()?),
            TableName::Traces if self.traces.rows() > 0 => plain(self.traces.finish()?),
            TableName::Series if self.series.rows() > 0 => plain(self.series.finish()?),
            TableName::Logs if self.logs.rows() > 0 => {
                let (batch, extent, waiting) = self.logs.finish()?;
                Chunk { rows: batch.into(), extent, waiting, whole: false }
            }
            _ => return Ok(()),
        };
        self.layers[at(table)].freeze(chunk)
    }

    /// Gives waiting log rows their trace ids, as far as they are known by now.
    fn fill_logs(&mut self) -> Result<(), ArrowError> {
        self.freeze(TableName::Logs)?;
        // Rows that were frozen after the last look asked on arrival, so nothing new learned means nothing to fill.
        if self.filled_at == self.correlations.learned() {
            return Ok(());
        }
        self.filled_at = self.correlations.learned();
        let Tenant { layers, correlations, .. } = self;
        for chunk in layers[at(TableName::Logs)].frozen_mut() {
            if chunk.waiting.is_empty() {
                continue;
            }
            let filled = fill_trace_ids(&chunk.rows.batch()?, &mut chunk.waiting, |key| correlations.lookup(key))?;
            if let Some(filled) = filled {
                chunk.rows = filled.into();
            }
        }
        Ok(())
    }

    /// The hot rows of `table` after `after`, all of them up to the offset returned; `applied` is the newest applied.
    ///
    /// # Errors
    /// [`Unread::Stale`] when rows after `after` are dropped already.
    pub(crate) fn read_hot(
        &mut self,
        table: TableName,
        after: LogOffset,
        applied: LogOffset,
        time: TimeRange,
    ) -> Result<(LogOffset, Vec<HotBatch>), Unread> {
        match table {
            TableName::Logs => self.fill_logs()?,
            _ => self.freeze(table)?,
        }
        let mut batches = self.layers[at(table)].read(after, time)?;
        if table == TableName::Traces {
            batches.extend(self.provisional_traces(applied)?.map(HotBatch::from));
        }
        let sums_up = table == TableName::Edges || level(table).is_some();
        if let (true, Some(pending)) = (sums_up, self.pending(table)) {
            if after >= pending.first && after < applied {
                // Fragments sum up offsets on both sides of the snapshot; only a foreign offset can ask for that.
                return Err(Stale(applied).into());
            }
            let (through, live) = match level(table) {
                Some(level) => self.rollups.live(level, applied)?,
                None => self.stitcher.live_edges(applied)?,
            };
            batches.extend(live.filter(|_| after < pending.first).map(HotBatch::from));
            return Ok((through, batches));
        }
        Ok((applied, batches))
    }

    fn provisional_traces(&mut self, through: LogOffset) -> Result<Option<RecordBatch>, ArrowError> {
        let mut rows = TraceColumns::new();
        self.stitcher.provisional(through, &mut rows)?;
        if rows.rows() == 0 { Ok(None) } else { Ok(Some(rows.finish()?.0)) }
    }

    /// Takes all rows of `table` for a commit that consumes `through`; they stay readable until it is published.
    ///
    /// # Errors
    /// When columns do not fit the schema: a mistake in this crate.
    pub(crate) fn seal(&mut self, table: TableName, through: LogOffset) -> Result<Option<Vec<HotBatch>>, ArrowError> {
        if level(table).is_some() {
            self.freeze_fragments(through)?;
        } else if table == TableName::Edges {
            if let Some((batch, time)) = self.stitcher.take_edges(through)? {
                self.freeze_whole(table, batch.into(), time, through)?;
            }
        } else {
            if table == TableName::Traces {
                self.stitcher.emit_changed(through, &mut self.traces)?;
            }
            match table {
                TableName::Logs => self.fill_logs()?,
                _ => self.freeze(table)?,
            }
        }
        // Rows may carry a later offset than what they were made of (a trace's is that of its emission): until they are
        // published, the log is needed from where the table last stood.
        let first = self.pending[at(table)].take().map(|pending| pending.first);
        Ok(self.layers[at(table)].seal(first, through))
    }

    /// Prepares for the points of the frame at `offset`, which only the tables of `wanted` lack.
    ///
    /// # Errors
    /// When columns do not fit the schema: a mistake in this crate.
    pub(crate) fn want_metrics(&mut self, wanted: Levels, offset: LogOffset) -> Result<(), ArrowError> {
        if wanted != self.rollups.wanted() {
            self.freeze_fragments(LogOffset(offset.0.saturating_sub(1)))?;
            self.rollups.want(wanted);
        }
        Ok(())
    }

    /// Moves the open windows of all resolutions into chunks; they are folded later, without the lock.
    fn freeze_fragments(&mut self, through: LogOffset) -> Result<(), ArrowError> {
        if self.rollups.rows() == 0 {
            return Ok(());
        }
        let Some(frozen) = self.rollups.freeze(through).map(Arc::new) else { return Ok(()) };
        for level in frozen.levels() {
            let rows = HotBatch::Folded(Arc::clone(&frozen), level);
            self.freeze_whole(TableName::METRICS[level], rows, frozen.time(level), through)?;
        }
        Ok(())
    }

    /// Rows that sum up everything since the last seal.
    fn freeze_whole(
        &mut self,
        table: TableName,
        rows: HotBatch,
        time: (UnixNanos, UnixNanos),
        through: LogOffset,
    ) -> Result<(), ArrowError> {
        let first = self.pending(table).map_or(through, |pending| pending.first);
        let mut extent = Extent::EMPTY;
        extent.add(first, time.0, time.1);
        extent.last = through;
        self.layers[at(table)].freeze(Chunk { rows, extent, waiting: Vec::new(), whole: true })
    }

    /// The oldest seal of `table` is committed.
    pub(crate) fn published(&mut self, table: TableName, through: LogOffset, now_ms: u64, keep_bytes: usize) {
        self.layers[at(table)].published(now_ms, keep_bytes);
        self.consumed[at(table)] = self.consumed[at(table)].max(through);
    }

    /// Regular upkeep between frames: emits traces that are due, drops rows that no reader needs any more.
    ///
    /// # Errors
    /// When columns do not fit the schema: a mistake in this crate.
    pub(crate) fn tick(&mut self, applied: LogOffset, now_ms: u64, keep_published_ms: u64) -> Result<(), ArrowError> {
        self.stitcher.emit_due(now_ms, applied, &mut self.traces)?;
        self.layers.iter_mut().for_each(|layers| layers.expire(now_ms, keep_published_ms));
        Ok(())
    }

    /// Chunks of unpublished trace rows, newest first.
    pub(crate) fn trace_chunks(&mut self) -> Result<impl Iterator<Item = &Chunk>, ArrowError> {
        self.freeze(TableName::Traces)?;
        Ok(self.layers[at(TableName::Traces)].newest_first())
    }
}

fn plain((batch, extent): (RecordBatch, Extent)) -> Chunk {
    Chunk { rows: batch.into(), extent, waiting: Vec::new(), whole: false }
}

/// Milliseconds of an instant.
pub(crate) fn millis(now: UnixNanos) -> u64 {
    now.0 / 1_000_000
}
