//! Trace search: by what the trace row knows, and, for operations and attributes, by the spans in it.

use std::collections::HashSet;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::error::ArrowError;
use axum::response::Response;
use daymark_model::{Receipt, TenantId, TimeRange, TraceId};
use daymark_store::{Filter, ReadSpec, TableName};
use serde::Serialize;

use super::summary::{TraceColumns, TraceSummary};
use crate::QueryError;
use crate::asked::Asked;
use crate::params::Params;
use crate::router::{App, on_cpu};
use crate::rows::{entry, ids, maps};
use crate::scan::{self, Wanted};

const DEFAULT_LIMIT: usize = 20;

#[derive(Serialize)]
struct Found {
    traces: Vec<TraceSummary>,
}

/// Everything a search asks for.
#[derive(Clone, Debug)]
struct Search {
    service: Option<String>,
    operation: Option<String>,
    attributes: Vec<(String, String)>,
    min_duration_ns: i64,
    max_duration_ns: i64,
    errors: Option<bool>,
    range: TimeRange,
    limit: usize,
}

pub(crate) async fn search(asked: Asked) -> Result<Response, QueryError> {
    let Asked { app, tenant, params, .. } = &asked;
    let search = Search::parse(app, params)?;
    let mut receipt = Receipt::new();

    let among =
        if search.looks_at_spans() { Some(traces_with_span(app, tenant, &search, &mut receipt).await?) } else { None };
    let traces = if among.as_ref().is_some_and(HashSet::is_empty) {
        Vec::new()
    } else {
        newest(app, tenant, search, among, &mut receipt).await?
    };
    asked.answer(receipt, Found { traces }).await
}

impl Search {
    fn parse(app: &App, params: &Params) -> Result<Search, QueryError> {
        let single = ["service", "operation", "min_duration_ms", "max_duration_ms", "errors", "start", "end", "limit"];
        params.check(&single, &["attribute"])?;
        let duration_ns = |key| -> Result<Option<i64>, QueryError> {
            let Some(millis) = params.number::<f64>(key)? else { return Ok(None) };
            if !(0.0..=1e12).contains(&millis) {
                return Err(QueryError::parameter(key, format!("expected milliseconds, got {millis}")));
            }
            Ok(Some((millis * 1e6) as i64))
        };
        Ok(Search {
            service: params.one("service").map(str::to_owned),
            operation: params.one("operation").map(str::to_owned),
            attributes: params.pairs("attribute")?,
            min_duration_ns: duration_ns("min_duration_ms")?.unwrap_or(0),
            max_duration_ns: duration_ns("max_duration_ms")?.unwrap_or(i64::MAX),
            errors: params.flag("errors")?,
            range: params.range(&*app.clock)?,
            limit: params.limit(DEFAULT_LIMIT, app.options.max_rows)?,
        })
    }

    fn looks_at_spans(&self) -> bool {
        self.operation.is_some() || !self.attributes.is_empty()
    }

    fn holds(&self, traces: &TraceColumns<'_>, row: usize) -> bool {
        let duration_ns = traces.duration_ns(row);
        (self.min_duration_ns..=self.max_duration_ns).contains(&duration_ns)
            && self.errors.is_none_or(|errors| traces.has_errors(row) == errors)
            && self.service.as_ref().is_none_or(|service| traces.has_service(row, service))
    }
}

/// Traces with at least one span that is of the service, of the operation and has the attributes.
async fn traces_with_span(
    app: &App,
    tenant: &TenantId,
    search: &Search,
    receipt: &mut Receipt,
) -> Result<HashSet<TraceId>, QueryError> {
    let slack_ns = app.options.trace_length_ms.saturating_mul(1_000_000);
    let range = TimeRange { start: search.range.start, end: search.range.end.plus(slack_ns) };
    let mut view = app.view(tenant, TableName::Spans, range).await?;
    let service = search.service.as_deref().map(|service| Filter::text("service_name", service));
    let operation = search.operation.as_deref().map(|operation| Filter::text("name", operation));
    let attributes = search.attributes.iter().cloned().map(|(key, value)| attribute_filter(key, value));
    let wanted = Wanted {
        columns: vec!["trace_id"],
        filters: service.into_iter().chain(operation).chain(attributes).collect(),
        ..Wanted::default()
    };
    let batches = scan::rows(&mut view, wanted).await?;
    receipt.absorb(&view.receipt);
    let mut traces = HashSet::new();
    for batch in &batches {
        traces.extend(ids(batch, "trace_id")?.iter().flatten().filter_map(TraceId::from_slice));
    }
    Ok(traces)
}

/// Spans whose attribute, or else whose resource's attribute, equals `value` as text.
fn attribute_filter(key: String, value: String) -> Filter {
    let of = key.clone();
    let filter = Filter::new(&["attributes", "resource_attributes"], move |batch: &RecordBatch| {
        let columns = maps(batch, "attributes").and_then(|own| Ok((own, maps(batch, "resource_attributes")?)));
        let (own, resource) = columns.map_err(|error| ArrowError::SchemaError(error.to_string()))?;
        let found = |row| entry(own, row, &key).or_else(|| entry(resource, row, &key));
        Ok((0..batch.num_rows()).map(|row| Some(found(row) == Some(value.as_str()))).collect::<BooleanArray>())
    });
    filter.of_attribute(&of)
}

/// The newest `limit` traces that match.
async fn newest(
    app: &App,
    tenant: &TenantId,
    search: Search,
    among: Option<HashSet<TraceId>>,
    receipt: &mut Receipt,
) -> Result<Vec<TraceSummary>, QueryError> {
    // A late span may have moved the start of a trace out of the range: look far enough to see that version.
    let slack_ns = app.options.trace_length_ms.saturating_mul(1_000_000);
    let range = TimeRange { start: search.range.start.minus(slack_ns), end: search.range.end };
    let mut view = app.view(tenant, TableName::Traces, range).await?;
    let spec = ReadSpec::default().filter(Filter::time(TableName::Traces, search.range));
    let batch = view.newest_traces(&spec).await?;
    receipt.absorb(&view.receipt);
    on_cpu(move || {
        let traces = TraceColumns::of(&batch)?;
        let is_among = |row| among.as_ref().is_none_or(|among| among.contains(&traces.trace_id(row)));
        let mut rows: Vec<usize> =
            (0..batch.num_rows()).filter(|&row| search.holds(&traces, row) && is_among(row)).collect();
        rows.sort_by_key(|&row| std::cmp::Reverse((traces.start_ns(row), traces.trace_id(row))));
        rows.truncate(search.limit);
        Ok(rows.into_iter().map(|row| traces.summary(row)).collect())
    })
    .await?
}
