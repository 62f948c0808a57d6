//! How spans become traces and edges of the service graph, on the command line.

use clap::Args;
use daymark_collector::CollectorOptions;

/// Limits of traces and edges.
#[derive(Clone, Debug, Args)]
pub(crate) struct StitchingArgs {
    /// Spans of one trace that are looked at together: 1 to 1000000. Further ones are stored and counted; the trace is
    /// `truncated`.
    #[arg(long, value_name = "SPANS", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) max_spans_per_trace: u64,
    /// Spans of all traces of a tenant that are kept in memory for late ones, 40 bytes each: 1000 to 100000000. The traces
    /// longest without spans are forgotten first; a late span brings theirs back from the store.
    #[arg(long, value_name = "SPANS", default_value_t = 750_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    pub(crate) max_stitched_spans: u64,
    /// Edges of the service graph per tenant and minute between two seals: 1 to 1000000. Further calls are counted on one edge
    /// from `_overflow` to `_overflow`.
    #[arg(long, value_name = "EDGES", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) max_edges: u64,
    /// Days edges of the service graph are kept: 1 to 36500.
    #[arg(long, value_name = "DAYS", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=36_500))]
    pub(crate) edges_days: u64,
    /// How long traces with late spans wait for their stored spans while the store does not answer: 1 to 120000. Beyond, they
    /// go on without and are `truncated`.
    #[arg(long, value_name = "MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..=120_000))]
    pub(crate) late_spans_wait_ms: u64,
    /// Columns of stored spans that one look for late spans may read: 1 MiB to 4 GiB. A trace with more is `truncated`.
    #[arg(long, value_name = "BYTES", default_value_t = 32 << 20, value_parser = clap::value_parser!(u64).range(1 << 20..=4 << 30))]
    pub(crate) late_spans_bytes: u64,
}

impl StitchingArgs {
    /// Sets the collector's options.
    ///
    /// # Errors
    /// When a number is too large for this machine.
    pub(crate) fn set(&self, options: &mut CollectorOptions) -> anyhow::Result<()> {
        options.max_spans_per_trace = usize::try_from(self.max_spans_per_trace)?;
        options.max_stitched_spans = usize::try_from(self.max_stitched_spans)?;
        options.max_edges = usize::try_from(self.max_edges)?;
        options.retention.edges_hours = self.edges_days * 24;
        options.late_spans_wait_ms = self.late_spans_wait_ms;
        options.late_spans_bytes = usize::try_from(self.late_spans_bytes)?;
        Ok(())
    }
}
