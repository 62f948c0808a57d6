//! One trace: its newest row, its spans, and the logs that belong to it by trace id or by correlation id.

use std::collections::BTreeSet;

use arrow::array::{Array, BooleanArray, RecordBatch};
use arrow::error::ArrowError;
use axum::extract::Path;
use axum::response::Response;
use daymark_model::{Receipt, TenantId, TimeRange, TraceId, UnixNanos};
use daymark_store::{Filter, TableName};
use serde::Serialize;

use super::figures;
use super::span::SpanRow;
use super::summary::{TraceColumns, TraceSummary};
use crate::QueryError;
use crate::asked::Asked;
use crate::logs::{COLUMNS, LogRecord};
use crate::router::{App, on_cpu};
use crate::rows::{ids, strings};
use crate::scan::{self, Wanted};

#[derive(Serialize)]
struct Trace {
    trace: TraceSummary,
    /// Spans found, and how many of them are shown.
    spans_found: usize,
    spans_shown: usize,
    spans: Vec<SpanRow>,
    logs: Vec<LogRecord>,
}

pub(crate) async fn by_id(Path(id): Path<String>, asked: Asked) -> Result<Response, QueryError> {
    let Asked { app, tenant, params, .. } = &asked;
    params.check(&[], &[])?;
    let id: TraceId = id.parse().map_err(|error| QueryError::parameter("trace_id", format!("{error}")))?;
    let mut receipt = Receipt::new();

    let row = newest_row(app, tenant, id, &mut receipt).await?;
    // Spans are readable before the trace row is written: then nothing bounds their time.
    let range = row.as_ref().map_or(TimeRange::ALL, |row| around(app, row));
    let (spans_found, spans) = spans(app, tenant, id, range, &mut receipt).await?;
    let Some(trace) = row.or_else(|| TraceSummary::of_spans(id, &spans)) else {
        return Err(unknown(id, &receipt));
    };
    let logs = logs(app, tenant, &trace, &mut receipt).await?;
    asked.answer(receipt, Trace { trace, spans_found, spans_shown: spans.len(), spans, logs }).await
}

/// "Not found" only where everything was looked at.
fn unknown(id: TraceId, receipt: &Receipt) -> QueryError {
    let missing: Vec<&str> = receipt.missing.iter().chain(&receipt.warnings).map(String::as_str).collect();
    if missing.is_empty() {
        return QueryError::NotFound(format!("no trace {id}"));
    }
    QueryError::NotFound(format!("no trace {id} in what could be read; missing: {}", missing.join("; ")))
}

fn around(app: &App, trace: &TraceSummary) -> TimeRange {
    let slack_ns = app.options.trace_slack_ms.saturating_mul(1_000_000);
    let unsigned = |value: i64| u64::try_from(value).unwrap_or(0);
    // Rows are stored with the times of their senders.
    let start = UnixNanos(unsigned(trace.raw_start_time_unix_nano));
    TimeRange { start: start.minus(slack_ns), end: start.plus(unsigned(trace.raw_duration_ns)).plus(slack_ns) }
}

async fn newest_row(
    app: &App,
    tenant: &TenantId,
    id: TraceId,
    receipt: &mut Receipt,
) -> Result<Option<TraceSummary>, QueryError> {
    let mut view = app.reader.view(tenant, TableName::Traces, TimeRange::ALL).await?;
    let wanted = Wanted {
        columns: Vec::new(),
        filters: vec![Filter::trace_id(id)],
        bloom: Some(("trace_id", id.0.to_vec())),
        body: None,
    };
    let batches = scan::rows(&mut view, wanted).await?;
    receipt.absorb(&view.receipt);
    let mut newest: Option<(i64, TraceSummary)> = None;
    for batch in &batches {
        let traces = TraceColumns::of(batch)?;
        for row in 0..batch.num_rows() {
            let version = traces.version(row);
            if newest.as_ref().is_none_or(|(known, _)| *known <= version) {
                newest = Some((version, traces.summary(row)));
            }
        }
    }
    Ok(newest.map(|(_, summary)| summary))
}

async fn spans(
    app: &App,
    tenant: &TenantId,
    id: TraceId,
    range: TimeRange,
    receipt: &mut Receipt,
) -> Result<(usize, Vec<SpanRow>), QueryError> {
    let (batch, read) = app.reader.trace_spans(tenant, id, range).await?;
    receipt.absorb(&read);
    let mut spans = on_cpu(move || {
        let mut spans = SpanRow::all_of(&batch)?;
        figures::add(&mut spans);
        spans.sort_by(|a, b| (a.start_ns, &a.span_id).cmp(&(b.start_ns, &b.span_id)));
        Ok::<_, QueryError>(spans)
    })
    .await??;
    let found = spans.len();
    let limit = app.options.max_trace_spans;
    if spans.len() > limit {
        receipt.miss(format!("{} of {} spans (option query.max_trace_spans)", spans.len() - limit, spans.len()));
        spans.truncate(limit);
    }
    Ok((found, spans))
}

/// Logs with the trace's id, and those without any trace id that carry one of its correlation ids.
async fn logs(
    app: &App,
    tenant: &TenantId,
    trace: &TraceSummary,
    receipt: &mut Receipt,
) -> Result<Vec<LogRecord>, QueryError> {
    let mut view = app.reader.view(tenant, TableName::Logs, around(app, trace)).await?;
    let id = trace.trace_id;
    let own = Wanted {
        columns: COLUMNS.to_vec(),
        filters: vec![Filter::trace_id(id)],
        bloom: Some(("trace_id", id.0.to_vec())),
        body: None,
    };
    let mut batches = scan::rows(&mut view, own).await?;
    let joined: BTreeSet<String> = trace.correlation_ids.iter().cloned().collect();
    if joined.len() > app.options.max_trace_correlations {
        receipt.miss(format!(
            "logs of {} further correlation ids (option query.max_trace_correlations)",
            joined.len() - app.options.max_trace_correlations
        ));
    }
    for value in joined.into_iter().take(app.options.max_trace_correlations) {
        let bloom = Some(("correlation_id", value.clone().into_bytes()));
        let wanted = Wanted { columns: COLUMNS.to_vec(), filters: vec![correlated(value)], bloom, body: None };
        batches.extend(scan::rows(&mut view, wanted).await?);
    }
    receipt.absorb(&view.receipt);
    let mut logs = Vec::new();
    for batch in &batches {
        logs.extend(LogRecord::all_of(batch)?);
    }
    logs.sort_by_key(|log| (log.time_ns, log.log_offset));
    let limit = app.options.max_trace_logs;
    if logs.len() > limit {
        receipt.miss(format!("{} of {} logs (option query.max_trace_logs)", logs.len() - limit, logs.len()));
        logs.truncate(limit);
    }
    Ok(logs)
}

fn correlated(value: String) -> Filter {
    Filter::new(&["trace_id", "correlation_id"], move |batch: &RecordBatch| {
        let columns = ids(batch, "trace_id").and_then(|ids| Ok((ids, strings(batch, "correlation_id")?)));
        let (trace_ids, values) = columns.map_err(|error| ArrowError::SchemaError(error.to_string()))?;
        let holds = |row| trace_ids.is_null(row) && !values.is_null(row) && values.value(row) == value;
        Ok((0..batch.num_rows()).map(|row| Some(holds(row))).collect::<BooleanArray>())
    })
}
