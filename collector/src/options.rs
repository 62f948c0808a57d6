//! What an operator can set on the collector. Every limit of the crate is here, with its unit and default.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use daymark_guard::watchdog::{Pulse, Stall};
use daymark_guard::{MemoryGate, QuotaLimits, Quotas, SystemClock};
use daymark_log::LogOptions;
use daymark_model::TenantId;
use daymark_store::{CompactOptions, TableName};

/// Options of the collector. `Default` suits one machine with a few GiB of memory.
#[derive(Clone, Debug)]
pub struct CollectorOptions {
    /// Directory for tables and the dedup snapshot. The ingest log's directory is in [`LogOptions`].
    pub data_dir: PathBuf,
    /// The ingest log.
    pub log: LogOptions,
    /// A table is sealed when it holds this many unpublished rows.
    pub seal_rows: usize,
    /// A table is sealed when its unpublished rows take about this many bytes in memory.
    pub seal_bytes: usize,
    /// A table is sealed when its oldest unpublished row is this old, milliseconds.
    pub seal_interval_ms: u64,
    /// Unpublished rows of all tenants together; above it the largest table is sealed at once. Bytes.
    pub hot_bytes: usize,
    /// What a start may have to replay, about: every table is sealed once half of these bytes were applied since the last
    /// time.
    pub replay_bytes: u64,
    /// While rows on their way into a commit take so much, the applier waits before it seals more. Bytes.
    pub sealing_bytes: usize,
    /// How long published rows stay in memory for readers whose snapshot is just older, milliseconds.
    pub keep_published_ms: u64,
    /// Published rows of a table that take more than this are dropped at once: such readers take a newer snapshot.
    pub keep_published_bytes: usize,
    /// Bytes of durable frames read ahead of the applier.
    pub read_ahead_bytes: usize,
    /// Items in one request; a request with more is refused.
    pub max_items: u64,
    /// A request whose resource attributes, repeated on each of its rows, take more than this is refused. Bytes.
    pub max_expanded_bytes: u64,
    /// Items whose time lies further ahead of the collector's clock are rejected, milliseconds: their rows would be the
    /// newest for as long, and grow old that much later.
    pub max_future_ms: u64,
    /// How long rows are kept, per table.
    pub retention: Retention,
    /// How often small segments are looked for, milliseconds.
    pub compact_interval_ms: u64,
    /// Which segments are merged, and how far.
    pub compact: CompactOptions,
    /// A trace without new spans for this long is emitted, milliseconds.
    pub trace_idle_ms: u64,
    /// A trace open for this long is emitted even if spans still arrive, milliseconds.
    pub trace_max_age_ms: u64,
    /// Traces remembered for late spans, per tenant; the ones longest without spans are forgotten first. A late span of
    /// a forgotten trace makes its spans be read from the store.
    pub max_traces: usize,
    /// Spans of all remembered traces of a tenant, 40 bytes each; the same traces are forgotten first.
    pub max_stitched_spans: usize,
    /// Spans of one trace that are looked at together. Further ones are stored and counted; the trace is `truncated`.
    pub max_spans_per_trace: usize,
    /// How long traces with late spans wait for their stored spans while the store does not answer, and how long their
    /// tables are not sealed for it, milliseconds. Beyond, they go on without and are `truncated`.
    pub late_spans_wait_ms: u64,
    /// Columns of stored spans that one look into the store may read, bytes. A trace with more is `truncated`.
    pub late_spans_bytes: usize,
    /// Edges of the service graph per tenant, counted once for each minute, between two seals. Further calls are counted
    /// on one edge from `_overflow` to `_overflow`.
    pub max_edges: usize,
    /// Attribute keys that tie records without trace context to a trace, most telling first.
    pub correlation_keys: Vec<String>,
    /// Correlation values remembered per tenant.
    pub max_correlations: usize,
    /// Metric series per tenant; further ones go to one series per metric with `otel.metric.overflow=true`.
    pub max_series: usize,
    /// Metric series per tenant and metric; further ones share that one, too.
    pub max_series_per_metric: usize,
    /// Batches and requests remembered so that a repeat is recognised (G2).
    pub dedup_entries: usize,
    /// For how long they are remembered, milliseconds.
    pub dedup_age_ms: u64,
    /// Agents followed per tenant; further ones do not hold the watermark back while all of these are heard.
    pub max_agents: usize,
    /// An agent without a heartbeat for this long no longer holds the watermark back, milliseconds.
    pub agent_silent_ms: u64,
    /// Allowed lateness of data behind what an agent has declared closed, milliseconds.
    pub lateness_ms: u64,
    /// How much each tenant may send; its items are counted here, its bytes at the listeners.
    pub quotas: Arc<Quotas>,
    /// The memory budget of the process: unpublished rows and the log's read-ahead are reported to it.
    pub memory: Arc<MemoryGate>,
    /// How long a client waits for the durable answer before it is told to retry, milliseconds.
    pub ack_timeout_ms: u64,
    /// A read waits so long for what was durable when it came to become visible, milliseconds. Beyond, its receipt says
    /// that newer rows are still being applied.
    pub read_wait_ms: u64,
    /// What the tables take is looked at again after so long, milliseconds.
    pub storage_max_age_ms: u64,
    /// A worker that has work and makes no progress for this long is stalled, milliseconds; 0 to never say so.
    pub watchdog_stall_ms: u64,
    /// What is done then, before the collector fails. The program ends the process.
    pub on_stall: fn(&Stall, &[Pulse]),
}

