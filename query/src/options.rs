//! The limits of the query service.

use serde::{Deserialize, Serialize};

/// Limits of one query service. Reaching one is an error that names the option.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueryOptions {
    /// Wall time one query may take, milliseconds.
    pub timeout_ms: u64,
    /// Queries that run at the same time; one more is answered 503 with Retry-After.
    pub max_concurrent_queries: usize,
    /// Largest `limit` of a search, items.
    pub max_rows: usize,
    /// Largest answer, bytes.
    pub max_answer_bytes: usize,
    /// Largest number of rows one query may examine.
    pub max_scanned_rows: u64,
    /// Largest number of spans of one trace that is shown.
    pub max_trace_spans: usize,
    /// Largest number of log records shown beside one trace.
    pub max_trace_logs: usize,
    /// Largest number of series of one metric answer.
    pub max_series: usize,
    /// Largest number of points of one series (range divided by step).
    pub max_points: usize,
    /// Longest text of a log search, bytes.
    pub max_query_bytes: usize,
    /// Largest request body (SQL text), bytes.
    pub max_request_bytes: usize,
    /// How long after the start of a trace a search looks for its spans, and how far before the range asked for the
    /// newest version of a trace may begin, milliseconds.
    pub trace_length_ms: u64,
    /// How far outside a trace's own time its spans and logs are looked for, milliseconds.
    pub trace_slack_ms: u64,
    /// Correlation ids of one trace that logs are joined by.
    pub max_trace_correlations: usize,
}

impl Default for QueryOptions {
    fn default() -> QueryOptions {
        QueryOptions {
            timeout_ms: 10_000,
            max_concurrent_queries: 16,
            max_rows: 10_000,
            max_answer_bytes: 128 << 20,
            max_scanned_rows: 50_000_000,
            max_trace_spans: 100_000,
            max_trace_logs: 1_000,
            max_series: 500,
            max_points: 11_000,
            max_query_bytes: 4_096,
            max_request_bytes: 1 << 20,
            trace_length_ms: 600_000,
            trace_slack_ms: 3_600_000,
            max_trace_correlations: 16,
        }
    }
}