impl CollectorOptions {
    /// The defaults, with data below `data_dir`.
    pub fn new(data_dir: PathBuf, log: LogOptions) -> CollectorOptions {
        CollectorOptions {
            data_dir,
            log,
            seal_rows: 131_072,
            seal_bytes: 28 << 20,
            seal_interval_ms: 60_000,
            hot_bytes: 64 << 20,
            replay_bytes: 1 << 30,
            sealing_bytes: 84 << 20,
            keep_published_ms: 2_000,
            keep_published_bytes: 8 << 20,
            read_ahead_bytes: 16 << 20,
            max_items: 500_000,
            max_expanded_bytes: 256 << 20,
            max_future_ms: 3_600_000,
            retention: Retention::default(),
            compact_interval_ms: 30_000,
            compact: CompactOptions::default(),
            trace_idle_ms: 5_000,
            trace_max_age_ms: 60_000,
            max_traces: 131_072,
            max_stitched_spans: 750_000,
            max_spans_per_trace: 100_000,
            late_spans_wait_ms: 30_000,
            late_spans_bytes: 32 << 20,
            max_edges: 20_000,
            correlation_keys: ["correlation_id", "request_id", "http.request.header.x-request-id"]
                .map(str::to_owned)
                .into(),
            max_correlations: 262_144,
            max_series: 200_000,
            max_series_per_metric: 50_000,
            dedup_entries: 65_536,
            dedup_age_ms: 600_000,
            max_agents: 4_096,
            agent_silent_ms: 30_000,
            lateness_ms: 5_000,
            memory: MemoryGate::open(),
            quotas: Quotas::new(QuotaLimits::default(), Arc::new(SystemClock)),
            ack_timeout_ms: 30_000,
            read_wait_ms: 300,
            storage_max_age_ms: 5_000,
            watchdog_stall_ms: 300_000,
            on_stall: |_, _| {},
        }
    }
}

/// How long rows of each table are kept, in hours of event time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Spans.
    pub spans_hours: u64,
    /// Log records and events.
    pub logs_hours: u64,
    /// Trace summaries.
    pub traces_hours: u64,
    /// 10 s rollups.
    pub metrics_10s_hours: u64,
    /// 1 min rollups.
    pub metrics_1m_hours: u64,
    /// Rollups in windows of an hour.
    pub metrics_1h_hours: u64,
    /// Rollups in windows of a day.
    pub metrics_1d_hours: u64,
    /// Other hours for a table, of one tenant or (`None`) of every tenant that has none of its own.
    pub exceptions: BTreeMap<(Option<TenantId>, TableName), u64>,
    /// After so many hours a segment of logs loses its text index and is scanned by searches; 0 keeps it as long as rows.
    pub index_hours: u64,
    /// Edges of the service graph.
    pub edges_hours: u64,
    /// How often old rows are looked for, seconds.
    pub check_interval_s: u64,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            spans_hours: 7 * 24,
            logs_hours: 7 * 24,
            traces_hours: 7 * 24,
            metrics_10s_hours: 32 * 24,
            metrics_1m_hours: 95 * 24,
            metrics_1h_hours: 400 * 24,
            metrics_1d_hours: 1_830 * 24,
            exceptions: BTreeMap::new(),
            index_hours: 0,
            edges_hours: 32 * 24,
            check_interval_s: 300,
        }
    }
}
